# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue in PostgreSQL, for one host and for several."""

import collections
import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, driver, running_dovecot
from harness.doveadm import EX_TEMPFAIL, doveadm, rows
from harness.dovecot import message, wait_for
from harness.endpoint import Endpoint
from harness.faults import network_namespace
from harness.postgresql import USER
from harness.shared_queue import shared_queue

UNIT = BUILD / "tests/unit"
USERS = ["user%d" % number for number in range(24)]
# what the database's server and its clients need to notice, on a busy machine
PATIENT = 40


@pytest.fixture(scope="module")
def shared_database():
    with shared_queue() as database:
        yield database


@pytest.fixture
def database(shared_database):
    """Empty, and running."""
    if shared_database.server.process is None:
        shared_database.server.start()
    shared_database.server.hang(False)
    shared_database.execute("-c", (
        "TRUNCATE http_notify.notification, http_notify.part, "
        "http_notify.endpoint, http_notify.session, http_notify.lost, "
        "http_notify.host"))
    return shared_database


@contextlib.contextmanager
def host(database, endpoint, *lines, **kwargs):
    with running_dovecot(driver(endpoint), *database.settings, *lines,
                         **kwargs) as dovecot:
        yield dovecot


def register(dovecot, users=USERS):
    dovecot.register({user: "user=%s@1" % user[4:] for user in users})


def wait_for_slots(database, *slots):
    wait_for(lambda: database.slots() == sorted(slots), PATIENT,
             "the hosts' shares")


numbers = itertools.count(1)


def deliver(dovecot, user):
    """Each one has a number of its own, whatever the host."""
    return dovecot.deliver(user, message(subject=str(next(numbers))))


def number_of(request):
    return int(request.body["subject"])


def assert_in_order(requests):
    """Of each user, repeats left out."""
    found = collections.defaultdict(list)
    for request in requests:
        of_user = found[request.body["user"]]
        if number_of(request) not in of_user:
            of_user.append(number_of(request))
    for user, of_user in found.items():
        assert of_user == sorted(of_user), (user, of_user)


def repeats(requests):
    """How many came more than once, each time under the same key."""
    keys = {request.key for request in requests}
    assert len(keys) == len(set(map(number_of, requests)))
    return len(requests) - len(keys)


class Deliveries:
    """One after the other, by a thread, until the end of the block."""

    def __init__(self, dovecot, pause=0.005):
        self.dovecot, self.pause = dovecot, pause
        self.count, self.longest = 0, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped.wait(self.pause):
            user = USERS[self.count % len(USERS)]
            took = deliver(self.dovecot, user)
            self.longest = max(self.longest, took)
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.stopped.set()
        self.thread.join()


@pytest.mark.parametrize("program", ["test-queue-contract",
                                     "test-queue-pgsql"])
