#!/bin/sh
# Tries the tarball that "make dist" makes: what is in it, and that it and what
# is built of it are the same bytes whoever makes them, when and where. On
# Debian, as root:
#
#   sh tests/packages/dist.sh
#
# The last line says how many checks passed and failed.
. "$(dirname "$0")/checks.sh"
start_checks http-notify-dist git xz-utils dpkg-dev util-linux

# "make dist" of a clone in directory $1, by user $2, under umask $3; in another
# time zone, locale and path, and with other times of files, for $4.
make_dist() {
	mkdir "$1" &&
	git clone -q "$top" "$1/clone" &&
	if test -n "$4"; then
		find "$1/clone" -exec touch -d '2001-02-03 04:05:06' {} +
	fi &&
	chown -R "$2" "$1" &&
	cd "$1/clone" &&
	setpriv --reuid "$2" --clear-groups env HOME="$1" sh -ec "
		umask $3
		$4
		./autogen.sh
		mkdir build
		cd build
		../configure
		make dist"
}

dist_twice() {
	make_dist "$work/a" root 022 '' &&
	make_dist "$work/in another/b" nobody 077 \
		'export TZ=Pacific/Kiritimati LC_ALL=C.UTF-8' &&
	tarball=$(echo "$work"/a/clone/build/*.tar.xz) &&
	cmp "$tarball" "$work/in another/b/clone/build/"*.tar.xz
}
