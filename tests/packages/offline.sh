#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In a folder of suite.sh's:
#
#   sh tests/packages/offline.sh PACKAGE.deb COMMAND [ARGUMENT...]
#
# runs a command where what the package depends on can be installed, but where
# nothing else is on the network: daemons have all ports to themselves.
#
# Daemons are started, stopped and reloaded by their init scripts. That is also
# what differs from a host: there is no systemd. There the packages' scripts,
# which use invoke-rc.d, get to dovecot.service and its ExecReload; Dovecot would
# be in a sandbox, and stopped with all of its processes.
set -e
deb=$1
shift

# An answer of "allowed", for who finds no init system.
printf '#!/bin/sh\nexit 0\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1
apt-get -q update
apt-get -q -y install --no-install-recommends --download-only "$deb"
exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"
