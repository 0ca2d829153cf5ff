# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts on a network of their own: each is a network namespace with one
interface, whose other end is at a bridge in another namespace. They have no
names, and nothing of this machine's is touched; they are gone with the
processes that keep them."""

import contextlib
import os
import signal

from harness.faults import NetworkNamespace, skip_unless

NET = "10.77.0"


class Host(NetworkNamespace):
    """Used as a context manager it is entered, as any namespace."""

    def __init__(self, bridge, number, seconds):
        super().__init__(seconds)
        self.bridge, self.port = bridge, "port%d" % number
        self.address = "%s.%d" % (NET, number)
        try:
            bridge.ip("link", "add", self.port, "type", "veth", "peer", "name",
                      "eth0", "netns", str(self.keeper.pid))
            bridge.ip("link", "set", self.port, "master", "bridge", "up")
            self.ip("address", "add", self.address + "/24", "dev", "eth0")
            self.ip("link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    def ip(self, *args):
        skip_unless(*self.prefix.split(), "ip", *args)

    def unplug(self, unplugged=True):
        """Its cable, at the other end."""
        self.bridge.ip("link", "set", self.port,
                       "down" if unplugged else "up")

    @contextlib.contextmanager
    def deaf_to(self, *others):
        """What these send does not arrive here; what is sent to them does."""
        for other in others:
            self.iptables("-A", "INPUT", "-s", other.address, "-j", "DROP")
        try:
            yield
        finally:
            for other in others:
                self.iptables("-D", "INPUT", "-s", other.address, "-j", "DROP")


class Bridge(NetworkNamespace):
    """It has an address as well."""

    address = NET + ".1"

    def __init__(self, seconds):
        super().__init__(seconds)
        try:
            self.ip("link", "add", "bridge", "type", "bridge")
            self.ip("address", "add", self.address + "/24", "dev", "bridge")
            self.ip("link", "set", "bridge", "up")
        except BaseException:
            self.close()
            raise

    ip = Host.ip


@contextlib.contextmanager
def network(count, seconds=600):
    """Yields the bridge and so many hosts, which live for no longer than
    that."""
    with contextlib.ExitStack() as stack:
        bridge = Bridge(seconds)
        stack.callback(bridge.close)
        hosts = []
        for number in range(count):
            hosts.append(Host(bridge, 10 + number, seconds))
            stack.callback(hosts[-1].close)
        yield bridge, hosts


def kill_all(dovecot):
    """The processes of a Dovecot, at once and for good: its host is gone."""
    # the first one starts others
    for pid in [dovecot.process.pid, *dovecot.pids(), *dovecot.pids()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    dovecot.process.wait()
    dovecot.process = None
