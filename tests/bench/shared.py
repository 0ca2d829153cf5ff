# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench.sh measures of the queue in PostgreSQL, which several hosts share:

    shared.py STAGE HANDOFFS ROUNDS [PART...]

PostgreSQL and the hosts, each of them a Dovecot, are on this machine, and so is
the endpoint. PostgreSQL flushes the disk, unless a line says otherwise. Columns
that are compared take turns in one run; ratios are medians over these.
"""

import contextlib
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bench import (BODY, CONNECTIONS, DELIVERIES, NGINX_MAIN,  # noqa: E402
                   Systems, arrivals, cpu_seconds, deliver, deliver_at, fmt,
                   hand_off, resident_kb)
from stalls import Handoffs, start  # noqa: E402
from harness.config import IN_TIME  # noqa: E402
from harness.dovecot import Dovecot, free_port, wait_for  # noqa: E402
from harness.faults import network_namespace  # noqa: E402
from harness.install import install  # noqa: E402
from harness.nginx import nginx  # noqa: E402
from harness.postgresql import postgresql  # noqa: E402
from harness.shared_queue import (NAME, PASSWORD, ROLE,  # noqa: E402
                                  shared_queue)
from harness.shared_site import make_synchronous  # noqa: E402

# what an admin sets for a server that others use, too
SERVER = "fsync=on", "shared_buffers=1GB", "max_wal_size=4GB"
HOSTS = 3
LIMIT = "http_notify_queue_limit = 3000000"
DRAIN = 100000
# an endpoint that answers after this many seconds lets one host drain
# HEALTH_WINDOW_MAX at a time
SLOW, SLOW_DRAIN = 0.05, 30000
STEADY_SECS = 60
OUTAGE_SECS, OUTAGE_RATE = 60, 200
MANY_HOSTS = 1, 3, 10, 30
IDLE_SECS = 20
PARTS_QUEUED = 10240
ROWS_QUEUED = 100000, 1000000

NGINX_HTTP = """
  log_format when escape=none '$msec $http_idempotency_key';
  keepalive_requests 100000000;
  keepalive_timeout 600;
  server {
    listen 127.0.0.1:%d;
    access_log {dir}/when.log when buffer=64k flush=1s;
    location / { return 200 '{"success":true}'; }
    location /slow {
      echo_read_request_body;
      echo_sleep %s;
      echo '{"success":true}';
    }
  }
"""


def endpoint(port):
    return nginx(NGINX_HTTP % (port, SLOW), NGINX_MAIN)


@contextlib.contextmanager
def host(*lines):
    """A Dovecot that is running."""
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        dovecot = Dovecot(directory, STAGE)
        dovecot.configure(LIMIT, IN_TIME, *lines)
        try:
            start(dovecot)
            yield dovecot
        finally:
            dovecot.stop()


def shares(database, count):
    """Until so many hosts have theirs."""
    each, more = divmod(256, count)
    wait_for(lambda: database.slots() == [each] * (count - more) +
             [each + 1] * more, 60, "the hosts' shares")


@contextlib.contextmanager
def hosts_sharing(database, count):
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(host(*database.settings))
                 for _ in range(count)]
        shares(database, count)
        yield hosts


def server_cpu(database):
    """CPU seconds of all processes of PostgreSQL's, those that are gone as
    well."""
    pids = database.server.pids()
    fields = open("/proc/%d/stat" % pids[0]).read().rsplit(")", 1)[1].split()
    gone = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return gone + sum(map(cpu_seconds, pids))


def wal(database):
    return int(database.execute(
        "-c", "SELECT pg_current_wal_insert_lsn() - '0/0'").split(".")[0])


def table_row(name, *values):
    print("%-44s %s" % (name, " ".join(
        "%10s" % (value if isinstance(value, str) else fmt(value))
        for value in values)), flush=True)


# -- deliveries --

def bench_deliveries(rounds):
    """Each commit waits for the disk with all of these but two."""
    port = free_port()
    systems = Systems(STAGE)
    url = "http://127.0.0.1:%d/" % port
    with endpoint(port), systems.stack as stack:
        servers = {name: stack.enter_context(shared_queue(*SERVER, *options))
                   for name, options in (
                       ("PostgreSQL", ()),
                       ("PostgreSQL, synchronous_commit=off",
                        ("synchronous_commit=off",)),
                       ("PostgreSQL, fsync=off", ("fsync=off",)))}
        dovecots = {"no push": systems.start("none"),
                    "SQLite": systems.start("this", url),
                    "SQLite, http_notify_sync=full": systems.start(
                        "this", url, "http_notify_sync = full")}
        for name, database in servers.items():
            dovecots[name] = systems.start("this", url, *database.settings)
            shares(database, 1)
        results = {name: [] for name in dovecots}
        for _ in range(rounds * 2):
            for name, dovecot in dovecots.items():
                results[name].append(deliver(dovecot, DELIVERIES))
    print("\nDelivery by LMTP, %d connections, %d turns: p50 in ms, "
          "deliveries/s, and both over no push" % (CONNECTIONS, rounds * 2))
    for name, values in results.items():
        table_row(name, *(statistics.median(v[i] for v in values)
                          for i in (0, 1)),
                  *("%.3f" % statistics.median(
                      v[i] / n[i] for v, n in zip(values, results["no push"]))
                    for i in (0, 1)))


# -- storing --

PGBENCH_TABLE = """
CREATE SCHEMA bench AUTHORIZATION %s;
SET ROLE %s;
CREATE TABLE bench.notification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session bytea,
    seq bigint, created bigint, expires bigint, attempts bigint,
    username bytea, folder bytea, uid bigint, body bytea);
