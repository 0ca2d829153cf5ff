# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was given up is kept."""

import contextlib
import sqlite3

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import message, wait_for


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
        wait_for(lambda: kept(dovecot), 10, "it to be kept")
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
        wait_for(lambda: kept(dovecot), 10, "it to be kept")
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
