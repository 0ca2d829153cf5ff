# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages that no mail process could hand over are found again."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import Webhook
from harness.doveadm import EX_USAGE, doveadm, rows, users
from harness.dovecot import message, wait_for
from harness.endpoint import Endpoint
from harness.faults import service_stopped
from test_lost import has_queue
from test_nothing_is_created import tree


def lose(dovecot, user, *subjects):
    with service_stopped(dovecot):
        for subject in subjects:
            dovecot.deliver(user, message(subject))


def subjects(endpoint):
    return [request.body["subject"] for request in endpoint.delivered]


def catch_up(dovecot, *args, since="1h", user="bob"):
    """Messages' UIDs, for which notifications were made."""
    found = rows(dovecot, "catch-up", "--since", since, *(
        args if "-A" in args else ("-u", user, *args)))
    assert {row["result"] for row in found} <= {
        "missing" if "-n" in args else "queued"}
    return [(row["username"], row["uid"]) for row in found]


def register(dovecot, *names):
    """Returns when the service has remembered for a while, in seconds."""
    for name in names:
        dovecot.setmetadata(name, "user=3@1")
    wait_for(lambda: has_queue(dovecot), what="the service")
    time.sleep(2)


@pytest.fixture
def dovecot(other_endpoint):
    with running_dovecot(driver(other_endpoint)) as dovecot:
        register(dovecot, "bob")
        yield dovecot
        assert not dovecot.log_lines("Panic:")


def test_after_an_outage_one_command_finds_all(dovecot, other_endpoint):
    dovecot.deliver("bob", message("Before"))
    other_endpoint.wait(1)
    lose(dovecot, "bob", "Lost 1", "Lost 2")
    assert len(dovecot.wait_log("Notification lost: user=bob", count=2)) == 2
    dovecot.deliver("bob", message("After"))
    other_endpoint.wait(2)
    assert catch_up(dovecot, "-n") == [("bob", 2), ("bob", 3)]
    assert subjects(other_endpoint) == ["Before", "After"]
    assert catch_up(dovecot) == [("bob", 2), ("bob", 3)]
    request = other_endpoint.wait(4)[2]
    assert subjects(other_endpoint) == ["Before", "After", "Lost 1", "Lost 2"]
    plugins = other_endpoint.delivered[0]
    assert set(request.body) == set(plugins.body)
    for name in "user", "event", "folder", "imap-uidvalidity", "from":
        assert request.body[name] == plugins.body[name]
    assert (request.body["imap-uid"], request.body["unseen"]) == (2, 4)
    # and not again: neither while they are queued nor later
    assert catch_up(dovecot) == []
    dovecot.wait_queue_empty()
    assert catch_up(dovecot, "--seen", "--older") == []
    assert len(other_endpoint.delivered) == 4


def test_what_is_queued_is_not_lost(dovecot, other_endpoint):
    other_endpoint.status = 503
    for n in range(3):
        dovecot.deliver("bob", message("Queued %d" % n))
    lose(dovecot, "bob", "Lost")
    assert catch_up(dovecot) == [("bob", 4)]
    assert catch_up(dovecot) == []
    assert dovecot.queued() == 4
    other_endpoint.status = None
    doveadm(dovecot, "flush")
    other_endpoint.wait(4)
    assert subjects(other_endpoint) == [
        "Queued 0", "Queued 1", "Queued 2", "Lost"]


def test_what_was_given_up_is_not_lost(other_endpoint):
    other_endpoint.status = 503
    with running_dovecot(driver(other_endpoint, max_retries=0)) as dovecot:
        register(dovecot, "bob")
        dovecot.deliver("bob", message("Given up"))
        dovecot.wait_log("Notification lost: user=bob")
        dovecot.wait_queue_empty()
        assert catch_up(dovecot) == []
        doveadm(dovecot, "lost", "drop", "-u", "bob")
        assert catch_up(dovecot) == []


def test_what_was_purged_is_not_lost(dovecot, other_endpoint):
    other_endpoint.status = 503
    dovecot.deliver("bob", message("Purged"))
    other_endpoint.wait_attempts(1)
    wait_for(lambda: "count=1" in doveadm(dovecot, "purge", "-u", "bob"), 10,
             "it to be purged")
    dovecot.wait_queue_empty()
    assert catch_up(dovecot) == []


