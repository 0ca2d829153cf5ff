# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify queue move: between a host's own queue and PostgreSQL."""

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time

from conftest import running_dovecot
from harness.doveadm import EX_TEMPFAIL, doveadm, rows
from harness.dovecot import message, wait_for
from harness.shared_queue import module_away
from test_shared_queue import (PATIENT, USERS, Deliveries, assert_in_order,
                               database, deliver, host, number_of, numbers,
                               patient, register, repeats, shared_database)

__all__ = ["database", "shared_database"]

# enough for a move of some seconds, of each user's and of all
EACH = 800
MANY = EACH * len(USERS)
# what a host or an endpoint needs for these on a busy machine, in seconds
PATIENT_MANY = 200
# how many may be stored on the host, but not removed in PostgreSQL yet
IN_FLIGHT = 256 + 64


class Patient(Deliveries):
    """Goes on while Dovecot is changed over, which may refuse some."""

    delivered = ()

    def run(self):
        self.delivered = []
        while not self.stopped.wait(self.pause):
            user = USERS[self.count % len(USERS)]
            with contextlib.suppress(AssertionError, OSError):
                number = next(numbers)
                self.dovecot.deliver(user, message(subject=str(number)))
                self.delivered.append(number)
                self.count += 1


def own_queue(database):
    """Settings of a host that has left PostgreSQL, but knows where it is."""
    return ("http_notify_queue = sqlite", *database.settings[1:])


def change(dovecot, endpoint, *lines, **options):
    """Its settings are others from now on."""
    pid = dovecot.service_pid()
    dovecot.configure(*patient(endpoint, **options), *lines)
    dovecot.reload()
    wait_for(lambda: len(dovecot.pids("http-notify")) == 1 and
             dovecot.pids("http-notify") != [pid], PATIENT, "another service")


def move(dovecot):
    """Returns how many were moved."""
    row, = rows(dovecot, "queue", "move")
    return int(row["count"])


def failed_move(dovecot):
    """Returns why."""
    return doveadm(dovecot, "queue", "move", status=EX_TEMPFAIL)


@contextlib.contextmanager
def moving(dovecot):
    """In the block, after it has begun."""
    with dovecot.doveadm_start("http-notify", "queue", "move") as process:
        dovecot.wait_log("Moving", "notifications from PostgreSQL",
                         timeout=PATIENT)
        yield process
        process.communicate(timeout=PATIENT_MANY)


# rows as the service has stored them, some times more, each with a number, as
# deliver() gives them
COPY = """
WITH row AS (SELECT n.*, last, row_number() OVER (ORDER BY n.id) AS number
    FROM http_notify.notification AS n
    JOIN http_notify.part AS p ON p.id = n.id >> 36)
INSERT INTO http_notify.notification
    (id, session, seq, created, expires, attempts, username, folder, uid,
     mailbox, body)
SELECT id + copy * last, session, seq + 1000 * copy, created, expires, 0, username,
    folder, uid + copy, mailbox, convert_to(regexp_replace(
        convert_from(body, 'UTF8'), '"subject":"[0-9]+"', '"subject":"' ||
        {first} + copy * {users} + number || '"'), 'UTF8')
FROM row, generate_series(1, {copies}) AS copy;
UPDATE http_notify.part SET last = last * ({copies} + 1);
"""


@contextlib.contextmanager
def left_behind(database, endpoint, each, *lines):
    """A host that has a queue of its own again, and has left so many of each
    user's in PostgreSQL."""
    with host(database, endpoint) as dovecot:
        register(dovecot)
        endpoint.stop()
        for user in USERS:
            deliver(dovecot, user)
        wait_for(lambda: database.count() == len(USERS), PATIENT,
                 "all to be in the database")
        dovecot.stop()
        database.execute("-c", COPY.format(
            first=next(numbers), users=len(USERS), copies=each - 1))
        for _ in range(each * len(USERS)):
            next(numbers)
        dovecot.configure(*patient(endpoint), *own_queue(database), *lines)
        dovecot.start()
        yield dovecot


def keys(dovecot):
    """What identifies those that are in its own queue."""
    with contextlib.closing(sqlite3.connect(
            "file:%s?mode=ro" % dovecot.queue_path, uri=True)) as db:
        return [tuple(row) for row in
                db.execute("SELECT session, seq FROM notification")]


def endpoints(dovecot):
    """How many its own queue has options of."""
    with contextlib.closing(sqlite3.connect(
            "file:%s?mode=ro" % dovecot.queue_path, uri=True)) as db:
        return db.execute("SELECT count(*) FROM endpoint").fetchone()[0]