""" % (ROLE, ROLE)
PGBENCH = """
\\set seq random(1, 100000000)
INSERT INTO bench.notification (session, seq, created, expires, attempts,
    username, folder, uid, body) VALUES ('0123456789abcdef', :seq,
    1795312849, 1795399249, 0, 'user123', 'INBOX', 1, '%s');
""" % BODY


def pgbench(database, clients, seconds):
    """Rows/s."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PGBENCH)
        script.flush()
        os.chmod(script.name, 0o644)
        said = subprocess.run(
            [database.server.bin / "pgbench", "-n", "-M", "prepared",
             "-c", str(clients), "-j", "2", "-T", str(seconds), "-f",
             script.name, "-h", "127.0.0.1", "-p", str(database.server.port),
             "-U", ROLE, NAME], check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, encoding="ascii",
            env=dict(os.environ, PGPASSWORD=PASSWORD)).stdout
    return float(re.search(r"^tps = ([\d.]+)", said, re.M).group(1))


def handoffs(hosts, clients, seconds, url="http://127.0.0.1:1/"):
    """Stored/s, p50 and p99 in ms. url: of an endpoint, which is down if not
    said otherwise."""
    said = subprocess.run(
        [HANDOFFS, str(seconds), str(clients), url, BODY,
         *(str(dovecot.dir / "run/http-notify") for dovecot in hosts)],
        check=True, stdout=subprocess.PIPE, encoding="ascii").stdout
    return tuple(map(float, said.split()))


def bench_stored(rounds, clients=64, seconds=3):
    with contextlib.ExitStack() as stack:
        databases = {name: stack.enter_context(shared_queue(*SERVER, option))
                     for name, option in (("", "fsync=on"),
                                          (", fsync=off", "fsync=off"))}
        sqlite = [stack.enter_context(host()) for _ in range(HOSTS)]
        turns = {"SQLite, %d hosts" % HOSTS:
                 lambda: handoffs(sqlite, clients, seconds)}
        for name, database in databases.items():
            database.execute("-c", PGBENCH_TABLE)
            hosts = stack.enter_context(hosts_sharing(database, HOSTS))
            # parts are made once
            handoffs(hosts, clients, seconds)
            for number in (HOSTS, 1):
                turns["PostgreSQL%s, %d hosts" % (name, number)] = (
                    lambda hosts=hosts[:number]: handoffs(hosts, clients,
                                                          seconds))
            turns["pgbench%s, single rows" % name] = (
                lambda database=database: (
                    pgbench(database, clients, seconds),))
        results = {name: [] for name in turns}
        for _ in range(rounds):
            for name, turn in turns.items():
                results[name].append(turn())
    print("\nStored by %d connections together, in a second; p50 and p99 of "
          "one, ms" % clients)
    for name, values in results.items():
        table_row(name, *(statistics.median(v) for v in zip(*values)))
    for name in databases:
        table_row("  PostgreSQL%s over pgbench" % name, "%.3f" %
                  statistics.median(ours[0] / bench[0] for ours, bench in zip(
                      results["PostgreSQL%s, %d hosts" % (name, HOSTS)],
                      results["pgbench%s, single rows" % name])))


