# SPDX-License-Identifier: LGPL-2.1-or-later
"""The formats of a notification, beside the one of OX, which all other tests
are about."""

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import message

# what EGroupware's server registers
USER = "5::bob;0123456789abcdef@egroupware.example"
FIELDS = ["user", "event", "folder", "imap-uidvalidity", "imap-uid", "from",
          "subject", "snippet", "unseen", "messages"]


@pytest.fixture(scope="module")
def egroupware(shared_endpoint):
    with running_dovecot(
            driver(shared_endpoint, format="egroupware"),
            extra=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=" + USER)
        yield dovecot


def test_egroupware_hears_of_new_messages(egroupware, endpoint):
    egroupware.deliver("bob", message(
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Alice <alice@example.org>", "Hello."))
    body = endpoint.wait(1)[0].body
    assert list(body) == FIELDS
    assert body["user"] == USER
    assert body["event"] == "MessageNew"
    assert body["folder"] == "INBOX"
    assert body["from"] == "Alice <alice@example.org>"
    assert body["subject"] == "Gr\u00fc\u00dfe"
    assert body["snippet"] == "Hello."
    assert body["unseen"] == body["messages"] == body["imap-uid"]


def test_egroupware_hears_of_other_folders(egroupware, endpoint):
    """By the names that users see."""
    egroupware.deliver("bob", message("before"))
    endpoint.wait(1)
    script = egroupware.dir / "home/bob/.dovecot.sieve"
    script.write_text('require ["fileinto", "mailbox", "imap4flags"];'
                      'addflag "\\\\Seen";'
                      'fileinto :create "Entw\u00fcrfe";')
    try:
        egroupware.deliver("bob", message("filed"))
        body = endpoint.wait(2)[1].body
    finally:
        script.unlink()
    assert list(body) == FIELDS
    assert body["folder"] == "Entw\u00fcrfe"
    assert body["subject"] == "filed"
    assert (body["unseen"], body["messages"]) == (0, 1)


def test_endpoints_of_both_formats(endpoint, other_endpoint):
    with running_dovecot(driver(endpoint),
                         driver(other_endpoint, format="egroupware")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("to both"))
        ox, = endpoint.wait(1)
        egroupware, = other_endpoint.wait(1)
    assert ox.body["event"] == "messageNew"
    assert egroupware.body["event"] == "MessageNew"
    for field in ("user", "folder", "imap-uid", "subject", "unseen"):
        assert ox.body[field] == egroupware.body[field], field