def wait_for_end(dovecot):
    """Nothing is stored aside any more."""
    wait_for(lambda: not (dovecot.queue_path.parent / "aside").exists(),
             PATIENT_MANY, "nothing to be aside")


def test_queued_comes_back_in_order(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, 10) as dovecot:
        assert move(dovecot) == 240
        assert database.count() == 0
        assert dovecot.queued() == 240
        # there is nothing any more
        assert move(dovecot) == 0
        wait_for_end(dovecot)
        for user in USERS:
            deliver(dovecot, user)
        endpoint.start()
        endpoint.wait(240 + len(USERS), PATIENT)
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0
        assert not database.slots()


def test_what_comes_meanwhile_does_not_pass(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as dovecot:
        endpoint.start()
        with moving(dovecot) as process, Deliveries(dovecot) as deliveries:
            process.wait(PATIENT_MANY)
            assert process.returncode == 0
        assert deliveries.count > 0
        deliveries.assert_none_has_waited()
        endpoint.wait(MANY + deliveries.count, PATIENT_MANY)
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0
        assert not dovecot.log_lines("Notification lost")
        assert not dovecot.log_lines("Notification not confirmed")
        wait_for_end(dovecot)
        dovecot.wait_queue_empty()
        assert database.count() == 0


def test_there_and_back_under_deliveries(database, endpoint):
    with running_dovecot(*patient(endpoint)) as dovecot:
        register(dovecot)
        with Patient(dovecot) as deliveries:
            for there, settings in ((True, database.settings),
                                    (False, own_queue(database))) * 2:
                endpoint.wait(deliveries.count, PATIENT)
                change(dovecot, endpoint, *settings)
                # none are left where it was
                move(dovecot)
                if there:
                    assert dovecot.queued() == 0
                else:
                    assert database.count() == 0
        wait_for(lambda: set(map(number_of, endpoint.delivered)).issuperset(
            deliveries.delivered), PATIENT, "all to be sent")
        assert not dovecot.log_lines("Notification lost")
        # those that were in flight when a service ended
        assert repeats(endpoint.delivered) <= 4


def test_killed_meanwhile(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as dovecot:
        with moving(dovecot) as process:
            wait_for(lambda: database.count() < MANY, PATIENT,
                     "some to be removed there")
            deliver(dovecot, USERS[0])
            os.kill(dovecot.service_pid(), signal.SIGKILL)
        assert process.returncode == EX_TEMPFAIL
        assert 0 < database.count() < MANY
        for user in USERS:
            deliver(dovecot, user)
        # what was aside is not forgotten, whether the move goes on or not
        wait_for_end(dovecot)
        left = database.count()
        assert move(dovecot) == left
        total = MANY + 1 + len(USERS)
        found = keys(dovecot)
        assert len(set(found)) == total
        # what had not been removed there
        assert len(found) <= total + IN_FLIGHT


def test_reloaded_meanwhile(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as dovecot:
        with moving(dovecot) as process, Patient(dovecot) as deliveries:
            wait_for(lambda: database.count() < MANY, PATIENT,
                     "some to be removed there")
            dovecot.reload()
            process.wait(PATIENT_MANY)
        assert process.returncode == EX_TEMPFAIL
        wait_for_end(dovecot)
        left = database.count()
        assert 0 < left < MANY
        assert move(dovecot) == left
        found = keys(dovecot)
        assert len(found) == len(set(found)) >= MANY + deliveries.count
        assert not dovecot.log_lines("Panic")


def test_database_is_used_again_before_the_end(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as dovecot:
        with moving(dovecot):
            for user in USERS:
                deliver(dovecot, user)
            dovecot.stop()
        assert (dovecot.queue_path.parent / "aside").exists()
        dovecot.configure(*patient(endpoint), *database.settings)
        dovecot.start()
        # a service opens the queue when a mail process has something for it
        deliver(dovecot, USERS[0])
        wait_for_end(dovecot)
        assert move(dovecot) > 0
        assert dovecot.queued() == 0
        assert database.count() >= MANY + len(USERS) + 1
        endpoint.start()
        total = MANY + len(USERS) + 1
        endpoint.wait(total, PATIENT_MANY)
        wait_for(lambda: len(set(map(number_of, endpoint.delivered))) ==
                 total, PATIENT, "all to be sent")


def test_database_ends_meanwhile(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as dovecot:
        with dovecot.doveadm_start("http-notify", "queue", "move") as process:
            wait_for(lambda: database.count() < MANY, PATIENT,
                     "some to be removed there")
            database.server.stop()
            with Deliveries(dovecot) as deliveries:
                _, said = process.communicate(timeout=PATIENT_MANY)
        assert process.returncode == EX_TEMPFAIL
        assert "PostgreSQL can't be used: " in said
        deliveries.assert_none_has_waited()
        wait_for_end(dovecot)
        database.server.start()
        left = database.count()
        assert 0 < left < MANY
        assert move(dovecot) == left
        found = keys(dovecot)
        assert len(set(found)) == MANY + deliveries.count
        assert len(found) <= MANY + deliveries.count + IN_FLIGHT


@contextlib.contextmanager
def no_removals(database):
    """They fail as if the disk were full. Nothing else does."""
    database.execute("-c", """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END$$;
CREATE TRIGGER refuse BEFORE DELETE ON http_notify.notification
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse();
""")
    try:
        yield
    finally:
        database.execute("-c", "DROP FUNCTION public.refuse() CASCADE")


def test_ends_if_nothing_is_removed(database, other_endpoint):
    with left_behind(database, other_endpoint, EACH) as dovecot:
        with no_removals(database):
            said = failed_move(dovecot)
            assert "PostgreSQL can't be used: ERROR:  no room" in said
            assert "may be sent twice" in said
            assert database.count() == MANY
            assert 0 < dovecot.queued() <= IN_FLIGHT
            wait_for_end(dovecot)
        assert move(dovecot) == MANY
        assert database.count() == 0
        assert len(set(keys(dovecot))) == MANY


def test_goes_on_when_it_is_removed_again(database, other_endpoint):
    with left_behind(database, other_endpoint, 1) as dovecot:
        with contextlib.ExitStack() as stack:
            stack.enter_context(no_removals(database))
            with moving(dovecot) as process:
                wait_for(lambda: dovecot.queued() == len(USERS), PATIENT,
                         "all to be stored")
                # it asks to end while nothing is removed
                process.send_signal(signal.SIGINT)
                time.sleep(3)
                stack.close()
            dovecot.wait_log("Moved %d notifications from PostgreSQL" %
                             len(USERS), timeout=PATIENT)
        assert database.count() == 0
        assert len(keys(dovecot)) == len(USERS)


def test_ends_with_doveadm(database, other_endpoint):
    total = 3 * MANY
    with left_behind(database, other_endpoint, 3 * EACH) as dovecot:
        with moving(dovecot) as process:
            # it would not know what is aside
            assert "while notifications are moved" in doveadm(
                dovecot, "catch-up", "-u", USERS[0], "-s", "1h", status=None)
            wait_for(lambda: database.count() < total, PATIENT,
                     "some to be removed there")
            process.send_signal(signal.SIGINT)
        dovecot.wait_log("Moved", "notifications from PostgreSQL",
                         timeout=PATIENT)
        wait_for_end(dovecot)
        left = database.count()
        assert left == total - dovecot.queued() > 0
        assert move(dovecot) == left
        found = keys(dovecot)
        assert len(found) == len(set(found)) == total


def test_two_hosts_share_the_work(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, EACH) as one, \
            running_dovecot(*patient(endpoint), *own_queue(database)) as two:
        moved = {}
        threads = [threading.Thread(target=lambda dovecot=dovecot: (
            moved.__setitem__(dovecot, move(dovecot)))) for dovecot in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.count() == 0
        assert moved == {one: one.queued(), two: two.queued()}
        assert sum(moved.values()) == MANY
        endpoint.start()
        endpoint.wait(MANY, PATIENT_MANY)
        assert repeats(endpoint.delivered) == 0


def test_hosts_that_have_stayed_keep_theirs(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, 20) as one, \
            host(database, endpoint) as two:
        wait_for(lambda: database.slots() == [256], PATIENT, "its slots")
        said = failed_move(one)
        moved = one.queued()
        assert "%d were moved" % moved in said
        assert "other hosts have the %d" % (480 - moved) in said
        assert 0 < moved < 480
        endpoint.start()
        endpoint.wait(480, PATIENT)
        assert repeats(endpoint.delivered) == 0
        assert not two.log_lines("Panic")


def test_other_hosts_are_told_at_once(database, other_endpoint):
    """Instead of waiting for an answer of a host that is moving."""
    with left_behind(database, other_endpoint, 20) as one, \
            host(database, other_endpoint) as two:
        wait_for(lambda: database.slots() == [256], PATIENT, "its slots")
        with one.doveadm_start("http-notify", "queue", "move") as process:
            wait_for(lambda: len(database.slots()) == 2, PATIENT,
                     "both to have some")
            said = doveadm(two, "status", status=EX_TEMPFAIL)
            assert "it has a queue of its own, and is moving there what is " \
                "left in PostgreSQL" in said
            process.kill()


KEPT = ("username", "folder", "uid", "reason", "attempts", "answer",
        "endpoint")


def kept(dovecot):
    return [tuple(row[name] for name in KEPT) for row in rows(dovecot, "lost")]


def test_given_up_moves_both_ways(database, other_endpoint):
    endpoint = other_endpoint
    endpoint.status = 503
    options = {"max_retries": 0}
    users = USERS[:4]
    with running_dovecot(*patient(endpoint, **options)) as dovecot:
        register(dovecot)
        for user in users:
            deliver(dovecot, user)
        wait_for(lambda: len(kept(dovecot)) == len(users), PATIENT,
                 "all to be given up")
        before = kept(dovecot)
        change(dovecot, endpoint, *database.settings, **options)
        assert move(dovecot) == len(users)
        assert database.count("lost") == len(users)
        wait_for(lambda: endpoints(dovecot) == 0, PATIENT,
                 "the endpoint to be forgotten")
        assert sorted(kept(dovecot)) == sorted(before)
        # where it was given up
        assert {row["host"] for row in rows(dovecot, "lost")} == {
            socket.gethostname()}
        deliver(dovecot, USERS[0])
        wait_for(lambda: database.count("lost") == len(users) + 1, PATIENT,
                 "one more to be given up")
        before = kept(dovecot)
        keys = {r.key for r in endpoint.attempts}
        change(dovecot, endpoint, *own_queue(database), **options)
        assert move(dovecot) == len(users) + 1
        assert database.count("lost") == 0
        assert sorted(kept(dovecot)) == sorted(before)
        endpoint.status = None
        endpoint.clear()
        doveadm(dovecot, "lost", "resend", "-u", "*")
        endpoint.wait(len(users) + 1, PATIENT)
        assert {r.key for r in endpoint.delivered} == keys
        assert repeats(endpoint.delivered) == 0
        assert not kept(dovecot)


def test_full_queue_of_a_host_ends_it(database, other_endpoint):
    endpoint = other_endpoint
    with left_behind(database, endpoint, 25,
                     "http_notify_queue_limit = 200") as dovecot:
        said = failed_move(dovecot)
        assert "queue is full in number" in said
        moved = dovecot.queued()
        assert "%d were moved" % moved in said
        # some were on their way; there is room left for new mail
        assert 180 <= moved < 180 + 64
        assert database.count() == 600 - moved
        endpoint.start()
        endpoint.wait(moved, PATIENT)
        dovecot.wait_queue_empty()
        left = 600 - moved
        while left > 0:
            with contextlib.suppress(AssertionError):
                move(dovecot)
            dovecot.wait_queue_empty(PATIENT)
            left = database.count()
        endpoint.wait(600, PATIENT)
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0


def test_says_what_is_missing(database, endpoint):
    with running_dovecot(*patient(endpoint)) as dovecot:
        assert "http_notify_pgsql is not set" in failed_move(dovecot)
        change(dovecot, endpoint, *own_queue(database))
        database.server.stop()
        with dovecot.doveadm_start("http-notify", "queue", "move") as process:
            dovecot.wait_log("PostgreSQL can't be used", timeout=PATIENT)
            # there is one at a time
            assert "another one" in failed_move(dovecot)
            _, said = process.communicate(timeout=PATIENT_MANY)
        assert "PostgreSQL can't be used: " in said
        database.server.start()
        change(dovecot, endpoint, *own_queue(database))
        with module_away():
            said = failed_move(dovecot)
        assert "dovecot-http-notify-pgsql" in said
        assert move(dovecot) == 0


def test_waits_until_all_is_in_the_database(database, endpoint):
    with host(database, endpoint) as dovecot:
        register(dovecot)
        assert move(dovecot) == 0
        database.server.stop()
        for user in USERS:
            deliver(dovecot, user)
        with dovecot.doveadm_start("http-notify", "queue", "move") as process:
            time.sleep(1)
            assert process.poll() is None
            database.server.start()
            said, _ = process.communicate(timeout=PATIENT_MANY)
        assert "count=%d" % len(USERS) in said
        assert dovecot.queued() == 0
        endpoint.wait(len(USERS), PATIENT)
