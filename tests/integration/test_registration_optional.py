# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users who are not registered, and fields that are left out."""

import contextlib
import sqlite3

from conftest import driver, running_dovecot
from harness.config import PATIENT
from harness.doveadm import EX_DATAERR, check
from harness.dovecot import message


def test_all_users_are_announced_and_a_registration_wins(endpoint,
                                                         other_endpoint):
    with running_dovecot(driver(endpoint, registration="optional"),
                         driver(other_endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for user in ("carol", "bob", "dave@example.org"):
            dovecot.deliver(user, message())
        assert [r.body["user"] for r in sorted(
            endpoint.wait(3), key=lambda r: r.body["user"])] == [
                "3@1", "carol", "dave@example.org"]
        # the other line has the default
        request, = other_endpoint.wait(1)
        assert request.body["user"] == "3@1"
        dovecot.setmetadata("bob", None)
        dovecot.deliver("bob", message())
        assert endpoint.wait(4)[3].body["user"] == "bob"
        dovecot.wait_queue_empty()
        assert len(other_endpoint.delivered) == 1


def test_an_invalid_registration_is_not_replaced(endpoint):
    with running_dovecot(driver(endpoint,
                                registration="optional")) as dovecot:
        dovecot.setmetadata("bob", "nobody")
        dovecot.deliver("bob", message())
        dovecot.wait_log("lmtp(bob)", "not a valid registration")
        dovecot.deliver("carol", message())
        request, = endpoint.wait(1)
        assert request.body["user"] == "carol"


def test_no_dictionary_is_needed_for_mail_user_names(endpoint):
    with running_dovecot(
            driver(endpoint, registration="optional",
                   user_from_metadata=False),
            PATIENT, dictionary="", imap_metadata="") as dovecot:
        dovecot.deliver("bob", message())
        request, = endpoint.wait(1)
        assert request.body["user"] == "bob"
        assert not dovecot.log_lines("Error:")
        assert not dovecot.log_lines("Warning:")


def test_try_it_without_a_registration(endpoint):
    with running_dovecot(driver(endpoint, registration="optional",
                                omit="subject")) as dovecot:
        endpoint.status = 200
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        dovecot.doveadm("http-notify", "test", "-u", "bob")
        request = endpoint.wait(2)[1]
        assert request.body["user"] == "bob"
        assert "subject" not in request.body


def details(dovecot):
    """What check says. Dovecot-lda has no access, which is not the point."""
    return check(dovecot, status=EX_DATAERR)


def test_check_is_content_without_a_registration(endpoint):
    with running_dovecot(driver(endpoint,
                                registration="optional")) as dovecot:
        dovecot.deliver("bob", message())
        assert details(dovecot)["registration"] == ""


def test_check_asks_for_none_that_is_not_needed(endpoint):
    with running_dovecot(driver(endpoint, registration="optional",
                                user_from_metadata=False), dictionary="",
                         imap_metadata="") as dovecot:
        dovecot.deliver("bob", message())
        found = details(dovecot)
        assert found["endpoint " + endpoint.authority] == ""
        assert not [link for link in found if "METADATA" in link or
                    link == "registration"]


def test_check_asks_for_one_that_an_endpoint_needs(endpoint):
    with running_dovecot(driver(endpoint, registration="optional"),
                         driver(endpoint)) as dovecot:
        dovecot.deliver("bob", message())
        assert "not registered" in details(dovecot)["registration"]


def test_what_is_left_out_is_not_queued_either(endpoint):
    endpoint.stop()
    try:
        with running_dovecot(driver(
                endpoint, omit="from,subject,snippet")) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message("Secret subject"))
            with contextlib.closing(
                    sqlite3.connect(dovecot.queue_path)) as db:
                (row,) = db.execute("SELECT * FROM notification")
            assert "Secret" not in repr(row) and "imap-uid" in repr(row)
            endpoint.start()
            # which OX does not like
            endpoint.status = 200
            request, = endpoint.wait(1)
            assert set(request.body) == {
                "user", "event", "folder", "imap-uidvalidity", "imap-uid",
                "unseen", "unread"}
    finally:
        endpoint.stop()
        endpoint.start()
