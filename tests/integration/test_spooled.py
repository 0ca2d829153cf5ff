# SPDX-License-Identifier: LGPL-2.1-or-later
"""What doveadm shows and changes of notifications that wait on a host only,
since they can't be stored in PostgreSQL, or have to wait until others have been
moved."""

import contextlib
import json
import os
import signal

from harness.doveadm import EX_NOTFOUND, EX_TEMPFAIL, doveadm, rows
from harness.dovecot import message, wait_for
from harness.shared_queue import refusing
from test_one_view import HERE, two_hosts
from test_queue_move import left_behind, moving, wait_for_end
from test_shared_queue import (PATIENT, USERS, assert_in_order, catch_up,
                               database, deliver, host, lose, number_of,
                               register, repeats, shared_database, total)

__all__ = ["database", "shared_database"]


@contextlib.contextmanager
def away(database, fault, *hosts):
    """PostgreSQL, as soon as these have noticed."""
    if fault == "stop":
        database.server.stop()
    else:
        database.server.hang()
    try:
        for dovecot in hosts:
            deliver(dovecot, USERS[0])
            dovecot.wait_log("PostgreSQL can't be used", timeout=PATIENT)
        yield
    finally:
        # unless the block has ended it
        if database.server.process is None:
            database.server.start()
        database.server.hang(False)


def run(dovecot, *args):
    """Returns the exit code, rows, and what is said besides."""
    process = dovecot.doveadm_start("-f", "json", "http-notify", *args)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, json.loads(stdout), stderr


def spooled(dovecot, *args):
    """Of these hosts, by host and user."""
    return sorted((row["spooled"], row["username"])
                  for row in rows(dovecot, "queue", *args) if row["spooled"])


def users_of(dovecot, *args):
    return [json.loads(row["body"])["user"]
            for row in rows(dovecot, "queue", *args)]


def test_shown_and_purged_while_the_database_is_away(database, other_endpoint):
    endpoint = other_endpoint
    endpoint.stop()
    with two_hosts(database, endpoint) as hosts:
        one = hosts.one
        hosts.queue_for_all()
        with away(database, "stop", one):
            for user in USERS[1], USERS[2], USERS[1]:
                deliver(one, user)
            found = rows(one, "queue", "-H", ".")
            assert [(row["username"], row["spooled"], row["attempts"])
                    for row in found] == [
                (USERS[n], HERE, 0) for n in (0, 1, 2, 1)]
            assert all(0 <= row["age"] < PATIENT < row["expires_in"]
                       for row in found)
            assert len(rows(one, "queue", "-H", ".", "-u", USERS[1])) == 2
            assert rows(one, "queue", "-H", ".", "-e", "nowhere") == []
            # what can be shown, and what can't
            status, found, said = run(one, "queue", "-u", USERS[1])
            assert status == EX_TEMPFAIL
            assert "Other hosts can't be asked: PostgreSQL" in said
            assert [row["spooled"] for row in found] == [HERE, HERE]
            # as it will be sent
            body, = rows(one, "queue", "-H", ".",
                         "--body", str(found[1]["id"]))
            subject = json.loads(body["body"])["subject"]
            doveadm(one, "queue", "-H", ".", "--body", "1",
                    status=EX_NOTFOUND)
            assert doveadm(one, "flush", "-H", ".", "-u", USERS[1]) == \
                "count=1\n"

            assert doveadm(one, "purge", "-H", ".", "-u", USERS[2]) == \
                "count=1\n"
            status, counted, said = run(one, "purge", "-u", USERS[0])
            assert status == EX_TEMPFAIL
            assert "Other hosts can't be asked: PostgreSQL" in said
            assert counted == [{"count": 1}]
            row = total(one)
            assert (row["queue"], row["spooled"]) == ("spooling", 2)
            page = doveadm(one, "report", status=EX_TEMPFAIL)
            assert "2 of them on this host only" in page
            assert "can't be read now" in page
            os.kill(one.service_pid(), signal.SIGKILL)
            deliver(one, USERS[3])
            assert spooled(one, "-H", ".") == [
                (HERE, USERS[1])] * 2 + [(HERE, USERS[3])]
        wait_for(lambda: database.count() == len(USERS) + 3, PATIENT,
                 "all to be moved")
        assert spooled(one) == []
        endpoint.start()
        endpoint.wait(len(USERS) + 3, PATIENT)
        keys = {r.key: r.body["subject"] for r in endpoint.delivered}
        assert keys['"%s"' % body["idempotency_key"]] == subject
        assert_in_order(endpoint.delivered)
        wait_for(lambda: database.count() == 0, PATIENT, "an empty queue")
        assert len(set(map(number_of, endpoint.delivered))) == len(USERS) + 3


def test_all_are_purged_while_the_database_hangs(database, other_endpoint):
    """At first, the host does not know that others may have its part."""
    other_endpoint.stop()
    with host(database, other_endpoint) as dovecot:
        register(dovecot)
        for user in USERS:
            deliver(dovecot, user)
        wait_for(lambda: database.count() == len(USERS), PATIENT,
                 "all to be in the database")
        # a busy machine may have had a spell already
        dovecot.wait_queue_empty()
        dovecot.clear_log()
        with away(database, "hang", dovecot):
            for user in USERS[1:4]:
                deliver(dovecot, user)
            status, found, _ = run(dovecot, "queue", "-H", ".")
            assert [row["username"] for row in found] == USERS[:4]
            assert status in (0, EX_TEMPFAIL)
            said = doveadm(dovecot, "purge", "-H", ".", "-u", "*",
                           status=None)
            assert "; 4 were purged" in said or said == "count=4\n"
            wait_for(lambda: run(dovecot, "queue", "-H", ".")[:2] == (0, []),
                     PATIENT, "the host to be aware of it")
            # it does not go back to PostgreSQL because of that
            deliver(dovecot, USERS[5])
            assert spooled(dovecot, "-H", ".") == [(HERE, USERS[5])]
            assert not dovecot.log_lines("in PostgreSQL again")


