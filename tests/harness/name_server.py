# SPDX-License-Identifier: LGPL-2.1-or-later
"""A name server of a test's own, which needs root for its port."""

import collections
import contextlib
import os
import socket
import struct
import threading

import pytest

A = 1


class NameServer:
    """All names have the address 127.0.0.1, which it says after a delay; with
    None, it never answers."""

    def __init__(self, delay=None):
        self.delay = delay
        # there is no such name
        self.unknown = False
        # so many questions get lost
        self.lost = 0
        # how many questions for a name's A record
        self.asked = collections.Counter()
        self.address = "127.53.%d.%d" % (
            os.getpid() // 250 % 250, os.getpid() % 250)

    def __enter__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.bind((self.address, 53))
        except OSError as error:
            pytest.skip("no name server can be made up here: %s" % error)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        # so that recvfrom() ends, even though this fails
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _serve(self):
        while True:
            try:
                query, client = self.sock.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            name, kind = self._question(query)
            if kind == A:
                self.asked[name] += 1
            if self.lost > 0:
                self.lost -= 1
            elif self.delay is not None:
                threading.Timer(self.delay, self._answer,
                                (query, kind, client)).start()

    @staticmethod
    def _question(query):
        labels, pos = [], 12
        while query[pos] != 0:
            labels.append(query[pos + 1:pos + 1 + query[pos]].decode())
            pos += 1 + query[pos]
        return ".".join(labels), struct.unpack_from(">H", query, pos + 1)[0]

    def _answer(self, query, kind, client):
        # the question alone, without what may follow it
        end = query.index(b"\0", 12) + 5
        record = b""
        if kind == A and not self.unknown:
            record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 0, 4) + \
                socket.inet_aton("127.0.0.1")
        header = query[:2] + struct.pack(
            ">HHHHH", 0x8183 if self.unknown else 0x8180, 1, record != b"",
            0, 0)
        with contextlib.suppress(OSError):
            self.sock.sendto(header + query[12:end] + record, client)
