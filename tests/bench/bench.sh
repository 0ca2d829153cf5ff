#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Measures deliveries and notifications beside those of Dovecot's built-in
# driver and of no push at all, in one interleaved run:
#
#   sh tests/bench/bench.sh [ROUNDS [PLOT]]
#
# What deliveries cost is also plotted, as an SVG file PLOT; ./bench.svg if it
# is not said.
. "$(dirname "$0")/../prepare.sh"

plot=$(realpath "${2:-bench.svg}") || exit
prepare http-notify-bench python3 nginx-light libnginx-mod-http-echo wrk \
	gnuplot-nox lua-socket postgresql python3-pytest iptables iproute2
quietly bench make -C "$build/tests/bench" bare-loop handoffs loop-turns.so
export TMPDIR="$work" PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 "$top/tests/bench/bench.py" "$stage" \
	"$build/tests/bench/bare-loop" "${1:-5}" "$plot"
/usr/bin/python3 "$top/tests/bench/imap.py" "$stage" "${1:-5}"
/usr/bin/python3 "$top/tests/bench/stalls.py" "$stage" \
	"$build/tests/bench/loop-turns.so"
/usr/bin/python3 "$top/tests/bench/shared.py" "$stage" \
	"$build/tests/bench/handoffs" "${1:-5}"