def test_engine_keeps_the_contract(database, program):
    subprocess.run(["make", "-s", "-C", UNIT, "check", "TESTS="], check=True)
    # as the cluster's user, who needs no password by the socket
    done = subprocess.run(
        [UNIT / program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", timeout=500,
        env=dict(os.environ, HTTP_NOTIFY_TEST_PGSQL=(
            "host=%s port=%d dbname=http_notify user=mailhost" % (
                database.server.dir, database.server.port))))
    assert done.returncode == 0, done.stdout
    assert "pgsql" in done.stdout or "Running" in done.stdout


def test_delivered_and_removed(database, endpoint):
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(20):
            dovecot.deliver("bob", message())
        assert [r.uid for r in endpoint.wait(20, PATIENT)] == list(
            range(1, 21))
        wait_for(lambda: database.count() == 0, what="an empty queue")
        assert dovecot.queued() == 0
        assert not dovecot.log_lines("Error:")


def test_queued_survives_a_restart(database, other_endpoint):
    endpoint = other_endpoint
    with host(database, endpoint) as dovecot:
        register(dovecot)
        endpoint.stop()
        for _ in range(3):
            for user in USERS:
                deliver(dovecot, user)
        wait_for(lambda: database.count() == 3 * len(USERS), PATIENT,
                 "all to be in the database")
        os.kill(dovecot.service_pid(), signal.SIGKILL)
        deliver(dovecot, USERS[0])
        dovecot.stop()
        endpoint.start()
        dovecot.start()
        deliver(dovecot, USERS[1])
        endpoint.wait(3 * len(USERS) + 2, PATIENT)
        wait_for(lambda: database.count() == 0, what="an empty queue")
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0


@pytest.mark.parametrize("fault", ["stop", "hang"])
def test_database_away_under_deliveries(database, endpoint, fault):
    with host(database, endpoint) as dovecot:
        register(dovecot)
        wait_for_slots(database, 256)
        with Deliveries(dovecot) as deliveries:
            endpoint.wait(50, PATIENT)
            if fault == "stop":
                database.server.stop()
            else:
                database.server.hang()
            time.sleep(8)
            assert dovecot.queued() > 0
            if fault == "stop":
                database.server.start()
            else:
                database.server.hang(False)
            dovecot.wait_log("Storing notifications in PostgreSQL again",
                             timeout=PATIENT)
        endpoint.wait(deliveries.count, PATIENT)
        assert len(dovecot.log_lines("Storing notifications on this host "
                                     "until")) == 1
        assert not dovecot.log_lines("Notification lost")
        assert not dovecot.log_lines("Notification not confirmed")
        # half a second is what mail processes wait
        assert deliveries.longest < 0.6
        wait_for(lambda: database.count() == 0, what="an empty queue")
        assert dovecot.queued() == 0
        assert len({r.key for r in endpoint.delivered}) == deliveries.count
        assert_in_order(endpoint.delivered)
        # what was in flight when the server went away
        assert repeats(endpoint.delivered) <= 50


def test_queue_of_a_host_is_moved(database, other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        register(dovecot)
        endpoint.stop()
        for _ in range(10):
            for user in USERS:
                deliver(dovecot, user)
        assert dovecot.queued() == 10 * len(USERS)
        dovecot.stop()
        dovecot.configure(driver(endpoint), *database.settings)
        dovecot.start()
        for user in USERS:
            deliver(dovecot, user)
        wait_for(lambda: database.count() == 11 * len(USERS), PATIENT,
                 "all to be in the database")
        wait_for(lambda: dovecot.queued() == 0, what="none to be here")
        endpoint.start()
        endpoint.wait(11 * len(USERS), PATIENT)
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0


def test_hosts_share_and_take_over(database, endpoint):
    with host(database, endpoint) as one, host(database, endpoint) as two, \
            host(database, endpoint) as three:
        for dovecot in one, two, three:
            register(dovecot)
        wait_for_slots(database, 85, 85, 86)
        hosts = one, two, three
        for number in range(10 * len(USERS)):
            deliver(hosts[number % 3], USERS[number % len(USERS)])
        total = 10 * len(USERS)
        endpoint.wait(total, PATIENT)
        assert repeats(endpoint.delivered) == 0
        # the whole host
        for pid in two.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        died = time.monotonic()
        two.process.wait()
        two.process = None
        for user in USERS:
            deliver(one, user)
        endpoint.wait(total + len(USERS), PATIENT)
        assert time.monotonic() - died < 15
        wait_for_slots(database, 128, 128)
        wait_for(lambda: database.count() == 0, what="an empty queue")
        assert repeats(endpoint.delivered) == 0
        assert_in_order(endpoint.delivered)


def test_host_without_contact_stops_sending(database, other_endpoint):
    """Its sessions are lost, and others have its slots."""
    endpoint = other_endpoint
    with host(database, endpoint) as one, host(database, endpoint) as two:
        for dovecot in one, two:
            register(dovecot)
        wait_for_slots(database, 128, 128)
        os.kill(two.service_pid(), signal.SIGSTOP)
        try:
            # the server ends what it does not hear of; here by an admin
            database.execute("-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE client_port IN (%s)" % ", ".join(
                    map(str, ports_of(two.service_pid())))))
            wait_for_slots(database, 256)
        finally:
            os.kill(two.service_pid(), signal.SIGCONT)
        wait_for_slots(database, 128, 128)
        for user in USERS:
            deliver(one, user)
            deliver(two, user)
        endpoint.wait(2 * len(USERS), PATIENT)
        assert repeats(endpoint.delivered) == 0


def test_doveadm_test_says_who_sends(database, endpoint):
    with host(database, endpoint) as one, host(database, endpoint) as two:
        for dovecot in one, two:
            register(dovecot)
        wait_for_slots(database, 128, 128)
        # what they notify of
        for user in USERS:
            deliver(one, user)
        said = [one.doveadm("http-notify", "test", "-u", user, status=None)
                for user in USERS]
        other = [text for text in said if "another host sends it" in text]
        assert 0 < len(other) < len(USERS), said
        wait_for(lambda: database.count() == 0, PATIENT, "all to be sent")


def test_vanished_host_is_given_up():
    """No packet of it comes any more, and none says that it is gone."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(network_namespace())
        stack.enter_context(network)
        database = stack.enter_context(shared_queue())
        endpoint = Endpoint()
        stack.callback(endpoint.stop)
        one = stack.enter_context(host(database, endpoint))
        two = stack.enter_context(host(database, endpoint))
        register(one)
        wait_for_slots(database, 128, 128)
        pid = two.service_pid()
        ports = ports_of(pid)
        with network.silence(ports):
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
            vanished = time.monotonic()
            for user in USERS:
                deliver(one, user)
            endpoint.wait(len(USERS), PATIENT)
            wait_for_slots(database, 256)
            took = time.monotonic() - vanished
            # no sooner than it knows itself
            assert 6 < took < 15
        os.kill(pid, signal.SIGCONT)
        wait_for_slots(database, 128, 128)
        for user in USERS:
            deliver(one, user)
        endpoint.wait(2 * len(USERS), PATIENT)
        assert repeats(endpoint.delivered) == 0
        assert_in_order(endpoint.delivered)


def ports_of(pid):
    """Its ends of TCP connections."""
    inodes = {os.readlink(path) for path in
              pathlib.Path("/proc/%d/fd" % pid).iterdir()}
    rows = [line.split() for line in
            pathlib.Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows
            if "socket:[%s]" % row[9] in inodes]


def test_password_is_read_anew(database, endpoint):
    database.write_password("wrong")
    try:
        with host(database, endpoint) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            dovecot.wait_log("PostgreSQL can't be used", "password")
            assert dovecot.queued() == 1
            database.write_password("geheim")
            endpoint.wait(1, PATIENT)
            assert "wrong" not in dovecot.log()
            assert "geheim" not in dovecot.log()
    finally:
        database.write_password("geheim")


def test_full_queue_of_a_host_refuses(database, endpoint):
    """The database is away."""
    with host(database, endpoint, "http_notify_queue_limit = 3") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        database.server.stop()
        pid = dovecot.service_pid()
        for _ in range(5):
            dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost", "queue of this host is full")
        assert dovecot.queued() == 3
        assert "queue of this host is full" in dovecot.doveadm(
            "http-notify", "test", "-u", "bob", status=None)
        assert dovecot.service_pid() == pid
        database.server.start()
        assert [r.uid for r in endpoint.wait(3, PATIENT)] == [1, 2, 3]


def test_other_tables_end_the_service(database, endpoint):
    """Made anew, or of a server that has not got what was stored last."""
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        wait_for(lambda: database.count() == 0, what="an empty queue")
        database.execute("-c", "UPDATE http_notify.part SET last = 0")
        database.execute("-c", (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'mailhost'"))
        dovecot.wait_log("Fatal", "tables are others than before",
                         timeout=PATIENT)
        dovecot.deliver("bob", message())
        assert endpoint.wait(2, PATIENT)[1].uid == 2


def test_lost_is_not_sent_to_another_endpoint(database, endpoint,
                                              other_endpoint):
    """Two hosts could, of which each would store it."""
    other_endpoint.status = 503
    with running_dovecot(driver(other_endpoint, max_retries=0),
                         *database.settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        wait_for(lambda: database.count("lost") == 1, PATIENT,
                 "it to be given up")
        dovecot.stop()
        dovecot.configure(driver(endpoint), *database.settings)
        dovecot.start()
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        right, = (row["endpoint"] for row in rows(dovecot, "status")
                  if ":%d/" % endpoint.port in row["endpoint"])
        assert "hosts share the queue" in doveadm(
            dovecot, "lost", "resend", "-u", "*", "--to", right,
            status=EX_TEMPFAIL)
        assert database.count("lost") == 1
        assert len(endpoint.delivered) == 1


def test_missing_module_is_explained(database, endpoint):
    module = pathlib.Path("/usr/lib/dovecot/modules/http-notify/libpgsql.so")
    away = module.with_suffix(".away")
    module.rename(away)
    try:
        with host(database, endpoint) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            dovecot.wait_log("Queue can't be opened", "pgsql")
            away.rename(module)
            dovecot.wait_log("Queue can be opened again")
            dovecot.deliver("bob", message())
            assert endpoint.wait(1, PATIENT)[0].uid == 2
    finally:
        if away.exists():
            away.rename(module)


def test_other_schema_is_explained(database, endpoint):
    database.execute("-c", "UPDATE http_notify.version SET version = 2")
    try:
        with host(database, endpoint) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            dovecot.wait_log("PostgreSQL can't be used", "version 2, not 1")
            assert dovecot.queued() == 1
            database.execute("-c",
                             "UPDATE http_notify.version SET version = 1")
            endpoint.wait(1, PATIENT)
    finally:
        database.execute("-c", "UPDATE http_notify.version SET version = 1")


def test_role_may_do_no_more_than_it_needs(database):
    denied = database.server.run(
        "psql", "-X", "-h", database.server.dir, "-p", database.server.port,
        "-U", "mailhost", "-d", "http_notify", "-c",
        "SELECT has_table_privilege('http_notify.version', 'UPDATE') "
        "OR has_table_privilege('http_notify.endpoint', 'DELETE') "
        "OR has_schema_privilege('http_notify', 'CREATE') AS allowed")
    assert " f\n" in denied, USER
