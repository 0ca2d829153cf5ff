# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was given up: it is kept, and can be seen and sent again."""

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import time

import pytest

from conftest import driver, running_dovecot
from harness.doveadm import EX_NOTFOUND, EX_TEMPFAIL, EX_USAGE, doveadm, rows
from harness.dovecot import message, wait_for
from test_doveadm import ACCESS, enqueue


def kept(dovecot, columns="username, folder, uid, reason, answer, attempts"):
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        return db.execute("SELECT %s FROM lost ORDER BY id" %
                          columns).fetchall()


REFUSED, DROPPED, EXPIRED = range(3)


def refuse(*subjects):
    """Only messages with these subjects are refused."""
    return lambda request: 422 if request.body["subject"] in subjects else 200


@pytest.mark.parametrize("reason, options", [
    (DROPPED, {"max_retries": 0}), (EXPIRED, {"max_age": "1s"})])
def test_what_is_given_up_is_kept(other_endpoint, reason, options):
    endpoint = other_endpoint
    endpoint.status = 503
    with running_dovecot(driver(endpoint, **options)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("Lost"))
        dovecot.wait_log("Notification lost: user=bob")
        wait_for(lambda: kept(dovecot), what="it to be kept")
        dovecot.wait_queue_empty()
        row, = kept(dovecot)
        assert row[:4] == ("bob", "INBOX", 1, reason)
        assert "503" in row[4] and row[5] >= 1
        body, = kept(dovecot, "body")[0]
        assert '"subject":"Lost"' in body
        # also after a restart
        dovecot.stop()
        dovecot.start()
        assert kept(dovecot)[0] == row


def test_what_is_refused_is_kept_without_credentials(other_endpoint):
    endpoint = other_endpoint
    endpoint.status = refuse("Poison")
    with running_dovecot(driver(endpoint, max_retries=0)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("Good"))
        endpoint.wait(1)
        dovecot.deliver("bob", message("Poison"))
        wait_for(lambda: kept(dovecot), what="it to be kept")
        (username, _, uid, reason, answer, _), = kept(dovecot)
        assert (username, uid, reason) == ("bob", 2, REFUSED)
        assert "422" in answer
        row, = kept(dovecot, "*")
        for secret in endpoint.credentials:
            assert secret not in repr(row)


def test_nothing_is_kept_if_that_is_not_wanted(other_endpoint):
    endpoint = other_endpoint
    endpoint.status = 503
    with running_dovecot(driver(endpoint, max_retries=0),
                         "http_notify_lost_keep = 0") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost: user=bob")
        dovecot.wait_queue_empty()
        assert not kept(dovecot)


# -- doveadm http-notify lost --

def has_queue(dovecot):
    """The service has opened it."""
    process = dovecot.doveadm_start("http-notify", "status")
    process.communicate(timeout=60)
    return process.returncode == 0


def lose(dovecot, endpoint, count, user_count=3, first=1, size=0):
    """Some of user0, user1 and so on were given up by a former process. Returns
    their keys, by UID."""
    wait_for(lambda: has_queue(dovecot), what="the service")
    enqueue(dovecot, endpoint.url, 1, first=first + count)
    endpoint.wait(1)
    dovecot.wait_queue_empty()
    dovecot.stop()
    endpoint.clear()
    session = os.urandom(16)
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        (now,), = db.execute("SELECT max(used) FROM session")
        db.executemany(
            "INSERT INTO lost (notification, session, seq, created, lost, "
            "reason, answer, attempts, size, username, folder, uid, body) "
            "VALUES ((1 << 40) + ?1, ?2, ?1, ?3, ?3, ?4, 'refused: 422', 3, "
            "length(?6), ?5, 'INBOX', ?1, ?6)",
            ((uid, session, now, REFUSED, "user%d" % (uid % user_count),
              json.dumps({"user": "3@1", "event": "messageNew",
                          "folder": "INBOX", "imap-uid": uid, "from": "a@b",
                          "pad": "x" * size}, separators=(",", ":")))
             for uid in range(first, first + count)))
        db.commit()
    dovecot.start()
    wait_for(lambda: has_queue(dovecot), what="the service")
    return {uid: '"%s-%d"' % (session.hex(), uid)
            for uid in range(first, first + count)}


def lost(dovecot, *args):
    return [row["uid"] for row in rows(dovecot, "lost", *args)]


