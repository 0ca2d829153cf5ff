# SPDX-License-Identifier: LGPL-2.1-or-later
"""What doveadm on one host shows and changes of all that share a queue."""

import contextlib
import json
import os
import signal
import socket
import time

import pytest

from conftest import running_dovecot
from harness.doveadm import EX_NOTFOUND, EX_TEMPFAIL, doveadm, rows
from harness.dovecot import wait_for
from test_shared_queue import (PATIENT, USERS, database, deliver, patient,
                               register, shared_database, wait_for_slots)
from test_watch import watching

__all__ = ["database", "shared_database"]

HERE = socket.gethostname()
# for how long a host sends without an answer of the database's, in seconds
LEASE = 6


class Hosts:
    """Two, of which doveadm runs on one."""

    def __init__(self, database, one, two):
        self.database, self.one, self.two = database, one, two
        self.number = int(database.execute(
            "-c", "SELECT id FROM http_notify.host WHERE name = 'two'"))

    def deliver_to_all(self):
        for number, user in enumerate(USERS):
            deliver((self.one, self.two)[number % 2], user)

    def queue_for_all(self):
        self.deliver_to_all()
        wait_for(lambda: self.database.count() >= len(USERS), PATIENT,
                 "all to be in the database")

    def kill_two(self):
        for pid in self.two.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.two.process.wait()
        self.two.process = None

    def stop_two(self):
        """Its service hangs, until the end of the block."""
        stack = contextlib.ExitStack()
        pid = self.two.service_pid()
        os.kill(pid, signal.SIGSTOP)
        stack.callback(os.kill, pid, signal.SIGCONT)
        return stack

    @contextlib.contextmanager
    def hang_two(self):
        """For longer than it may go on without an answer of the database's. So
        it connects anew at some time after the block, and has its share again
        at the end."""
        session = self.session_of_two()
        with self.stop_two():
            begin = time.monotonic()
            yield
            time.sleep(max(0, begin + LEASE + 1 - time.monotonic()))
        wait_for(lambda: self.session_of_two() not in ("", session), PATIENT,
                 "it to connect anew")
        wait_for_slots(self.database, 128, 128)

    def session_of_two(self):
        """By which it shows that it is there."""
        return self.database.execute("-c", (
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND "
            "classid = 1752460035 AND objid = %d" % self.number))

    def multiply(self, count):
        """The last one of each part."""
        self.database.execute("-c", (
            "INSERT INTO http_notify.notification (id, session, seq, created, "
            "expires, attempts, username, folder, uid, mailbox, body) "
            "SELECT id + i, session, seq + (i::bigint << 32), created, expires, "
            "attempts, username, folder, uid, mailbox, body "
            "FROM http_notify.notification, generate_series(1, %d) AS i "
            "WHERE id IN (SELECT max(id) FROM http_notify.notification "
            "GROUP BY id >> 36)" % count))
        self.database.execute("-c", (
            "UPDATE http_notify.part SET last = last + %d" % count))

    @contextlib.contextmanager
    def changing_messages(self, change):
        """Of all that hosts send, by PL/pgSQL."""
        self.database.execute("-c", (
            "CREATE FUNCTION http_notify.change() RETURNS trigger "
            "LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NEW; END $$" % change))
        try:
            self.database.execute("-c", (
                "CREATE TRIGGER change BEFORE INSERT ON http_notify.message "
                "FOR EACH ROW EXECUTE FUNCTION http_notify.change()"))
            yield
        finally:
            self.database.execute("-c", (
                "DROP FUNCTION http_notify.change() CASCADE"))

    def losing_messages(self, condition):
        return self.changing_messages(
            "IF %s THEN RETURN NULL; END IF" % condition)

    def wait_no_messages(self):
        wait_for(lambda: self.database.count("message") == 0, PATIENT,
                 "no message to be left")

    def queued_by_host(self):
        """How many each has, once they have found all that there are."""
        def found():
            counts[:] = [len(rows(self.one, "queue", "--host", name))
                         for name in (HERE, "two")]
            return sum(counts) == self.database.count()

        counts = []
        wait_for(found, PATIENT, "all to be some host's")
        return counts