def test_those_of_other_hosts(database, other_endpoint):
    other_endpoint.stop()
    with two_hosts(database, other_endpoint) as hosts:
        one, two = hosts.one, hosts.two
        hosts.queue_for_all()
        with refusing(database):
            deliver(one, USERS[0])
            deliver(two, USERS[1])
            deliver(two, USERS[1])
            found = rows(one, "queue")
            assert len(found) == len(USERS) + 3
            assert spooled(one) == sorted([(HERE, USERS[0])] + [
                ("two", USERS[1])] * 2)
            assert spooled(one, "-H", "two") == [("two", USERS[1])] * 2
            assert spooled(two, "-H", ".") == [(HERE, USERS[1])] * 2
            # both have one with this id
            first = "--body", str(found[0]["id"])
            for mask, users in ("*", ["0@1", "1@1"]), ("two", ["1@1"]):
                assert users_of(one, *first, "-H", mask) == users
            # and perhaps one in the queue
            assert users_of(one, *first)[:2] == ["0@1", "1@1"]
            with hosts.hang_two():
                status, found, said = run(one, "queue", "-u", USERS[0])
                assert status == EX_TEMPFAIL
                assert "Host two: " in said
                assert [row["spooled"] for row in found] == [HERE, ""]
            wait_for(lambda: any(row["spooled"] == "two"
                                 for row in run(one, "queue")[1]), PATIENT,
                     "it to be known again")
            # those in the queue, too
            assert doveadm(one, "purge", "-u", USERS[1]) == "count=3\n"
            assert spooled(one) == [(HERE, USERS[0])]
        wait_for(lambda: spooled(one) == [], PATIENT, "all to be moved")
        assert len(rows(one, "queue")) == len(USERS)


def test_purged_or_sent_but_not_both(database, endpoint):
    each = 8
    with host(database, endpoint) as dovecot:
        register(dovecot)
        with away(database, "stop", dovecot):
            for _ in range(each):
                for user in USERS:
                    deliver(dovecot, user)
            # it moves slowly
            database.server.start()
            with refusing(database, "PERFORM pg_sleep(0.5)"):
                purged = 0
                for user in USERS:
                    for _ in range(2):
                        purged += int(doveadm(dovecot, "purge", "-H", ".",
                                              "-u", user)[6:])
                assert purged > 0
                total = len(USERS) * each + 1
                endpoint.wait(total - purged, PATIENT)
                wait_for(lambda: database.count() == 0 and
                         dovecot.queued() == 0, PATIENT, "an empty queue")
        assert len(set(map(number_of, endpoint.delivered))) == total - purged
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0


def test_why_they_wait_is_said_by_the_next_service(database, endpoint):
    """What else it does in PostgreSQL succeeds."""
    with host(database, endpoint) as dovecot:
        register(dovecot)
        with refusing(database):
            deliver(dovecot, USERS[0])
            wait_for(lambda: dovecot.queued() == 1, PATIENT, "it to be here")
            os.kill(dovecot.service_pid(), signal.SIGKILL)
            dovecot.clear_log()
            deliver(dovecot, USERS[0])
            dovecot.wait_log("Storing notifications on this host until "
                             "PostgreSQL can be used: ", "disk_full",
                             timeout=PATIENT)
            wait_for(lambda: "disk_full" in total(dovecot)["last_error"],
                     PATIENT, "status to say it")
            row = total(dovecot)
            assert (row["queue"], row["spooled"]) == ("spooling", 2)
        dovecot.wait_log("in PostgreSQL again; 2 were", timeout=PATIENT)
        assert len(dovecot.log_lines("Storing notifications on this")) == 1
        endpoint.wait(2, PATIENT)


def test_catch_up_counts_them(database, endpoint):
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1, PATIENT)
        lose(dovecot, "bob")
        wait_for(lambda: total(dovecot)["queue"] == "up", PATIENT,
                 "another service")
        with refusing(database):
            assert catch_up(dovecot, "-u", "bob") == [("bob", 2)]
            assert spooled(dovecot, "-H", ".") == [(HERE, "bob")]
            assert catch_up(dovecot, "-u", "bob") == []
        assert endpoint.wait(2, PATIENT)[1].uid == 2


def test_those_aside(database, other_endpoint):
    """While what is in PostgreSQL is moved to a queue of the host's own."""
    with left_behind(database, other_endpoint, 400) as dovecot:
        with moving(dovecot):
            # it does not end meanwhile
            database.server.hang()
            try:
                for user in USERS[0], USERS[1], USERS[1]:
                    deliver(dovecot, user)
                assert spooled(dovecot, "-u", "user?") == [
                    (HERE, USERS[0])] + [(HERE, USERS[1])] * 2
                purged = doveadm(dovecot, "purge", "-u", USERS[1])
                # what has been moved by then, too
                assert int(purged[6:]) >= 2
                assert spooled(dovecot, "-u", "user?") == [(HERE, USERS[0])]
            finally:
                database.server.hang(False)
        wait_for_end(dovecot)
        assert spooled(dovecot) == []
        assert not dovecot.log_lines("Panic")
