# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench.sh measures, once everything is built:
STAGE BARE_LOOP ROUNDS PLOT

All of a table's columns come from one run in which they take turns, so that a
noisy machine is noisy for all of them. Ratios are medians over the rounds.
"""

import contextlib
import ctypes
import itertools
import json
import multiprocessing
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.config import Driver, config  # noqa: E402
from harness.dovecot import Dovecot, free_port, message, wait_for  # noqa: E402
from harness.endpoint import Endpoint  # noqa: E402
from harness.install import install  # noqa: E402
from harness.nginx import nginx  # noqa: E402

CONNECTIONS = 4
DELIVERIES = 50         # of each connection at a time
SECONDS = 5             # ... or as many as there are in this time
PAIRS = 4               # no push and this project take turns in a round
# The time that a delivery takes is measured at a rate that leaves the machine
# some air: where four connections deliver as fast as they can on two cores, it
# is nothing but the deliveries/s once more.
PACE = 0.012            # seconds from one delivery of a connection to the next
USERS = ["user%d" % n for n in range(20)]
DRAIN = 20000
DRAIN_USERS = 500
DRAIN_CONCURRENCY = 64  # HEALTH_WINDOW_MAX

MESSAGE = (message("=?UTF-8?B?R3LDvMOfZQ==?= from the bench",
                   body="Some lines of text.\r\n" * 40) + ".\r\n").encode()
BODY = ('{"user":"3@1","event":"messageNew","folder":"INBOX",'
        '"imap-uidvalidity":1795312849,"imap-uid":1,'
        '"from":"Alice <alice@example.org>","subject":"Hello",'
        '"snippet":"This is the text.","unseen":1,"unread":1}')

NGINX_MAIN = "load_module modules/ngx_http_echo_module.so;"
NGINX_HTTP = """
  log_format when escape=none '$msec $http_idempotency_key';
  keepalive_requests 100000000;
  keepalive_timeout 600;
  server {
    listen 127.0.0.1:%d;
    location /healthy { return 200 '{"success":true}'; }
    location /logged {
      access_log {dir}/when.log when buffer=64k flush=1s;
      return 200 '{"success":true}';
    }
    location /logged-slow {
      access_log {dir}/when.log when buffer=64k flush=1s;
      echo_read_request_body;
      echo_sleep 0.01;
      echo '{"success":true}';
    }
    location /failing { return 500; }
    location /slow {
      echo_read_request_body;
      echo_sleep 0.2;
      echo '{"success":true}';
    }
  }
"""


def endpoint_nginx(port):
    return nginx(NGINX_HTTP % port, NGINX_MAIN)


@contextlib.contextmanager
def hung():
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as sock:
        yield sock.getsockname()[1]


def lmtp_client(path, number, count, pace, end, results):
    """One connection; measures from the end of DATA to the reply."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    replies = sock.makefile("rb")

    def reply():
        while True:
            line = replies.readline()
            if line[3:4] != b"-":
                assert line[:1] in b"23", line
                return

    reply()
    sock.sendall(b"LHLO bench\r\n")
    reply()
    seconds = []
    deadline = time.monotonic() + end
    # the connections one after the other, not all at the same moment
    next_time = time.monotonic() + pace * number / CONNECTIONS
    for n in range(count):
        if time.monotonic() > deadline:
            break
        next_time += pace
        time.sleep(max(0, next_time - time.monotonic()))
        user = USERS[(number * count + n) % len(USERS)]
        sock.sendall(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n" %
                     user.encode())
        for _ in range(3):
            reply()
        sock.sendall(MESSAGE)
        begin = time.monotonic()
        reply()
        seconds.append(time.monotonic() - begin)
    results.put(seconds)


def deliver_at(dovecot, count, pace, end=SECONDS):
    """Returns the seconds that each took, and all of them together, which are
    no more than end."""
    results = multiprocessing.Queue()
    clients = [multiprocessing.Process(
        target=lmtp_client,
        args=(str(dovecot.dir / "run/lmtp"), number, count, pace, end,
              results))
        for number in range(CONNECTIONS)]
    begin = time.monotonic()
    for client in clients:
        client.start()
    seconds = sum((results.get() for _ in clients), [])
    elapsed = time.monotonic() - begin
    for client in clients:
        client.join()
    return seconds, elapsed


