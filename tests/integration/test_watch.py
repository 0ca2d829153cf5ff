# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify watch"""

import contextlib
import select
import signal
import threading

from conftest import driver, running_dovecot
from harness.dovecot import message, wait_for
from test_doveadm import connect, enqueue


class Watch:
    """What doveadm prints, by its lines, until it is interrupted."""

    def __init__(self, dovecot, *args):
        self.process = dovecot.doveadm_start("http-notify", "watch", *args)
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def wait(self, *words):
        wait_for(lambda: any(all(word in line for word in words)
                             for line in self.lines), what=" ".join(words))

    def events(self, word=""):
        return [line.split("event=")[1].split()[0] for line in self.lines
                if word in line]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == -signal.SIGINT
        self.thread.join(60)
        assert self.process.stderr.read() == ""
        self.process.stderr.close()
        self.process.stdout.close()


@contextlib.contextmanager
def watching(dovecot, *args):
    watch = Watch(dovecot, *args)
    try:
        yield watch
    finally:
        watch.stop()


def deliver_until_seen(dovecot, watch):
    """doveadm takes a while to connect."""
    def seen():
        dovecot.deliver("bob", message())
        return "delivered" in watch.events()

    wait_for(seen, what="the first event")


def test_watch_shows_each_event_at_once(dovecot, endpoint):
    with watching(dovecot, "-u", "b?b") as watch:
        deliver_until_seen(dovecot, watch)
        dovecot.deliver("bob", message())
        watch.wait("event=queued")
        # what is first may have begun before
        uid = next(line.split(" uid=")[1].split()[0] for line in watch.lines
                   if "event=queued" in line)
        watch.wait("event=delivered", " uid=%s " % uid)
        assert watch.events(" uid=%s " % uid) == ["queued", "sent",
                                                  "answered", "delivered"]
        watch.wait("event=queued", "username=bob", "folder=INBOX",
                   "mail_event=MessageNew",
                   "endpoint=127.0.0.1:%d" % endpoint.port)
        endpoint.status = 503
        dovecot.deliver("bob", message())
        watch.wait("event=answered", "503")
        watch.wait("event=retried", "503")
        endpoint.status = 200
        watch.wait("event=delivered")
        for secret in endpoint.credentials:
            assert secret not in "".join(watch.lines)


def test_watch_shows_only_whom_it_is_asked_for(dovecot, endpoint):
    with watching(dovecot, "-u", "alice") as alice, \
            watching(dovecot) as everybody:
        deliver_until_seen(dovecot, everybody)
        assert not alice.lines


def test_watch_ends_with_the_service(other_endpoint):
    with running_dovecot(driver(other_endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        watch = Watch(dovecot)
        deliver_until_seen(dovecot, watch)
        dovecot.stop()
        assert watch.process.wait(60) == 75
        assert "closed the connection" in watch.process.stderr.read()


def test_watch_that_is_not_read_holds_up_nothing(dovecot, endpoint):
    with connect(dovecot, "http-notify-admin") as sock:
        sock.sendall(b"VERSION\thttp-notify-admin\t1\t0\nWATCH\t*\n")
        enqueue(dovecot, endpoint.url, 5000)
        endpoint.wait(5000)
        data = b""
        while select.select([sock], [], [], 1)[0]:
            data += sock.recv(65536)
        assert b"\tqueued\tuser1\t" in data
        assert len(data.splitlines()) < 5000 * 4
        dovecot.deliver("bob", message())
        while b"\tleft out\t" not in data:
            data += sock.recv(65536)
    dovecot.deliver("bob", message())
    endpoint.wait(5002)
