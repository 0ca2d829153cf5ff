# SPDX-License-Identifier: LGPL-2.1-or-later
"""INBOX gets another GUID, and METADATA stay with the former one."""

import contextlib
import os
import shutil
import tempfile

import pytest

from conftest import driver, running_dovecot
from harness.config import block, config
from harness.doveadm import (EX_TEMPFAIL, check, doveadm, failed_check, rows,
                             users)
from harness.dovecot import MAILDIR, PASSWORD, message
from harness.postgresql import postgresql
from harness.redis import redis

MBOX = ("mbox", "~/mail", "~/inbox")
ACCESS = config.handoff_access()
NAMES = ["alice", "bob", "carol"]
# the dict service, for mail users and for doveadm
DICT = block("service dict", block("unix_listener dict", "mode = 0666"))


def removed_uidlist(dovecot, user):
    (dovecot.dir / "home" / user / "Maildir/dovecot-uidlist").unlink()


def removed_indexes(dovecot, user):
    shutil.rmtree(dovecot.dir / "home" / user / "mail/.imap")


def renamed(dovecot, user):
    with dovecot.imap(user) as imap:
        status, data = imap.rename("INBOX", "Old")
        assert status == "OK", data


LOSSES = [
    pytest.param(MAILDIR, removed_uidlist, id="Maildir"),
    pytest.param(MBOX, removed_indexes, id="mbox"),
    # which Maildir refuses
    pytest.param(("sdbox", "~/sdbox"), renamed, id="RENAME"),
]


@contextlib.contextmanager
def site(endpoint, mail=MAILDIR, **kwargs):
    with running_dovecot(start=False, mail=mail) as dovecot:
        dovecot.configure(driver(endpoint), auth=users(dovecot, *NAMES),
                          any_user=False, **dict({"extra": ACCESS}, **kwargs))
        dovecot.start()
        yield dovecot


def pushed_to(dovecot, endpoint, user):
    """The OX user who is told of a new message."""
    endpoint.clear()
    dovecot.deliver(user, message())
    dovecot.wait_queue_empty()
    return [request.body["user"] for request in endpoint.delivered]


def registered(dovecot):
    return {row["username"]: "%s@%s" % (row["user"], row["context"])
            for row in rows(dovecot, "list", "-A")}


@pytest.mark.parametrize("mail, lose", LOSSES)
def test_registration_of_an_earlier_inbox_is_named_and_carried_over(
        endpoint, mail, lose):
    with site(endpoint, mail) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        assert pushed_to(dovecot, endpoint, "bob") == ["3@1"]
        lose(dovecot, "bob")
        assert pushed_to(dovecot, endpoint, "bob") == []

        detail = failed_check(dovecot)["registration"]
        assert detail.startswith(
            "registered for an earlier INBOX, user=3@1: ")
        assert detail.endswith(
            "Carry it over: doveadm http-notify reregister -u bob")
        again = ("reregister", "-u", "bob")
        assert rows(dovecot, *again) == [{
            "username": "bob", "changed": "yes", "registration": "user=3@1"}]
        assert rows(dovecot, *again) == [{
            "username": "bob", "changed": "no", "registration": "user=3@1"}]
        check(dovecot)
        assert pushed_to(dovecot, endpoint, "bob") == ["3@1"]

        # who is unregistered stays so
        doveadm(dovecot, "unregister", "-u", "bob")
        assert rows(dovecot, *again) == [{
            "username": "bob", "changed": "no", "registration": ""}]
        assert failed_check(dovecot)["registration"].startswith(
            "not registered: ")


def test_registrations_of_all_users_are_carried_over(endpoint):
    with site(endpoint) as dovecot:
        for user, ox_user in (("alice", "1@1"), ("bob", "2@1")):
            doveadm(dovecot, "register", "-u", user, ox_user)
            removed_uidlist(dovecot, user)
        assert registered(dovecot) == {}
        assert [(row["username"], row["changed"], row["registration"])
                for row in rows(dovecot, "reregister", "-A")] == [
            ("alice", "yes", "user=1@1"), ("bob", "yes", "user=2@1"),
            ("carol", "no", "")]
        assert registered(dovecot) == {"alice": "1@1", "bob": "2@1"}


def test_who_has_registered_since_then_stays_so(endpoint):
    with site(endpoint) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        removed_uidlist(dovecot, "bob")
        doveadm(dovecot, "register", "-u", "bob", "4@1")
        assert rows(dovecot, "reregister", "-A")[1] == {
            "username": "bob", "changed": "no", "registration": "user=4@1"}


