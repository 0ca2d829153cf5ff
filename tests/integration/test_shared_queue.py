# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue in PostgreSQL, for one host and for several."""

import collections
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, driver, running_dovecot
from harness.config import PATIENT as PATIENT_HANDOFF
from harness.doveadm import doveadm, failed_check, rows
from harness.dovecot import free_port, message, wait_for
from harness.endpoint import Endpoint
from harness.faults import network_namespace, service_stopped
from harness.pgbouncer import pgbouncer
from harness.postgresql import USER
from harness.shared_queue import refusing, shared_queue
from harness.shared_site import PATIENT, longest_delivery

UNIT = BUILD / "tests/unit"
USERS = ["user%d" % number for number in range(24)]


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
        "http_notify.host, http_notify.announced, "
        "http_notify.announced_log, http_notify.message"))
    return shared_database


def patient(endpoint, **options):
    """Settings for tests of what is stored, and of how often it is sent: a busy
    machine may keep the service and the endpoint from answering for seconds."""
    return driver(endpoint, timeout_msecs=30000, **options), PATIENT_HANDOFF


@contextlib.contextmanager
def host(database, endpoint, *lines, **kwargs):
    with running_dovecot(*patient(endpoint), *database.settings, *lines,
                         **kwargs) as dovecot:
        yield dovecot


def register(dovecot, users=USERS):
    dovecot.register({user: "user=%s@1" % user[4:] for user in users})


def errors(dovecot):
    """In the log, but for the database's being slower than a delivery may wait:
    a busy machine's is."""
    return [line for line in dovecot.log_lines("Error:")
            if "no answer in time" not in line]


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
    """One after the other, by a thread, until the end of the block; and as
    many for one who is not registered, for comparison."""

    def __init__(self, dovecot, pause=0.005):
        self.dovecot, self.pause = dovecot, pause
        self.count, self.longest, self.machine = 0, 0, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped.wait(self.pause):
            self.machine = max(self.machine, self.dovecot.deliver(
                "unregistered", message()))
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

    def assert_none_has_waited(self):
        assert self.longest < longest_delivery(self.machine)


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
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        assert dovecot.queued() == 0
        assert not errors(dovecot)


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
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
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
        # once a spell, of which a busy machine may make several
        wait_for(lambda: len(dovecot.log_lines(
            "Storing notifications on this host until")) == len(
                dovecot.log_lines("Storing notifications in PostgreSQL again")),
                 PATIENT, "the end of each spell")
        assert not dovecot.log_lines("Notification lost")
        assert not dovecot.log_lines("Notification not confirmed")
        deliveries.assert_none_has_waited()
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        assert dovecot.queued() == 0
        assert len({r.key for r in endpoint.delivered}) == deliveries.count
        assert_in_order(endpoint.delivered)
        # what was in flight when the server went away
        assert repeats(endpoint.delivered) <= 50


