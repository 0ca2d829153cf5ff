# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that only look leave no files behind."""

import os

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.doveadm import (EX_DATAERR, EX_TEMPFAIL, check, doveadm, rows,
                             users)
from harness.dovecot import MAIL_UID, MAILDIR, message

ACCESS = config.handoff_access()


def tree(dovecot):
    """Names, with sizes of files."""
    home = dovecot.dir / "home"
    return sorted((str(path.relative_to(home)),
                   path.stat().st_size if path.is_file() else None)
                  for path in home.rglob("*"))


def own_directory(path):
    path.mkdir(exist_ok=True)
    os.chown(path, MAIL_UID, MAIL_UID)
    return path


def foreign_maildir(home):
    """As an MTA makes it, with a message that Dovecot has not seen."""
    maildir = own_directory(home / "Maildir")
    for name in ("cur", "new", "tmp"):
        own_directory(maildir / name)
    path = maildir / "new/1600000000.M1.mail"
    path.write_text("From: a@example.org\n\nText\n")
    os.chown(path, MAIL_UID, MAIL_UID)


FORMATS = [MAILDIR, ("mbox", "~/mail", "~/inbox"), ("sdbox", "~/sdbox")]


@pytest.mark.parametrize("mail", FORMATS, ids=lambda mail: mail[0])
def test_nothing_is_created(endpoint, mail):
    without = ["nohome", "empty", "foreign"]
    with running_dovecot(start=False, mail=mail) as dovecot:
        dovecot.configure(
            driver(endpoint), any_user=False, extra=ACCESS,
            auth=users(dovecot, *without, "mail", "registered"))
        dovecot.start()
        own_directory(dovecot.dir / "home/empty")
        own_directory(dovecot.dir / "home/foreign")
        if mail == MAILDIR:
            foreign_maildir(dovecot.dir / "home/foreign")
        dovecot.deliver("mail", message())
        doveadm(dovecot, "register", "-u", "registered", "3@1")
        dovecot.deliver("registered", message())
        endpoint.wait(1)
        if mail == MAILDIR:
            for path in (dovecot.dir / "home/registered").glob(
                    "Maildir/dovecot*index*"):
                path.unlink()

        before = tree(dovecot)
        assert rows(dovecot, "list", "-A") == [{
            "username": "registered", "user": "3", "context": "1",
            "other": ""}]
        doveadm(dovecot, "test", "-u", "foreign", status=EX_TEMPFAIL)
        assert rows(dovecot, "catch-up", "-u", "foreign", "-s", "1h") == []
        for user in "nohome", "empty":
            details = check(dovecot, user=user, status=EX_DATAERR)
            assert details["INBOX"] == ""
            assert details["registration"].startswith("not registered: ")
            doveadm(dovecot, "test", "-u", user, status=EX_TEMPFAIL)
            assert rows(dovecot, "catch-up", "-u", user, "-s", "1h") == []
            for command in "unregister", "reregister":
                assert rows(dovecot, command, "-u", user)[0][
                    "changed"] == "no"
        doveadm(dovecot, "status")
        doveadm(dovecot, "queue")
        assert set(tree(dovecot)) ^ set(before) == set()

        # here an entry is set, and removed again
        assert "INBOX" not in check(dovecot, user="mail", status=EX_DATAERR)
        check(dovecot, user="registered")
        # and this makes what it needs
        for user in without:
            doveadm(dovecot, "register", "-u", user, "4@1")
            check(dovecot, user=user)
