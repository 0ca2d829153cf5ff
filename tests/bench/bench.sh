#!/bin/sh
# Measures deliveries and notifications beside those of Dovecot's built-in
# driver and of no push at all, in one interleaved run:
#
#   sh tests/bench/bench.sh [ROUNDS]
. "$(dirname "$0")/../prepare.sh"

prepare http-notify-bench python3 nginx-light libnginx-mod-http-echo wrk
quietly bare-loop make -C "$build/tests/bench" bare-loop
TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 \
	"$top/tests/bench/bench.py" "$stage" "$build/tests/bench/bare-loop" \
	"${1:-5}"