def test_queue_of_a_host_is_moved(database, other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(*patient(endpoint)) as dovecot:
        register(dovecot)
        endpoint.stop()
        for _ in range(10):
            for user in USERS:
                deliver(dovecot, user)
        assert dovecot.queued() == 10 * len(USERS)
        dovecot.stop()
        dovecot.configure(*patient(endpoint), *database.settings)
        dovecot.start()
        for user in USERS:
            deliver(dovecot, user)
        wait_for(lambda: database.count() == 11 * len(USERS), PATIENT,
                 "all to be in the database")
        wait_for(lambda: dovecot.queued() == 0, PATIENT,
                 "none to be here")
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
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        # the whole host
        for pid in two.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        two.process.wait()
        two.process = None
        for user in USERS:
            deliver(one, user)
        delivered = time.monotonic()
        endpoint.wait(total + len(USERS), PATIENT)
        assert time.monotonic() - delivered < 15
        wait_for_slots(database, 128, 128)
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
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

        def is_said():
            said = [one.doveadm("http-notify", "test", "-u", user, status=None)
                    for user in USERS]
            return 0 < sum("another host sends it" in text
                           for text in said) < len(USERS)
        # a busy machine may have the host store some itself for a while
        wait_for(is_said, PATIENT, "both to send")
        wait_for(lambda: database.count() == 0, PATIENT, "all to be sent")


def test_copy_of_a_host_leaves_it_alone(database, endpoint):
    """Its disk was cloned. Both would end each other's sessions."""
    with host(database, endpoint) as one, host(database, endpoint) as two:
        for dovecot in one, two:
            register(dovecot)
        two.stop()
        identity = "http-notify/host"
        files = [dovecot.queue_path.parent / "host" for dovecot in (one, two)]
        copied = files[1].read_text()
        files[1].write_text(files[0].read_text())
        wait_for_slots(database, 256)
        two.start()
        two.wait_log("PostgreSQL can't be used", "from 127.0.0.1, has the "
                     "identity of this host", str(files[1]), timeout=PATIENT)
        deliver(two, USERS[0])
        deliver(one, USERS[1])
        assert [r.body["user"] for r in endpoint.wait(1, PATIENT)] == [
            "1@1"]
        row = total(two)
        assert (row["queue"], row["spooled"]) == ("spooling", 1)
        assert identity in row["last_error"]
        assert len(two.log_lines("identity")) == 2
        assert not errors(one)
        two.stop()
        files[1].write_text(copied)
        two.start()
        wait_for_slots(database, 128, 128)
        deliver(two, USERS[2])
        assert {r.body["user"] for r in endpoint.wait(3, PATIENT)} == {
            "0@1", "1@1", "2@1"}
        assert not errors(one)


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
            delivered = time.monotonic()
            endpoint.wait(len(USERS), PATIENT)
            wait_for_slots(database, 256)
            now = time.monotonic()
            # no sooner than it knows itself
            assert now - vanished > 6
            assert now - delivered < 15
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


def test_password_is_changed_while_running(database, endpoint):
    """In the file first, since then it is asked for at the next connecting."""
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        try:
            database.write_password("andersgeheim")
            database.execute("-c", "ALTER ROLE mailhost PASSWORD "
                             "'andersgeheim'")
            dovecot.deliver("bob", message())
            endpoint.wait(1, PATIENT)
            assert not errors(dovecot)
            # what a failover does
            database.execute("-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'mailhost'"))
            wait_for(lambda: total(dovecot)["queue"] == "up", PATIENT,
                     "the next connection")
            dovecot.deliver("bob", message())
            endpoint.wait(2, PATIENT)
            wait_for_slots(database, 256)
            assert not dovecot.log_lines("password authentication")
            assert "andersgeheim" not in dovecot.log()
        finally:
            database.execute("-c", "ALTER ROLE mailhost PASSWORD 'geheim'")
            database.write_password("geheim")


def test_missing_second_connection_is_logged(database, endpoint):
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        try:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT 1")
            # that of the slots
            database.execute("-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND classid = 1752460035"))
            dovecot.wait_log("Error: This host stores in PostgreSQL, but "
                             "can't send", "too many connections for role",
                             timeout=PATIENT)
            dovecot.deliver("bob", message())
            wait_for(lambda: database.count() == 1, PATIENT, "it to be stored")
            assert len(errors(dovecot)) == 1
        finally:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT -1")
        endpoint.wait(1, PATIENT)
        dovecot.wait_log("This host sends what is in PostgreSQL again",
                         timeout=PATIENT)


def test_missing_second_connection_is_logged_late(database, endpoint):
    """Also if it has failed for long when the first one is made again; and
    check says so, whatever it can do itself."""
    said, log = "can't send", database.server.dir / "log"
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        begin = log.stat().st_size
        try:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT 0",
                             "-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'mailhost'"))
            # longer than it takes the second one to fail that often
            wait_for(lambda: log.read_bytes()[begin:].count(
                b"too many connections for role") >= 14, PATIENT,
                "both to fail")
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT 1")
            dovecot.wait_log("PostgreSQL can be used again", timeout=PATIENT)
            dovecot.wait_log("Error: This host stores in PostgreSQL", said,
                             timeout=PATIENT)
            assert said in failed_check(dovecot)["PostgreSQL hosts"]
        finally:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT -1")
        wait_for(lambda: "PostgreSQL hosts" not in failed_check(dovecot),
                 PATIENT, "its end")
        assert len(dovecot.log_lines("This host stores in PostgreSQL")) == 1


