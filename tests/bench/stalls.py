# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench.sh measures after bench.py: how long hand-offs wait while the
service has much else to do.

    stalls.py STAGE LOOP_TURNS.SO [PART...]

Of each part, one line: hand-offs, one after the other to an endpoint that
answers at once, p50, p99.9 and the longest gap between two answers, in ms; and
of the service's turns of its event loop the longest one, by the clock and its
CPU time, in ms (loop-turns.c).
"""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bench import Client, resident_kb  # noqa: E402
from harness.dovecot import Dovecot, free_port, wait_for  # noqa: E402
from harness.install import install  # noqa: E402
from harness.nginx import nginx  # noqa: E402

PACE = 0.002            # seconds from one hand-off to the next
TARGET_MS = 20
TARGET_MB = 120
STORM = 1000            # connections, or names, at once
ENDPOINTS = 10000
QUEUED = 1000000
SHRINK_ROWS = 1024*1024
SHRINK_BODY = 850       # a kilobyte for each row
LARGE = 1000            # notifications with a message of 1 MB
LARGE_CLIENTS = 4

ANSWERS = "listen 127.0.0.1:%d; location / { return 200; }"


class Turns:
    """What loop-turns.c keeps."""

    FORMAT = "QQQ"

    def __init__(self, directory):
        self.path = directory / "turns"
        self.path.write_bytes(b"")
        self.reset()

    def reset(self):
        with open(self.path, "r+b") as file:
            file.write(bytes(struct.calcsize(self.FORMAT)))

    def longest(self):
        """By the clock, and CPU time, in ms."""
        _, wall, cpu = struct.unpack(self.FORMAT, self.path.read_bytes())
        return wall / 1000, cpu / 1000


class Handoffs(threading.Thread):
    """One after the other, until told to stop."""

    def __init__(self, dovecot, url):
        super().__init__()
        self.client = Client(dovecot, url)
        self.ended = threading.Event()
        self.took, self.answered = [], [time.monotonic()]
        # wall clock, by the key that the endpoint gets
        self.begun = {}

    def run(self):
        next_time = time.monotonic()
        while not self.ended.is_set():
            next_time = max(next_time + PACE, time.monotonic())
            time.sleep(max(0, next_time - time.monotonic()))
            begin = time.monotonic()
            self.begun["%s-%d" % (self.client.session,
                                  self.client.seq + 1)] = time.time()
            self.client.hand_off(["fresh%d" % (len(self.took) % 100)])
            self.answered.append(time.monotonic())
            self.took.append(self.answered[-1] - begin)

    def end(self):
        self.ended.set()
        self.join()
        self.client.close()

    def figures(self):
        """p50, p99.9 and the longest gap, in ms."""
        took = sorted(self.took)
        gap = max(b - a for a, b in zip(self.answered, self.answered[1:]))
        return [1000 * seconds for seconds in (
            took[len(took) // 2], took[len(took) * 999 // 1000], gap)]


class Bench:
    def __init__(self, stage, loop_turns):
        self.stage, self.loop_turns = stage, loop_turns

    @contextlib.contextmanager
    def dovecot(self, *lines, extra="", prefix=""):
        """Not started yet; with an endpoint that answers at once, at
        self.url."""
        with tempfile.TemporaryDirectory(prefix="d-") as directory:
            dovecot = Dovecot(directory, self.stage)
            self.turns = Turns(dovecot.dir)
            dovecot.wrap_service(prefix, LD_PRELOAD=self.loop_turns,
                                 LOOP_TURNS=self.turns.path)
            dovecot.configure("http_notify_queue_limit = %d" % (QUEUED * 2),
                              *lines, extra=extra)
            port = free_port()
            self.url = "http://127.0.0.1:%d/" % port
            with nginx("server { %s }" % (ANSWERS % port)):
                try:
                    yield dovecot
                finally:
                    dovecot.stop()

    @contextlib.contextmanager
    def measured(self, dovecot, name):
        """While this is entered."""
        self.turns.reset()
        handoffs = Handoffs(dovecot, self.url)
        handoffs.start()
        try:
            yield handoffs
        finally:
            handoffs.end()
        print("%-44s %7d %8.2f %8.2f %8.2f   %8.2f %8.2f" % (
            name, len(handoffs.took), *handoffs.figures(),
            *self.turns.longest()), flush=True)


def start(dovecot):
    """Until hand-offs are accepted."""
    def accepts():
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(dovecot.dir / "run/http-notify")) == 0
    dovecot.start()
    wait_for(accepts, what="the service")


def hand_off_to(dovecot, urls):
    client = Client(dovecot, None)
    for first in range(0, len(urls), STORM):
        some = urls[first:first + STORM]
        client.hand_off(("user%d" % n for n in range(len(some))), urls=some)
    client.close()


def fill(dovecot, each, body="body"):
    """As if each that is queued had been handed off so many times, by as many
    users."""
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        last, = db.execute("SELECT max(id & ((1 << 40) - 1)) "
                           "FROM notification").fetchone()
        db.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n"
            " WHERE n < ?) INSERT INTO notification SELECT id + n.n * ?,"
            " session, seq, created, expires, 0, username || n.n,"
            " folder, uid, %s, 0 FROM notification, n" % body,
            (each - 1, last))
        db.commit()
        give_back(dovecot.queue_path.parent)


def give_back(directory):
    owner = directory.stat()
    for path in directory.iterdir():
        os.chown(path, owner.st_uid, owner.st_gid)


def bench_start(bench):
    """With much for many endpoints, all of them down."""
    port = free_port()
    with bench.dovecot() as dovecot:
        start(dovecot)
        hand_off_to(dovecot, ["http://127.0.0.1:%d/?%d" % (port, n)
                              for n in range(ENDPOINTS)])
        dovecot.stop()
        fill(dovecot, QUEUED // ENDPOINTS)
        begin = time.monotonic()
        start(dovecot)
        client = Client(dovecot, bench.url)
        client.hand_off(["first"])
        first = time.monotonic() - begin
        client.close()
        with bench.measured(dovecot, "start: %d queued, %d endpoints" % (
                QUEUED, ENDPOINTS)):
            time.sleep(40)
        memory = resident_kb(dovecot.service_pid()) / 1024
        print("%-44s %7.2f s\n%-44s %7d MB (to reach: %d)" % (
            "  its first answer after", first,
            "  its memory", memory, TARGET_MB), flush=True)


@contextlib.contextmanager
def certificate(addresses):
    """Yields the files of one, and of its key."""
    with tempfile.TemporaryDirectory(prefix="hn-tls-") as directory:
        os.chmod(directory, 0o755)
        paths = [directory + "/cert.pem", directory + "/key.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=storm", "-addext",
             "subjectAltName=" + ",".join("IP:" + a for a in addresses),
             "-out", paths[0], "-keyout", paths[1]], check=True,
            stderr=subprocess.DEVNULL)
        yield paths


def bench_tls(bench):
    """As many new connections over TLS at once."""
    ports = [free_port() for _ in range(10)]
    hosts = ["127.0.1.%d" % n for n in range(1, STORM // 10 + 1)]
    with certificate(hosts) as (cert, key), nginx("""
            server { %s ssl_certificate %s; ssl_certificate_key %s;
            location / { return 200; } }""" % ("".join(
                "listen 0.0.0.0:%d ssl; " % port for port in ports),
                cert, key)), \
            bench.dovecot(extra="ssl_client_ca_file = " + cert) as dovecot:
        start(dovecot)
        urls = ["https://%s:%d/\ttimeout_msecs=20000" % (host, port)
                for host in hosts for port in ports]
        with bench.measured(dovecot, "%d connections over TLS at once" % STORM):
            time.sleep(1)
            hand_off_to(dovecot, urls)
            wait_for(lambda: dovecot.queued() < 50, 100, "the storm's end")
            time.sleep(1)


def bench_dns(bench):
    """No name server answers, as many names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, \
            tempfile.TemporaryDirectory(prefix="hn-dns-") as directory:
        address = "127.53.%d.%d" % (os.getpid() // 250 % 250,
                                    os.getpid() % 250)
        silent.bind((address, 53))
        os.chmod(directory, 0o755)
        resolv = pathlib.Path(directory) / "resolv.conf"
        resolv.write_text("nameserver %s\noptions timeout:30\n" % address)
        script = resolv.with_name("with-resolver")
        script.write_text("mount --bind %s /etc/resolv.conf || exit 1\n"
                          "exec \"$@\"\n" % resolv)
        with bench.dovecot(prefix="unshare --mount sh %s" % script) as dovecot:
            start(dovecot)
            urls = ["http://h%d.example.org/" % n for n in range(STORM)]
            with bench.measured(dovecot, "no DNS, %d names" % STORM):
                time.sleep(1)
                hand_off_to(dovecot, urls)
                time.sleep(30)
                threads = len(os.listdir(
                    "/proc/%d/task" % dovecot.service_pid()))
            print("%-44s %7d" % ("  its threads", threads))


