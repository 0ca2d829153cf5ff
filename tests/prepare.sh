# Sourced by the scripts here: installs what is missing and builds.
#
#   begin NAME                sets top and work
#   prepare NAME PACKAGE...   sets build and stage as well
#   check TEXT COMMAND...     one test, one line; counts passed and failed
#
# work is a temporary directory, removed at exit; stage is one in it, with what
# "make install" installs.

# What it takes to build and to run a Dovecot with the project in it.
BUILD_PACKAGES="gcc make autoconf automake libtool pkg-config libc6-dev
	dovecot-dev libcurl4-openssl-dev libjansson-dev libsqlite3-dev"
DOVECOT_PACKAGES="dovecot-core dovecot-imapd dovecot-lmtpd"

die() {
	echo "$*" >&2
	exit 1
}

install_missing() {
	missing=
	for package; do
		state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
		test "$state" = "install ok installed" || missing="$missing $package"
	done
	test -n "$missing" || return 0
	echo "Installing:$missing"

	# A package's daemon is not to be started: the tests start their own.
	policy=/usr/sbin/policy-rc.d
	if test -e $policy; then
		policy=
	else
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	fi
	status=0
	{
		apt-get update &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y \
			--no-install-recommends $missing
	} </dev/null >"$work/apt.log" 2>&1 || status=$?
	test -z "$policy" || rm -f $policy
	if test $status != 0; then
		tail -20 "$work/apt.log" >&2
		die "Packages could not be installed:$missing"
	fi
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

# A step whose output matters only if it fails.
quietly() {
	what=$1
	shift
	if ! "$@" </dev/null >"$work/$what.log" 2>&1; then
		tail -40 "$work/$what.log" >&2
		die "$what failed"
	fi
}

begin() {
	test "$(id -u)" = 0 || die "This starts a Dovecot, which needs root: run it as root or with sudo."
	command -v apt-get >/dev/null || die "This installs what it needs with apt-get: run it on Debian."

	top=$(cd "$(dirname "$0")" && while ! test -f configure.ac; do cd ..; done && pwd)
	work=$(mktemp -d "${TMPDIR:-/tmp}/$1.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	# mail users have to get at it
	chmod 0755 "$work"
}

prepare() {
	begin "$1"
	shift
	build=$top/build
	stage=$work/stage

	install_missing $BUILD_PACKAGES $DOVECOT_PACKAGES "$@"

	echo "Building"
	mkdir -p "$build"
	cd "$build"
	test -x "$top/configure" || quietly autogen "$top/autogen.sh"
	test -f Makefile || quietly configure "$top/configure"
	quietly make make -j2
	quietly install make install DESTDIR="$stage"
	cd "$top"
}