def bench_standby(rounds, seconds=3):
    """It is on the same disk."""
    with shared_queue(*SERVER) as database, \
            postgresql(*SERVER, copy_of=database.server), \
            hosts_sharing(database, HOSTS) as hosts:
        make_synchronous(database.server)
        handoffs(hosts, 64, seconds)
        print("\nStored where PostgreSQL has a standby, by synchronous_commit "
              "and by so many connections together: in a second, p50 and p99 "
              "of one, ms, and p50 over local")
        results = {}
        for _ in range(rounds):
            for level in "local", "on", "remote_apply":
                database.execute(
                    "-c", "ALTER SYSTEM SET synchronous_commit = " + level,
                    "-c", "SELECT pg_reload_conf()")
                for clients in 1, 64:
                    results.setdefault((clients, level), []).append(
                        handoffs(hosts, clients, seconds))
        if any(dovecot.log_lines("on this host until") for dovecot in hosts):
            print("On a machine that is too busy: some were stored by SQLite.")
        for (clients, level), values in sorted(results.items()):
            table_row("%d, %s" % (clients, level),
                      *(statistics.median(v) for v in zip(*values)),
                      "%.3f" % statistics.median(
                          v[1] / local[1] for v, local in zip(
                              values, results[clients, "local"])))


def bench_steady(rounds, clients=9):
    """As much as is sent as soon as it is stored, for long enough that
    PostgreSQL's vacuum has had to begin."""
    port = free_port()
    with endpoint(port), shared_queue(*SERVER) as database, \
            hosts_sharing(database, HOSTS) as hosts:
        url = "http://127.0.0.1:%d/" % port
        handoffs(hosts, clients, 3, url)
        pids = [dovecot.service_pid() for dovecot in hosts]
        before = (sum(map(cpu_seconds, pids)), server_cpu(database),
                  wal(database))
        rate, p50, p99 = handoffs(hosts, clients, STEADY_SECS, url)
        wait_for(lambda: database.count() == 0, 60, "all to be sent")
        after = (sum(map(cpu_seconds, pids)), server_cpu(database),
                 wal(database))
        service, server, log = ((a - b) / (rate * STEADY_SECS)
                                for a, b in zip(after, before))
        print("\nStored and sent for %d s, by %d hosts with %d connections: "
              "notifications/s, p50 and p99 of a hand-off, ms; CPU of one, of "
              "the services and of PostgreSQL, ms; bytes of WAL for each; the "
              "table's size, MB" % (STEADY_SECS, HOSTS, clients))
        table_row("", rate, p50, p99, "%.3f" % (1000 * service),
                  "%.3f" % (1000 * server), str(int(log)),
                  int(database.execute("-c", (
                      "SELECT pg_total_relation_size("
                      "'http_notify.notification')"))) / 1024**2)


# -- draining --

class Drain:
    """What hosts send of what was queued while the endpoint was down."""

    def __init__(self, hosts, path, count, database=None):
        port = free_port()
        url = "http://127.0.0.1:%d%s" % (port, path)
        # in hundreds
        each = count // len(hosts) // 100 * 100
        count = each * len(hosts)
        for dovecot in hosts:
            hand_off(dovecot, url, each)
        if database is not None:
            wait_for(lambda: database.count() == count, 20, "all to be there")
        time.sleep(1)
        pids = [dovecot.service_pid() for dovecot in hosts]
        service = sum(map(cpu_seconds, pids))
        server = server_cpu(database) if database is not None else 0
        log = wal(database) if database is not None else 0
        with endpoint(port) as directory:
            for dovecot in hosts:
                dovecot.doveadm("http-notify", "flush")
            times = sorted(arrivals(directory, count).values())
        if database is not None:
            wait_for(lambda: database.count() == 0, 20, "their removal")
            self.wal = (wal(database) - log) / count
        self.rate = count / (times[-1] - times[0])
        # of one notification, in ms
        self.service = 1000 * (sum(map(cpu_seconds, pids)) - service) / count
        self.server = 1000 * (server_cpu(database) - server) / count if (
            database is not None) else 0