def test_host_without_slots_tells_the_others(database, endpoint):
    """It does not know who sends what it stores."""
    with host(database, endpoint) as one, host(database, endpoint) as two:
        register(two)
        wait_for_slots(database, 128, 128)
        try:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT 3")
            database.execute("-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "JOIN pg_stat_activity USING (pid) "
                "WHERE locktype = 'advisory' AND classid = 1752460035 "
                "AND client_port IN (%s)" % ", ".join(
                    map(str, ports_of(two.service_pid())))))
            wait_for_slots(database, 256)
            with database.server.session("LISTEN http_notify_0;",
                                         database="http_notify") as listener:
                deliver(two, USERS[0])
                wait_for(lambda: database.count("part") == 1, PATIENT,
                         "it to be stored")
                endpoint.wait(1, PATIENT)
                # it shows what it has been told before
                said = listener.communicate("SELECT;\n")[0]
            number = database.execute("-c", "SELECT id FROM http_notify.part")
            assert '"http_notify_0" with payload "%d:' % int(number) in said
        finally:
            database.execute("-c", "ALTER ROLE mailhost CONNECTION LIMIT -1")


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


def total(dovecot):
    return rows(dovecot, "status", "-H", ".")[-1]


def test_status_says_what_is_stored_here(database, other_endpoint):
    endpoint = other_endpoint
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        row = total(dovecot)
        assert (row["queue"], row["spooled"], row["last_error"]) == (
            "up", 0, "")
        endpoint.stop()
        database.server.stop()
        for _ in range(3):
            dovecot.deliver("bob", message())
        dovecot.wait_log("Storing notifications on this host until")

        def assert_spooling():
            of_endpoint, row = rows(dovecot, "status", "-H", ".")
            for each in of_endpoint, row:
                assert (each["queued"], each["spooled"]) == (3, 3)
                assert each["queued_bytes"] > 300
            assert row["queue"] == "spooling"
            assert 0 <= row["queue_since"] < PATIENT
        assert_spooling()
        wait_for(lambda: "Connection refused; Is the server" in
                 total(dovecot)["last_error"], PATIENT, "another connection")
        # they are of the same spell
        assert len(dovecot.log_lines("Error: PostgreSQL")) == 1
        dovecot.stop()
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        wait_for(lambda: total(dovecot)["spooled"] == 4, what="all")
        # of another process
        dovecot.wait_log("Storing notifications on this host until", count=2,
                         timeout=PATIENT)
        moving = "Moving to PostgreSQL what is stored on this host"
        assert not dovecot.log_lines(moving)
        database.server.start()
        wait_for(lambda: total(dovecot)["queue"] == "up", PATIENT,
                 "an empty spool")
        assert len(dovecot.log_lines(moving)) == 1
        of_endpoint, row = rows(dovecot, "status")
        for each in of_endpoint, row:
            assert (each["queued"], each["spooled"]) == (4, 0)
        assert row["last_error"] == ""
        endpoint.start()
        assert [r.uid for r in endpoint.wait(5, PATIENT)] == [1, 2, 3, 4, 5]


def test_delivery_right_after_the_start(database, endpoint):
    """It takes a moment until PostgreSQL can be used: that is no error."""
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for uid in 1, 2, 3:
            dovecot.deliver("bob", message())
            assert endpoint.wait(uid, PATIENT)[-1].uid == uid
            dovecot.stop()
            dovecot.start()
        assert not errors(dovecot)


