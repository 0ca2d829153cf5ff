# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue's disk: full, read-only, and well again."""

import contextlib
import os
import sqlite3
import stat
import time

from conftest import driver, running_dovecot
from harness.doveadm import doveadm
from harness.dovecot import message, wait_for
from harness.faults import (
    fill_disk, fill_queue, run, skip_unless, small_disk)
from test_lost import kept, lose

LONG = 10


@contextlib.contextmanager
def dovecot_on_small_disk(endpoint, size=2 << 20):
    # the disk is taken away after Dovecot has stopped using it
    with contextlib.ExitStack() as stack:
        def mount(dovecot):
            stack.enter_context(small_disk(dovecot.queue_path.parent, size))
        # a busy machine may keep the endpoint from answering for seconds
        with running_dovecot(driver(endpoint, timeout_msecs=20000),
                             start=False) as dovecot:
            mount(dovecot)
            try:
                dovecot.start()
                dovecot.setmetadata("bob", "user=3@1")
                yield dovecot
            finally:
                dovecot.stop()
                stack.close()


def uids_lost(dovecot):
    lines = dovecot.log_lines("lmtp(", "Notification lost: user=bob ",
                              "folder=INBOX ")
    return [int(line.split(" uid=")[1].split()[0]) for line in lines]


def test_full_disk_is_said_once_and_recovers_by_itself(other_endpoint):
    """Twice, each time with what was queued before and what is refused
    meanwhile."""
    endpoint = other_endpoint
    with dovecot_on_small_disk(endpoint) as dovecot:
        sent = 0
        pid = dovecot.service_pid()
        for spell in (1, 2):
            endpoint.stop()
            for _ in range(3):
                dovecot.deliver("bob", message())
            sent += 3
            before = len(uids_lost(dovecot))
            ballast = fill_disk(dovecot.queue_path.parent)
            # what is left in the files that are there takes some
            wait_for(lambda: len(uids_lost(dovecot)) >= before + 5 or
                     not deliver_quickly(dovecot), what="a full disk")
            sent = max([sent, *uids_lost(dovecot)])
            ballast.unlink()
            wait_for(lambda: recovered(dovecot), what="the queue's recovery")
            sent = newest_uid(dovecot)
            endpoint.start()
            wait_for(lambda: len(endpoint.delivered) >=
                     sent - len(uids_lost(dovecot)), what="what was acked")
            lost = uids_lost(dovecot)
            uids = [r.uid for r in endpoint.delivered]
            assert uids == [uid for uid in range(1, sent + 1)
                            if uid not in lost]
            assert len(dovecot.wait_log("Info: Queue can be written again",
                                        count=spell)) == spell
            said = dovecot.log_lines("http-notify: Error: Queue can't be")
            assert len(said) == spell
            assert "full" in said[-1]
        for line in dovecot.log_lines("Notification lost"):
            assert "full" in line
        assert dovecot.service_pid() == pid


def deliver_quickly(dovecot):
    assert dovecot.deliver("bob", message("x" * 900)) < LONG
    return True


def recovered(dovecot):
    before = len(uids_lost(dovecot))
    assert dovecot.deliver("bob", message()) < LONG
    return len(uids_lost(dovecot)) == before


def newest_uid(dovecot):
    with dovecot.imap("bob") as imap:
        return int(imap.select("INBOX", readonly=True)[1][0])


def test_endpoint_is_served_while_the_disk_is_full(other_endpoint):
    """What was queued before goes out, and not again and again although it
    can't be removed."""
    endpoint = other_endpoint
    with dovecot_on_small_disk(endpoint) as dovecot:
        endpoint.stop()
        for _ in range(20):
            dovecot.deliver("bob", message())
        ballast = fill_disk(dovecot.queue_path.parent)
        wait_for(lambda: len(uids_lost(dovecot)) > 0 or
                 not deliver_quickly(dovecot), what="a full disk")
        endpoint.start()
        first_lost = uids_lost(dovecot)[0]
        requests = endpoint.wait(first_lost - 1)
        assert [r.uid for r in requests] == list(range(1, first_lost))
        time.sleep(2)
        ballast.unlink()
        wait_for(lambda: recovered(dovecot), what="the queue's recovery")
        wait_for(lambda: dovecot.queued() == 0, what="an empty queue")
        assert len({r.key for r in endpoint.delivered}) == len(
            endpoint.delivered)


def test_restart_on_a_full_disk(other_endpoint):
    """All of which the queue has."""
    endpoint = other_endpoint
    with dovecot_on_small_disk(endpoint) as dovecot:
        endpoint.stop()
        while not uids_lost(dovecot):
            dovecot.deliver("bob", message("x" * 900))
        first_lost = uids_lost(dovecot)[0]
        dovecot.stop()
        endpoint.start()
        dovecot.start()
        # a mail process has Dovecot start the service
        dovecot.deliver("bob", message())
        requests = endpoint.wait(first_lost - 1)
        assert [r.uid for r in requests[:first_lost - 1]] == list(
            range(1, first_lost))
        assert not dovecot.log_lines("Queue can't be opened")


def test_what_is_kept_gives_way_to_what_waits(other_endpoint):
    """On a disk that gets full, of which it had a part."""
    endpoint = other_endpoint
    with dovecot_on_small_disk(endpoint, 16 << 20) as dovecot:
        lose(dovecot, endpoint, 3000, size=900)
        endpoint.stop()
        assert len(kept(dovecot)) == 3000
        ballast = fill_disk(dovecot.queue_path.parent)
        os.truncate(ballast, ballast.stat().st_size - (1 << 20))
        dovecot.deliver("bob", message())
        dovecot.wait_log("Disk is nearly full; forgetting notifications")
        wait_for(lambda: len(kept(dovecot)) < 2500, what="room")
        # there is room for what waits, but not for more of these
        assert 0 < len(kept(dovecot))
        for _ in range(50):
            dovecot.deliver("bob", message("x" * 900))
        assert not uids_lost(dovecot)
        assert dovecot.queued() == 51
        endpoint.start()
        doveadm(dovecot, "flush")
        endpoint.wait(51)


