# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue's bounds and its file."""

import contextlib
import os
import signal
import sqlite3
import time

from conftest import driver, running_dovecot
from harness.config import PATIENT
from harness.dovecot import message, wait_for
from harness.faults import fill_queue


def queue_files(dovecot):
    return {path.name for path in dovecot.queue_path.parent.iterdir()}


def test_full_queue_refuses_the_newest_and_recovers(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint),
                         "http_notify_queue_limit = 10") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        for _ in range(15):
            dovecot.deliver("bob", message())
        assert dovecot.queued() == 10
        pid = dovecot.service_pid()
        # each one that is lost is named by the mail process, the spell once
        # by the service
        lost = dovecot.wait_log("lmtp", "http_notify_queue_limit = 10",
                                count=5)
        assert len(lost) == 5, dovecot.log()
        assert all("bob" in line and "INBOX" in line for line in lost)
        assert len(dovecot.wait_log("http-notify: Error: Queue is full")) == 1

        endpoint.start()
        # the oldest ones are the ones that were kept
        assert [r.uid for r in endpoint.wait(10)] == list(range(1, 11))
        dovecot.wait_log("Queue accepts notifications again; 5 were refused")
        dovecot.deliver("bob", message())
        assert endpoint.wait(11)[-1].uid == 16
        assert dovecot.service_pid() == pid


def test_dead_endpoint_leaves_room_in_the_queue(endpoint, other_endpoint):
    dead = other_endpoint
    dead.stop()
    with running_dovecot(driver(dead), driver(endpoint),
                         "http_notify_queue_limit = 20") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for number in range(25):
            dovecot.deliver("bob", message())
            endpoint.wait(number + 1)
            wait_for(lambda: dovecot.queued() == min(number + 1, 15),
                     what="the other one's")
        refused = dovecot.wait_log("lmtp", "Notification lost", "share",
                                   count=10)
        assert len(refused) == 10
        line, = dovecot.wait_log("http-notify: Error: Endpoint",
                                  "has its share of the queue")
        assert dead.authority in line
        dead.start()
        assert [r.uid for r in dead.wait(15)] == list(range(1, 16))
        dovecot.wait_log("Endpoint %s has room in the queue again; "
                         "10 notifications were refused" % dead.authority)


def test_corrupt_queue_is_moved_aside_at_the_start(endpoint):
    with running_dovecot(driver(endpoint), start=False) as dovecot:
        dovecot.queue_path.write_bytes(b"this is no database at all")
        os.chown(dovecot.queue_path, *owner(dovecot))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        line, = dovecot.wait_log("http-notify: Error: Queue is corrupt")
        aside, = (name for name in queue_files(dovecot) if "corrupt" in name)
        assert aside in line
        path = dovecot.queue_path.parent / aside
        assert path.read_bytes() == b"this is no database at all"


def test_newest_corrupt_queues_are_kept(other_endpoint):
    with running_dovecot(driver(other_endpoint), start=False) as dovecot:
        asides = [dovecot.queue_path.with_name("queue.sqlite.corrupt-%d" % n)
                  for n in (999, 1000, 1001, 1002)]
        for path in [dovecot.queue_path, *asides]:
            path.write_bytes(b"this is no database at all")
            os.chown(path, *owner(dovecot))
        dovecot.start()
        dovecot.wait_log("http-notify: Error: Queue is corrupt")
        left = [name for name in queue_files(dovecot) if "corrupt" in name]
        assert len(left) == 3
        assert {asides[2].name, asides[3].name} < set(left)


def owner(dovecot):
    stat = os.stat(dovecot.queue_path.parent)
    return stat.st_uid, stat.st_gid