def deliver(dovecot, count):
    """Returns (p50 in ms, deliveries/s), the former at leisure."""
    seconds, _ = deliver_at(dovecot, count, PACE)
    p50 = 1000 * statistics.median(seconds)
    seconds, elapsed = deliver_at(dovecot, count, 0)
    return p50, len(seconds) / elapsed


class Systems:
    """Dovecots that were started for the run, by name."""

    def __init__(self, stage):
        self.stage = stage
        self.stack = contextlib.ExitStack()

    def start(self, push, url=None, *lines):
        """push: none (no push plugin), builtin or this. lines: settings."""
        directory = self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="d-"))
        dovecot = Dovecot(directory, self.stage, builtin=push != "this")
        drivers, extra = [], ""
        if url is not None:
            drivers = [Driver(url, user_from_metadata=True)]
        if push == "builtin":
            extra = config.plugins("notify", "push_notification",
                                   protocol="lmtp")
        dovecot.configure(*drivers, *lines, extra=extra)
        dovecot.start()
        self.stack.callback(dovecot.stop)
        for user in USERS:
            dovecot.setmetadata(user, "user=3@1")
        deliver_at(dovecot, 10, 0)  # mailboxes made, processes warm
        return dovecot


def fmt(value):
    return "%.2f" % value if value < 10 else "%.0f" % value


def bench_deliveries(stage, port, rounds):
    systems = Systems(stage)
    refused = free_port()
    with hung() as hung_port, systems.stack:
        endpoints = [
            ("healthy", "http://127.0.0.1:%d/healthy" % port),
            ("answers after 200 ms", "http://127.0.0.1:%d/slow" % port),
            ("connection refused", "http://127.0.0.1:%d/" % refused),
            ("accepts, never answers", "http://127.0.0.1:%d/" % hung_port)]
        rows = []
        for name, url in endpoints:
            results = {"none": [], "builtin": [], "this": []}
            none = systems.start("none")
            builtin = systems.start("builtin", url)
            this = systems.start("this", url)
            for _ in range(rounds):
                for _ in range(PAIRS):
                    results["none"].append(deliver(none, DELIVERIES))
                    results["this"].append(deliver(this, DELIVERIES))
                # what it costs shows without a pair for each
                results["builtin"] += [deliver(builtin, DELIVERIES)] * PAIRS
            rows.append((name, results))
            if name == "healthy":
                memory = [(what, lmtp_memory(dovecot)) for what, dovecot in (
                    ("no push", none), ("built-in", builtin), ("this", this))]
            for dovecot in (none, builtin, this):
                dovecot.stop()

    print("\nDelivery by LMTP, %d connections, medians of %d turns: p50 at "
          "%d/s, and as many as there can be" % (
              CONNECTIONS, rounds * PAIRS, CONNECTIONS / PACE))
    print("%-24s %26s %30s" % ("", "p50 ms", "deliveries/s"))
    print("%-24s %8s %8s %8s  %8s %8s %8s   %s" % (
        "endpoint", "none", "builtin", "this", "none", "builtin", "this",
        "over none: p50 (builtin, this), rate (builtin, this)"))
    ratios = []
    for name, results in rows:
        def median(what, index):
            return statistics.median(r[index] for r in results[what])

        def over_none(what, index):
            return statistics.median(
                r[index] / n[index]
                for r, n in zip(results[what], results["none"]))
        over = [over_none(what, index) for index in (0, 1)
                for what in ("builtin", "this")]
        ratios.append((name, *over))
        print("%-24s %8s %8s %8s  %8s %8s %8s   %s %s, %.3f %.3f" % (
            name, *(fmt(median(what, index)) for index in (0, 1)
                    for what in ("none", "builtin", "this")),
            fmt(over[0]), fmt(over[1]), *over[2:]))
    print("\nMemory of an lmtp process after these deliveries, kB "
          "(proportional set size; private)")
    for what, (pss, private) in memory:
        print("%-24s %8d %8d" % (what, pss, private))
    return ratios


