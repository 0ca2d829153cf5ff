# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages that are larger than the memory of the process that delivers them:
what Dovecot delivers by itself is delivered with notifications, too, and
notified.

Dovecot keeps some headers in memory itself, which ones and how often depends on
its version. Where a message is refused, Dovecot alone must refuse it as well,
and a smaller one of the same kind is tried.
"""

import smtplib

import pytest

from conftest import SANITIZED, driver, running_dovecot
from harness.config import config

M = 1024*1024
MEMORY = 72 * M
# Dovecot alone has less by what the plugin's own code takes.
MEMORY_ALONE = 68 * M
SIZE = 80 * M
# of what each Dovecot keeps itself
KEPT = 2 * M
SMALL = M // 4

pytestmark = pytest.mark.skipif(
    SANITIZED, reason="sanitizers take more memory")


def fill(text, size):
    return text * (size // len(text) + 1)


START = b"From: a@example.org\r\nSubject: x\r\n"
END = b"\r\n\r\nThis is the text.\r\n"
PART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"


def nested(depth):
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)) + b"\r\ntext\r\n"


# what it is: the message of n bytes, by a function, since they are large
MESSAGES = {
    "a Sender in one line":
        lambda n: b"Sender: " + fill(b"x", n) + b" <b@example.org>" + END,
    "a Sender in many lines":
        lambda n: b"Sender: " + fill(b"x\r\n ", n) + b"<b@example.org>" + END,
    "a Sender of many addresses":
        lambda n: b"Sender: " + fill(b"a@example.org, ", n) + b"b@c.d" + END,
    "a Sender of comments, quotes and groups":
        lambda n: b"Sender: " + fill(b'(("\\"a:<@b,', n) + b"b@example.org" +
        END,
    "many Senders": lambda n: fill(b"Sender: b@example.org\r\n", n) + END,
    "many headers": lambda n: START + fill(b"X-Header: x\r\n", n) + END,
    "a header before From":
        lambda n: b"X-Header: " + fill(b"x", n) + b"\r\n" + START + END,
    "a header without a name": lambda n: START + fill(b"x", n) + END,
    "a part with a header in one line":
        lambda n: START + PART + b"X-Header: " + fill(b"x", n) + END,
    "many parts": lambda n: START + PART + fill(
        b"Content-Type: text/html\r\n\r\n\r\n--b\r\n", n) + END,
    "parts in parts": lambda n: START + nested(10000),
    "a base64 text in one line": lambda n: START +
        b"Content-Transfer-Encoding: base64\r\n\r\n" + fill(b"ICAg", n),
    "a quoted-printable text in one line": lambda n: START +
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" +
        fill(b"=20", n),
    "entities of HTML": lambda n: START +
        b"Content-Type: text/html\r\n\r\n" + fill(b"&unknown;", n),
    "tags of HTML": lambda n: START +
        b"Content-Type: text/html\r\n\r\n<style>" + fill(b"</styl<a '\"", n),
    "a text in UTF-7": lambda n: START +
        b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + fill(b" +", n),
}
# the same, of what each Dovecot keeps itself
KEPT_MESSAGES = {
    "a From in one line":
        lambda n: b"From: " + fill(b"x", n) + b" <b@example.org>" + END,
    "a From in many lines":
        lambda n: b"From: " + fill(b"x\r\n ", n) + b"<b@example.org>" + END,
    "many Froms": lambda n: fill(b"From: b@example.org\r\n", n) + END,
    "a Subject": lambda n: START[:29] + fill(b"x", n) + END,
    "From, Sender and Subject": lambda n: b"From: " + fill(b"x", n) +
        b"\r\nSender: " + fill(b"x", n) + b"\r\nSubject: x" + END,
    "a part with a Content-Type": lambda n: START + PART +
        b"Content-Type: text/plain; x=" + fill(b"y", n) + END,
}


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    with running_dovecot(
            driver(shared_endpoint), extra=config.handoff_access() +
            "default_vsz_limit = %d\n" % MEMORY) as dovecot:
        for user in ("bob", "carol"):
            dovecot.setmetadata(user, "user=3@1")
        yield dovecot


@pytest.fixture(scope="module")
def alone():
    """Dovecot without this project."""
    with running_dovecot(
            builtin=True,
            extra="default_vsz_limit = %d\n" % MEMORY_ALONE) as dovecot:
        yield dovecot


def by_lmtp(users):
    """Returns a function that tells whether a message is delivered."""
    def deliver(dovecot, message, memory):
        try:
            dovecot.deliver(users, message)
        except smtplib.SMTPServerDisconnected:
            # it has died, and the next message's log is to begin after that
            dovecot.wait_log("Fatal: master: service(lmtp)")
            return False
        return True
    return deliver


def by_lda(user):
    def deliver(dovecot, message, memory):
        result = dovecot.lda(user, message,
                             prefix=["prlimit", "--as=%d" % memory])
        assert result.returncode == 0 or dovecot.log_lines("Out of memory"), \
            result.stdout
        return result.returncode == 0
    return deliver


def assert_delivered_and_notified(dovecot, alone, endpoint, what, deliver,
                                  count=1):
    """As large a message as Dovecot alone delivers."""
    make = {**MESSAGES, **KEPT_MESSAGES}[what]
    for size in (SIZE, KEPT, SMALL)[what in KEPT_MESSAGES:]:
        message = make(size)
        if deliver(dovecot, message, MEMORY):
            break
        assert not deliver(alone, message, MEMORY_ALONE), (
            "refused only with the plugin: %d bytes" % size)
        dovecot.clear_log()
        endpoint.clear()
    else:
        pytest.fail("Dovecot alone delivers none of these")
    for request in endpoint.wait(count):
        for name in ("from", "subject", "snippet"):
            assert len(request.body.get(name, "").encode()) <= 1024
        assert "@example.org" in request.body["from"]
    for word in ("Error:", "Fatal:", "Panic:", "Warning:"):
        assert not dovecot.log_lines(word)


@pytest.mark.parametrize("what", [*MESSAGES, *KEPT_MESSAGES])
def test_a_huge_message_is_delivered_and_notified(dovecot, alone, endpoint,
                                                  what):
    assert_delivered_and_notified(dovecot, alone, endpoint, what,
                                  by_lmtp("bob"))


def test_the_second_recipient_has_a_copy(dovecot, alone, endpoint):
    assert_delivered_and_notified(dovecot, alone, endpoint, "a header before "
                                  "From", by_lmtp(["bob", "carol"]), count=2)


@pytest.mark.parametrize("what", [
    "a Sender in one line", "many parts", "entities of HTML",
    "a From in many lines"])
def test_dovecot_lda_delivers_a_huge_message(dovecot, alone, endpoint, what):
    assert_delivered_and_notified(dovecot, alone, endpoint, what,
                                  by_lda("bob"))