def test_queue_that_becomes_corrupt_is_moved_aside(other_endpoint):
    """The service begins anew; what the disk spoiled is all that is lost."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        for _ in range(30):
            dovecot.deliver("bob", message())
        pid = dovecot.service_pid()
        # what is only in the write-ahead log is not spoiled by this
        os.kill(pid, signal.SIGSTOP)
        files = [dovecot.queue_path,
                 dovecot.queue_path.with_name("queue.sqlite-wal")]
        for path in files:
            with open(path, "r+b") as file:
                size = path.stat().st_size
                file.seek(100)
                file.write(b"x" * (size - 100))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: dovecot.log_lines("Queue is corrupt"),
                 what="the damage to be found")
        endpoint.start()
        dovecot.deliver("bob", message())
        assert endpoint.wait(1)[-1].uid == 31
        assert any("corrupt" in name for name in queue_files(dovecot))


def test_file_shrinks_while_something_is_queued(other_endpoint):
    """An outage is over but for one user's notification. What is handed over
    meanwhile is stored."""
    endpoint = other_endpoint
    endpoint.status = 503
    with running_dovecot(driver(endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("This one stays"))
        dovecot.stop()
        fill_queue(dovecot, 5000, size=20000)
        assert dovecot.queue_path.stat().st_size > 90 << 20
        endpoint.status = lambda request: (
            503 if "stays" in request.body.get("subject", "") else None)
        dovecot.start()

        def is_small():
            dovecot.deliver("bob", message())
            time.sleep(0.5)
            return dovecot.queue_path.stat().st_size < 20 << 20
        wait_for(is_small, 180, "a small file")
        endpoint.wait(4999, 180)
        assert dovecot.queued() >= 1
        for words in "Notification lost", "not confirmed", "Queue":
            assert not dovecot.log_lines(words)
        assert integrity(dovecot) == "ok"


def integrity(dovecot):
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


def test_log_that_a_reader_makes_grow_is_cut_when_he_is_gone(other_endpoint):
    """An admin's shell in a transaction, and one that writes a lot."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        log = dovecot.queue_path.with_name("queue.sqlite-wal")
        reader, writer = (sqlite3.connect(dovecot.queue_path,
                                          isolation_level=None)
                          for _ in range(2))
        dovecot.deliver("bob", message())
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notification").fetchone()
        writer.execute("CREATE TABLE x (y)")
        for _ in range(30):
            writer.execute("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
                           " SELECT i + 1 FROM n WHERE i < 1000) "
                           "INSERT INTO x SELECT zeroblob(3900) FROM n")
        writer.execute("DROP TABLE x")
        writer.close()
        for _ in range(3):
            dovecot.deliver("bob", message())
        assert log.stat().st_size > 110 << 20
        line, = dovecot.wait_log("http-notify: Warning:", "queue.sqlite-wal")
        assert "16 MB" in line
        reader.execute("COMMIT")
        reader.close()
        wait_for(lambda: log.stat().st_size < 30 << 20, what="a shorter log")
        dovecot.deliver("bob", message())
        assert [r.uid for r in endpoint.wait(5)] == [1, 2, 3, 4, 5]
        dovecot.wait_queue_empty()
        assert integrity(dovecot) == "ok"
        assert len(dovecot.wait_log("queue.sqlite-wal")) == 1
        for words in "Notification lost", "not confirmed":
            assert not dovecot.log_lines(words)


def test_reload_applies_new_settings_and_loses_nothing(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        for _ in range(5):
            dovecot.deliver("bob", message())
        pid = dovecot.service_pid()
        dovecot.configure(driver(endpoint), "http_notify_queue_limit = 7")
        dovecot.reload()
        wait_for(lambda: dovecot.pids("http-notify") not in ([pid], []),
                 what="a new service")
        dovecot.service_pid()
        for _ in range(5):
            dovecot.deliver("bob", message())
        dovecot.wait_log("http_notify_queue_limit = 7")
        assert dovecot.queued() == 7
        endpoint.start()
        assert [r.uid for r in endpoint.wait(7)] == list(range(1, 8))


def test_many_names_can_be_looked_up_at_once(endpoint):
    """Each takes a thread, and address space for it."""
    drivers = [driver("http://host%d.invalid/" % number)
               for number in range(39)]
    with running_dovecot(*drivers) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        lines = dovecot.wait_log("is down", count=39)
        # be the resolver fast or slow
        assert all("esolv" in line for line in lines), lines
