#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the Debian packages from the tarball that "make dist" makes, and tries
# them, all in clean folders of Debian suites. On Debian, as root:
#
#   sh tests/packages/deb.sh [SUITE...]
#
# The suites are bookworm and trixie unless told otherwise; their folders are
# kept, see suite.sh. The last line says how many checks passed and failed.
. "$(dirname "$0")/checks.sh"
start_checks http-notify-deb debootstrap util-linux xz-utils
test $# != 0 || set -- bookworm trixie

name=dovecot-http-notify
dovecot="dovecot-imapd dovecot-lmtpd dovecot-sieve iproute2 python3"
# Debhelper, and the names of all others.
build_packages=$(sed -n '/^Build-Depends:/,/^[^ ]/ {
	s/^ debhelper-compat .*/debhelper/p
	s/^ \([a-z][^ ,]*\)[ ,].*/\1/p
	s/^ \([a-z][^ ,]*\),$/\1/p
}' "$top/debian/control")

make_dist() {
	mkdir "$work/dist" &&
	cd "$work/dist" &&
	"$top/configure" &&
	make dist
}

# A folder with these packages, under a name for them.
folder() {
	sh "$top/tests/suite.sh" folder "$suite" "$@" 2>"$work/folder.log" || {
		tail -20 "$work/folder.log" >&2
		die "There is no folder of $suite"
	}
}

# A command in a folder.
inside() {
	folder=$1
	shift
	sh "$top/tests/suite.sh" run "$folder" "$work" "$@"
}

unpack() {
	mkdir "$here/$1" &&
	cp "$tarball" "$here/$1/${name}_$version.orig.tar.xz" &&
	tar -C "$here/$1" -xf "$tarball"
}

# DIRECTORY OPTION...: of dpkg-buildpackage.
build() {
	directory=$here/$1/$name-$version
	shift
	inside "$build_folder" env --chdir="$directory" \
		DEB_BUILD_OPTIONS="parallel=2 $options" \
		dpkg-buildpackage --unsigned-source --unsigned-changes "$@"
}

build_again() {
	unpack again &&
	build again --build=binary &&
	cd "$here/current" &&
	for deb in *.deb; do
		cmp "$deb" "$here/again/$deb" || return 1
	done
}

# The same under a version that is a bit lower.
build_previous() {
	unpack previous &&
	cd "$here/previous/$name-$version" &&
	sed -i "/^AC_INIT/s/\[$version\]/[$version~previous]/" configure.ac &&
	inside "$build_folder" env --chdir="$PWD" debian/rules build 2>&1 |
		grep "debian/changelog says $version, but" &&
	sed -i "1s/($version/&~previous/" debian/changelog &&
	build previous --build=binary
}

lintian() {
	inside "$build_folder" lintian --allow-root --fail-on error,warning \
		--tag-display-limit 0 --info "$here"/current/*.changes
}

# The other package, where there is no Dovecot.
listener() {
	inside "$clean_folder" sh -ec '
		apt-get -q update
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install "$1"
		http-notify-listener --version
		bash -c ". /usr/share/bash-completion/completions/http-notify-listener
			complete -p http-notify-listener"
		dpkg-query -W
		! dpkg-query -W dovecot-core
		apt-get -q -y purge dovecot-http-notify-listener
		test -z "$(find /usr /etc /var/lib -name "*http-notify*")"' \
		sh "$here/current/$name-listener_"*.deb
}

# A command with the installable package in a folder.
offline() {
	folder=$1
	shift
	inside "$folder" sh "$tree/tests/packages/offline.sh" \
		"$here/current/${name}_"*.deb "$@"
}

# trial.py has checks of its own.
trial() {
	echo "Trial"
	offline "$try_folder" /usr/bin/python3 "$tree/tests/packages/trial.py" \
		"$here/previous/${name}_"*.deb "$here/current/${name}_"*.deb \
		</dev/null >"$work/trial.log" 2>&1
	status=$?
	test $status = 0 && grep '^ok' "$work/trial.log" ||
		cat "$work/trial.log"
	passed=$((passed + $(grep -c '^ok' "$work/trial.log")))
	test $status = 0 || failed=$((failed + 1))
}

# Its "null" is this folder itself.
autopkgtest() {
	offline "$autopkgtest_folder" autopkgtest --no-built-binaries \
		"$here/current/${name}_"*.deb \
		"$here/current/$name-listener_"*.deb \
		"$here/current/$name-pgsql_"*.deb "$tree/" -- null
}

check "make dist" make_dist
tarball=$(echo "$work/dist/$name-"*.tar.xz)
version=${tarball##*-}
version=${version%.tar.xz}

for suite; do
	echo "Debian $suite"
	here=$work/$suite
	tree=$here/current/$name-$version
	mkdir "$here"
	clean_folder=$(folder) &&
	build_folder=$(folder packages-build build-essential lintian \
		$build_packages) &&
	try_folder=$(folder packages-try $dovecot) &&
	autopkgtest_folder=$(folder packages-autopkgtest autopkgtest dpkg-dev \
		libpq5 $dovecot) || exit

	unpack current
	options=
	check "source and binary packages" build current
	check "lintian" lintian
	options=nocheck
	check "built again they are the same bytes" build_again
	check "a version before, if the changelog says so" build_previous
	check "http-notify-listener without Dovecot" listener
	check "autopkgtest" autopkgtest
	trial
done
end_checks