@contextlib.contextmanager
def two_hosts(database, endpoint, **options):
    lines = (*patient(endpoint, **options), *database.settings)
    with running_dovecot(*lines) as one, \
            running_dovecot(*lines, hostname="two") as two:
        for dovecot in one, two:
            register(dovecot)
        wait_for_slots(database, 128, 128)
        yield Hosts(database, one, two)


@pytest.fixture
def hosts(database, other_endpoint):
    """Nothing is accepted."""
    other_endpoint.stop()
    with two_hosts(database, other_endpoint) as hosts:
        yield hosts
        hosts.wait_no_messages()
        for dovecot in hosts.one, hosts.two:
            assert not dovecot.log_lines("Panic:")


def test_status_and_queue_are_of_all_hosts(hosts):
    hosts.queue_for_all()
    for dovecot in hosts.one, hosts.two:
        queued = rows(dovecot, "queue")
        assert sorted(row["username"] for row in queued) == sorted(USERS)
        wait_for(lambda: rows(dovecot, "status")[0]["queued"] == len(
            USERS), PATIENT, "both hosts to have found theirs")
        status = rows(dovecot, "status")
        assert [row["endpoint"] for row in status] == [
            queued[0]["endpoint"], "total"]
        assert status[1]["queued"] == len(USERS)
        assert status[0]["state"] == "down"
        body, = rows(dovecot, "queue", "--body",
                     str(queued[-1]["id"]))
        assert body["endpoint"] == queued[0]["endpoint"]


def test_host_option_filters(hosts):
    hosts.queue_for_all()
    here, two = hosts.queued_by_host()
    assert here > 0 and two > 0
    assert rows(hosts.one, "status", "--host", "t*")[0]["queued"] == two
    users = {row["username"] for name in (HERE, "two")
             for row in rows(hosts.one, "queue", "--host", name)}
    assert users == set(USERS)
    error = rows(hosts.one, "status")[0]["last_error"]
    assert error.split(": ")[0] in (HERE, "two")
    said = doveadm(hosts.one, "status", "--host", "three", status=EX_NOTFOUND)
    assert HERE in said and "two" in said
    assert doveadm(hosts.one, "purge", "-u", "*", "--host", "two") == \
        "count=%d\n" % two
    assert hosts.database.count() == here


def test_this_host_needs_no_name(hosts):
    hosts.queue_for_all()
    here, two = hosts.queued_by_host()
    assert rows(hosts.one, "status", "-H", ".")[-1]["queued"] == here
    assert rows(hosts.two, "status", "-H", ".")[-1]["queued"] == two
    assert doveadm(hosts.two, "purge", "-u", "*", "-H", ".") == \
        "count=%d\n" % two
    hosts.database.server.stop()
    try:
        hosts.one.wait_log("PostgreSQL can't be used", timeout=PATIENT)
        # nobody else needs to be known
        assert rows(hosts.one, "status", "-H", ".")[-1]["endpoint"] == "total"
    finally:
        hosts.database.server.start()


def test_number_that_is_not_shown_is_no_part_of_a_name(hosts):
    hosts.queue_for_all()
    assert doveadm(hosts.one, "purge", "-e", "* ??") == "count=0\n"
    # another host may show it
    assert len(rows(hosts.one, "queue", "-e", "* #?*")) == len(USERS)


def test_purge_and_flush_are_for_all_hosts(hosts, other_endpoint):
    hosts.queue_for_all()
    hosts.queued_by_host()
    assert int(doveadm(hosts.one, "flush", "--host", "two")[6:]) > 0
    flushed = int(doveadm(hosts.one, "flush")[6:])
    assert flushed > int(doveadm(hosts.one, "flush", "--host", HERE)[6:])
    user = USERS[3]
    assert doveadm(hosts.one, "purge", "-u", user) == "count=1\n"
    assert doveadm(hosts.two, "purge", "-u", "*", "-e", "nowhere") == \
        "count=0\n"
    assert doveadm(hosts.two, "purge", "-u", "*") == \
        "count=%d\n" % (len(USERS) - 1)
    assert hosts.database.count() == 0
    assert rows(hosts.one, "queue") == []


