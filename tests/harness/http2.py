# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP/2 server that answers each request before it has read its body, and
says in the same breath that it does not want that: RFC 9113, section 8.1."""

import contextlib
import socket
import ssl
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
ACK = END_STREAM = 1
END_HEADERS = 4
NO_ERROR = struct.pack(">I", 0)
# in HPACK's static table: RFC 7541, appendix A
STATUS = {204: b"\x89", 200: b"\x88", 500: b"\x8e"}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(
        ">BBI", kind, flags, stream) + payload


class HastyServer:
    def __init__(self, certificate):
        """certificate: (certificate file, key file)"""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.set_alpn_protocols(["h2"])
        self.status = 204
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(conn,),
                                 daemon=True).start()

    def _serve(self, conn):
        with contextlib.suppress(OSError, EOFError), \
                self.context.wrap_socket(conn, server_side=True) as tls, \
                tls.makefile("rb") as data:
            tls.sendall(frame(SETTINGS, 0, 0))
            self._read(data, len(PREFACE))
            while True:
                head = self._read(data, 9)
                self._read(data, int.from_bytes(head[:3], "big"))
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                if kind == SETTINGS and not flags & ACK:
                    tls.sendall(frame(SETTINGS, ACK, 0))
                elif kind == HEADERS:
                    self.requests += 1
                    tls.sendall(frame(HEADERS, END_HEADERS | END_STREAM,
                                      stream, STATUS[self.status]) +
                                frame(RST_STREAM, 0, stream, NO_ERROR))

    @staticmethod
    def _read(data, size):
        got = data.read(size)
        if len(got) < size:
            raise EOFError
        return got
