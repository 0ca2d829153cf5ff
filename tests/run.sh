#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs every test, on a fresh Debian machine as well, as root:
#
#   sh tests/run.sh
#   sh tests/run.sh [--suite SUITE] PART...
#
# on the Dovecot of this machine, or on that of another Debian suite, in a
# folder that suite.sh makes once a week. The parts, of which "--suite SUITE"
# alone runs what may come out differently there, unit and integration:
#
#   unit         unit tests, and gcc's warnings
#   clang        clang's warnings
#   fuzzing      each target for HTTP_NOTIFY_FUZZ_SECONDS, 60 by default
#   integration  integration tests
#   dovecot      those of them that are about what Dovecot and libcurl do
#   sanitizers   those that are about what the programs are given, with sanitizers
#   valgrind     5,000 deliveries by one lmtp process under valgrind
#
# The last line says how many passed and failed.
. "$(dirname "$0")/prepare.sh"

TEST_PACKAGES="libcmocka-dev python3 python3-jsonschema python3-pytest
	python3-pytest-xdist tinyproxy
	dovecot-pgsql dovecot-sieve dovecot-sqlite haproxy nginx-light openssl
	pgbouncer postgresql redis-server systemd
	ca-certificates strace libfaketime iproute2 iptables
	lua-socket
	mount util-linux prometheus prometheus-node-exporter jq curl mandoc
	man-db groff-base apparmor apparmor-profiles"

# a browser for the page that doveadm makes; Java with the mail library of OX;
# and npm, which has Grafana's schema, and signatures of webhooks
OTHERS_PACKAGES="chromium python3-pil default-jre-headless ecj libmail-java
	$(command -v npm >/dev/null || echo npm)"

# Becomes the parts $2... in a folder with suite $1.
in_suite() {
	begin http-notify-suite
	install_missing debootstrap util-linux
	echo "Debian $1"
	folder=$(sh "$top/tests/suite.sh" folder "$1" tests $BUILD_PACKAGES \
		$DOVECOT_PACKAGES $TEST_PACKAGES 2>"$work/folder.log") || {
		tail -20 "$work/folder.log" >&2
		die "There is no folder with Debian $1"
	}
	copy_tree
	shift
	attend sh "$top/tests/suite.sh" run "$folder" "$work" \
		sh "$work/tree/tests/run.sh" "$@"
	exit
}

# Is $1 to be run?
has_part() {
	case " $parts " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

suite=
if test "$1" = --suite && test $# -ge 2; then
	suite=$2
	shift 2
fi
for part; do
	case $part in
	unit|clang|fuzzing|integration|dovecot|sanitizers|valgrind) ;;
	*) die "usage: sh tests/run.sh [--suite SUITE] [unit|clang|fuzzing|integration|dovecot|sanitizers|valgrind]..." ;;
	esac
done
test -z "$suite" || in_suite "$suite" ${@:-unit integration}
parts=${*:-unit clang fuzzing integration sanitizers valgrind}

prepare http-notify-run $TEST_PACKAGES \
	$(! has_part clang || echo clang) \
	$(! has_part fuzzing || echo clang libclang-rt-dev llvm) \
	$(! has_part valgrind || echo valgrind) \
	$(! has_part integration || echo $OTHERS_PACKAGES)

# What the compiler has said, with configure's -Wall -Wextra and more.
without_warnings() {
	! grep -A 4 'warning:' "$@"
}

# A build in a directory of its own.
clang_without_warnings() {
	mkdir "$work/clang" &&
	cd "$work/clang" &&
	CC=clang "$top/configure" &&
	make -j2 2>"$work/clang.log" &&
	make -C tests/unit -j2 check TESTS= 2>>"$work/clang.log" &&
	without_warnings "$work/clang.log"
}

# The fuzz targets, in a build directory of their own.
fuzz_build() {
	mkdir "$work/fuzz"
	cd "$work/fuzz"
	quietly fuzz-configure "$top/configure" CC=clang \
		CFLAGS="-g -O1 -fno-sanitize-recover=all \
-fsanitize=fuzzer-no-link,address,undefined"
	quietly fuzz-make make -C src -j2 SUBDIRS='lib settings mail'
	quietly fuzz-make make -C tests/fuzz -j2 fuzz
	cd "$top"
}