@pytest.mark.parametrize("registered_again", [False, True])
def test_who_is_unregistered_is_not_registered_again(endpoint,
                                                     registered_again):
    with site(endpoint) as dovecot:
        for ox_user in ("3@1", "4@1"):
            doveadm(dovecot, "register", "-u", "bob", ox_user)
            removed_uidlist(dovecot, "bob")
        if registered_again:
            doveadm(dovecot, "register", "-u", "bob", "4@1")
        for changed in "yes", "no":
            assert rows(dovecot, "unregister", "-u", "bob") == [
                {"username": "bob", "changed": changed}]
        assert rows(dovecot, "reregister", "-u", "bob")[0][
            "changed"] == "no"


def test_several_earlier_registrations(endpoint):
    with site(endpoint) as dovecot:
        for ox_user in ("3@1", "4@1"):
            doveadm(dovecot, "register", "-u", "bob", ox_user)
            removed_uidlist(dovecot, "bob")
        assert "there are 2 of earlier INBOXes, which differ" in \
            failed_check(dovecot)["registration"]
        assert "there are 2 of earlier INBOXes, which differ" in doveadm(
            dovecot, "reregister", "-u", "bob", status=EX_TEMPFAIL)
        assert registered(dovecot) == {}

        # twice the same is one
        for _ in range(2):
            doveadm(dovecot, "register", "-u", "alice", "3@1")
            removed_uidlist(dovecot, "alice")
        assert rows(dovecot, "reregister", "-u", "alice")[0][
            "changed"] == "yes"


@pytest.mark.parametrize("dictionary", [
    lambda path: {"dictionary": config.dictionary_in_file(path)},
    lambda path: {"dictionary": config.dictionary_of_a_process(),
                  "extra": ACCESS + DICT + config.process_with_a_file(path)},
], ids=["file", "process"])
def test_nobody_gets_what_is_anothers(endpoint, dictionary):
    """In a file for all users, though there is exactly one registration that
    is not of this user's INBOX."""
    with tempfile.TemporaryDirectory(prefix="hn-all-") as directory:
        os.chmod(directory, 0o777)
        path = directory + "/attributes"
        with site(endpoint, **dictionary(path)) as dovecot:
            doveadm(dovecot, "register", "-u", "bob", "3@1")
            for user in ("alice", "carol"):
                dovecot.deliver(user, message())
                assert "is one for several users" in \
                    failed_check(dovecot, user=user)["registration"]
                doveadm(dovecot, "reregister", "-u", user, status=EX_TEMPFAIL)
                doveadm(dovecot, "unregister", "-u", user)
            assert registered(dovecot) == {"bob": "3@1"}


def test_dictionary_that_can_not_be_iterated(endpoint):
    with redis(PASSWORD) as server, site(
            endpoint, dictionary=config.dictionary_for_doveadm_in_redis(
                server.port, PASSWORD), extra=ACCESS + DICT) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        assert pushed_to(dovecot, endpoint, "bob") == ["3@1"]
        removed_uidlist(dovecot, "bob")
        detail = failed_check(dovecot)["registration"]
        assert detail.startswith("not registered (whether the user was, for "
                                 "an earlier INBOX, is not known: ")
        assert detail.endswith(
            "doveadm http-notify register -u bob <OX user>@<OX context>")
        doveadm(dovecot, "reregister", "-u", "bob", status=EX_TEMPFAIL)


def test_dictionary_in_postgresql(endpoint):
    with postgresql() as server, running_dovecot(start=False) as dovecot:
        server.dir.chmod(0o755)
        server.execute("-c", "CREATE TABLE metadata (username text, "
                       "name text, value text, PRIMARY KEY (username, name))",
                       database="postgres")
        dovecot.configure(
            driver(endpoint), auth=users(dovecot, *NAMES), any_user=False,
            dictionary=config.dictionary_in_postgresql(
                dovecot, server.dir, server.port), extra=ACCESS + DICT)
        dovecot.start()
        for user, ox_user in (("alice", "1@1"), ("bob", "2@1")):
            doveadm(dovecot, "register", "-u", user, ox_user)
            removed_uidlist(dovecot, user)
        assert failed_check(dovecot)["registration"].startswith(
            "registered for an earlier INBOX, user=2@1: ")
        assert failed_check(dovecot, user="carol")["registration"].startswith(
            "not registered: ")
        assert [row["changed"] for row in rows(
            dovecot, "reregister", "-A")] == ["yes", "yes", "no"]
        assert registered(dovecot) == {"alice": "1@1", "bob": "2@1"}
