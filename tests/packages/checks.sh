# Sourced by the scripts beside it, for what they have in common:
#
#   start_checks NAME PACKAGE...   sets top and work, installs packages
#   check TEXT COMMAND...          one check, one line
#   end_checks                     "N passed, N failed", and the exit status
#
# work is a temporary directory, removed at exit.
. "$(dirname "$0")/../prepare.sh"

passed=0
failed=0

start_checks() {
	name=$1
	shift
	test "$(id -u)" = 0 || die "This needs root: run it as root or with sudo."
	command -v apt-get >/dev/null || die "This installs what it needs with apt-get: run it on Debian."

	top=$(cd "$(dirname "$0")/../.." && pwd)
	work=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	# others than root have to get at it
	chmod 0755 "$work"

	install_missing $BUILD_PACKAGES $DOVECOT_PACKAGES "$@"
	test -x "$top/configure" || quietly autogen "$top/autogen.sh"
}

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

end_checks() {
	echo "$passed passed, $failed failed"
	test $failed = 0
}