def test_gaps_are_found(dovecot, other_endpoint):
    """Five are lost, the sixth is announced, and so on."""
    expected, uid = [], 0
    for _ in range(2):
        lose(dovecot, "bob", *["Lost"] * 5)
        expected += [("bob", uid + n) for n in range(1, 6)]
        uid += 6
        dovecot.deliver("bob", message("Good"))
    other_endpoint.wait(2)
    assert catch_up(dovecot) == expected
    requests = other_endpoint.wait(12)
    assert [request.uid for request in requests[2:]] == [
        uid for _, uid in expected]


def test_only_unseen_and_recent_ones(dovecot, other_endpoint):
    lose(dovecot, "bob", "Read", "Unread")
    with contextlib.closing(dovecot.imap("bob")) as client:
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Seen")
        client.append("INBOX", "", '"01-Jan-2020 12:00:00 +0000"',
                      message("Old").encode())
    assert catch_up(dovecot) == [("bob", 2)]
    assert catch_up(dovecot, "--seen") == [("bob", 1)]
    assert "1 messages have come before the time" in doveadm(
        dovecot, "catch-up", "-u", "bob", "--since", "20000d")
    assert catch_up(dovecot, "--older", since="20000d") == [("bob", 3)]
    other_endpoint.wait(3)


def test_other_uid_validity_has_other_messages(dovecot, other_endpoint):
    for n in range(3):
        dovecot.deliver("bob", message("Message %d" % n))
    other_endpoint.wait(3)
    assert catch_up(dovecot) == []
    dovecot.doveadm("mailbox", "update", "-u", "bob", "--uid-validity",
                    "4000000000", "INBOX")
    assert catch_up(dovecot) == [("bob", 1), ("bob", 2), ("bob", 3)]
    for request in other_endpoint.wait(6)[3:]:
        assert request.body["imap-uidvalidity"] == 4000000000
    assert catch_up(dovecot) == []


def restart(dovecot, *lines):
    dovecot.stop()
    dovecot.configure(*lines)
    dovecot.start()
    wait_for(lambda: has_queue(dovecot), what="the service")


def test_only_the_endpoint_that_lacks_it_gets_it(other_endpoint):
    third = Endpoint()
    with contextlib.ExitStack() as stack:
        stack.callback(third.stop)
        dovecot = stack.enter_context(running_dovecot(driver(other_endpoint)))
        register(dovecot, "bob")
        dovecot.deliver("bob", message("One"))
        other_endpoint.wait(1)
        restart(dovecot, driver(other_endpoint), driver(third))
        dovecot.deliver("bob", message("Two"))
        other_endpoint.wait(2)
        third.wait(1)
        found = rows(dovecot, "catch-up", "-u", "bob", "-s", "1h")
        assert [(row["uid"], row["endpoint"]) for row in found] == [
            (1, third.url_without)]
        third.wait(2)
        dovecot.wait_queue_empty()
        # other options are no other endpoint
        restart(dovecot, driver(other_endpoint, max_age="2h"), driver(third))
        assert catch_up(dovecot) == []


def test_accounts_at_one_url(other_endpoint):
    """They are told apart by their files with credentials."""
    def tokens():
        return sorted(request.headers["Authorization"]
                      for request in other_endpoint.delivered)

    other_endpoint.status = 200
    with running_dovecot(start=False) as dovecot:
        def account(name, **options):
            token = dovecot.queue_path.parent / name
            token.write_text(name)
            shutil.chown(token, "dovecot")
            return Webhook(other_endpoint.url_without, token_file=token,
                           **options)

        dovecot.configure(account("a"), account("b"))
        dovecot.start()
        register(dovecot, "bob")
        lose(dovecot, "bob", "Lost")
        assert catch_up(dovecot) == [("bob", 1)] * 2
        other_endpoint.wait(2)
        assert tokens() == ["Bearer a", "Bearer b"]
        dovecot.wait_queue_empty()
        assert catch_up(dovecot) == []
        # what says how it is sent makes no difference
        restart(dovecot, account("a", method="POST"),
                account("c", timeout_msecs=3000))
        assert catch_up(dovecot) == [("bob", 1)]
        other_endpoint.wait(3)
        assert tokens() == ["Bearer a", "Bearer b", "Bearer c"]