def free_space(dovecot):
    stat = os.statvfs(dovecot.queue_path.parent)
    return stat.f_bavail * stat.f_frsize


def test_removals_that_fail_do_not_take_the_space_that_is_freed(
        other_endpoint):
    """A backlog is delivered while the disk is full. Its removals come in
    small steps, and once there is space for them each is done."""
    endpoint = other_endpoint
    count = 20000
    with dovecot_on_small_disk(endpoint, 128 << 20) as dovecot:
        endpoint.status = 503
        dovecot.deliver("bob", message())
        dovecot.stop()
        fill_queue(dovecot, count, size=1400)
        dovecot.start()
        endpoint.wait_attempts(2)
        ballast = fill_disk(dovecot.queue_path.parent)
        endpoint.status = 200
        wait_for(lambda: len(endpoint.delivered) >= count, what="the backlog")
        dovecot.wait_log("Queue can't be written")
        # others' mail needs this
        os.truncate(ballast, ballast.stat().st_size - (32 << 20))
        time.sleep(8)
        assert free_space(dovecot) > 8 << 20
        ballast.unlink()
        dovecot.deliver("bob", message())
        dovecot.wait_queue_empty()
        dovecot.wait_log("Queue can be written again")
        assert len(dovecot.wait_log("Queue can't be written")) == 1
        assert len({r.key for r in endpoint.delivered}) == len(
            endpoint.delivered)


def test_little_space_is_enough_for_many_removals(other_endpoint):
    """Less than usually go into one commit."""
    endpoint = other_endpoint
    count = 2000
    with dovecot_on_small_disk(endpoint, 16 << 20) as dovecot:
        endpoint.status = 503
        dovecot.deliver("bob", message())
        dovecot.stop()
        fill_queue(dovecot, count, size=3000)
        dovecot.start()
        endpoint.wait_attempts(2)
        ballast = fill_disk(dovecot.queue_path.parent)
        endpoint.status = 200
        endpoint.wait(count)
        dovecot.wait_log("Queue can't be written")
        os.truncate(ballast, ballast.stat().st_size - (256 << 10))
        dovecot.wait_queue_empty()
        dovecot.wait_log("Queue can be written again")
        assert len(dovecot.log_lines("Queue can't be written")) == 1


def test_file_that_cant_be_shrunk_is_said_once(other_endpoint):
    """One of an earlier version, which has to be copied for that."""
    with dovecot_on_small_disk(other_endpoint) as dovecot:
        dovecot.deliver("bob", message())
        dovecot.wait_queue_empty()
        dovecot.stop()
        with contextlib.closing(sqlite3.connect(dovecot.queue_path,
                                                isolation_level=None)) as db:
            db.execute("CREATE TABLE x AS SELECT zeroblob(500000)")
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA auto_vacuum = NONE")
            db.execute("VACUUM")
        directory = dovecot.queue_path.parent
        # enough to be opened
        reserve = directory / "reserve"
        reserve.write_bytes(b"\0" * 200000)
        ballast = fill_disk(directory)
        reserve.unlink()
        dovecot.start()
        dovecot.wait_log("http-notify: Warning: Queue's files can't be shrunk",
                         "full")
        time.sleep(12)
        assert len(dovecot.wait_log("can't be shrunk")) == 1
        ballast.unlink()
        wait_for(lambda: auto_vacuum(dovecot) == 2, what="a copied file")
        dovecot.deliver("bob", message())
        other_endpoint.wait(2)


def auto_vacuum(dovecot):
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        return db.execute("PRAGMA auto_vacuum").fetchone()[0]


def check_trouble_at_start(dovecot, endpoint, heal):
    """Deliveries go on, the log says why and what to do, and all is well
    again some time after the cause is gone."""
    assert dovecot.deliver("bob", message()) < LONG
    wait_for(lambda: uids_lost(dovecot) == [1], what="the line of what is lost")
    line = dovecot.wait_log("http-notify: ", "Queue can't be")[0]
    assert str(dovecot.queue_path.parent) in line
    heal()
    dovecot.wait_log("http-notify: Info: Queue can be opened again")
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    newest = newest_uid(dovecot)
    wait_for(lambda: {r.uid for r in endpoint.delivered} |
             set(uids_lost(dovecot)) == set(range(1, newest + 1)),
             what="what was acked")


def test_directory_that_was_made_read_only(other_endpoint):
    with running_dovecot(driver(other_endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.stop()
        directory = dovecot.queue_path.parent
        for path in directory.iterdir():
            path.unlink()
        mode = stat.S_IMODE(directory.stat().st_mode)
        directory.chmod(0o500)
        dovecot.start()
        check_trouble_at_start(dovecot, other_endpoint,
                               lambda: directory.chmod(mode))


def test_disk_that_was_remounted_read_only(other_endpoint):
    with dovecot_on_small_disk(other_endpoint) as dovecot:
        directory = str(dovecot.queue_path.parent)
        dovecot.stop()
        skip_unless("mount", "-o", "remount,ro", directory)
        dovecot.start()
        try:
            check_trouble_at_start(
                dovecot, other_endpoint,
                lambda: run("mount", "-o", "remount,rw", directory))
        finally:
            run("mount", "-o", "remount,rw", directory)
