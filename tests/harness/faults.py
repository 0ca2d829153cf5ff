# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults, made for real: an endpoint's answers that go wrong, networks, disks
and clocks.

What needs a privilege that a container may not have skips the test and says
why.
"""

import contextlib
import ctypes
import os
import pathlib
import socket
import sqlite3
import struct
import subprocess
import sys
import threading

import pytest

from harness.dovecot import wait_for

FAKETIME = "/usr/lib/%s-linux-gnu/faketime/libfaketimeMT.so.1" % (
    os.uname().machine)
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True):
    return subprocess.run(command, check=check, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)


def skip_unless(*command):
    """A command that shows whether something may be done here."""
    try:
        result = run(*command, check=False)
    except FileNotFoundError:
        pytest.skip("%s is not installed" % command[0])
    if result.returncode != 0:
        pytest.skip("not allowed here: %s: %s" % (
            " ".join(command), result.stdout.strip()))


# -- an endpoint's answer; each takes the handler of endpoint.py --

def says(data, then="close"):
    """Sends these bytes, then closes or resets the connection, or goes silent
    and leaves it open."""
    def fault(handler):
        unhang = handler.server.endpoint.unhang
        handler.wfile.write(data)
        handler.wfile.flush()
        if then == "silence":
            unhang.wait(60)
        elif then == "reset":
            # what is not read yet, or not sent, is dropped
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
    return fault


def says_forever(begin, chunk, pause=0):
    def fault(handler):
        unhang = handler.server.endpoint.unhang
        handler.wfile.write(begin)
        while not unhang.wait(pause):
            handler.wfile.write(chunk)
            handler.wfile.flush()
    return fault


class Deaf:
    """Listens where an endpoint was, or will be, and takes no connection: they
    are established by the kernel, and nothing is ever read. full: they are not
    even established, since there is no more room for them."""

    def __init__(self, port, full=False):
        self.port = port
        self.sockets = []
        listener = self.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0 if full else 16)
        for _ in range(3 if full else 0):
            sock = self.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))

    def socket(self):
        self.sockets.append(socket.socket())
        return self.sockets[-1]

    def close(self):
        for sock in self.sockets:
            sock.close()


# -- networks --

class NetworkNamespace:
    """One of its own with nothing but a loopback interface, kept by a process
    that sleeps for so many seconds. Used as a context manager it is entered:
    sockets that are made, and processes and threads that are started, meanwhile
    by this thread are in it."""

    def __init__(self, seconds=600):
        skip_unless("unshare", "--net", "true")
        self.entered = threading.local()
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo && exec sleep %d" % seconds],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        self.path = "/proc/%d/ns/net" % self.keeper.pid
        # what to run another command in it with
        self.prefix = "nsenter --net=%s" % self.path
        try:
            skip_unless(*self.prefix.split(), "ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def iptables(self, *args):
        skip_unless(*self.prefix.split(), "iptables", "-w", *args)

    @contextlib.contextmanager
    def silence(self, ports):
        """All packets of the connections from these ports vanish. Others, and
        new ones, are as good as before."""
        rules = [("INPUT", "-p", "tcp", side, str(port), "-j", "DROP")
                 for port in ports for side in ("--sport", "--dport")]
        for rule in rules:
            self.iptables("-A", *rule)
        try:
            yield
        finally:
            for rule in rules:
                self.iptables("-D", *rule)

    def __enter__(self):
        self.entered.outside = os.open("/proc/thread-self/ns/net",
                                       os.O_RDONLY)
        self._enter(os.open(self.path, os.O_RDONLY))

    def __exit__(self, *args):
        self._enter(self.entered.outside)

    @staticmethod
    def _enter(fd):
        try:
            if libc.setns(fd, CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


@contextlib.contextmanager
def network_namespace():
    namespace = NetworkNamespace()
    try:
        yield namespace
    finally:
        namespace.close()


# -- mailboxes --

HOLD_LOCK = """
import os, socket, sys, time
path, owner = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
os.write(fd, b"%d:%s" % (os.getpid(), socket.gethostname().encode()))
os.fchown(fd, owner, owner)
print(flush=True)
while True:
    time.sleep(0.2)
    os.utime(path)