PLOT = """
set terminal svg size 800,680 font "sans-serif,13" background "white"
set output "%s"
set style data histograms
set style histogram clustered gap 2
set style fill solid noborder
set boxwidth 0.9
set logscale y
set grid ytics
set tics nomirror
set border 3
set key outside top center horizontal
$over_none << END
%s
END
short(x) = x < 10 ? sprintf("%%.2g", x) : sprintf("%%.0f", x)
name(c) = word("built-in dovecot-http-notify", c)
left(c) = 0.25 * c - 0.375
set bmargin 3
set xrange [-0.5:3.5]
set multiplot layout 2,1
set title "Time of a delivery, over that without push (less is better)"
set yrange [0.8:20000]
plot for [c=1:2] $over_none using (column(c + 1)):xtic(1) \\
    linecolor c title name(c), for [c=1:2] "" using ($0 + left(c)): \\
    (column(c + 1)):(short(column(c + 1))) with labels offset 0,0.6 notitle
set title "Deliveries per second, over those without push (more is better)"
set yrange [0.0005:2]
plot for [c=1:2] $over_none using (column(c + 3)):xtic(1) \\
    linecolor c title name(c), for [c=1:2] "" using ($0 + left(c)): \\
    (column(c + 3)):(short(column(c + 3))) with labels offset 0,0.6 notitle
"""


def plot(ratios, path):
    """As a picture, an SVG file."""
    rows = ('"%s" %f %f %f %f' % (name.replace(", ", ",\\n"), *numbers)
            for name, *numbers in ratios)
    subprocess.run(["gnuplot"], check=True, text=True,
                   input=PLOT % (path, "\n".join(rows)))


def lmtp_memory(dovecot):
    """Median over its lmtp processes: (Pss, Private) in kB."""
    pss, private = [], []
    for pid in dovecot.pids("lmtp"):
        values = {}
        for line in open("/proc/%d/smaps_rollup" % pid):
            words = line.split()
            if words[-1] == "kB":
                values[words[0]] = int(words[1])
        pss.append(values["Pss:"])
        private.append(values["Private_Clean:"] + values["Private_Dirty:"])
    return statistics.median(pss), statistics.median(private)


def bench_large_inbox(stage, port, rounds, size=5000):
    """What the unseen counter costs shows in a large mailbox."""
    systems = Systems(stage)
    with systems.stack:
        url = "http://127.0.0.1:%d/healthy" % port
        dovecots = {push: systems.start(push, url if push != "none" else None)
                    for push in ("none", "builtin", "this")}
        for dovecot in dovecots.values():
            for user in USERS:
                new = dovecot.dir / "home" / user / "Maildir/new"
                for n in range(size):
                    path = new / ("1795000000.M%dP1.bench" % n)
                    path.write_bytes(b"From: a@example.org\n\nx\n")
                    os.chown(path, 20000, 20000)
                with dovecot.imap(user) as imap:
                    imap.select("INBOX")
        results = {what: [] for what in dovecots}
        for _ in range(rounds):
            for what, dovecot in dovecots.items():
                results[what].append(deliver(dovecot, DELIVERIES)[0])
    print("\nThe same into an INBOX of %d messages, healthy endpoint, p50 ms "
          "and over no push" % size)
    for what, values in results.items():
        print("%-24s %8s %8s" % (what, fmt(statistics.median(values)), fmt(
            statistics.median(v / n for v, n in
                              zip(values, results["none"])))))


class Commits:
    """When messages appear in a Maildir's new/, which is when their mail
    transaction commits: by inotify."""

    IN_MOVED_TO, IN_CREATE = 0x80, 0x100

    def __init__(self, directory):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init()
        assert libc.inotify_add_watch(
            self.fd, str(directory).encode(),
            self.IN_MOVED_TO | self.IN_CREATE) >= 0

    def wait(self):
        os.read(self.fd, 4096)
        return time.monotonic()

    def close(self):
        os.close(self.fd)


