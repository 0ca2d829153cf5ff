# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/sent-items: copies that an archive relay delivers."""

import pytest

from conftest import running_dovecot
from harness.config import config
from harness.dovecot import message
from harness.example import LINE, deploy, endpoint

COPY = '"bob+Sent Items"@example.com'
KEEP = "keep;\n"
NO_MATCH = 'if header :contains "subject" "nothing" { discard; }\n'


@pytest.fixture
def node():
    node = endpoint()
    yield node
    node.stop()


def start(dovecot, node, **configuration):
    deploy(dovecot, "sent-items/dovecot-%s.conf" % LINE, {
        "node1.example.com:8009": node.authority,
        "192.0.2.11": "127.0.0.1"}, **configuration)
    dovecot.setmetadata("bob@example.com", "user=3@1")


def subjects(dovecot, folder):
    with dovecot.imap("bob@example.com") as imap:
        status, data = imap.select('"%s"' % folder, readonly=True)
        assert status == "OK", data
        _, found = imap.fetch("1:*", "(BODY[HEADER.FIELDS (SUBJECT)])")
        return [part[1].decode().strip() for part in found
                if isinstance(part, tuple)]


def check_copies(dovecot, node, said="saved mail to %s"):
    """said: what the page has an admin look for in the log"""
    dovecot.deliver(COPY, message(subject="copy 1"))
    dovecot.deliver("bob@example.com", message(subject="mail"))
    dovecot.deliver(COPY, message(subject="copy 2"))
    node.wait(1)
    # a user's come in order: copy 2's, if there was one, before this
    dovecot.deliver("bob@example.com", message(subject="more"))
    assert [r.body["subject"] for r in node.wait(2)] == ["mail", "more"]
    dovecot.wait_queue_empty()
    assert len(node.attempts) == 2
    assert [(r.body["folder"], r.body["unseen"], r.pushed)
            for r in node.delivered] == [("INBOX", 1, True),
                                         ("INBOX", 2, True)]

    assert subjects(dovecot, "Sent Items") == ["Subject: copy 1",
                                               "Subject: copy 2"]
    assert subjects(dovecot, "INBOX") == ["Subject: mail", "Subject: more"]
    assert len(dovecot.wait_log(said % "Sent Items", count=2)) == 2
    assert len(dovecot.wait_log(said % "INBOX", count=2)) == 2
    assert not dovecot.log_lines("Error:")


def test_copies_in_sent_items_are_not_pushed(node):
    with running_dovecot(start=False) as dovecot:
        start(dovecot, node)
        check_copies(dovecot, node)


@pytest.mark.parametrize("script", [KEEP, NO_MATCH])
def test_nor_with_sieve(node, script):
    with running_dovecot(start=False) as dovecot:
        # where it can be compiled
        path = dovecot.dir / "home/all.sieve"
        path.write_text(script)
        path.chmod(0o644)
        start(dovecot, node, before="\n".join([
            config.more_plugins("sieve", protocol="lmtp"),
            config.sieve(str(path))]))
        check_copies(dovecot, node, "stored mail into mailbox '%s'")


def test_a_folder_that_is_not_there_is_inbox(node):
    """Why the example has the folder created."""
    with running_dovecot(start=False) as dovecot:
        start(dovecot, node)
        dovecot.deliver('"bob+Elsewhere"@example.com',
                        message(subject="elsewhere"))
        assert node.wait(1)[0].body["folder"] == "INBOX"
        assert subjects(dovecot, "INBOX") == ["Subject: elsewhere"]
