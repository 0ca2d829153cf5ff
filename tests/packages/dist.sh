#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Tries the tarball that "make dist" makes: what is in it, and that it and what
# is built of it are the same bytes whoever makes them, when and where. On
# Debian, as root:
#
#   sh tests/packages/dist.sh
#
# The last line says how many checks passed and failed.
. "$(dirname "$0")/checks.sh"
start_checks http-notify-dist git xz-utils dpkg-dev util-linux libcmocka-dev

# "make dist" of a clone in directory $1, by user $2 and after shell command $3.
make_dist() {
	mkdir "$1" &&
	git clone -q "$source" "$1/clone" &&
	# as after tests
	mkdir "$1/clone/tests/harness/__pycache__" \
		"$1/clone/tests/integration/.pytest_cache" &&
	touch "$1/clone/tests/harness/__pycache__/config.pyc" &&
	find "$1/clone" -exec touch -d "2001-02-03 04:05:$4" {} + &&
	chown -R "$2" "$1" &&
	cd "$1/clone" &&
	setpriv --reuid "$2" --clear-groups env HOME="$1" sh -ec "
		$3
		./autogen.sh
		mkdir build
		cd build
		../configure
		make dist"
}

dist_twice() {
	make_dist "$work/one" root 'umask 022' 06 &&
	make_dist "$work/another" nobody \
		'umask 077; export TZ=Pacific/Kiritimati LC_ALL=C.UTF-8' 07 &&
	tarball=$(echo "$work"/one/clone/build/*.tar.xz) &&
	cmp "$tarball" "$work"/another/clone/build/*.tar.xz
}

# All that git has but what is about git and CI; beyond that what autotools make
# for who has none.
contents() {
	git -C "$source" ls-tree -r --name-only HEAD |
		grep -v '^\.ci/\|^\.gitignore$' | sort >"$work/expected"
	tar -tf "$tarball" | sed 's|^[^/]*/||' |
		grep -v '/$\|^$\|^build-aux/\|^m4/\|\(^\|/\)Makefile\.in$' |
		grep -vx 'aclocal.m4\|configure\|dummy-config.h.in' |
		sort >"$work/found"
	diff -u "$work/expected" "$work/found"
}

# What is unpacked, configured and installed with Debian's flags in directory $1.
# Nobody needs autotools for it.
build() {
	mkdir "$1" &&
	cd "$1" &&
	tar -xf "$tarball" --strip-components=1 &&
	(
		eval "$(dpkg-buildflags --export=sh)" &&
		./configure AUTOCONF=false AUTOMAKE=false ACLOCAL=false \
			AUTOHEADER=false &&
		make -j2 &&
		make install DESTDIR="$1/stage"
	)
}

build_twice() {
	build "$work/built" &&
	sleep 1 &&
	build "$work/built-elsewhere" &&
	cd "$work" &&
	diff -r built/stage built-elsewhere/stage &&
	test -x built/stage/usr/lib/dovecot/http-notify
}

dist_of_dist() {
	cd "$work/built" &&
	make dist &&
	cmp "$tarball" dovecot-http-notify-*.tar.xz
}

distcheck() {
	cd "$work/built" &&
	make -j2 distcheck
}

# A file that says another version than configure.ac.
disagreement() {
	cd "$work/built" &&
	cp "$1" "$work/original" &&
	sed -i "s/$version/$version.1/" "$1" || return 1
	make dist >"$work/refusal" 2>&1
	status=$?
	cp "$work/original" "$1"
	cat "$work/refusal"
	test $status != 0 && grep "^$1 .*$version" "$work/refusal"
}

check "two of one commit are the same bytes" dist_twice
check "it has all that git has" contents
check "two builds of it install the same bytes" build_twice
check "a tarball of an unpacked one is the same bytes" dist_of_dist
version=${tarball##*-}
version=${version%.tar.xz}
check "make distcheck" distcheck
check "another version in NEWS is refused" disagreement NEWS
check "another version in the spec is refused" \
	disagreement rpm/dovecot-http-notify.spec
end_checks