def bench_drain(rounds):
    for path, count, name in (
            ("/", DRAIN, "at once"),
            ("/slow", SLOW_DRAIN, "after %d ms" % (1000 * SLOW))):
        results = {}

        def turn(name, *args):
            results.setdefault(name, []).append(Drain(*args))
        with shared_queue(*SERVER) as database:
            for _ in range(rounds):
                with host() as one:
                    turn("SQLite", [one], path, count)
                for number in 1, HOSTS:
                    with hosts_sharing(database, number) as hosts:
                        turn("PostgreSQL, %d host%s" % (
                            number, "s" if number > 1 else ""), hosts, path,
                            count, database)
        one = results["PostgreSQL, 1 host"]
        print("\nDraining %d, by an endpoint that answers %s: "
              "notifications/s, over one host; CPU of a notification, ms: of "
              "the services, of PostgreSQL" % (count, name))
        for name, drains in results.items():
            table_row(name, statistics.median(d.rate for d in drains),
                      statistics.median(d.rate / o.rate
                                        for d, o in zip(drains, one)),
                      *("%.3f" % statistics.median(
                          getattr(d, what) for d in drains)
                        for what in ("service", "server")))


# -- takeover --

def delays(directory, client):
    """From the hand-off to the arrival, s, after the first second."""
    time.sleep(1.5)
    found = []
    for line in (directory / "when.log").read_text().splitlines():
        when, key = line.split()
        begun = client.begun.get(key.strip('"'))
        if begun is not None:
            found.append(float(when) - begun)
    return found


def takeover(database, port, directory, vanish):
    """The longest delay, how many came, and how often one came again."""
    with hosts_sharing(database, 2) as (one, two), vanish(two) as go:
        client = Handoffs(one, "http://127.0.0.1:%d/" % port)
        client.start()
        time.sleep(1)
        go()
        wait_for(lambda: database.slots() == [256], 30, "the takeover")
        time.sleep(1)
        client.end()
        found = delays(directory, client)
        return max(found), len(client.took), len(found) - len(client.took)


@contextlib.contextmanager
def killed(dovecot):
    def go():
        for pid in dovecot.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        dovecot.process.wait()
        dovecot.process = None
    yield go


