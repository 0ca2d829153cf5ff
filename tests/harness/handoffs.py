# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail processes that hand off notifications, without the mail."""

import collections
import contextlib
import os
import select
import socket
import threading
import time

HELLO = b"VERSION\thttp-notify-handoff\t1\t0\nSESSION\t%s\n"
# of one session: the service knows no more of it
WINDOW = 32

BODY = ('{"user":"%s","event":"messageNew","folder":"INBOX",'
        '"imap-uidvalidity":1795312849,"imap-uid":%d,'
        '"from":"Alice <alice@example.org>","subject":"%d",'
        '"snippet":"This is the text.","unseen":1,"unread":1}')


class Handoffs(threading.Thread):
    """One mail process of a host, which hands off so many a second, each for
    the next one of its users. When it loses the connection it does as the
    plugin does: it sends again what was not answered."""

    def __init__(self, dovecot, url, options, users, numbers, per_second):
        """options: of the endpoint. numbers: an iterator over what tells
        notifications apart, which several may share; they ascend."""
        super().__init__(daemon=True)
        self.path = str(dovecot.dir / "run/http-notify")
        self.options = "\t".join(["url=" + url] + [
            "%s=%s" % option for option in options.items()])
        self.users, self.numbers = users, numbers
        self.pause = 1 / per_second
        self.stopped, self.gone = threading.Event(), threading.Event()
        # (user, number), in the order of handing off
        self.sent = []
        # seconds by number; reasons by number; those of unknown fate
        self.acked, self.refused, self.unknown = {}, {}, set()
        # when those were acked
        self.acked_at = {}
        self.waiting = collections.OrderedDict()
        self.sock = None
        self.begin()

    def begin(self):
        """A process of its own."""
        self.session = os.urandom(16).hex().encode()
        self.seq, self.said = 0, b""

    def die(self):
        """With its host; until live()."""
        self.gone.set()

    def live(self):
        self.gone.clear()

    def run(self):
        due = time.monotonic()
        while not self.stopped.is_set() or self.waiting:
            now = time.monotonic()
            if self.gone.is_set():
                self.lost_with_host()
                if self.stopped.is_set():
                    break
                time.sleep(0.02)
                due = time.monotonic()
            elif self.sock is None:
                self.connect()
            elif now >= due and len(self.waiting) < WINDOW and \
                    not self.stopped.is_set():
                # what could not be sent in time is not made up for
                due = max(due + self.pause, now - 0.1)
                self.hand_off()
            else:
                self.receive(0.05 if len(self.waiting) >= WINDOW else
                             min(max(due - now, 0), 0.05))

    def lost_with_host(self):
        self.hang_up()
        self.unknown.update(number for number, _, _ in self.waiting.values())
        self.waiting.clear()
        self.begin()

    def hang_up(self):
        if self.sock is not None:
            self.sock.close()
        self.sock, self.said = None, b""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.settimeout(5)
            self.sock.connect(self.path)
            self.sock.sendall(HELLO % self.session + b"".join(
                line for _, line, _ in self.waiting.values()))
        except OSError:
            self.hang_up()
            time.sleep(0.05)

    def hand_off(self):
        user, number = self.users[self.seq % len(self.users)], \
            next(self.numbers)
        self.seq += 1
        line = "NOTIFY\t%d\t%s\tINBOX\t%d\t%s\t%s\n" % (
            self.seq, user, self.seq,
            BODY % (user, self.seq, number), self.options)
        self.sent.append((user, number))
        self.waiting[self.seq] = number, line.encode(), time.monotonic()
        with self.lost_connection():
            self.sock.sendall(line.encode())

    @contextlib.contextmanager
    def lost_connection(self):
        try:
            yield
        except OSError:
            self.hang_up()

    def receive(self, seconds):
        with self.lost_connection():
            if not select.select([self.sock], [], [], seconds)[0]:
                return
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError
            *lines, self.said = (self.said + data).split(b"\n")
            for line in lines:
                self.answered(line.decode().split("\t"), time.monotonic())

    def answered(self, words, now):
        if words[0] == "VERSION":
            return
        number, _, since = self.waiting.pop(int(words[1]))
        if words[0] == "OK":
            self.acked_at[number] = now
            self.acked[number] = now - since
        else:
            self.refused[number] = words[2]

    def stop(self):
        self.stopped.set()
        self.join(60)
        assert not self.is_alive()