# Becomes one of them.
fuzz() {
	mkdir "$work/fuzz/$1" &&
	exec "$work/fuzz/tests/fuzz/fuzz-$1" \
		-max_total_time="${HTTP_NOTIFY_FUZZ_SECONDS:-60}" \
		-max_len=8192 -dict="$top/tests/fuzz/$1.dict" \
		-artifact_prefix="$work/fuzz/$1-" \
		"$work/fuzz/$1" "$top/tests/fuzz/corpus/$1" \
		</dev/null >"$work/fuzz/$1.log" 2>&1
}

# The end of process $2. What it has found is an input that would be lost with
# the directory.
fuzz_end() {
	wait "$2" && return
	tail -40 "$work/fuzz/$1.log"
	for input in "$work/fuzz/$1-"*; do
		echo "base64 of $(basename "$input"):"
		base64 -w 0 "$input"
		echo
	done
	return 1
}

fuzz_check() {
	check "fuzz-$1" fuzz_end "$@"
	sed -n 's/^Done/        &/p' "$work/fuzz/$1.log"
}

asan=$work/asan
build_with_sanitizers() {
	mkdir "$asan" &&
	cd "$asan" &&
	CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined" "$top/configure" &&
	make -j2 &&
	make install DESTDIR="$asan/stage" &&
	nm -D "$asan/stage/usr/lib/dovecot/http-notify" |
		grep __asan_init &&
	# not those of programs that run without the sanitizer
	for modules in doveadm settings; do
		modules=usr/lib/dovecot/modules/$modules
		rm -rf "$asan/stage/$modules"
		test ! -d "$stage/$modules" ||
			cp -a "$stage/$modules" "$asan/stage/$modules"
	done
}

# Executables that run in place of those of the same names: Dovecot's are not
# built with the sanitizer, but it has to be there before the plugin that is.
#
# argv[0] stays theirs, since dovecot-lda runs itself by it once more, with a
# new environment. GDB: Dovecot leaves its plugins loaded at exit, so that a
# leak's report has the names of their functions. fast_unwind: Dovecot has no
# frame pointers. disable_coredump: a test sees to it that there are none.
wrap_for_sanitizers() {
	mkdir "$asan/wrappers"
	mkdir -m 1777 "$asan/findings"
	for program in http-notify lmtp imap dovecot-lda; do
		path=/usr/lib/dovecot/$program
		test $program != http-notify || path=$asan/stage$path
		cat >"$asan/wrappers/$program" <<-EOF
			#!/bin/bash
			options=log_path=$asan/findings/$program
			options=\$options:fast_unwind_on_malloc=0
			export ASAN_OPTIONS=\$options:disable_coredump=0
			preload=$(gcc -print-file-name=libasan.so)
			export LD_PRELOAD=\$preload\${LD_PRELOAD:+:\$LD_PRELOAD}
			export GDB=1
			exec -a "\$0" $path "\$@"
		EOF
		chmod 0755 "$asan/wrappers/$program"
	done
}

unit_tests() {
	echo "Unit tests"
	quietly unit make -C "$build" check TESTS=
	for program in "$build"/tests/unit/test-*; do
		test -x "$program" && test ! -d "$program" || continue
		"$program" </dev/null >"$work/program.log" 2>&1
		status=$?
		ok=$(grep -c '^\[       OK \]' "$work/program.log")
		bad=$(sed -n 's/^ *\([0-9]*\) FAILED TEST(S)$/\1/p' \
			"$work/program.log" | awk '{ n += $1 } END { print n + 0 }')
		if test $status != 0; then
			grep -v '^\[ *\(OK\|RUN\)' "$work/program.log"
			# it may have ended before it could count
			test "$bad" != 0 || bad=1
		fi
		echo "$(basename "$program"): $ok passed, $bad failed"
		passed=$((passed + ok))
		failed=$((failed + bad))
	done
}

fuzzing() {
	echo "Fuzzing"
	fuzz_build
	# two at a time
	for targets in "handoff notification" "options registration" \
			"admin credentials" calendar; do
		set -- $targets
		fuzz "$1" & first=$!
		children=$first
		test -z "$2" || { fuzz "$2" & children="$first $!"; }
		second=$!
		fuzz_check "$1" $first
		test -z "$2" || fuzz_check "$2" $second
		children=
	done
}

