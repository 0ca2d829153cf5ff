# SPDX-License-Identifier: LGPL-2.1-or-later
"""In which folders new messages are announced."""

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, block, config
from harness.dovecot import message

MAIL_FOLDERS = block("namespace inbox", "separator = /", block(
    "mailbox Gesendet", "special_use = \\Sent"), block(
    "mailbox Junk", "special_use = \\Junk"))
# Files each message into all of these.
FOLDERS = ["INBOX", "Entwürfe", "Gesendet", "Junk", "Lists/c", "Lists/old/c",
           "Sent Items", "Public/News"]
SCRIPT = 'require ["fileinto", "mailbox"];\n' + "".join(
    'fileinto :create "%s";\n' % folder for folder in FOLDERS)


def announced(endpoint, folders):
    """The folders in which one message is."""
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(
            driver(endpoint, folders=folders), PATIENT, extra=MAIL_FOLDERS +
            config.public_folders("Public/", dovecot.dir / "home/public") +
            config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp"))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(SCRIPT)
        dovecot.deliver("bob", message("in each of them"))
        # all have been handed over by now
        dovecot.wait_queue_empty()
        assert not dovecot.log_lines("Error:")
        with endpoint.lock:
            requests = list(endpoint.delivered)
    for request in requests:
        assert request.body["user"] == "3@1"
        assert request.body["imap-uid"] == request.body["unseen"] == 1
    return sorted(request.body["folder"] for request in requests)


@pytest.mark.parametrize("folders, expected", [
    ("INBOX", ["INBOX"]),
    ("*", [folder for folder in FOLDERS if folder != "Public/News"]),
    ("*,!\\Junk,!Lists/%", ["Entwürfe", "Gesendet", "INBOX", "Lists/old/c",
                            "Sent Items"]),
    ("\\Sent,Entw%", ["Entwürfe", "Gesendet"]),
    ("Lists/*,Public/*", ["Lists/c", "Lists/old/c", "Public/News"]),
    ("INBOX,Public*", ["INBOX", "Public/News"]),
    ("Sent%Items", ["Sent Items"]),
])
def test_folders_are_those_that_are_chosen(endpoint, folders, expected):
    assert announced(endpoint, folders) == sorted(expected)


def test_inbox_alone_by_default(endpoint):
    with running_dovecot(driver(endpoint), extra="recipient_delimiter = +\n"
                         "lda_mailbox_autocreate = yes\n"
                         "lmtp_save_to_detail_mailbox = yes\n") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob+Lists", message())
        dovecot.deliver("bob", message())
        dovecot.deliver("bob+Lists", message())
        dovecot.deliver("bob", message())
        assert [request.body["folder"] for request in endpoint.wait(2)] == [
            "INBOX", "INBOX"]
        dovecot.wait_queue_empty()
        assert len(endpoint.delivered) == 2


def test_each_driver_has_its_folders(endpoint, other_endpoint):
    with running_dovecot(
            driver(endpoint, folders="Lists"), driver(other_endpoint),
            extra="recipient_delimiter = +\nlda_mailbox_autocreate = yes\n"
            "lmtp_save_to_detail_mailbox = yes\n") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob+Lists", message("in Lists"))
        dovecot.deliver("bob", message("in INBOX"))
        request, = endpoint.wait(1)
        assert request.body["subject"] == "in Lists"
        request, = other_endpoint.wait(1)
        assert request.body["subject"] == "in INBOX"


def test_user_without_an_inbox(endpoint):
    """Whose first message goes elsewhere."""
    with running_dovecot(
            driver(endpoint, folders="*", registration="optional"), PATIENT,
            extra="recipient_delimiter = +\nlda_mailbox_autocreate = yes\n"
            "lmtp_save_to_detail_mailbox = yes\n") as dovecot:
        dovecot.deliver("carol+Lists", message())
        request, = endpoint.wait(1)
        assert (request.body["user"], request.body["folder"]) == (
            "carol", "Lists")
        assert not dovecot.log_lines("Error:")
