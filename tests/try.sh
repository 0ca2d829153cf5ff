#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shows the software at work, on a fresh Debian machine as well, as root:
#
#   sh tests/try.sh
#   sh tests/try.sh http://login:pass@node:8009/preliminary/http-notify/v1/notify 3@1
#
# The second form notifies that endpoint, of a new message for OX user 3 in
# context 1, instead of a stand-in. Exit status: 0 if the endpoint accepted the
# notification, 1 if it did not or something failed, 2 for wrong arguments, 130
# after Ctrl-C.
. "$(dirname "$0")/prepare.sh"

wrong() {
	cat >&2 <<-END
	$1
	usage: sh tests/try.sh [URL USER@CONTEXT]
	For example, for OX user 3 in context 1:
	  sh tests/try.sh http://login:pass@node1.example.com:8009/preliminary/http-notify/v1/notify 3@1
	END
	exit 2
}

# What looks like a URL. The rest of it is for Dovecot to judge.
check_url() {
	case $1 in
	*[[:space:]\"\\]*) wrong "A URL has no blanks, quotes or backslashes in it." ;;
	[Hh][Tt][Tt][Pp]://?*|[Hh][Tt][Tt][Pp][Ss]://?*) ;;
	*) wrong "The URL must begin with http:// or https://." ;;
	esac
	authority=${1#*://}
	authority=${authority%%[/?#]*}
	case $authority in
	*@*@*) wrong "The login or the password of the URL has a @ in it: write %40." ;;
	""|*@|:*|*@:*) wrong "The URL names no host." ;;
	esac
	case $1 in
	*://*@*) case $authority in
		*@*) ;;
		*) wrong "The password of the URL has a / ? or # in it (write %2F %3F %23), or its path a @ (%40)." ;;
		esac
	esac
}

# As OX counts users and contexts.
is_number() {
	case $1 in
	0*|*[!0-9]*|???????????*) false ;;
	*) test "$1" -le 2147483647 ;;
	esac
}

# What METADATA can hold, and what OX makes of it.
check_registration() {
	case $1 in
	user=*) wrong "Leave out \"user=\" of \"$1\": it is added." ;;
	""|*[[:cntrl:]\"\\]*) wrong "Not a USER@CONTEXT: \"$1\"" ;;
	esac
	case $1 in
	?*@?*) is_number "${1%%@*}" && is_number "${1#*@}" && return ;;
	esac
	cat <<-END
	Note: OX knows users as NUMBER@NUMBER only, as in 3@1. It answers a
	notification for "$1" with success and drops it.
	END
}

case $# in
0) ;;
2)
	case $2 in
	*://*) wrong "The URL comes first." ;;
	esac
	check_url "$1"
	check_registration "$2"
	;;
*) wrong "There are two arguments, or none." ;;
esac

prepare http-notify-try python3
export TMPDIR="$work" PYTHONDONTWRITEBYTECODE=1
attend /usr/bin/python3 "$top/tests/try.py" "$stage" "$@"