def test_killed_service_remembers(dovecot, other_endpoint):
    """Nothing is announced twice, and nothing is missed."""
    for n in range(12):
        dovecot.deliver("bob", message("Message %d" % n))
        if n % 3 == 2:
            os.kill(dovecot.service_pid(), signal.SIGKILL)
            wait_for(lambda: has_queue(dovecot), what="the next one")
    wait_for(lambda: has_queue(dovecot), what="the service")
    catch_up(dovecot)
    wait_for(lambda: len({request.uid for request in
                          other_endpoint.delivered}) == 12, what="all of them")
    dovecot.wait_queue_empty()
    keys = {}
    for request in other_endpoint.delivered:
        keys.setdefault(request.uid, set()).add(request.key)
    assert sorted(keys) == list(range(1, 13))
    assert {len(of_uid) for of_uid in keys.values()} == {1}
    assert catch_up(dovecot) == []


def test_two_at_the_same_time(dovecot, other_endpoint):
    lose(dovecot, "bob", *["Lost"] * 20)
    processes = [dovecot.doveadm_start("http-notify", "catch-up", "-u", "bob",
                                       "-s", "1h") for _ in range(4)]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (0, "")
    other_endpoint.wait(20)
    dovecot.wait_queue_empty()
    assert len(other_endpoint.delivered) == 20
    assert len({request.key for request in other_endpoint.delivered}) == 20


def test_it_waits_for_deliveries_that_are_under_way(dovecot, other_endpoint):
    """The message is in INBOX, but not yet handed over."""
    dovecot.deliver("bob", message("First"))
    other_endpoint.wait(1)
    pid = dovecot.service_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        dovecot.deliver("bob", message("On its way"))
        process = dovecot.doveadm_start("-f", "json", "http-notify", "catch-up",
                                        "-u", "bob", "-s", "1h")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert process.communicate(timeout=60)[0].strip() == "[]"
    other_endpoint.wait(2)
    assert catch_up(dovecot) == []
    assert subjects(other_endpoint) == ["First", "On its way"]


def test_all_users(other_endpoint):
    names = ["alice", "bob", "carol", "dave", "erin"]
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(other_endpoint), any_user=False,
                          auth=users(dovecot, *names))
        dovecot.start()
        register(dovecot, "alice", "bob")
        with service_stopped(dovecot):
            for name in "alice", "bob", "carol":
                dovecot.deliver(name, message("Lost"))
        for path in (dovecot.dir / "home/carol").glob("Maildir/dovecot*"):
            path.unlink()
        before = tree(dovecot)
        assert catch_up(dovecot, "-A", "-n") == [("alice", 1), ("bob", 1)]
        # of the others nothing is made, and nothing is announced
        assert [entry for entry in set(tree(dovecot)) ^ set(before)
                if not entry[0].startswith(("alice/", "bob/"))] == []
        assert catch_up(dovecot, "-A") == [("alice", 1), ("bob", 1)]
        other_endpoint.wait(2)
        dovecot.wait_queue_empty()
        assert catch_up(dovecot, "-A") == []
        assert catch_up(dovecot, user="*") == []
        output = doveadm(dovecot, "catch-up", "-A", "-s", "1h", "-n",
                         options=("-f", "table"))
        assert "missing" not in output


def test_folders_and_events_that_are_not_wanted(other_endpoint):
    with running_dovecot(driver(other_endpoint, folders="Other")) as dovecot:
        register(dovecot, "bob")
        lose(dovecot, "bob", "Not wanted")
        assert catch_up(dovecot) == []


def test_usage(dovecot):
    assert "--since" in doveadm(dovecot, "catch-up", "-u", "bob",
                                status=EX_USAGE)
    assert "--since" in doveadm(dovecot, "catch-up", "-u", "bob", "-s",
                                "yesterdays", status=EX_USAGE)


def test_queue_of_a_former_version(dovecot, other_endpoint):
    """What that has announced is not known: it is left out."""
    dovecot.deliver("bob", message("By the former version"))
    other_endpoint.wait(1)
    dovecot.wait_queue_empty()
    dovecot.stop()
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        db.executescript("DROP TABLE announced; DROP TABLE announced_log;"
                         "ALTER TABLE notification DROP COLUMN mailbox")
    time.sleep(1.1)
    dovecot.start()
    wait_for(lambda: has_queue(dovecot), what="the service")
    time.sleep(1.1)
    lose(dovecot, "bob", "Lost")
    assert "1 messages have come before" in doveadm(
        dovecot, "catch-up", "-u", "bob", "-s", "1h", "-n")
    assert catch_up(dovecot, "--older", "-n") == [("bob", 1), ("bob", 2)]
    # the other one is left out
    doveadm(dovecot, "catch-up", "-u", "bob", "-s", "1h")
    other_endpoint.wait(2)
    assert subjects(other_endpoint) == ["By the former version", "Lost"]

