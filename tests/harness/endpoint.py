# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stand-in for the OX middleware's endpoint.

It answers as OX does: PUT only, Basic authentication, {"success":true} also
for events that it ignores and users that it can't parse, which it drops; 500
for a "from" without an address. On top of that a test can make it misbehave.
"""

import base64
import contextlib
import email.utils
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse

from harness.dovecot import TIMEOUT, free_port

PATH = "/preliminary/http-notify/v1/notify"
LOGIN, PASSWORD = "login", "pa:ss/wörd"


class Request:
    """A notification as it came in."""

    def __init__(self, handler, raw):
        self.time = time.monotonic()
        self.method = handler.command
        self.path = handler.path
        # a proxy may have made their names lower case
        self.headers = {name.title(): value
                        for name, value in handler.headers.items()}
        self.raw = raw
        try:
            self.body = json.loads(raw)
        except ValueError:
            self.body = None
        self.connection = handler.client_address
        self.status = None
        # when it was answered, or its connection given up
        self.ended = None
        # what OX makes of it: pushed to the phone, or silently dropped
        self.pushed = False

    @property
    def key(self):
        return self.headers.get("Idempotency-Key")

    @property
    def uid(self):
        return self.body["imap-uid"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    success = {"success": True}
    # without this each answer waits for a delayed ack
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def do_PUT(self):
        endpoint = self.server.endpoint
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self, raw)
        with endpoint.lock:
            endpoint.attempts.append(request)
            status = endpoint.status
            if callable(status):
                status = status(request)
            headers = endpoint.answer_headers
            fault = endpoint.fault
            hang, unhang = endpoint.hang, endpoint.unhang
        try:
            self.answer_request(request, status, headers, fault, hang, unhang)
        finally:
            request.ended = time.monotonic()

    def answer_request(self, request, status, headers, fault, hang, unhang):
        endpoint = self.server.endpoint
        if fault:
            self.close_connection = True
            fault(self)
            return
        if hang:
            unhang.wait()
            self.close_connection = True
            return
        if endpoint.delay:
            time.sleep(endpoint.delay)
        if status is None:
            status = self.ox_status(request)
        request.status = status
        if 200 <= status < 300:
            # noted before it is answered: who has the answer can count on it
            with endpoint.lock:
                endpoint.delivered.append(request)
        if 200 <= status < 300:
            body = self.success
        elif endpoint.answer_body is not None:
            body = endpoint.answer_body(request)
        else:
            body = {"error": "An error occurred: status %d" % status}
        self.answer(status, body, headers)

    def access_status(self, request):
        """None = it is the right place, and the credentials are right."""
        credentials = base64.b64encode(
            ("%s:%s" % self.server.endpoint.credentials).encode()).decode()
        if request.path != self.server.endpoint.path:
            return 404
        if request.headers.get("Authorization") != "Basic " + credentials:
            return 401
        return None

    def ox_status(self, request):
        refusal = self.access_status(request)
        if refusal:
            return refusal
        body = request.body
        if not isinstance(body, dict) or not body:
            return 500
        if body.get("event") != "messageNew":
            return 200
        if "folder" not in body or "imap-uid" not in body:
            return 500
        if not any(address for _, address in
                   email.utils.getaddresses([body.get("from", "")])):
            return 500
        request.pushed = bool(re.fullmatch(r"\d+@\d+", body.get("user", "")))
        return 200

    def do_GET(self):
        """A balancer's question whether the node is well."""
        endpoint = self.server.endpoint
        if self.path != "/health":
            self.refuse_method()
        elif endpoint.hang:
            endpoint.unhang.wait()
            self.close_connection = True
        else:
            self.answer(200, {"status": "UP"})

    def refuse_method(self):
        self.answer(405, {"error": "only PUT"})

    do_DELETE = refuse_method

    def do_POST(self):
        if "POST" in self.server.endpoint.methods:
            self.do_PUT()
        else:
            self.refuse_method()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that hung up is a test's doing


class Endpoint:
    handler = Handler
    path = PATH

    def __init__(self, port=None, tls=None, namespace=None,
                 credentials=(LOGIN, PASSWORD), address="127.0.0.1"):
        """tls: (certificate file, key file), or an ssl.SSLContext.
        namespace: the NetworkNamespace that it listens in. It keeps its port
        when it is stopped and started again."""
        self.lock = threading.Lock()
        self.tls = tls
        self.namespace = namespace
        self.credentials = credentials
        # those that it takes; OX takes no other
        self.methods = ["PUT"]
        self.address = address
        self.attempts = []
        self.delivered = []
        self.status = None
        self.answer_headers = ()
        # what an error answer says, made of the request
        self.answer_body = None
        self.delay = 0
        self.hang = False
        self.unhang = threading.Event()
        # called with the handler instead of an answer; one of faults.py
        self.fault = None
        self.port = port or free_port()
        self.server = None
        self.start()

    def start(self):
        self.unhang.clear()
        with self.namespace or contextlib.nullcontext():
            self.server = Server((self.address, self.port), self.handler)
        self.server.endpoint = self
        if self.tls:
            context = self.tls
            if not isinstance(context, ssl.SSLContext):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
        self.connections = set()
        orig = self.server.get_request

        def get_request():
            conn, addr = orig()
            self.connections.add(conn)
            return conn, addr
        self.server.get_request = get_request
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def stop(self):
        """Refuse connections, and drop those that are open."""
        if self.server is None:
            return
        self.unhang.set()
        self.server.shutdown()
        self.server.server_close()
        for conn in self.connections:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.server = None

    def heal(self):
        """Take everything again; who was left hanging is hung up on."""
        with self.lock:
            self.status, self.answer_headers = None, ()
            self.answer_body = None
            self.delay, self.hang, self.fault = 0, False, None
            unhang, self.unhang = self.unhang, threading.Event()
        unhang.set()

    @property
    def authority(self):
        return "%s:%d" % (self.address, self.port)

    @property
    def url(self):
        return self.url_with(*self.credentials)

    @property
    def url_without(self):
        """Without credentials."""
        return re.sub("//.*@", "//", self.url)

    def url_with(self, login, password):
        """With these credentials."""
        userinfo = ":".join(urllib.parse.quote(word, safe="")
                            for word in (login, password))
        return "%s://%s@%s:%d%s" % (
            "https" if self.tls else "http", userinfo,
            "localhost" if self.tls else self.address, self.port, self.path)

    def wait(self, count, timeout=TIMEOUT):
        """Wait until this many were delivered; returns them."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self.lock:
                if len(self.delivered) >= count:
                    return list(self.delivered)
            time.sleep(0.005)
        raise AssertionError("%d of %d notifications arrived in %s s" % (
            len(self.delivered), count, timeout))

    def wait_attempts(self, count, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while len(self.attempts) < count:
            assert time.monotonic() < deadline, "%d of %d attempts" % (
                len(self.attempts), count)
            time.sleep(0.005)

    def clear(self):
        with self.lock:
            self.attempts.clear()
            self.delivered.clear()
        self.heal()
