#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian suites other than the host's, or clean ones, each in a folder. As root:
#
#   sh tests/suite.sh folder SUITE [NAME PACKAGE...]
#
# prints the path of a folder with that suite: its essential packages and apt,
# or these packages as well, kept under a name for them. It is made by
# debootstrap if there is none, if it is of other packages, or if it is older
# than a week. Packages, with security updates, come from the mirrors and by the
# proxy that this machine's apt uses. Folders are kept in HTTP_NOTIFY_SUITES,
# which is /var/cache/dovecot-http-notify by default.
#
#   sh tests/suite.sh run FOLDER DIRECTORY COMMAND [ARGUMENT...]
#
# runs a command in a folder, as root, and exits as it does. All that it writes
# is gone when it ends, and so are its mounts and processes; but for what is in
# the directory, which is at the same path there as here.
set -e

suites=${HTTP_NOTIFY_SUITES:-/var/cache/dovecot-http-notify}
# where a folder is mounted, which nobody else sees
root=$suites/root

die() {
	echo "$*" >&2
	exit 1
}

# Runs a command with mounts and processes of its own. They end with it, or
# when this shell is told to end.
alone() {
	unshare --mount --pid --fork --kill-child --mount-proc "$@" &
	alone=$!
	# It heeds nothing less; its child, as the first process, takes all others
	# with it.
	trap 'kill -KILL $alone; wait; exit 1' HUP INT TERM
	status=0
	wait $alone || status=$?
	trap - HUP INT TERM
	return $status
}

# Runs a command in $root, where a folder is mounted. This shell stays, as the
# first process, which has to take leave of others' children.
enter() {
	mount -t proc proc "$root/proc"
	mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	for file in hosts resolv.conf; do
		test ! -e /etc/$file || cat /etc/$file >"$root/etc/$file"
	done
	# CAs of this machine's own, for when ca-certificates is installed there
	mkdir -p "$root/usr/local/share/ca-certificates"
	for file in /usr/local/share/ca-certificates/*.crt; do
		test ! -e "$file" || cat "$file" >"$root$file"
	done
	# signals: a shell's background processes ignore these
	env -i --default-signal=INT,QUIT HOME=/root LC_ALL=C.UTF-8 \
		${http_proxy:+"http_proxy=$http_proxy"} \
		${https_proxy:+"https_proxy=$https_proxy"} \
		${no_proxy:+"no_proxy=$no_proxy"} \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		chroot "$root" "$@"
	exit
}

# Where it writes into the folder itself.
change() {
	mount --bind "$1" "$root"
	shift
	enter "$@"
}

# Where the folder stays as it is.
try() {
	folder=$1
	directory=$2
	shift 2
	mount -t tmpfs tmpfs "$root"
	mkdir "$root/new" "$root/work" "$root/all"
	mount -t overlay -o \
		"lowerdir=$folder,upperdir=$root/new,workdir=$root/work" \
		overlay "$root/all"
	root=$root/all
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	mkdir -p "$root$directory"
	mount --bind "$directory" "$root$directory"
	enter "$@"
}

# The first URI that apt has for packages with Debian's label $1.
apt_uri() {
	uri=$(apt-get indextargets \
		--format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' \
		'Identifier: Packages' | sed -n "s/^Debian|$1|main|//p" | head -n 1)
	# as in images for clouds: a file with one URI a line
	case $uri in
	mirror+file:*)
		uri=${uri#mirror+file:}
		uri=$(sed -n 's/^\([a-z]*:[^[:space:]]*\).*/\1/p' "${uri%/}" |
			head -n 1)
		;;
	esac
	case $uri in
	http:*|https:*|file:*) echo "${uri%/}" ;;
	esac
}

# Sets mirror and security, which stay empty where apt has none.
find_mirrors() {
	mirror=$(apt_uri Debian)
	if test -z "$mirror"; then
		# it knows what is whose once it has been there
		apt-get -q update >&2 || :
		mirror=$(apt_uri Debian)
	fi
	security=$(apt_uri Debian-Security)
}

# Whether URI $1 has suite $2.
has_suite() {
	found=yes
	/usr/lib/apt/apt-helper download-file "$1/dists/$2/InRelease" \
		"$suites/InRelease.$$" >/dev/null 2>&1 || found=
	rm -f "$suites/InRelease.$$"*
	test -n "$found"
}