"""


@contextlib.contextmanager
def maildir_locked(maildir):
    """Another process has the lock of a Maildir's dovecot-uidlist, and shows
    that it is alive. Yields what lets go of it."""
    maildir = pathlib.Path(maildir)
    lock = maildir / "dovecot-uidlist.lock"
    with subprocess.Popen(
            [sys.executable, "-c", HOLD_LOCK, str(lock),
             str(maildir.stat().st_uid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as holder:
        def let_go():
            holder.kill()
            holder.wait()
            lock.unlink(missing_ok=True)
        try:
            assert holder.stdout.readline() == b"\n"
            yield let_go
        finally:
            let_go()


# -- disks --

@contextlib.contextmanager
def small_disk(path, size):
    """A tmpfs of this size over a directory, as which it belongs to the same
    user."""
    path = pathlib.Path(path)
    owner = path.stat()
    skip_unless("mount", "-t", "tmpfs", "-o", "size=%d,mode=%o,uid=%d,gid=%d" %
                (size, owner.st_mode & 0o7777, owner.st_uid, owner.st_gid),
                "http-notify-test", str(path))
    try:
        yield path
    finally:
        wait_for(lambda: run("umount", str(path), check=False).returncode == 0,
                 what="the end of what uses " + str(path))


def fill_disk(path):
    """Leaves no space; returns the file that has it all."""
    path = pathlib.Path(path) / "ballast"
    with open(path, "wb", buffering=0) as ballast:
        for size in (65536, 4096):
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(b"\0" * size)
    return path


def fill_queue(dovecot, count, size=800):
    """What a long outage leaves, behind the one notification that is queued;
    the service is stopped."""
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        first, expires = db.execute(
            "SELECT id, expires FROM notification").fetchone()
        db.executemany(
            "INSERT INTO notification VALUES"
            " (?, ?, ?, ?, ?, 0, ?, 'INBOX', ?, ?, 0)",
            ((first + n, b"0123456789abcdef", n, expires - 60, expires,
              "user%d" % (n % 50), n,
              '{"imap-uid":%d,"pad":"%s"}' % (n, "x" * size))
             for n in range(1, count)))
        db.commit()


@contextlib.contextmanager
def service_stopped(dovecot):
    """Dovecot goes on without it, and has it back at the end."""
    def answers():
        with dovecot.doveadm_start("http-notify", "status",
                                   "-H", ".") as process:
            process.communicate(timeout=60)
        return process.returncode == 0

    dovecot.doveadm("service", "stop", "http-notify")
    wait_for(lambda: not dovecot.pids("http-notify"), what="its end")
    yield
    dovecot.reload()
    wait_for(answers, what="the service")


# -- clocks --

@contextlib.contextmanager
def faketime():
    """Yields the environment that makes a process obey libfaketime's other
    variables."""
    if not os.path.exists(FAKETIME):
        pytest.skip("libfaketime is not installed")
    # Each process would make such files of its own, and leave them behind when
    # it is killed.
    name = "http-notify-test-%d" % os.getpid()
    memory = pathlib.Path("/dev/shm") / name
    semaphore = memory.with_name("sem." + name)
    libc.sem_open.restype = ctypes.c_void_p
    if libc.sem_open(b"/" + name.encode(), os.O_CREAT, 0o666, 1) is None:
        pytest.skip("not allowed here: semaphores in /dev/shm")
    try:
        # counters, and then times that are not set yet
        memory.write_bytes(struct.pack("qq", 0, 0) +
                           struct.pack("qq", 0, -1) * 255)
        memory.chmod(0o666)
        semaphore.chmod(0o666)
        # not a blank, at which Dovecot 2.4 cuts a value off
        yield {"LD_PRELOAD": FAKETIME,
               "FAKETIME_SHARED": "/%s\t/%s" % (name, name)}
    finally:
        memory.unlink(missing_ok=True)
        semaphore.unlink()


class WallClock:
    """A wall clock that a test can set. Monotonic clocks go on as they do."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.set(0)

    def set(self, seconds):
        """Ahead of the real time."""
        new = self.path.with_suffix(".new")
        new.write_text("%+d" % seconds)
        new.chmod(0o644)
        new.rename(self.path)

    def environment(self, faketime_environment):
        return dict(faketime_environment,
                    FAKETIME_TIMESTAMP_FILE=str(self.path),
                    FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
