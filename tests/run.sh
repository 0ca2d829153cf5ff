#!/bin/sh
# Runs every test, on a fresh Debian machine as well, as root:
#
#   sh tests/run.sh
#   sh tests/run.sh --suite trixie
#
# on the Dovecot of this machine, or on that of another Debian suite, in a
# folder that suite.sh makes once a week. There, only what may come out
# differently is run, as with --short: neither fuzzing, sanitizers, valgrind,
# clang nor "make distcheck".
#
# The last line says how many passed and failed. Each fuzz target runs for
# HTTP_NOTIFY_FUZZ_SECONDS, 60 by default.
. "$(dirname "$0")/prepare.sh"

TEST_PACKAGES="libcmocka-dev python3 python3-pytest python3-pytest-xdist
	dovecot-pgsql dovecot-sieve dovecot-sqlite haproxy nginx-light openssl
	postgresql redis-server systemd
	ca-certificates strace libnss-wrapper libfaketime iproute2 iptables
	mount util-linux prometheus prometheus-node-exporter jq curl mandoc
	man-db groff-base apparmor apparmor-profiles"

# What git knows, or all there is in a tarball's directory but for its builds.
copy_tree() {
	mkdir "$work/tree" &&
	cd "$top" &&
	if test -e .git; then
		git -c safe.directory=* ls-files --cached --others \
			--exclude-standard -z >"$work/files"
	else
		find . -path ./build -prune -o ! -type d -print0 >"$work/files"
	fi &&
	tar -c --null -T "$work/files" | tar -x -C "$work/tree"
}

# Becomes the tests in a folder with a suite.
in_suite() {
	begin http-notify-suite
	install_missing debootstrap util-linux $(test ! -e "$top/.git" || echo git)
	echo "Debian $1"
	folder=$(sh "$top/tests/suite.sh" folder "$1" tests $BUILD_PACKAGES \
		$DOVECOT_PACKAGES $TEST_PACKAGES 2>"$work/folder.log") || {
		tail -20 "$work/folder.log" >&2
		die "There is no folder with Debian $1"
	}
	quietly copy copy_tree
	sh "$top/tests/suite.sh" run "$folder" "$work" \
		sh "$work/tree/tests/run.sh" --short
	exit
}

short=
case "$#:$1" in
0:) ;;
1:--short) short=yes ;;
2:--suite) in_suite "$2" ;;
*) die "usage: sh tests/run.sh [--short | --suite SUITE]" ;;
esac

prepare http-notify-run $TEST_PACKAGES $(test -n "$short" ||
	echo clang libclang-rt-dev llvm xz-utils valgrind)

# A build in a directory of its own, with configure's -Wall -Wextra and more.
without_warnings() {
	mkdir "$work/$1" &&
	cd "$work/$1" &&
	CC=$1 "$top/configure" &&
	make -j2 2>"$work/warnings" &&
	make -C tests/unit -j2 check TESTS= 2>>"$work/warnings" || return 1
	cat "$work/warnings"
	! grep -q 'warning:' "$work/warnings"
}

distcheck() {
	mkdir "$work/dist" &&
	cd "$work/dist" &&
	"$top/configure" &&
	make -j2 distcheck
}

# The fuzz targets, in a build directory of their own.
fuzz_build() {
	mkdir "$work/fuzz" &&
	cd "$work/fuzz" &&
	"$top/configure" CC=clang CFLAGS="-g -O1 -fno-sanitize-recover=all \
-fsanitize=fuzzer-no-link,address,undefined" &&
	make -C src/lib -j2 &&
	make -C tests/fuzz -j2 fuzz
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
		"$program" </dev/null >"$work/unit.log" 2>&1
		status=$?
		ok=$(grep -c '^\[       OK \]' "$work/unit.log")
		bad=$(grep -c '^\[  FAILED  \] [^0-9]' "$work/unit.log")
		if test $status != 0; then
			grep -v '^\[ *\(OK\|RUN\)' "$work/unit.log"
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
	quietly fuzz-build fuzz_build
	trap 'kill $first $second 2>/dev/null; wait; rm -rf "$work"' EXIT
	# two at a time
	for targets in "handoff notification" "options registration" admin; do
		set -- $targets
		fuzz "$1" & first=$!
		test -z "$2" || { fuzz "$2" & second=$!; }
		fuzz_check "$1" $first
		test -z "$2" || fuzz_check "$2" $second
		first= second=
	done
}

skipped=0
# Integration tests: files, and assignments for their environment. They wait
# most of the time, so that some can do so at once.
integration() {
	files=$1
	shift
	(cd "$top/tests/integration" &&
	env PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work" "$@" \
		/usr/bin/python3 -m pytest -p no:cacheprovider -q -rs \
		--numprocesses=3 --dist=loadfile \
		--basetemp="$work/pytest" $files </dev/null 2>&1) |
		tee "$work/pytest.log"
	# such as "1 failed, 92 passed, 1 error in 124.55s (0:02:04)"
	summary=$(tail -1 "$work/pytest.log")
	ok=$(count passed)
	bad=$(count failed)
	errors=$(count error)
	more=$(count skipped)
	skipped=$((skipped + ${more:-0}))
	# pytest that ran nothing has failed
	test -n "$ok" || errors=$((${errors:-0} + 1))
	passed=$((passed + ${ok:-0}))
	failed=$((failed + ${bad:-0} + ${errors:-0}))
}

count() {
	echo " $summary" | sed -n "s/.* \([0-9][0-9]*\) $1.*/\1/p"
}

# Once more, with the service, and lmtp, imap and dovecot-lda with the plugin,
# which end by looking for leaks. Not those of other programs, nor those that
# take the time of clocks, of kills and of outages: they are about when
# something happens.
sanitizers() {
	echo "Sanitizers"
	check "a build with address and undefined behaviour sanitizer" \
		build_with_sanitizers
	check "unit tests in it" make -C "$asan/tests/unit" -j2 check
	wrap_for_sanitizers
	integration "$(printf ' --ignore=test_%s.py' answers clock crash \
		disk doveadm isolation listener listener_cyrus standby)" \
		HTTP_NOTIFY_STAGE="$asan/stage" \
		HTTP_NOTIFY_WRAPPERS="$asan/wrappers" \
		HTTP_NOTIFY_FINDINGS="$asan/findings"
}

unit_tests
echo "Builds"
check "no warnings from gcc" without_warnings gcc
if test -z "$short"; then
	check "no warnings from clang" without_warnings clang
	check "make distcheck" distcheck
	fuzzing
fi
echo "Integration tests"
integration . HTTP_NOTIFY_STAGE="$stage"
if test -z "$short"; then
	sanitizers
	check "10000 deliveries by one lmtp process under valgrind" \
		env PYTHONDONTWRITEBYTECODE=1 TMPDIR="$work" \
		/usr/bin/python3 "$top/tests/memcheck.py" "$stage"
fi

test $skipped = 0 || echo "$skipped skipped, for the reasons above"
echo "$passed passed, $failed failed"
test $failed = 0