# sources.list for suite $1.
sources() {
	echo "deb $mirror $1 main"
	! has_suite "$mirror" "$1-updates" ||
		echo "deb $mirror $1-updates main"
	# it is beside the other one on most mirrors
	beside=${security:-$mirror-security}
	if has_suite "$beside" "$1-security"; then
		echo "deb $beside $1-security main"
	else
		echo "$1: no security updates at $beside" >&2
	fi
}

# How this machine's apt gets there. A program that it asks for a proxy is not
# in a folder.
apt_settings() {
	apt-config dump |
		grep '^Acquire::\(https\?::\|Check-\|Retries\|ForceIPv\)' |
		grep -v 'Proxy-Auto-Detect'
	test -z "$1" || echo "Acquire::http::Proxy \"$1\";"
	# a mirror may be some weeks behind
	echo 'Acquire::Check-Valid-Until "false";'
}

# SUITE FOLDER
debian() {
	script=
	# there may be none yet for a suite to come
	test -e "/usr/share/debootstrap/scripts/$1" ||
		script=/usr/share/debootstrap/scripts/sid
	include=
	case $mirror$security in
	*https:*) include=--include=ca-certificates ;;
	esac
	proxy=$(/usr/lib/apt/apt-helper auto-detect-proxy "$mirror" 2>/dev/null |
		sed -n "s/^Using proxy '\(.*\)' for URL.*/\1/p")
	eval "$(apt-config shell configured Acquire::http::Proxy)"
	alone env http_proxy="${proxy:-${configured:-$http_proxy}}" \
		debootstrap --variant=minbase $include "$1" "$2" \
		${mirror:+"$mirror" $script} &&
	if test -z "$mirror"; then
		# debootstrap's own
		mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' \
			"$2/etc/apt/sources.list" | head -n 1)
	fi &&
	sources "$1" >"$2/etc/apt/sources.list" &&
	apt_settings "$proxy" >"$2/etc/apt/apt.conf.d/as-on-the-host" &&
	alone sh "$0" change "$2" sh -e -c '
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update
		apt-get -q -y dist-upgrade
		apt-get clean'
}

# PACKAGES BASE FOLDER
with_packages() {
	cp -a "$2" "$3" &&
	# meanwhile no package's daemon is to be started
	printf '#!/bin/sh\nexit 101\n' >"$3/usr/sbin/policy-rc.d" &&
	chmod +x "$3/usr/sbin/policy-rc.d" &&
	alone sh "$0" change "$3" sh -e -c '
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update
		apt-get -q -y dist-upgrade
		apt-get -q -y install --no-install-recommends "$@"
		apt-get clean
		rm /usr/sbin/policy-rc.d' sh $1
}

is_cached() {
	test "$(cat "$1.contents" 2>/dev/null)" = "$2" &&
		test -z "$(find "$1.contents" -mtime +6)"
}

# Makes a folder of these contents, unless it is there, with a command that gets
# its path as the last argument.
cached() {
	folder=$1
	contents=$2
	shift 2
	exec 9>>"$folder.lock"
	flock --shared 9
	if ! is_cached "$folder" "$contents"; then
		# once nobody uses the old one, nor makes a new one
		flock 9
	fi
	if ! is_cached "$folder" "$contents"; then
		echo "Making $folder" >&2
		rm -rf "$folder.contents" "$folder" "$folder.new"
		"$@" "$folder.new" </dev/null >&2 ||
			die "$folder could not be made"
		mv "$folder.new" "$folder"
		echo "$contents" >"$folder.contents"
	fi
	exec 9>&-
}

make_folder() {
	suite=$1
	name=$2
	command -v debootstrap >/dev/null || die "debootstrap is not installed."
	find_mirrors
	from="from $mirror and $security"
	cached "$suites/$suite" "essential packages $from" debian "$suite"
	test -n "$name" || return 0
	shift 2
	cached "$suites/$suite-$name" "$* $from" \
		with_packages "$*" "$suites/$suite"
}

run() {
	exec 9<"$1.lock"
	flock --shared 9
	alone sh "$0" try "$@"
}

test $# -ge 2 || die "usage: see the beginning of $0"
mkdir -p "$root"
what=$1
shift
case $what in
folder)
	make_folder "$@"
	echo "$folder"
	;;
run|try|change) "$what" "$@" ;;
*) die "$what: neither folder nor run" ;;
esac