def ports_of(pid):
    """Its ends of TCP connections."""
    inodes = {os.readlink(path) for path in
              pathlib.Path("/proc/%d/fd" % pid).iterdir()}
    rows = [line.split() for line in pathlib.Path(
        "/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows
            if "socket:[%s]" % row[9] in inodes]


def bench_takeover(rounds):
    with network_namespace() as network, network, \
            shared_queue(*SERVER) as database:
        port = free_port()

        @contextlib.contextmanager
        def vanished(dovecot):
            pid = dovecot.service_pid()
            with contextlib.ExitStack() as stack:
                def go():
                    stack.enter_context(network.silence(ports_of(pid)))
                    os.kill(pid, signal.SIGSTOP)
                    stack.callback(os.kill, pid, signal.SIGCONT)
                yield go
        print("\nA host of two is gone, and another one hands off each 2 ms: "
              "longest delay, s, of %d times; handed off, and sent twice" %
              rounds)
        for name, way in (("kill -9 of all of it", killed),
                          ("vanished, no packet says so", vanished)):
            found = []
            for _ in range(rounds):
                with endpoint(port) as directory:
                    found.append(takeover(database, port, directory, way))
            table_row(name, max(longest for longest, _, _ in found),
                      str(sum(count for _, count, _ in found)),
                      str(sum(twice for _, _, twice in found)))


# -- PostgreSQL is away --

def bench_outage(rounds):
    port = free_port()
    systems = Systems(STAGE)
    with endpoint(port) as directory, systems.stack as stack:
        database = stack.enter_context(shared_queue(*SERVER))
        dovecot = systems.start("this", "http://127.0.0.1:%d/" % port,
                                *database.settings)
        shares(database, 1)
        time.sleep(2)
        before = (directory / "when.log").read_bytes().count(b"\n")

        def away():
            time.sleep(5)
            database.server.stop()
            time.sleep(OUTAGE_SECS)
            database.server.start()
        thread = threading.Thread(target=away)
        thread.start()
        seconds, _ = deliver_at(dovecot, 10**9, CONNECTIONS / OUTAGE_RATE,
                                OUTAGE_SECS + 15)
        thread.join()
        wait_for(lambda: database.count() == 0 and dovecot.queued() == 0, 60,
                 "all to be sent")
        time.sleep(1.5)
        keys = [line.split()[1] for line in (
            directory / "when.log").read_text().splitlines()[before:]]
    seconds.sort()
    print("\nPostgreSQL stopped for %d s under %d deliveries/s: deliveries, "
          "not announced, announced twice; p50, longest and those over "
          "0.1 s: ms" % (OUTAGE_SECS, OUTAGE_RATE))
    table_row("", str(len(seconds)), str(len(seconds) - len(set(keys))),
              str(len(keys) - len(set(keys))),
              1000 * statistics.median(seconds), 1000 * seconds[-1],
              str(sum(s > 0.1 for s in seconds)))


# -- sizes --

def bench_sizes(rounds):
    """Of what is queued, and of what a notification costs."""
    with shared_queue(*SERVER) as database, \
            hosts_sharing(database, 1) as (one,):
        memory = resident_kb(one.service_pid())
        log = wal(database)
        hand_off(one, "http://127.0.0.1:1/", DRAIN)
        wait_for(lambda: database.count() == DRAIN, 20, "all to be there")
        print("\nSizes, with %d queued by 100 at a time; the body has %d "
              "bytes" % (DRAIN, len(BODY)))
        table_row("bytes of a row, of its index, of WAL", *(
            str(int(size) // DRAIN) for size in (
                *database.execute("-c", (
                    "SELECT pg_table_size(n), pg_indexes_size(n) FROM "
                    "(SELECT 'http_notify.notification'::regclass) AS t (n)"
                )).strip().split("|"), wal(database) - log)))
        table_row("memory of the service, empty and now, kB", str(memory),
                  str(resident_kb(one.service_pid())))
        table_row("connections of a host", database.execute("-c", (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'http-notify'")).strip())
        one.doveadm("http-notify", "purge", "-u", "*")
        wait_for(lambda: database.count() == 0, 60, "their removal")
        bench_wal(database, one)


def bench_wal(database, one, count=2000):
    """One notification at a time, from its hand-off to its removal."""
    port = free_port()
    with endpoint(port):
        url = "http://127.0.0.1:%d/" % port
        hand_off(one, url, DRAIN // 100)    # parts are made
        wait_for(lambda: database.count() == 0, 20, "their removal")
        database.execute("-c", "CHECKPOINT")
        for _ in range(2):
            log, cpu = wal(database), server_cpu(database)
            service = cpu_seconds(one.service_pid())
            handoff = Handoffs(one, url)
            handoff.start()
            wait_for(lambda: len(handoff.took) >= count, 60, "hand-offs")
            handoff.end()
            wait_for(lambda: database.count() == 0, 20, "their removal")
            done = len(handoff.took)
            table_row("one at a time: bytes of WAL in its life",
                      str((wal(database) - log) // done))
            table_row("  CPU of the service, of PostgreSQL, ms",
                      1000 * (cpu_seconds(one.service_pid()) - service) / done,
                      1000 * (server_cpu(database) - cpu) / done)
            table_row("  a hand-off: p50, p99.9, longest gap, ms",
                      *handoff.figures())


# -- many hosts, and many rows --

LOGGED = "log_min_duration_statement=0", "log_line_prefix="
DURATION = re.compile(r"duration: ([\d.]+) ms  (\w+) (\w+): (.*)")


def statements(database, begin):
    """Executed since then, a part of the server's log: (ms, text)."""
    return [(float(match.group(1)), match.group(4)) for match in
            DURATION.finditer((database.server.dir / "log").read_text()[begin:])
            if match.group(2) == "execute"]


def log_size(database):
    return len((database.server.dir / "log").read_text())


def bench_idle(rounds):
    print("\nHosts that do nothing: statements/s and CPU of PostgreSQL, %, "
          "for each; CPU of its service, %; a look at the locks, ms")
    for count in MANY_HOSTS:
        with shared_queue(*SERVER) as database, \
                hosts_sharing(database, count) as hosts:
            # what follows a change of the shares
            time.sleep(8)
            cpu = server_cpu(database)
            services = [cpu_seconds(h.service_pid()) for h in hosts]
            time.sleep(IDLE_SECS)
            cpu = (server_cpu(database) - cpu) / IDLE_SECS / count
            service = statistics.mean(
                (cpu_seconds(h.service_pid()) - before) / IDLE_SECS
                for h, before in zip(hosts, services))
            database.execute("-c", "ALTER SYSTEM SET "
                             "log_min_duration_statement = 0",
                             "-c", "SELECT pg_reload_conf()")
            begin = log_size(database)
            time.sleep(IDLE_SECS)
            done = statements(database, begin)
            beats = [ms for ms, text in done if "pg_locks" in text]
            table_row("%d" % count, len(done) / IDLE_SECS / count,
                      "%.3f" % (100 * cpu), "%.3f" % (100 * service),
                      "%.3f" % statistics.median(beats))


FILL = """
INSERT INTO http_notify.endpoint (key, options)
    SELECT convert_to('http://127.0.0.1:1/?' || n, 'utf8'),
	convert_to(E'url=http://127.0.0.1:1/?' || n, 'utf8')
    FROM generate_series(1, %(endpoints)d) AS n
    WHERE NOT EXISTS (SELECT FROM http_notify.part);
INSERT INTO http_notify.part (endpoint, slot)
    SELECT e.id, s FROM http_notify.endpoint AS e, generate_series(0, 255) AS s
    ON CONFLICT DO NOTHING;
INSERT INTO http_notify.notification (id, session, seq, created, expires,
	attempts, username, folder, uid, mailbox, body)
    SELECT (p.id << 36) + last + n, '0123456789abcdef', n,
	extract(epoch FROM now())::bigint,
	extract(epoch FROM now())::bigint + 86400, 0,
	convert_to('user' || n, 'utf8'), 'INBOX', n, 0,
	convert_to('%(body)s', 'utf8')
    FROM http_notify.part AS p, generate_series(1, %(each)d) AS n;
UPDATE http_notify.part SET last = last + %(each)d;
VACUUM ANALYZE http_notify.notification;
"""


def bench_look(rounds):
    """A host that starts looks at what is queued in its parts."""
    print("\nQueued in %d parts: the looks of a host that starts, longest, ms; "
          "s until it has all slots; memory of its service, MB" % PARTS_QUEUED)
    with shared_queue(*SERVER, *LOGGED) as database:
        queued = 0
        for rows in ROWS_QUEUED:
            for sql in (FILL % {
                    "endpoints": PARTS_QUEUED // 256, "body": BODY,
                    "each": (rows - queued) // PARTS_QUEUED}).split(";\n"):
                database.execute("-c", sql)
            queued = database.count()
            begin, log = time.monotonic(), log_size(database)
            with hosts_sharing(database, 1) as (one,):
                took = time.monotonic() - begin
                wait_for(lambda: any("p.slot = ANY" in text for _, text in
                                     statements(database, log)), 30, "a look")
                time.sleep(5)
                done = statements(database, log)
                looks = [ms for ms, text in done if "RECURSIVE" in text]
                table_row("%d queued" % queued, max(looks), took,
                          resident_kb(one.service_pid()) / 1024)


PARTS = {"deliveries": bench_deliveries, "stored": bench_stored,
         "standby": bench_standby, "steady": bench_steady, "drain": bench_drain,
         "takeover": bench_takeover, "outage": bench_outage,
         "sizes": bench_sizes, "idle": bench_idle, "look": bench_look}


def main(rounds, *parts):
    install(STAGE)
    for name in parts or PARTS:
        PARTS[name](int(rounds))


if __name__ == "__main__":
    STAGE, HANDOFFS = sys.argv[1:3]
    main(*sys.argv[3:])
