#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the RPM packages from the tarball that "make dist" makes, and tries
# them: on Debian, as root, since it is Debian's Dovecot that they run with:
#
#   sh tests/packages/rpm.sh
#
# The last line says how many checks passed and failed.
. "$(dirname "$0")/checks.sh"
start_checks http-notify-rpm rpm rpm2cpio cpio rpmlint file xz-utils \
	libcmocka-dev python3 python3-pytest util-linux iproute2 \
	dovecot-sieve

# For EL and Fedora the spec needs none of these: there Dovecot is in lib64 and
# libexec, its modules have no directory of their own, and /var/lib is
# _sharedstatedir already. brp-compress is written for bash.
# --nodeps: rpm does not know what dpkg has installed. The times are as Fedora's
# macros have them, and the builder has a name.
debian_rpmbuild() {
	rpmbuild "$@" --nodeps \
		--define '_buildhost localhost' \
		--define 'use_source_date_epoch_as_buildtime 1' \
		--define 'clamp_mtime_to_source_date_epoch 1' \
		--define '_libdir /usr/lib' \
		--define '_libexecdir /usr/lib' \
		--define 'dovecot_moduledir /usr/lib/dovecot/modules' \
		--define '_sharedstatedir /var/lib' \
		--define '__brp_compress bash /usr/lib/rpm/brp-compress /usr' \
		--define "_topdir $work/rpmbuild" \
		--define '_smp_mflags -j2'
}

make_dist() {
	mkdir "$work/dist" &&
	cd "$work/dist" &&
	"$top/configure" &&
	make dist &&
	tarball=$(echo "$work"/dist/dovecot-http-notify-*.tar.xz) &&
	test -f "$tarball"
}

# With its %check, the unit tests. A second release is to upgrade to.
build() {
	debian_rpmbuild -ta "$tarball" >"$work/rpmbuild.log" 2>&1 ||
		{ cat "$work/rpmbuild.log"; return 1; }
	sed -n 's/^# \(PASS\|FAIL\|ERROR\)/&/p' "$work/rpmbuild.log"
	grep -q '^# PASS: *[1-9]' "$work/rpmbuild.log" &&
	debian_rpmbuild -tb "$tarball" --without tests --with pgsql \
		--define 'dist .2'
}

# The source package is part of what a binary one is made of, so that it has to
# be the same build.
same_bytes() {
	cp "$main" "$work/main.rpm" &&
	cp "$listener" "$work/listener.rpm" &&
	debian_rpmbuild -ta "$tarball" &&
	cmp "$main" "$work/main.rpm" &&
	cmp "$listener" "$work/listener.rpm"
}

rpm_file() {
	echo "$work"/rpmbuild/RPMS/*/$1.$(uname -m).rpm
}

same() {
	diff -u "$work/expected" "$work/found"
}

# What is in the packages, who it belongs to, and what is configuration.
files() {
	cat >"$work/expected" <<-END
	-rw-r--r-- root root cmn /etc/dovecot/conf.d/90-http-notify.conf
	-rw-r--r-- root root cn /etc/dovecot/conf.d/http-notify-metrics.conf.ext
	-rwxr-xr-x root root  /usr/lib/dovecot/http-notify
	-rwxr-xr-x root root  /usr/lib/dovecot/modules/doveadm/lib22_doveadm_http_notify_plugin.so
	-rwxr-xr-x root root  /usr/lib/dovecot/modules/lib22_http_notify_plugin.so
	$(test "$line" = 2.3 || echo "-rwxr-xr-x root root  /usr/lib/dovecot/modules/settings/libhttp_notify_settings.so")
	drwxr-xr-x root root  /usr/share/dovecot-http-notify
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/90-http-notify.conf
	drwxr-xr-x root root  /usr/share/dovecot-http-notify/apparmor
	drwxr-xr-x root root  /usr/share/dovecot-http-notify/apparmor/local
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/apparmor/local/usr.lib.dovecot.dovecot-lda
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/apparmor/local/usr.lib.dovecot.imap
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/apparmor/local/usr.lib.dovecot.lmtp
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/apparmor/local/usr.sbin.dovecot
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/apparmor/usr.lib.dovecot.http-notify
	drwxr-xr-x root root  /usr/share/dovecot-http-notify/monitoring
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/monitoring/http-notify.dashboard.json
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/monitoring/http-notify.prom.jq
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/monitoring/http-notify.rules.yml
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/monitoring/prometheus.yml
	drwxr-xr-x root root  /usr/share/dovecot-http-notify/pgsql
	-rw-r--r-- root root  /usr/share/dovecot-http-notify/pgsql/schema-1.sql
	-rwxr-xr-x root root  /usr/share/dovecot-http-notify/settings-elsewhere
	-rw-r--r-- root root d /usr/share/man/man1/doveadm-http-notify.1.gz
	-rw-r--r-- root root d /usr/share/man/man7/dovecot-http-notify.7.gz
	drwx------ dovecot dovecot  /var/lib/dovecot/http-notify
	-rwxr-xr-x root root  /usr/bin/http-notify-listener
	-rw-r--r-- root root  /usr/share/bash-completion/completions/http-notify-listener
	-rw-r--r-- root root d /usr/share/man/man1/http-notify-listener.1.gz
	END
	rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]' \
		"$main" "$listener" |
		grep -v '/\.build-id\|/usr/share/doc/\|/usr/share/licenses/' \
		>"$work/found"
	sed -i '/^$/d' "$work/expected"
	same
}

# The ABI of the Dovecot that it was built with, which doveconf knows too.
dependencies() {
	micro=$(echo "$version" | sed 's/^[0-9]*\.[0-9]*\.\([0-9]*\).*/\1/')
	cat >"$work/expected" <<-END
	dovecot
	dovecot($(uname -m | tr _ -)) < 1:$line.$((micro + 1))
	dovecot($(uname -m | tr _ -)) >= 1:$line.$micro
	END
	rpm -qp --requires "$main" | grep '^dovecot' | sort >"$work/found"
	same
}

