# Sourced by the scripts beside it, for what they have in common:
#
#   start_checks NAME PACKAGE...   sets top and work, installs packages
#   check TEXT COMMAND...          one check, one line: prepare.sh
#   end_checks                     "N passed, N failed", and the exit status
. "$(dirname "$0")/../prepare.sh"

start_checks() {
	begin "$1"
	shift
	install_missing $BUILD_PACKAGES $DOVECOT_PACKAGES "$@"
	test -x "$top/configure" || quietly autogen "$top/autogen.sh"
}

end_checks() {
	echo "$passed passed, $failed failed"
	test $failed = 0
}