def test_lost_says_which_host_gave_it_up(database, other_endpoint):
    """Also after that has gone for good."""
    other_endpoint.stop()
    with two_hosts(database, other_endpoint, max_age="8s") as hosts:
        def lost(dovecot, *args):
            return {row["username"] for row in rows(dovecot, "lost", *args)}

        hosts.deliver_to_all()
        wait_for(lambda: database.count("lost") == len(USERS), PATIENT,
                 "all to be given up")
        by_host = {name: {row["username"] for row in rows(hosts.one, "lost")
                          if row["host"] == name} for name in (HERE, "two")}
        assert by_host[HERE] | by_host["two"] == set(USERS)
        for users in by_host.values():
            assert 0 < len(users) < len(USERS)
        assert lost(hosts.two, "-H", ".") == by_host["two"]
        hosts.kill_two()
        wait_for_slots(database, 256)
        assert lost(hosts.one, "-H", "t*") == by_host["two"]
        for name in HERE.upper(), ".":
            assert lost(hosts.one, "-H", name) == by_host[HERE]
        said = doveadm(hosts.one, "lost", "--host", "three",
                       status=EX_NOTFOUND)
        assert "No host that shares this queue is called three" in said
        assert HERE in said
        # of a host that is there
        assert lost(hosts.one, "-H", HERE, "-u", "nobody") == set()
        assert doveadm(hosts.one, "lost", "drop", "--host", "two") == \
            "count=%d\n" % len(by_host["two"])
        hosts.one.wait_log("Dropped", "host=two")
        assert lost(hosts.one) == by_host[HERE]
        doveadm(hosts.one, "lost", "drop", "-H", "two", status=EX_NOTFOUND)
        other_endpoint.start()
        assert doveadm(hosts.one, "lost", "resend", "-H", ".") == \
            "count=%d\n" % len(by_host[HERE])
        other_endpoint.wait(len(by_host[HERE]), PATIENT)


def test_watch_shows_all_hosts(database, endpoint):
    with two_hosts(database, endpoint) as hosts:
        with watching(hosts.one) as watch:
            def seen():
                hosts.deliver_to_all()
                found = {line.split("host=")[1].split()[0]
                         for line in watch.lines if "delivered" in line}
                return found == {HERE, "two"}

            wait_for(seen, PATIENT, "deliveries of both")
        with watching(hosts.one, "--host", "two") as watch:
            def seen():
                hosts.deliver_to_all()
                return watch.events("event=delivered")

            wait_for(seen, PATIENT, "deliveries of one")
            assert not any("host=" + HERE in line for line in watch.lines)
        # whoever is not watched any more does not send
        hosts.wait_no_messages()
        wait_for(lambda: database.count() == 0, PATIENT, "all to be sent")


def test_watch_outlives_a_host(hosts):
    process = hosts.one.doveadm_start("http-notify", "watch")
    try:
        # it has begun
        wait_for(lambda: deliver(hosts.two, USERS[0]) is not None and
                 hosts.database.count() > 0, PATIENT, "something")
        time.sleep(1)
        hosts.kill_two()
        # it may have been able to say that it ends, or a part of that
        assert process.stderr.readline().startswith("Error: Host two: ")
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    # what nobody reads any more is deleted
    hosts.database.execute("-c", (
        "UPDATE http_notify.message SET sent = sent - interval '1 hour'"))
    doveadm(hosts.one, "flush", status=None)
    hosts.wait_no_messages()


def test_host_that_hangs_is_named(hosts):
    hosts.queue_for_all()
    here, two = hosts.queued_by_host()
    with hosts.hang_two():
        process = hosts.one.doveadm_start("-f", "json", "http-notify",
                                          "status")
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == EX_TEMPFAIL
        assert "Host two: it does not answer" in stderr
        assert json.loads(stdout)[0]["queued"] == here
        # that is in the database, but what waits there only is not known
        process = hosts.one.doveadm_start("-f", "json", "http-notify", "queue")
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == EX_TEMPFAIL
        assert "Host two: it does not answer" in stderr
        assert len(json.loads(stdout)) == here + two
        # what is not done in time is not done later
        said = doveadm(hosts.one, "purge", "-u", "*", "--host", "two",
                       status=EX_TEMPFAIL)
        assert "Host two: it does not answer" in said
        assert "count" not in said
        # nor is anything left for it but that it has ended
        assert hosts.database.execute("-c", (
            "SELECT count(*) FROM http_notify.message "
            "WHERE kind = 0")).strip() == "0"
    assert hosts.database.count() == here + two
    wait_for(lambda: rows(hosts.one, "status")[0]["queued"] == here + two,
             PATIENT, "it to have found its own again")