listener_has_no_dovecot() {
	rpm -qp --requires "$listener" >"$work/found" &&
	grep libcurl "$work/found" &&
	! grep dovecot "$work/found"
}

# Without which the others are the same.
pgsql_module() {
	cat >"$work/expected" <<-END
	drwxr-xr-x root root /usr/lib/dovecot/modules/http-notify
	-rwxr-xr-x root root /usr/lib/dovecot/modules/http-notify/libpgsql.so
	END
	rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]' \
		"$pgsql" | grep -v '/\.build-id\|/usr/share/licenses/' \
		>"$work/found"
	same &&
	rpm -qp --requires "$pgsql" >"$work/found" &&
	grep '^libpq\.so' "$work/found" &&
	grep '^dovecot-http-notify(.*) = 0' "$work/found" &&
	! rpm -qp --requires "$main" "$upgrade" | grep libpq
}

# It is left out where libpq is too old.
pgsql_where() {
	for system in "fedora 41" "rhel 10" "rhel 9"; do
		rpmspec -P --define "$system" \
			"$top/rpm/dovecot-http-notify.spec" |
			sed -n "s/^%package pgsql/$system/p"
	done >"$work/found"
	printf '%s\n' "fedora 41" "rhel 10" >"$work/expected"
	same
}

# As an EL or a Fedora expands it.
el_paths() {
	cat >"$work/expected" <<-END
	%config(noreplace,missingok) /etc/dovecot/conf.d/90-http-notify.conf
	%config(noreplace) /etc/dovecot/conf.d/http-notify-metrics.conf.ext
	/usr/libexec/dovecot/http-notify
	/usr/lib64/dovecot/lib22_http_notify_plugin.so
	/usr/lib64/dovecot/*/lib*http_notify*.so
	%dir %attr(0700,dovecot,dovecot) /var/lib/dovecot/http-notify
	END
	rpmspec -P --define '_sharedstatedir /var/lib' \
		--define '_libdir /usr/lib64' \
		"$top/rpm/dovecot-http-notify.spec" |
		sed -n '/^%files$/,/^%files listener/p' |
		grep '/.*dovecot/' >"$work/found"
	same
}

lint() {
	rpmlint -c "$top/tests/packages/rpmlint.toml" \
		-r "$top/rpm/dovecot-http-notify.rpmlintrc" \
		"$top/rpm/dovecot-http-notify.spec" \
		"$work"/rpmbuild/SRPMS/*.src.rpm "$main" "$listener" \
		>"$work/found" 2>&1
	status=$?
	cat "$work/found"
	test $status = 0 && grep -q ' 0 errors, 0 warnings' "$work/found"
}

python_tests() {
	TMPDIR=$work PYTHONDONTWRITEBYTECODE=1 HTTP_NOTIFY_STAGE=$work/unpacked \
		/usr/bin/python3 -m pytest -p no:cacheprovider -q "$@"
}

unpacked_runs() {
	mkdir "$work/unpacked" &&
	cd "$work/unpacked" &&
	for rpm in "$main" "$listener"; do
		rpm2cpio "$rpm" | cpio -id --quiet || return 1
	done
	python_tests "$top/tests/integration/test_delivery.py" &&
	usr/bin/http-notify-listener --version
}

# Installs them for real, where nothing of it lasts: in namespaces in which
# what rpm and Dovecot write to is a layer over the system's files.
installed_runs() {
	mkdir "$work/layers" &&
	unshare --mount --net --ipc --pid --fork --kill-child sh -e -c '
		mount -t proc proc /proc
		ip link set lo up
		mount -t tmpfs tmpfs "$1"
		for directory in etc usr var; do
			mkdir "$1/$directory" "$1/$directory-work"
			mount -t overlay overlay -o "lowerdir=/$directory,\
upperdir=$1/$directory,workdir=$1/$directory-work" /$directory
		done
		mount -t tmpfs tmpfs /run
		shift
		exec "$@"
	' sh "$work/layers" \
		env HTTP_NOTIFY_RPM="$main" HTTP_NOTIFY_RPM_UPGRADE="$upgrade" \
		TMPDIR="$work" PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -p no:cacheprovider -q \
		"$top/tests/packages/test_rpm.py"
}

SOURCE_DATE_EPOCH=$(date -d 2026-01-01 +%s)
export SOURCE_DATE_EPOCH
version=$(dovecot --version)
line=${version%"${version#?.?}"}

check "make dist" make_dist
check "rpmbuild -ta, with the unit tests" build
main=$(rpm_file 'dovecot-http-notify-[0-9]*-1')
listener=$(rpm_file 'dovecot-http-notify-listener-[0-9]*-1')
upgrade=$(rpm_file 'dovecot-http-notify-[0-9]*-1.2')
pgsql=$(rpm_file 'dovecot-http-notify-pgsql-[0-9]*-1.2')
check "a second build makes the same bytes" same_bytes
check "their files, owners and modes" files
check "the main package is for one ABI of Dovecot's" dependencies
check "the listener's package has nothing of Dovecot's" listener_has_no_dovecot
check "the module for PostgreSQL is a package of its own" pgsql_module
check "which EL and Fedora have that" pgsql_where
check "where the spec puts things on EL and Fedora" el_paths
check "rpmlint" lint
check "unpacked: integration/test_delivery.py" unpacked_runs
check "installed, upgraded and removed by rpm" installed_runs
end_checks