skipped=0
# Integration tests: files, and assignments for their environment. They wait
# most of the time, so that some can do so at once. What has failed in such
# company is run again by itself, and has failed if it does so there, too: the
# output says of which that was.
integration() {
	files=$1
	shift
	run_pytest "--numprocesses=4 --dist=loadfile $files" "$@"
	passed=$((passed + ok))
	test $bad != 0 || return
	# pytest that ran nothing has failed
	if test $ok = 0; then
		failed=$((failed + bad))
		return
	fi
	echo "Those that failed, by themselves"
	run_pytest "--last-failed -rp $files" "$@"
	passed=$((passed + ok))
	failed=$((failed + bad))
}

# Options and files, and assignments: sets ok and bad, adds to skipped.
run_pytest() {
	options=$1
	shift
	(cd "$top/tests/integration" &&
	env PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work" HTTP_NOTIFY_BUILD="$build" \
		"$@" /usr/bin/python3 -m pytest -o cache_dir="$work/pytest-cache" \
		-q -rs --basetemp="$work/pytest" $options </dev/null 2>&1) |
		tee "$work/pytest.log"
	# such as "1 failed, 92 passed, 1 error in 124.55s (0:02:04)"
	summary=$(tail -1 "$work/pytest.log")
	ok=$(count passed)
	skipped=$((skipped + $(count skipped)))
	bad=$(($(count failed) + $(count error)))
	test $((ok + bad)) != 0 || bad=1
}

# What makes pytest leave out all files but those of these names, a|b|c. Named
# files would be run where they can't, too.
only() {
	cd "$top/tests/integration" &&
		ls test_*.py | grep -vxE "test_($1).py" | sed 's/^/--ignore=/'
}

# How many have come to $1, by the summary.
count() {
	number=$(echo " $summary" | sed -n "s/.* \([0-9][0-9]*\) $1.*/\1/p")
	echo ${number:-0}
}

# Once more, with the service, and lmtp, imap and dovecot-lda with the plugin,
# which end by looking for leaks. Other tests are about other programs, or about
# when something happens.
sanitizers() {
	echo "Sanitizers"
	check "a build with address and undefined behaviour sanitizer" \
		build_with_sanitizers
	check "unit tests in it" make -C "$asan/tests/unit" -j2 check
	wrap_for_sanitizers
	given="delivery|driver_lines|handoff_socket|hostile|options|tls|upgrade"
	integration "$(only "$given")" \
		HTTP_NOTIFY_STAGE="$asan/stage" \
		HTTP_NOTIFY_WRAPPERS="$asan/wrappers" \
		HTTP_NOTIFY_FINDINGS="$asan/findings"
}

if has_part unit; then
	unit_tests
	check "no warnings from gcc" \
		without_warnings "$work/make.log" "$work/unit.log"
fi
if has_part clang; then
	check "no warnings from clang" clang_without_warnings
fi
if has_part fuzzing; then
	fuzzing
fi
if has_part integration; then
	echo "Integration tests"
	integration . HTTP_NOTIFY_STAGE="$stage"
fi
if has_part dovecot; then
	echo "Integration tests about Dovecot and libcurl"
	about="answers|calendar|connections|delivery|deployment_.*"
	about="$about|dictionary_outage|doveadm.*|driver_lines|events.*|folders"
	about="$about|formats|handoff_socket|hostile|listener|loading|manuals"
	about="$about|options|proxy|secrets|service|settings|shared_queue.*"
	about="$about|standby|tls|trust"
	integration "$(only "$about|upgrade")" \
		HTTP_NOTIFY_STAGE="$stage"
fi
if has_part sanitizers; then
	sanitizers
fi
if has_part valgrind; then
	check "5000 deliveries by one lmtp process under valgrind" \
		env PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work" \
		/usr/bin/python3 "$top/tests/memcheck.py" "$stage"
fi

test $skipped = 0 || echo "$skipped skipped, for the reasons above"
echo "$passed passed, $failed failed"
test $failed = 0
