# SPDX-License-Identifier: LGPL-2.1-or-later
"""An IMAP server that knows logins and one METADATA entry a user, and can be
told to answer as no real one does."""

import base64
import re
import socket
import ssl
import threading
import time

ENTRY = "/private/vendor/vendor.dovecot/http-notify"


class Hangup(Exception):
    pass


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.user = None
        self.tls = False
        self.buffer = b""

    def send(self, data, pieces=None):
        """pieces: so many bytes at a time, each in a packet of its own."""
        if isinstance(data, str):
            data = data.encode()
        for i in range(0, len(data), pieces or len(data) or 1):
            self.sock.sendall(data[i:i + (pieces or len(data))])
            if pieces:
                time.sleep(0.002)

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise Hangup
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def start_tls(self, context):
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.tls = True

    def run(self):
        server = self.server
        if server.imaps:
            self.start_tls(server.imaps)
        self.send(server.greeting)
        while True:
            tag, _, command = self.line().decode().partition(" ")
            name = command.split(" ", 1)[0].upper()
            with server.lock:
                server.commands.append(command)
            special = server.special.get(name)
            if special is not None:
                special(self, tag, command)
            else:
                self.answer(tag, name, command)

    def answer(self, tag, name, command):
        server = self.server
        if name == "CAPABILITY":
            words = server.capabilities
            if server.starttls and not self.tls:
                words += " STARTTLS"
            self.send("* CAPABILITY %s\r\n%s OK\r\n" % (words, tag))
        elif name == "STARTTLS" and server.starttls:
            self.send("%s OK\r\n" % tag)
            self.start_tls(server.starttls)
        elif name == "AUTHENTICATE":
            self.authenticate(tag, command)
        elif name == "GETMETADATA":
            value = server.entries.get(self.user)
            self.send('* METADATA "" (%s %s)\r\n%s OK\r\n' % (
                ENTRY, "NIL" if value is None else '"%s"' % value, tag))
        elif name == "SETMETADATA":
            match = re.fullmatch(
                r'SETMETADATA "" \(%s (NIL|"([^"\\]*)")\)' % ENTRY, command)
            assert match, command
            with server.lock:
                if match.group(1) == "NIL":
                    server.entries.pop(self.user, None)
                else:
                    server.entries[self.user] = match.group(2)
            self.send("%s OK\r\n" % tag)
        elif name == "ID":
            self.send("* ID %s\r\n%s OK\r\n" % (server.id, tag))
        elif name == "LOGOUT":
            self.send("* BYE\r\n%s OK\r\n" % tag)
            raise Hangup
        else:
            self.send("%s BAD unknown\r\n" % tag)

    def authenticate(self, tag, command):
        authzid, authcid, password = base64.b64decode(
            command.split(" ")[2]).decode().split("\0")
        self.user = authzid or authcid
        if password != self.server.password:
            self.send("%s NO [AUTHENTICATIONFAILED] Not you.\r\n" % tag)
        else:
            self.send("%s OK in\r\n" % tag)


class ImapServer:
    """special: name of a command to function(connection, tag, command)."""

    def __init__(self, imaps=None, starttls=None, address="127.0.0.1"):
        """imaps, starttls: (certificate file, key file)"""
        def context(files):
            if files is None:
                return None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
            return context

        self.imaps, self.starttls = context(imaps), context(starttls)
        self.greeting = "* OK hello\r\n"
        self.capabilities = "IMAP4rev1 SASL-IR ID AUTH=PLAIN METADATA"
        self.id = '("name" "Dovecot")'
        self.password = "secret"
        self.entries = {}
        self.special = {}
        self.commands = []
        self.connections = self.most = self.now = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(
            (address, 0), backlog=256, family=socket.AF_INET6
            if ":" in address else socket.AF_INET)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        with self.lock:
            self.connections += 1
            self.now += 1
            self.most = max(self.most, self.now)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, sock)
        try:
            connection.run()
        except (Hangup, OSError, UnicodeDecodeError):
            pass
        finally:
            with self.lock:
                self.now -= 1
            connection.sock.close()

    def count(self, name):
        with self.lock:
            return sum(command.split(" ")[0].upper() == name
                       for command in self.commands)

    @property
    def url(self):
        return "%s://%s:%d" % ("imaps" if self.imaps else "imap",
                               "localhost" if self.imaps or self.starttls
                               else "127.0.0.1", self.port)
