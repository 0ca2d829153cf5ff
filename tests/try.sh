#!/bin/sh
# Shows the software at work, on a fresh Debian machine as well, as root:
#
#   sh tests/try.sh
#   sh tests/try.sh http://login:pass@node:8009/preliminary/http-notify/v1/notify 3@1
#
# The second form notifies that endpoint, of a new message for OX user 3 in
# context 1, instead of a stand-in. Exit status: 0 if the notification arrived.
. "$(dirname "$0")/prepare.sh"

case $# in
0|2) ;;
*) die "usage: sh tests/try.sh [URL USER@CONTEXT]" ;;
esac

prepare http-notify-try python3
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 \
	/usr/bin/python3 "$top/tests/try.py" "$stage" "$@"