def test_lost_lists_and_filters(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        lose(dovecot, endpoint, 6)
        row = rows(dovecot, "lost")[0]
        assert {name: row[name] for name in (
            "username", "folder", "uid", "mail_event", "reason", "attempts",
            "id")} == {
            "username": "user1", "folder": "INBOX", "uid": 1,
            "mail_event": "MessageNew",
            "reason": "refused", "attempts": 3, "id": 1}
        assert row["answer"] == "refused: 422"
        assert row["last"] <= row["first"] < 600
        assert row["endpoint"] == rows(dovecot, "status")[0]["endpoint"]
        everything = sorted(lost(dovecot))
        assert everything == [1, 2, 3, 4, 5, 6]
        assert sorted(lost(dovecot, "-u", "user1")) == [1, 4]
        assert sorted(lost(dovecot, "-e", str(endpoint.port))) == everything
        assert lost(dovecot, "-e", "elsewhere") == []
        assert sorted(lost(dovecot, "--folder", "IN*")) == everything
        assert lost(dovecot, "--folder", "Other") == []
        assert sorted(lost(dovecot, "--reason", "refused")) == everything
        assert lost(dovecot, "--reason", "dropped") == []
        assert sorted(lost(dovecot, "--since", "1h")) == everything
        assert sorted(lost(dovecot, "--since", "2020-01-01")) == everything
        with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
            db.execute("UPDATE lost SET lost = lost - 7200 WHERE uid < 4")
            db.commit()
        assert sorted(lost(dovecot, "--since", "1h")) == [4, 5, 6]
        # there is but this one
        for name in ".", socket.gethostname():
            assert sorted(lost(dovecot, "--host", name)) == everything
        doveadm(dovecot, "lost", "--host", "other", status=EX_NOTFOUND)
        assert "host" not in row
        for bad in (["--since", "soon"], ["--reason", "bad"],
                    ["--body", "x"]):
            doveadm(dovecot, "lost", *bad, status=EX_USAGE)
        for format in "flow", "pager", "table":
            assert "user1" in doveadm(dovecot, "lost", options=("-f", format))
        title = doveadm(dovecot, "lost", options=("-f", "tab")).split("\n")[0]
        assert title.split("\t") == list(row)


def test_lost_resend(other_endpoint):
    """With the same keys; what is not resent stays."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        keys = lose(dovecot, endpoint, 9)
        doveadm(dovecot, "lost", "resend", status=EX_USAGE)
        assert rows(dovecot, "lost", "resend", "-u", "user1") == [{"count": 3}]
        assert [(r.uid, r.key) for r in endpoint.wait(3)] == [
            (uid, keys[uid]) for uid in (1, 4, 7)]
        dovecot.wait_log("Sending 3 notifications again")
        assert lost(dovecot) == [2, 3, 5, 6, 8, 9]
        assert rows(dovecot, "lost", "resend", "-u", "user1") == [{"count": 0}]
        assert rows(dovecot, "lost", "resend", "-u", "*") == [{"count": 6}]
        assert {r.uid: r.key for r in endpoint.wait(9)} == keys
        assert not kept(dovecot)
        dovecot.wait_queue_empty()
        assert len(endpoint.delivered) == 9


def test_lost_resend_goes_before_newer_ones(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        lose(dovecot, endpoint, 4, user_count=1)
        endpoint.stop()
        enqueue(dovecot, endpoint.url, 4, 1, first=11)
        assert rows(dovecot, "lost", "resend", "-u", "*") == [{"count": 4}]
        assert [row["uid"] for row in rows(dovecot, "queue")] == [
            1, 2, 3, 4, 11, 12, 13, 14]
        endpoint.start()
        wait_for(lambda: doveadm(dovecot, "flush") and
                 len(endpoint.delivered) == 8, what="all of them")
        assert [r.uid for r in endpoint.delivered] == [
            1, 2, 3, 4, 11, 12, 13, 14]


def test_lost_resend_to_the_endpoint_that_it_should_have_been(
        endpoint, other_endpoint):
    """The URL was wrong: what waits longest comes first there, too."""
    with running_dovecot(driver(endpoint)) as dovecot:
        keys = lose(dovecot, other_endpoint, 3, user_count=1)
        args = ("lost", "resend", "-u", "*", "--to")
        assert "no endpoint" in doveadm(dovecot, *args, endpoint.url,
                                        status=EX_TEMPFAIL)
        assert lost(dovecot) == [1, 2, 3]
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        right, = (row["endpoint"] for row in rows(dovecot, "status")
                  if ":%d/" % endpoint.port in row["endpoint"])
        assert rows(dovecot, *args, right) == [{"count": 3}]
        assert [(r.uid, r.key) for r in endpoint.wait(4)[1:]] == [
            (uid, keys[uid]) for uid in (1, 2, 3)]
        assert not lost(dovecot)
        assert not other_endpoint.delivered


def test_lost_drop(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        lose(dovecot, endpoint, 6)
        doveadm(dovecot, "lost", "drop", status=EX_USAGE)
        assert rows(dovecot, "lost", "drop", "-u", "user1") == [{"count": 2}]
        assert lost(dovecot) == [2, 3, 5, 6]
        dovecot.wait_log("Dropped 2 notifications that were given up")
        assert rows(dovecot, "lost", "drop", "--reason", "refused") == [
            {"count": 4}]
        wait_for(lambda: not kept(dovecot), what="none to be kept")


def test_body(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        keys = lose(dovecot, endpoint, 3)
        for row in rows(dovecot, "lost"):
            body, = rows(dovecot, "lost", "--body", str(row["id"]))
            assert json.loads(body["body"])["imap-uid"] == row["uid"]
            assert '"%s"' % body["idempotency_key"] == keys[row["uid"]]
            assert body["endpoint"] == row["endpoint"]
        doveadm(dovecot, "lost", "--body", "777", status=EX_NOTFOUND)

        endpoint.stop()
        enqueue(dovecot, endpoint.url, 3, first=11)
        for row in rows(dovecot, "queue"):
            body, = rows(dovecot, "queue", "--body", str(row["id"]))
            assert json.loads(body["body"])["imap-uid"] == row["uid"]
        doveadm(dovecot, "queue", "--body", "777", status=EX_NOTFOUND)


def test_many_are_resent_while_others_are_delivered(endpoint, other_endpoint):
    """In slices: a delivery does not wait for them."""
    count = 20000
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        lose(dovecot, other_endpoint, count, user_count=500)
        process = dovecot.doveadm_start("http-notify", "lost", "resend", "-u",
                                        "*")
        sent = 0
        while process.poll() is None:
            dovecot.deliver("bob", message())
            sent += 1
        assert process.communicate()[0].strip().endswith("count=%d" % count)
        assert sent > 0
        assert len(endpoint.wait(sent)) == sent
        other_endpoint.wait(count, 120)
        assert not dovecot.log_lines("not confirmed")
        dovecot.wait_queue_empty()
        uids = {}
        for request in other_endpoint.delivered:
            uids.setdefault(request.uid % 500, []).append(request.uid)
        assert all(found == sorted(found) for found in uids.values())


def test_killed_at_any_moment(other_endpoint):
    """Nothing that waits or is kept is lost, and all has the key that it had
    at first."""
    endpoint = other_endpoint
    count = 600
    random.seed(1)
    with running_dovecot(driver(endpoint)) as dovecot:
        keys = lose(dovecot, endpoint, count, user_count=20)
        for _ in range(6):
            endpoint.status = random.choice((200, 503))
            process = dovecot.doveadm_start("http-notify", "lost", "resend",
                                            "-u", "*")
            time.sleep(random.random() / 3)
            pid = dovecot.service_pid()
            os.kill(pid, signal.SIGKILL)
            process.wait(30)
            wait_for(lambda: dovecot.pids("http-notify") not in ([], [pid]),
                     what="another service")
        endpoint.status = 200

        def all_there():
            doveadm(dovecot, "lost", "resend", "-u", "*")
            doveadm(dovecot, "flush")
            return {r.uid for r in endpoint.delivered} == set(keys)

        wait_for(all_there, 120, "all of them")
        for request in endpoint.attempts:
            assert request.key == keys[request.uid]
        dovecot.wait_queue_empty()
        assert not kept(dovecot)


# -- status, check --

def test_status_counts_what_is_kept(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        lose(dovecot, endpoint, 6)
        for row in rows(dovecot, "status"):
            assert (row["kept_refused"], row["kept_dropped"],
                    row["kept_expired"], row["forgotten"]) == (6, 0, 0, 0)
        doveadm(dovecot, "lost", "resend", "-u", "user1")
        doveadm(dovecot, "lost", "drop", "-u", "user2")
        wait_for(lambda: len(kept(dovecot)) == 2, what="these to be gone")
        assert [row["kept_refused"] for row in rows(dovecot, "status")] == [
            2, 2]
        endpoint.wait(2)
        doveadm(dovecot, "lost", "drop", "-u", "*")
        wait_for(lambda: not kept(dovecot), what="these to be gone")
        row = rows(dovecot, "status")[-1]
        assert row["kept_refused"] == row["kept_oldest"] == 0


def test_too_many_are_forgotten(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint),
                         "http_notify_lost_limit = 3 1M") as dovecot:
        lose(dovecot, endpoint, 6)
        dovecot.wait_log("Warning: Too many notifications were given up")
        wait_for(lambda: lost(dovecot) == [4, 5, 6], what="the limit")
        row = rows(dovecot, "status")[-1]
        assert (row["kept_refused"], row["forgotten"]) == (3, 3)


def test_check_names_what_a_user_has_lost(other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint), extra=ACCESS) as dovecot:
        def given_up(user):
            return [row["detail"] for row in rows(
                dovecot, "check", "-u", user) if row["link"] == "given up"]

        for user in "user1", "bob":
            dovecot.setmetadata(user, "user=3@1")
        lose(dovecot, endpoint, 6)
        detail, = given_up("user1")
        assert detail == ("2 notifications, the last one for folder INBOX, "
                          "uid 4: refused: 422 (doveadm http-notify lost -u "
                          "user1)")
        assert given_up("bob") == []