def test_purge_says_what_it_can_not_purge(hosts):
    hosts.queue_for_all()
    _, two = hosts.queued_by_host()
    with hosts.hang_two():
        said = doveadm(hosts.one, "purge", "-u", "*", status=EX_TEMPFAIL)
        assert "Host two: it does not answer" in said
        assert "%d notifications that match are still queued" % two in said
    # it comes back with what it had, which has to be found out meanwhile
    assert doveadm(hosts.one, "purge", "-u", "*") == "count=%d\n" % two


def test_purge_leaves_what_is_queued_meanwhile(hosts):
    """Even if it has to try again."""
    hosts.queue_for_all()
    hosts.queued_by_host()
    user = rows(hosts.one, "queue", "--host", HERE)[0]["username"]
    with hosts.hang_two():
        process = hosts.one.doveadm_start("http-notify", "purge", "-u", "*")
        wait_for(lambda: rows(hosts.one, "queue", "-u", user, "-H", ".") == [],
                 PATIENT, "the first try")
        # the clock is in seconds
        time.sleep(1)
        deliver(hosts.one, user)
        process.communicate()
    assert len(rows(hosts.one, "queue", "-u", user)) == 1


def test_purge_waits_for_a_takeover(hosts):
    hosts.queue_for_all()
    hosts.queued_by_host()
    hosts.kill_two()
    doveadm(hosts.one, "purge", "-u", "*", status=None)
    assert hosts.database.count() == 0


def test_lost_part_of_an_answer_is_noticed(hosts):
    with hosts.losing_messages("NEW.kind = 2 AND length(NEW.data) > 0"):
        said = doveadm(hosts.one, "flush", "--host", "two",
                       status=EX_TEMPFAIL)
    assert "Host two: a part of its answer is missing" in said


def test_lost_command_is_noticed(hosts):
    with hosts.losing_messages("NEW.kind = 0"):
        said = doveadm(hosts.one, "flush", "--host", "two",
                       status=EX_TEMPFAIL)
    assert "Host two: it does not know this command: a message to it was " \
        "lost" in said


def test_old_command_is_not_run(hosts):
    """The one who asks has given up by then."""
    hosts.queue_for_all()
    with hosts.changing_messages("NEW.sent := NEW.sent - interval '9 s'"):
        doveadm(hosts.one, "purge", "-u", "*", "--host", "two",
                status=EX_TEMPFAIL)
    assert hosts.database.count() == len(USERS)


def assert_not_purged(hosts, dovecot):
    """Nor later: these commands come after that, and wait for its reads."""
    hosts.wait_no_messages()
    for name in HERE, "two":
        rows(hosts.one, "queue", "--host", name)
    line, = dovecot.wait_log("Purged", timeout=PATIENT)
    assert "Purged 0 notifications" in line
    assert hosts.database.count() == len(USERS)


def test_purge_ends_with_the_asking_host(hosts):
    hosts.queue_for_all()
    hosts.queued_by_host()
    hosts.database.execute("-c", (
        "INSERT INTO http_notify.message "
        "(host, sender, talk, kind, number, data) "
        r"VALUES (%d, 0, 5, 0, 0, 'AT\011%d\011PURGE\011*\011*\012'), "
        "(%d, 0, 5, 3, 0, ''); SELECT pg_notify('http_notify_%d', 'message')"
        % ((hosts.number,) * 4)))
    assert_not_purged(hosts, hosts.two)


def test_purge_ends_with_doveadm(hosts):
    hosts.queue_for_all()
    hosts.queued_by_host()
    # it comes to know both at once
    with hosts.stop_two(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(hosts.two.dir / "run/http-notify-admin"))
        client.send(b"VERSION\thttp-notify-admin\t1\t0\nPURGE\t*\t*\n")
    assert_not_purged(hosts, hosts.two)


