# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scripts beside it, for what they have in common:
#
#   start_checks NAME PACKAGE...   sets source, where the scripts are, work and
#                                  top, a copy; installs packages
#   check TEXT COMMAND...          one check, one line: prepare.sh
#   end_checks                     "N passed, N failed", and the exit status
. "$(dirname "$0")/../prepare.sh"

start_checks() {
	begin "$1"
	shift
	install_missing $BUILD_PACKAGES $DOVECOT_PACKAGES "$@"
	copy_tree
	source=$top
	top=$work/tree
	test -x configure || quietly autogen ./autogen.sh
}

end_checks() {
	echo "$passed passed, $failed failed"
	test $failed = 0
}