def bench_flushes(bench):
    with bench.dovecot() as dovecot:
        start(dovecot)
        Client(dovecot, bench.url).hand_off(["first"])
        strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null",
             "-e", "trace=fsync,fdatasync",
             "-e", "inject=fsync,fdatasync:delay_enter=300000",
             "-p", str(dovecot.service_pid())],
            stdin=subprocess.DEVNULL)
        time.sleep(1)
        try:
            with bench.measured(dovecot, "each flush of the disk takes 300 ms"):
                time.sleep(30)
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait()


def bench_shrink(bench):
    """The queue's file, after an outage that is over."""
    with bench.dovecot() as dovecot:
        start(dovecot)
        hand_off_to(dovecot, ["http://127.0.0.1:%d/" % free_port()])
        dovecot.stop()
        fill(dovecot, SHRINK_ROWS, "hex(zeroblob(%d))" % (SHRINK_BODY // 2))
        with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
            db.execute("DELETE FROM notification")
            db.commit()
        give_back(dovecot.queue_path.parent)
        size = dovecot.queue_path.stat().st_size
        start(dovecot)
        with bench.measured(dovecot, "the queue's file shrinks by %d MB" % (
                size / 1024**2)):
            wait_for(lambda: dovecot.queue_path.stat().st_size < size / 20,
                     100, "its end")


def p95_of_arrivals(log, handoffs):
    """From a hand-off to the end of its request, in ms."""
    took = []
    for line in log.read_text().splitlines():
        when, key = line.split()
        begun = handoffs.begun.get(key.strip('"'))
        if begun is not None:
            took.append(float(when) - begun)
    return 1000 * sorted(took)[len(took) * 95 // 100]


def hand_off_large(dovecot, url, number):
    body = "x" * 1024*1024
    for n in range(LARGE // LARGE_CLIENTS):
        # the service hangs up after a large one
        client = Client(dovecot, url)
        client.hand_off(["user%d-%d" % (number, n)], body=body)
        client.close()


def bench_large(bench):
    """Beside a burst of whole messages, such as invitations."""
    ports = [free_port(), free_port()]
    with nginx("""
            log_format arrival escape=none '$msec $http_idempotency_key';
            server { listen 127.0.0.1:%d;
            location / { access_log {dir}/arrivals arrival; return 200; } }
            server { listen 127.0.0.1:%d; client_max_body_size 2m;
            location / { return 200; } }""" % tuple(ports)) as directory, \
            bench.dovecot() as dovecot:
        bench.url, large = ("http://127.0.0.1:%d/" % port for port in ports)
        start(dovecot)
        with bench.measured(dovecot, "alone") as alone:
            time.sleep(10)
        children = [multiprocessing.Process(
            target=hand_off_large, args=(dovecot, large, number))
            for number in range(LARGE_CLIENTS)]
        with bench.measured(dovecot, "beside %d of 1 MB" % LARGE) as beside:
            for child in children:
                child.start()
            for child in children:
                child.join()
            wait_for(lambda: dovecot.queued() < 50, 100, "the burst's end")
        time.sleep(1)
        log = directory / "arrivals"
        print("%-44s %8.1f %8.1f" % (
            "  p95 until it has arrived, alone and beside",
            p95_of_arrivals(log, alone), p95_of_arrivals(log, beside)))


PARTS = {"tls": bench_tls, "flushes": bench_flushes, "dns": bench_dns,
         "start": bench_start, "shrink": bench_shrink, "large": bench_large}


def main(stage, loop_turns, *parts):
    install(stage)
    bench = Bench(stage, loop_turns)
    print("\nHand-offs while the service has much else to do: p50, p99.9, the "
          "longest gap between answers, and the longest turn of its event "
          "loop by the clock and CPU time, ms (to reach: %d)" % TARGET_MS)
    for name in parts or PARTS:
        PARTS[name](bench)


if __name__ == "__main__":
    main(*sys.argv[1:])
