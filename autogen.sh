#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes ./configure from a checkout.
set -e
cd "$(dirname "$0")"

for tool in autoreconf libtoolize aclocal; do
	if ! command -v $tool >/dev/null; then
		echo "autogen.sh: $tool not found: install autoconf, automake and libtool" >&2
		exit 1
	fi
done

# dovecot.m4 comes with Dovecot's development files. Some systems keep it
# among Dovecot's own files rather than among aclocal's.
for dir in "$(aclocal --print-ac-dir)" /usr/local/share/aclocal \
		/usr/include/dovecot /usr/lib/dovecot /usr/lib64/dovecot; do
	if test -f "$dir/dovecot.m4"; then
		ACLOCAL_PATH="$dir${ACLOCAL_PATH:+:$ACLOCAL_PATH}"
		export ACLOCAL_PATH
		mkdir -p m4 build-aux
		# Dovecot's macros of 2.4 want it; nothing runs it.
		printf '#!/bin/sh\nexec "$@"\n' >build-aux/run-test.sh.in
		# autoreconf does this too, but only after aclocal, and then runs
		# that again or not, depending on the time it took.
		libtoolize --copy --force --quiet
		exec autoreconf -i "$@"
	fi
done
echo "autogen.sh: dovecot.m4 not found: install dovecot-dev (Debian) or dovecot-devel (Fedora, EL)" >&2
exit 1
