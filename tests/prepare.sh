# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scripts here: installs what is missing and builds.
#
#   begin NAME                sets top and work
#   prepare NAME PACKAGE...   sets build and stage as well; top is a copy then
#   check TEXT COMMAND...     one test, one line; counts passed and failed
#   attend COMMAND...         a program that ends when this shell has to
#
# work is a temporary directory, removed at exit; stage is one in it, with what
# "make install" installs. Nothing is written to the tree that the scripts are
# in: one that is interrupted leaves nothing there, and a build by another
# compiler or for another Dovecot is in nobody's way.

# What it takes to build and to run a Dovecot with the project in it.
BUILD_PACKAGES="gcc make autoconf automake libtool pkg-config libc6-dev
	dovecot-dev libcurl4-openssl-dev libjansson-dev libpq-dev
	libsqlite3-dev"
DOVECOT_PACKAGES="dovecot-core dovecot-imapd dovecot-lmtpd"

die() {
	echo "$*" >&2
	exit 1
}

work=
children=
# of these, what goes on while others come and go
background=
installing=
# what this has made itself
policy=

# At exit, for whatever reason.
end() {
	# a subshell that was told to end before it had forgotten these traps
	test "$(exec sh -c 'echo $PPID')" = $$ || return
	trap '' HUP INT TERM
	# all of a session that attend() has begun, or one process
	for child in $children; do
		kill -s TERM -- -$child || kill -s TERM $child
	done 2>/dev/null
	test -z "$installing" ||
		echo "Waiting for dpkg, so that no package is half installed" >&2
	wait
	for child in $children; do
		kill -s KILL -- -$child
	done 2>/dev/null
	test -z "$policy" || rm -f "$policy"
	test -z "$work" || rm -rf "$work"
}

# A session of its own: what it has started ends with it, and a signal from the
# terminal gets there by end() only.
attend() {
	setsid "$@" &
	children="$background $!"
	status=0
	wait $! || status=$?
	children=$background
	return $status
}

# ... but for dpkg, which is not stopped half-way.
let_dpkg() {
	installing=yes
	setsid "$@" &
	status=0
	wait $! || status=$?
	installing=
	return $status
}

# A package's daemon is not to be started: the tests start their own. What is
# there may be left from here, by a script that was killed.
forbid_daemons() {
	set -- /usr/sbin/policy-rc.d "# tests of dovecot-http-notify are running"
	if test -e "$1" && ! grep -qxF "$2" "$1"; then
		return
	fi
	policy=$1
	printf '#!/bin/sh\n%s\nexit 101\n' "$2" >"$policy"
	chmod +x "$policy"
}

APT_GET="env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends
	-o Acquire::Retries=3 -o DPkg::Lock::Timeout=600"

install_packages() {
	# one such script at a time
	exec 8</usr/sbin
	flock 8
	forbid_daemons
	# as dpkg was told to stop once
	let_dpkg dpkg --configure -a
	# a new machine does so by itself at the same time
	for pause in 10 20 30; do
		attend $APT_GET update && break
		sleep $pause
	done
	attend $APT_GET --fix-broken --download-only install "$@" &&
	let_dpkg $APT_GET --fix-broken install "$@"
	status=$?
	test -z "$policy" || rm -f "$policy"
	policy=
	exec 8<&-
	return $status
}

install_missing() {
	missing=
	for package; do
		state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
		test "$state" = "install ok installed" || missing="$missing $package"
	done
	test -n "$missing" || return 0
	echo "Installing:$missing"
	install_packages $missing </dev/null >"$work/apt.log" 2>&1 && return
	tail -20 "$work/apt.log" >&2
	die "Packages could not be installed:$missing"
}

passed=0
failed=0

check() {
	what=$1
	shift
	if "$@" </dev/null >"$work/check.log" 2>&1; then
		echo "ok      $what"
		passed=$((passed + 1))
	else
		tail -60 "$work/check.log"
		echo "FAILED  $what"
		failed=$((failed + 1))
	fi
}

# A step, by a program, whose output matters only if it fails.
quietly() {
	what=$1
	shift
	if ! attend "$@" </dev/null >"$work/$what.log" 2>&1; then
		tail -40 "$work/$what.log" >&2
		die "$what failed"
	fi
}

# Where mail users can get at it, by a short path, for there are sockets in it.
temporary_directory() {
	directory=${TMPDIR:-/tmp}
	case $directory in
	/??????????????????????????????*) directory=/tmp ;;
	/*) setpriv --reuid=nobody --regid=nogroup --clear-groups \
		test -x "$directory" || directory=/tmp ;;
	*) directory=/tmp ;;
	esac
	mktemp -d "$directory/$1.XXXXXX"
}

# As from anybody: what the caller's environment has is for other programs.
forget_environment() {
	unset $(env | sed -n 's/^\(\(PYTHON\|PYTEST_\|GIT_\|LD_\)[A-Z_]*\)=.*/\1/p
		s/^\(MAKEFLAGS\|MFLAGS\|MAKELEVEL\|DESTDIR\|CONFIG_SITE\|CDPATH\)=.*/\1/p
		s/^\(ENV\|BASH_ENV\|POSIXLY_CORRECT\)=.*/\1/p')
	export LC_ALL=C.UTF-8
	# "su" leaves out those of the system
	export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
	umask 022
}

begin() {
	test "$(id -u)" = 0 || die "This starts a Dovecot, which needs root: run it as root or with sudo."
	command -v apt-get >/dev/null || die "This installs what it needs with apt-get: run it on Debian."

	exec </dev/null
	forget_environment
	top=$(cd "$(dirname "$0")" && while ! test -f configure.ac; do cd ..; done && pwd)
	trap end EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	work=$(temporary_directory "$1") || exit
	# mail users have to get at it
	chmod 0755 "$work"
	# nobody's own settings of git and others, but that a tree may be
	# somebody else's
	export HOME="$work"
	printf '[safe]\n\tdirectory = *\n' >"$work/.gitconfig"
}

# To $work/tree, what git knows, or all there is in a tarball's directory. Files
# that git knows may have been removed.
copy_tree() {
	mkdir "$work/tree"
	cd "$top"
	if test -e .git; then
		install_missing git
		git ls-files --cached --others \
			--exclude-standard -z
	else
		test ! -e config.status ||
			die "$top has been built in: make distclean"
		find . -path ./build -prune -o ! -type d -print0
	fi >"$work/files" &&
	tar -c --null --ignore-failed-read -T "$work/files" 2>/dev/null |
		tar -x -C "$work/tree" &&
	cd "$work/tree" && test -f configure.ac || die "$top can't be copied"
}

prepare() {
	begin "$1"
	shift
	install_missing $BUILD_PACKAGES $DOVECOT_PACKAGES "$@"

	echo "Building"
	copy_tree
	top=$work/tree
	build=$top/build
	stage=$work/stage
	test -x configure || quietly autogen ./autogen.sh
	mkdir build
	cd build
	quietly configure ../configure
	quietly make make -j2
	quietly install make install DESTDIR="$stage"
	cd "$top"
}