def test_many_rows_wait_for_the_reader(hosts):
    hosts.queue_for_all()
    database = hosts.database
    hosts.multiply(1500)
    _, two = hosts.queued_by_host()
    assert two > 1500

    def sent():
        return int(database.execute(
            "-c", "SELECT last_value FROM http_notify.message_id_seq"))

    process = hosts.one.doveadm_start("-f", "flow", "http-notify", "queue",
                                      "--host", "two")
    with process:
        time.sleep(5)
        before = sent()
        assert len(process.stdout.readlines()) == two
        assert process.stderr.read() == ""
    assert process.returncode == 0
    # most of it came when there was somebody to read it
    assert sent() - before > two / 400


def test_hostile_messages_do_no_harm(hosts):
    pid = hosts.one.service_pid()
    other = hosts.number
    this = int(hosts.database.execute("-c", (
        "SELECT id FROM http_notify.host WHERE id <> %d" % other)))
    at = r"AT\t%d\t" % this
    for kind in (-1, 0, 1, 2, 3, 4, 2**62):
        for data in ("", r"\000\001\377\n", r"\n" * 100, at, at + r"STATUS",
                     at + r"STATUS\n" * 3, r"STATUS\n", at + r"SEND\ta\n",
                     at + at + r"STATUS\n", r"AT\t%d\tPURGE\t*\t*\n" % other,
                     at + r"RESEND\t*\t*\t*\t*\t\t0\n"):
            data = data.replace(r"\n", r"\012").replace(r"\t", r"\011")
            hosts.database.execute("-c", (
                "INSERT INTO http_notify.message "
                "(host, sender, talk, kind, number, data) "
                "VALUES (%d, %d, 5, %d, -1, '%s')" % (
                    this, other, kind, data)))
    for size in (128 * 1024, 128 * 1024 + 1, 20 * 1024 * 1024):
        hosts.database.execute("-c", (
            "INSERT INTO http_notify.message "
            "(host, sender, talk, kind, number, data) "
            "VALUES (%d, %d, %d, 0, 0, repeat('x', %d)::bytea)" % (
                this, other, size, size)))
    for payload in ("", "message", "again:1:2:3", "x" * 7000):
        hosts.database.server.execute(
            "-c", "NOTIFY http_notify_%d, '%s'" % (this, payload),
            database="http_notify")
    hosts.wait_no_messages()
    hosts.queue_for_all()
    assert rows(hosts.one, "status")[-1]["endpoint"] == "total"
    assert hosts.one.service_pid() == pid
    assert len(rows(hosts.one, "queue")) >= len(USERS)


def test_too_many_commands_are_refused(hosts):
    watches = [hosts.one.doveadm_start("http-notify", "watch",
                                       "--host", "two") for _ in range(17)]
    try:
        wait_for(lambda: sum(watch.poll() is not None
                             for watch in watches) == 1, PATIENT,
                 "one to be refused")
        refused, = (watch for watch in watches if watch.poll() is not None)
        assert "asked too much" in refused.stderr.read()
    finally:
        for watch in watches:
            watch.terminate()
            watch.communicate()
    wait_for(lambda: doveadm(hosts.one, "flush", "--host", "two",
                             status=None).startswith("count="), PATIENT,
             "the others to have ended")


def test_own_host_is_shown_without_the_database(hosts):
    hosts.queue_for_all()
    hosts.queued_by_host()
    hosts.database.server.stop()
    try:
        hosts.one.wait_log("PostgreSQL can't be used", timeout=PATIENT)
        said = doveadm(hosts.one, "status", status=EX_TEMPFAIL)
        assert "Other hosts can't be asked: PostgreSQL can't be used: " in said
        assert "total" in said
        said = doveadm(hosts.one, "queue", status=EX_TEMPFAIL)
        assert "PostgreSQL can't be used: " in said
    finally:
        hosts.database.server.start()
    wait_for(lambda: "can't" not in doveadm(hosts.one, "status", status=None),
             PATIENT, "both")


def test_own_host_is_shown_while_the_database_hangs(hosts):
    hosts.queue_for_all()
    hosts.queued_by_host()
    hosts.database.server.hang()
    try:
        process = hosts.one.doveadm_start("-f", "json", "http-notify",
                                          "status")
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == EX_TEMPFAIL
        assert "Other hosts can't be asked: PostgreSQL" in stderr
        assert json.loads(stdout)[-1]["endpoint"] == "total"
    finally:
        hosts.database.server.hang(False)
    wait_for(lambda: doveadm(hosts.one, "status", status=None).count("can't")
             == 0, PATIENT, "both")