def bench_arrival(stage, rounds):
    systems = Systems(stage)
    endpoint = Endpoint()
    endpoint.status = 200
    with systems.stack:
        dovecots = {push: systems.start(push, endpoint.url)
                    for push in ("builtin", "this")}
        time.sleep(1)
        results = {what: [] for what in dovecots}
        for _ in range(rounds * 10):
            for what, dovecot in dovecots.items():
                endpoint.clear()
                endpoint.status = 200
                commits = Commits(dovecot.dir / "home/user0/Maildir/new")
                client = multiprocessing.Process(
                    target=dovecot.deliver, args=("user0", message()))
                client.start()
                committed = commits.wait()
                request, = endpoint.wait(1)
                client.join()
                commits.close()
                results[what].append(1000 * (request.time - committed))
    endpoint.stop()
    print("\nFrom the commit of the mail transaction to the arrival, idle "
          "machine, ms")
    for what, values in results.items():
        values.sort()
        print("%-24s p50 %6s  p95 %6s" % (
            what, fmt(statistics.median(values)),
            fmt(values[len(values) * 95 // 100])))


class Client:
    """Hands notifications off as a mail process does, straight to the
    service."""

    def __init__(self, dovecot, url):
        self.url = url
        self.session = "%032x" % time.time_ns()
        self.seq = 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(dovecot.dir / "run/http-notify"))
        self.replies = self.sock.makefile("rb")
        self.sock.sendall(b"VERSION\thttp-notify-handoff\t1\t0\n"
                          b"SESSION\t%s\n" % self.session.encode())
        self.replies.readline()

    def hand_off(self, users, body=BODY, urls=None):
        """One for each, in one write; returns when they are stored. urls: of
        each, if they are not for the same endpoint."""
        lines = []
        for user, url in zip(users, urls or itertools.repeat(self.url)):
            self.seq += 1
            lines.append("NOTIFY\t%d\t%s\tINBOX\t1\t%s\turl=%s\n" % (
                self.seq, user, body, url))
        self.sock.sendall("".join(lines).encode())
        for _ in lines:
            assert self.replies.readline().startswith(b"OK")

    def close(self):
        self.sock.close()


def hand_off(dovecot, url, count, users=DRAIN_USERS):
    client = Client(dovecot, url)
    for first in range(0, count, 100):
        client.hand_off("user%d" % (n % users)
                        for n in range(first, first + 100))
    client.close()


def arrivals(directory, count):
    """When requests came, by their Idempotency-Key."""
    log = directory / "when.log"
    wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= count,
             300, "%d arrivals" % count)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == count, len(lines)
    return {key.strip('"'): float(msec) for msec, key in lines}


def drain(dovecot, port):
    """Seconds from the first arrival to the last of what an outage held."""
    hand_off(dovecot, "http://127.0.0.1:%d/logged" % port, DRAIN)
    with endpoint_nginx(port) as directory:
        times = sorted(arrivals(directory, DRAIN).values())
        # the first one is the probe that found the endpoint up again
        return times[-1] - times[1]


def bench_drain(stage, bare_loop, rounds):
    systems = Systems(stage)
    port, other_port = free_port(), free_port()
    results = {"this": [], "bare": [], "wrk": []}
    with systems.stack, endpoint_nginx(other_port):
        dovecot = systems.start("this")
        url = "http://127.0.0.1:%d/logged" % other_port
        for _ in range(rounds):
            results["this"].append(DRAIN / drain(dovecot, port))
            bare = subprocess.run(
                [bare_loop, url, str(DRAIN), str(DRAIN_CONCURRENCY), BODY],
                check=True, stdout=subprocess.PIPE)
            results["bare"].append(DRAIN / float(bare.stdout))
            wrk = subprocess.run(
                ["wrk", "-t1", "-c%d" % DRAIN_CONCURRENCY, "-d2s", "-s",
                 str(pathlib.Path(__file__).with_name("put.lua")), url],
                check=True, stdout=subprocess.PIPE, text=True,
                env=dict(os.environ, BENCH_BODY=BODY))
            results["wrk"].append(next(
                float(line.split()[1]) for line in wrk.stdout.splitlines()
                if line.startswith("Requests/sec")))
    print("\nDraining %d notifications of %d users after an outage, %d at a "
          "time, notifications/s, and over the bare libcurl loop" % (
              DRAIN, DRAIN_USERS, DRAIN_CONCURRENCY))
    for what, name in (("this", "this"), ("bare", "bare libcurl loop"),
                       ("wrk", "wrk")):
        print("%-24s %8s %8s" % (name, fmt(statistics.median(results[what])),
                                 fmt(statistics.median(
                                     t / b for t, b in zip(
                                         results[what], results["bare"])))))


def bench_isolation(stage, rounds):
    """The same drain beside another endpoint that is in trouble, over that of
    a service which has no other one."""
    systems = Systems(stage)
    port, other_port = free_port(), free_port()
    with hung() as hung_port, endpoint_nginx(other_port), systems.stack:
        others = {
            "alone": None,
            "accepts, never answers": "http://127.0.0.1:%d/" % hung_port,
            "answers after 200 ms": "http://127.0.0.1:%d/slow" % other_port,
            "answers 500": "http://127.0.0.1:%d/failing" % other_port}
        results = {other: [] for other in others}
        dovecots = {other: systems.start("this") for other in others}
        for _ in range(rounds):
            for other, url in others.items():
                if url is not None:
                    hand_off(dovecots[other], url, 2000)
                results[other].append(DRAIN / drain(dovecots[other], port))
    print("\nThe same drain beside another endpoint with a backlog, "
          "notifications/s, and over that without one")
    for other, values in results.items():
        print("%-24s %8s %8s" % (
            other, fmt(statistics.median(values)), fmt(statistics.median(
                v / a for v, a in zip(values, results["alone"])))))


def bench_tenants(stage, rounds, rate=100, seconds=20, users=500):
    """One endpoint for many tenants: a tenth of what it gets is of those for
    whom it never answers."""
    systems = Systems(stage)
    endpoint = Endpoint()

    def status(request):
        if request.body["hangs"]:
            time.sleep(30)

    def run(dovecot, hanging):
        """The share of the others' that arrived in time, and the 95th
        percentile of how long that took, ms."""
        client = Client(dovecot, endpoint.url)
        endpoint.clear()
        begin = time.monotonic()
        for n in range(rate * seconds):
            time.sleep(max(0, begin + n / rate - time.monotonic()))
            client.hand_off(["user%d" % (n % users)], json.dumps({
                "hangs": hanging and n % 10 == 0, "sent": time.monotonic()}))
        time.sleep(1)
        took = sorted(r.time - r.body["sent"] for r in endpoint.delivered
                      if not r.body["hangs"])
        wanted = rate * seconds * (9 if hanging else 10) / 10
        client.close()
        dovecot.doveadm("http-notify", "purge", "-u", "*")
        return len(took) / wanted, 1000 * took[len(took) * 95 // 100]
    with systems.stack:
        endpoint.status = status
        dovecots = {hanging: systems.start("this") for hanging in (False, True)}
        results = {False: [], True: []}
        for _ in range(rounds):
            for hanging, dovecot in dovecots.items():
                results[hanging].append(run(dovecot, hanging))
    endpoint.stop()
    print("\n%d notifications/s of %d users, of which a tenth hangs: share of "
          "the others' that arrived, p95 in ms, and over that without" % (
              rate, users))
    for hanging, values in results.items():
        print("%-24s %8.3f %8.1f %8.2f" % (
            "a tenth hangs" if hanging else "none hangs",
            statistics.median(share for share, _ in values),
            statistics.median(p95 for _, p95 in values),
            statistics.median(value[1] / alone[1] for value, alone in
                              zip(values, results[False]))))


def bench_backlog(stage, rounds, count=100000, users=20000):
    """New messages of other users come while a backlog is drained."""
    systems = Systems(stage)
    port = free_port()
    print("\nDraining %d notifications of %d users after an outage, with a "
          "new one of another user each 5 ms" % (count, users))
    print("%-24s %14s %24s" % ("endpoint answers", "notifications/s",
                               "delay of new ones, ms: p50, longest"))
    with systems.stack:
        dovecot = systems.start("this")
        for name, path in (("at once", "logged"),
                           ("after 10 ms", "logged-slow")):
            rates, delays = [], []
            for _ in range(rounds):
                url = "http://127.0.0.1:%d/%s" % (port, path)
                hand_off(dovecot, url, count, users)
                with endpoint_nginx(port) as directory:
                    wait_for(lambda: dovecot.queued() < count - 1, 120,
                             "the probe")
                    client = Client(dovecot, url)
                    stored = {}
                    # a look into the queue takes the machine's time
                    while len(stored) % 100 != 0 or dovecot.queued() > 100:
                        client.hand_off(["fresh%d" % len(stored)])
                        stored["%s-%d" % (client.session, client.seq)] = \
                            time.time()
                        time.sleep(0.005)
                    client.close()
                    arrived = arrivals(directory, count + len(stored))
                    delays += [1000 * (arrived[key] - when)
                               for key, when in stored.items()]
                    times = sorted(arrived.values())
                    rates.append(count / (times[-1] - times[1]))
            print("%-24s %14s %12s %10s" % (
                name, fmt(statistics.median(rates)),
                fmt(max(0, statistics.median(delays))), fmt(max(delays))))


def cpu_seconds(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid):
    return next(int(line.split()[1]) for line in
                open("/proc/%d/status" % pid) if line.startswith("VmRSS:"))


def bench_service(stage, port, rounds, count=5000):
    """From the hand-off to the answer, all that the service does in fair
    weather."""
    systems = Systems(stage)
    url = "http://127.0.0.1:%d/healthy" % port
    with systems.stack:
        dovecot = systems.start("this")
        client = Client(dovecot, url)
        pid = dovecot.service_pid()
        results = []
        for _ in range(rounds):
            before = cpu_seconds(pid)
            for n in range(count):
                client.hand_off([USERS[n % len(USERS)]])
            wait_for(lambda: dovecot.queued() == 0, 60, "the last answers")
            results.append(1000 * (cpu_seconds(pid) - before) / count)
        client.close()
    print("\nCPU of the service for a notification, healthy endpoint, ms")
    print("%-24s %8.3f" % ("this", statistics.median(results)))


def bench_million(stage, rounds, queued=1000000, users=200000, turn=5000):
    """What a hand-off costs with a long queue, over what it does with an empty
    one: an endpoint that is down, so that they are stored and no more."""
    systems = Systems(stage)
    url = "http://127.0.0.1:%d/" % free_port()
    with systems.stack:
        dovecots = {"empty": systems.start("this"),
                    "%d" % queued: systems.start("this")}
        long_queue = dovecots["%d" % queued]
        long_queue.configure(
            "http_notify_queue_limit = %d" % (queued * 2))
        long_queue.reload()
        time.sleep(1)
        hand_off(long_queue, url, queued, users)
        results = {name: [] for name in dovecots}
        for _ in range(rounds * 3):
            for name, dovecot in dovecots.items():
                client = Client(dovecot, url)
                pid = dovecot.service_pid()
                cpu, begin = cpu_seconds(pid), time.monotonic()
                for n in range(turn):
                    client.hand_off(["other%d" % n])
                results[name].append((
                    1000 * (time.monotonic() - begin) / turn,
                    1000 * (cpu_seconds(pid) - cpu) / turn))
                client.close()
        memory = {name: resident_kb(dovecot.service_pid())
                  for name, dovecot in dovecots.items()}
    print("\nA hand-off, one after the other: ms, ms of CPU of the service, "
          "and over an empty queue; memory of the service in kB")
    for name, values in results.items():
        print("%-24s %8.3f %8.3f   %s %s %10d" % (
            name + " queued", *(statistics.median(v[i] for v in values)
                                for i in (0, 1)),
            *(fmt(statistics.median(v[i] / max(e[i], 1e-9) for v, e in
                                    zip(values, results["empty"])))
              for i in (0, 1)), memory[name]))


def main(stage, bare_loop, rounds, picture):
    install(stage)
    rounds = int(rounds)
    port = free_port()
    with endpoint_nginx(port):
        plot(bench_deliveries(stage, port, rounds), picture)
        bench_large_inbox(stage, port, rounds)
        bench_service(stage, port, rounds)
    bench_arrival(stage, rounds)
    bench_drain(stage, bare_loop, rounds)
    bench_isolation(stage, rounds)
    bench_tenants(stage, rounds)
    bench_backlog(stage, rounds)
    bench_million(stage, rounds)


if __name__ == "__main__":
    main(*sys.argv[1:])