def test_other_tables_end_the_service(database, endpoint):
    """Made anew, or of a server that has not got what was stored last."""
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        database.execute("-c", "UPDATE http_notify.part SET last = 0")
        database.execute("-c", (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'mailhost'"))
        dovecot.wait_log("Fatal", "tables are others than before",
                         timeout=PATIENT)
        dovecot.deliver("bob", message())
        assert endpoint.wait(2, PATIENT)[1].uid == 2


def test_lost_is_sent_to_another_endpoint(database, endpoint, other_endpoint):
    other_endpoint.status = 503
    with running_dovecot(*patient(other_endpoint, max_retries=0),
                         *database.settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        wait_for(lambda: database.count("lost") == 1, PATIENT,
                 "it to be given up")
        dovecot.stop()
        dovecot.configure(*patient(endpoint), *database.settings)
        dovecot.start()
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        right, = (row["endpoint"] for row in rows(dovecot, "status")
                  if ":%d/" % endpoint.port in row["endpoint"])
        doveadm(dovecot, "lost", "resend", "-u", "*", "--to", right)
        assert [r.uid for r in endpoint.wait(2, PATIENT)] == [2, 1]
        assert endpoint.delivered[1].key == other_endpoint.attempts[0].key
        assert database.count("lost") == 0
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")


def catch_up(dovecot, *args):
    return [(row["username"], row["uid"]) for row in rows(
        dovecot, "catch-up", "--since", "1h", *args)]


def lose(dovecot, user):
    with service_stopped(dovecot):
        dovecot.deliver(user, message())


def test_catch_up_knows_what_other_hosts_announced(database, endpoint):
    """Both have the same mail."""
    with host(database, endpoint) as one, host(database, endpoint) as two:
        for dovecot in one, two:
            dovecot.setmetadata("bob", "user=3@1")
        one.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        lose(one, "bob")
        uidvalidity = endpoint.delivered[0].body["imap-uidvalidity"]
        copy_mail(one, two, "bob")
        assert catch_up(two, "-u", "bob", "-n") == [("bob", 2)]
        assert catch_up(two, "-u", "bob") == [("bob", 2)]
        assert endpoint.wait(2, PATIENT)[1].uid == 2
        assert endpoint.delivered[1].body["imap-uidvalidity"] == uidvalidity
        assert catch_up(one, "-u", "bob") == []
        assert catch_up(two, "-u", "bob") == []


def copy_mail(source, target, user):
    """The user's, with all UIDs."""
    target_home = target.dir / "home" / user
    shutil.rmtree(target_home, ignore_errors=True)
    # with its owners
    subprocess.run(["cp", "-a", source.dir / "home" / user, target_home],
                   check=True)


def test_catch_up_knows_what_waits_on_its_host(database, other_endpoint):
    """And what was announced while that had a queue of its own."""
    endpoint = other_endpoint
    with running_dovecot(*patient(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        dovecot.wait_queue_empty()
        endpoint.stop()
        dovecot.deliver("bob", message())
        dovecot.stop()
        dovecot.configure(*patient(endpoint), *database.settings)
        database.server.stop()
        dovecot.start()
        dovecot.deliver("bob", message())
        lose(dovecot, "bob")
        assert dovecot.queued() == 2
        assert "PostgreSQL can't be used" in dovecot.doveadm(
            "http-notify", "catch-up", "-u", "bob", "-s", "1h", status=None)
        database.server.start()
        wait_for(lambda: database.count() == 2, PATIENT, "all to be moved")
        assert catch_up(dovecot, "-u", "bob", "-n") == [("bob", 4)]


def status(dovecot):
    """Errors that Dovecot logs come after it."""
    found, _ = json.JSONDecoder().raw_decode(doveadm(
        dovecot, "status", status=None, options=("-f", "json")))
    return found


def spells(dovecot):
    return len(dovecot.log_lines("Error: PostgreSQL can't be used"))


def test_other_schema_is_explained(database, endpoint):
    """Also to a service that runs; it goes on when it may."""
    def set_version(version, compatible):
        database.execute("-c", (
            "UPDATE http_notify.version SET version = %d, compatible = %d" % (
                version, compatible)))

    set_version(2, 2)
    try:
        with host(database, endpoint) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            dovecot.wait_log("PostgreSQL can't be used", "version 2, not 1",
                             "upgrade dovecot-http-notify on this host")
            assert dovecot.queued() == 1
            set_version(2, 1)
            endpoint.wait(1, PATIENT)
            wait_for_slots(database, 256)
            set_version(3, 3)
            wait_for(lambda: spells(dovecot) == 2, PATIENT, "it to notice")
            wait_for_slots(database)
            for _ in range(3):
                dovecot.deliver("bob", message())
            assert dovecot.queued() == 3
            set_version(3, 1)
            assert [r.uid for r in endpoint.wait(4, PATIENT)] == [1, 2, 3, 4]
            assert spells(dovecot) == 2
            assert repeats_of_keys(endpoint) == 0
    finally:
        set_version(1, 1)


def repeats_of_keys(endpoint):
    return len(endpoint.delivered) - len({r.key for r in endpoint.delivered})


@pytest.mark.parametrize("spoil, repair, reason", [
    ("REVOKE DELETE ON http_notify.notification FROM http_notify",
     "GRANT DELETE ON http_notify.notification TO http_notify",
     "lacks DELETE on notification (GRANT http_notify TO the role)"),
    ("REVOKE http_notify FROM mailhost", "GRANT http_notify TO mailhost",
     "permission denied for schema http_notify (GRANT http_notify TO"),
    ("REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) FROM public",
     "GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) TO public",
     "lacks EXECUTE on pg_try_advisory_lock(int4,int4) (GRANT that to PUBLIC)"),
    ("ALTER TABLE http_notify.part RENAME TO parts",
     "ALTER TABLE http_notify.parts RENAME TO part",
     '"http_notify.part" does not exist (is it the database of'),
    ("ALTER ROLE mailhost SET default_transaction_read_only = on",
     "ALTER ROLE mailhost RESET default_transaction_read_only",
     "(is it a standby, or has the role default_transaction_read_only?)"),
])
def test_what_is_missing_is_explained_once(database, endpoint, spoil, repair,
                                           reason):
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        database.execute("-c", spoil)
        try:
            database.execute("-c", (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'mailhost'"))
            dovecot.deliver("bob", message())
            # not what the connection was lost for
            dovecot.wait_log("PostgreSQL can't be used", reason,
                             timeout=PATIENT)
            dovecot.deliver("bob", message())
            assert spells(dovecot) == 2
            assert dovecot.queued() == 2
        finally:
            database.execute("-c", repair)
        assert [r.uid for r in endpoint.wait(2, PATIENT)] == [1, 2]
        assert spells(dovecot) == 2


@contextlib.contextmanager
def referred_to(database):
    """By a table of the site's, which keeps what is queued from being
    removed."""
    database.execute("-c", (
        "CREATE TABLE audit (id bigint REFERENCES http_notify.notification); "
        "INSERT INTO audit SELECT id FROM http_notify.notification"))
    try:
        yield
    finally:
        database.execute("-c", "DROP TABLE audit")


@pytest.mark.parametrize("refusal, reason", [
    (referred_to, 'violates foreign key constraint "audit_id_fkey" on table '
     '"audit"'),
    (lambda database: refusing(database, event="DELETE"), "disk_full"),
    (lambda database: refusing(
        database, "RAISE EXCEPTION 'nothing is deleted here'", "DELETE"),
     "nothing is deleted here (by a trigger, of which pgsql/schema-*.sql has "
     "none)"),
])
def test_refused_removal_is_explained_once(database, other_endpoint, refusal,
                                           reason):
    """And what is not removed is not sent again and again."""
    endpoint, log = other_endpoint, database.server.dir / "log"
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        endpoint.stop()
        dovecot.deliver("bob", message())
        wait_for(lambda: database.count() == 1, PATIENT, "it to be stored")
        service, begin = dovecot.service_pid(), log.stat().st_size

        def refused():
            return log.read_bytes()[begin:].count(
                b"STATEMENT:  DELETE FROM http_notify.notification")

        def spell():
            return dovecot.log_lines("Error: PostgreSQL can't be used", reason)

        with refusal(database):
            endpoint.start()
            endpoint.wait(1, PATIENT)
            dovecot.wait_log("PostgreSQL can't be used", reason,
                             timeout=PATIENT)
            dovecot.deliver("bob", message())
            wait_for(lambda: refused() >= 9, PATIENT, "more tries")
            assert len(spell()) == 1
            total, = [row for row in status(dovecot)
                      if row["endpoint"] == "total"]
            assert total["queue"] == "spooling"
            assert reason in total["last_error"]
            assert [r.uid for r in endpoint.delivered] == [1]
        assert [r.uid for r in endpoint.wait(2, PATIENT)] == [1, 2]
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        assert len(spell()) == 1
        assert dovecot.service_pid() == service


def test_removal_that_does_nothing_is_told(database, endpoint):
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        database.execute("-c", (
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN NULL; END $$; "
            "CREATE TRIGGER keep BEFORE DELETE ON http_notify.notification "
            "FOR EACH ROW EXECUTE FUNCTION keep()"))
        try:
            dovecot.deliver("bob", message())
            dovecot.wait_log("Error: PostgreSQL keeps notifications that were "
                             "deleted", timeout=PATIENT)
            dovecot.deliver("bob", message())
            assert [r.uid for r in endpoint.wait(2, PATIENT)] == [1, 2]
        finally:
            database.execute("-c", "DROP FUNCTION keep CASCADE")
        # what is not there any more is not kept
        database.execute("-c", "DELETE FROM http_notify.notification")
        dovecot.deliver("bob", message())
        endpoint.wait(3, PATIENT)
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        assert len(errors(dovecot)) == 1


# What a site may have set for its roles, all at once.
ROLE_SETTINGS = [
    "role = http_notify", "search_path = nowhere", "client_encoding = LATIN1",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on", "standard_conforming_strings = off",
    "bytea_output = escape", "array_nulls = off", "row_security = off",
    "DateStyle = 'SQL, DMY'", "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kathmandu'", "client_min_messages = error",
    "statement_timeout = '500ms'", "lock_timeout = '1ms'",
    "idle_session_timeout = '5s'",
    "idle_in_transaction_session_timeout = '1ms'", "tcp_keepalives_idle = 7200",
    "work_mem = '64kB'", "enable_indexscan = off", "enable_nestloop = off",
]


def test_settings_of_the_role_do_not_matter(database, endpoint):
    log = database.server.dir / "log"
    begin = log.stat().st_size

    def said():
        return log.read_bytes()[begin:].decode()

    try:
        for setting in ROLE_SETTINGS:
            database.execute("-c", "ALTER ROLE mailhost SET " + setting)
        with host(database, endpoint) as one, host(database, endpoint) as two:
            register(one)
            wait_for_slots(database, 128, 128)
            for user in USERS:
                deliver(one, user)
            endpoint.wait(len(USERS), PATIENT)
            wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
            assert not errors(one) + errors(two)
            # sessions that wait are ended by those that come after them
            with refusing(database, "PERFORM pg_sleep(8)"):
                deliver(one, USERS[0])
                one.wait_log("can't be used", "no answer in time",
                             timeout=PATIENT)
                wait_for(lambda: "FATAL" in said(), PATIENT,
                         "the former session's end")
            endpoint.wait(len(USERS) + 1, PATIENT)
            assert "must be a member of" not in said()
            assert repeats(endpoint.delivered) == 0
    finally:
        database.execute("-c", "ALTER ROLE mailhost RESET ALL")


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_pool_that_shares_sessions_is_refused(database, endpoint, mode):
    """Two hosts could have the same advisory lock; and a pool of sessions is
    accepted in its place."""
    port = free_port()
    settings = tuple(line.replace("port=%d" % database.server.port,
                                  "port=%d" % port)
                     for line in database.settings)
    said = ("a pool of connections before it shares its sessions (PgBouncer "
            "needs pool_mode=session")
    with running_dovecot(*patient(endpoint), *settings) as one, \
            running_dovecot(*patient(endpoint), *settings) as two:
        with pgbouncer(database, port, mode):
            for dovecot in (one, two):
                register(dovecot)
                dovecot.wait_log("PostgreSQL can't be used", said,
                                 timeout=PATIENT)
            wait_for(lambda: said in failed_check(one, user=USERS[0]).get(
                "PostgreSQL", ""), PATIENT, "check to say so")
            for dovecot in (one, two):
                deliver(dovecot, USERS[0])
                assert dovecot.queued() == 1
        with pgbouncer(database, port, "session"):
            wait_for_slots(database, 128, 128)
            endpoint.wait(2, PATIENT)
            wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
            assert "PostgreSQL" not in failed_check(one, user=USERS[0])
        assert repeats_of_keys(endpoint) == 0


def test_role_may_do_no_more_than_it_needs(database):
    denied = database.server.run(
        "psql", "-X", "-h", database.server.dir, "-p", database.server.port,
        "-U", "mailhost", "-d", "http_notify", "-c",
        "SELECT has_table_privilege('http_notify.version', 'UPDATE') "
        "OR has_table_privilege('http_notify.tidy', 'DELETE') "
        "OR has_schema_privilege('http_notify', 'CREATE') AS allowed")
    assert " f\n" in denied, USER
