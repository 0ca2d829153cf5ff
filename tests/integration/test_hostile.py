# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever a message or a registration contains, the endpoint gets valid JSON
in valid UTF-8, and takes it."""

import base64
import json

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import message

ENCODED = "=?UTF-8?B?w4TDlsOc?= =?ISO-8859-1?Q?=E4?="


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    """What is refused is named at once."""
    with running_dovecot(driver(shared_endpoint, max_retries=0)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not dovecot.log_lines("Panic:")


def deliver(dovecot, endpoint, raw, sender="envelope@example.org"):
    dovecot.deliver("bob", raw, sender)
    request = endpoint.wait(1)[0]
    request.raw.decode("utf-8")  # raises if it is not
    assert json.loads(request.raw) == request.body
    assert len(endpoint.attempts) == 1
    return request.body


def test_encoded_words_are_untouched(dovecot, endpoint):
    body = deliver(dovecot, endpoint, message(
        ENCODED, "%s <alice@example.org>" % ENCODED))
    assert body["subject"] == ENCODED
    assert body["from"] == ENCODED + " <alice@example.org>"


@pytest.mark.parametrize("from_, expected", [
    ("undisclosed-recipients:;", "envelope@example.org"),
    ("", "envelope@example.org"),
    ("Friends: a@example.org, b@example.org;", "<a@example.org>"),
    ("=?UTF-8?Q?=00?=", "envelope@example.org"),
    ("Alice: Sales <a@example.org>", '"Alice: Sales" <a@example.org>'),
    ('"Alice <a@example.org>', "Alice <a@example.org>"),
    ("mailto:a@example.org", "<a@example.org>"),
    ("alice", "<alice@mail.example>"),
    ("alice (Cron Daemon)", '"Cron Daemon" <alice@mail.example>'),
])
def test_from_always_has_an_address(dovecot, endpoint, from_, expected):
    body = deliver(dovecot, endpoint, message(from_=from_))
    assert body["from"] == expected


@pytest.mark.parametrize("word, whole", [
    ("=?unknown-8bit?B?xOQ?=", "=?unknown-8bit?B?xOQ=?="),
    ("=?utf8mb4?B?SGVsbG8?=", "=?utf8mb4?B?SGVsbG8=?="),
])
def test_what_ox_fails_at_is_mended(dovecot, endpoint, word, whole):
    body = deliver(dovecot, endpoint,
                   message(word, "%s <alice@example.org>" % word))
    assert body["subject"] == whole
    assert body["from"] == whole + " <alice@example.org>"


def test_long_subject_is_decoded(dovecot, endpoint):
    """It would end within a word."""
    body = deliver(dovecot, endpoint, message("\r\n ".join(
        ["=?utf-8?b?%s?=" % base64.b64encode("日本語".encode()).decode()] * 200)))
    assert body["subject"] == ("日本語" * 200)[:1024 // 3]


def test_no_from_falls_back_to_sender_and_envelope(dovecot, endpoint):
    without = "Subject: x\r\n\r\ntext\r\n"
    assert deliver(dovecot, endpoint, without)["from"] == \
        "envelope@example.org"
    endpoint.clear()
    assert deliver(dovecot, endpoint, "Sender: s@example.org\r\n" + without
                   )["from"] == "s@example.org"
    endpoint.clear()
    # a bounce
    assert deliver(dovecot, endpoint, without, sender="")["from"] == \
        "MAILER-DAEMON@mail.example"


def test_no_subject_and_no_body(dovecot, endpoint):
    body = deliver(dovecot, endpoint, "From: a@example.org\r\n\r\n")
    assert body["subject"] == ""
    assert "snippet" not in body


@pytest.mark.parametrize("raw", [
    b"From: \xe4\xf6\xfc <a@example.org>\r\nSubject: \xff\xfe\r\n\r\n\xff\r\n",
    "From: ä <a@example.org>\r\nSubject: ü\r\n\r\nß\r\n".encode(),
    b"From: a@example.org\r\nSubject: a\0b\0c\r\n\r\nx\0y\r\n",
    b"From: a@example.org\r\nSubject: \x01\x02\x1f\x7f\"\\\t\r\n\r\n\x01\r\n",
    b"From: a@example.org\r\nSubject: \xf0\x9f\x98\xed\xa0\x80\r\n\r\n.\r\n",
    b"From: a@example.org\r\nSubject: x\r\n y\r\n\tz\r\n\r\ntext\r\n",
    b"\r\n",
    b"no header at all\r\n",
    b"From: a@example.org\r\nSubject: x\r\nContent-Type: multipart/mixed; "
    b"boundary=b\r\n\r\n--b\r\n--b\r\n--b--\r\n",
    b"From: a@example.org\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n"
    b"<p>&lt;b&gt;" + b"<x>" * 5000 + b"\r\n",
    b"From: a@example.org\r\nContent-Type: text/plain; charset=utf-7\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n////\r\n",
])
def test_odd_messages(dovecot, endpoint, raw):
    deliver(dovecot, endpoint, raw)


def test_valid_eight_bit_headers_arrive_as_they_are(dovecot, endpoint):
    body = deliver(dovecot, endpoint, message("Grüße 日本語"))
    assert body["subject"] == "Grüße 日本語"


def test_huge_headers_are_capped_on_a_character_boundary(dovecot, endpoint):
    subject = "日本" * 17000  # 100 kB
    lines = ["From: %s <alice@example.org>" % ("x" * 100000),
             "Subject: " + subject, "", "y" * 100000, ""]
    body = deliver(dovecot, endpoint, "\r\n".join(lines))
    assert subject.startswith(body["subject"])
    assert 1024 - 3 < len(body["subject"].encode()) <= 1024
    assert body["from"] == "<alice@example.org>"
    # the header takes all that is read for it
    assert "snippet" not in body


def test_log_has_no_line_that_a_message_made(dovecot, endpoint):
    endpoint.status = 422
    dovecot.deliver("bob", message("x\r\n Fatal: forged"))
    line, = dovecot.wait_log("Notification lost")
    assert "forged" not in line


FIELDS = ["user", "event", "folder", "imap-uidvalidity", "imap-uid", "from",
          "subject", "snippet", "unseen", "unread"]


@pytest.fixture
def mallory(dovecot):
    """Registers herself with any bytes, and is gone after the test."""
    def register(value, prefix):
        dovecot.setmetadata("mallory", None)
        return dovecot.setmetadata_literal("mallory", value, prefix)
    yield register
    dovecot.setmetadata("mallory", None)


@pytest.mark.parametrize("prefix", [b"", b"~"], ids=["literal", "literal8"])
@pytest.mark.parametrize("value, user", [
    (b"3@1\r\nX-Injected: 1", "3@1\r\nX-Injected: 1"),
    (b"3@1\r\n\r\n{}", "3@1\r\n\r\n{}"),
    (b'3@1","event":"x","a":{"b', '3@1","event":"x","a":{"b'),
    (b"3@1\\", "3@1\\"),
    (b"3@1\nFatal: forged", "3@1\nFatal: forged"),
    (b"\x1b[31m\x7f\x08", "\x1b[31m\x7f\x08"),
    ("\u2028\u202e\ufeff😀".encode(), "\u2028\u202e\ufeff😀"),
    (b"%s%n%d", "%s%n%d"),
    (b"x" * 1024, "x" * 1024),
    # the value is a list with TABs between, in which these are escapes
    (b"a\tuser=b\turl=http://x/", "b"),
    (b"a\x01tb\x01nc\x01r", "a\tb\nc\r"),
], ids=lambda value: "" if isinstance(value, str) else None)
def test_a_registration_is_the_user_and_nothing_else(dovecot, endpoint,
                                                     mallory, value, user,
                                                     prefix):
    endpoint.status = 422
    assert mallory(b"user=" + value, prefix)
    dovecot.deliver(["mallory"], message())
    line, = dovecot.wait_log("Notification lost")
    assert " user=mallory folder=INBOX uid=" in line and "422" in line
    assert line.isprintable()
    request, = endpoint.attempts
    assert json.loads(request.raw.decode("utf-8"))["user"] == user
    assert list(request.body) == FIELDS
    # of a registration that is as simple as can be
    endpoint.status = None
    dovecot.deliver("bob", message())
    simple = endpoint.wait(1)[0]
    assert request.path == simple.path
    assert list(request.headers) == list(simple.headers)
    for name in simple.headers:
        if name not in ("Idempotency-Key", "Content-Length"):
            assert request.headers[name] == simple.headers[name]
    assert "forged" not in dovecot.log()


@pytest.mark.parametrize("value, reason", [
    (b"user=\xff\xfe", "is not valid UTF-8"),
    (b"user=\xed\xa0\x80", "is not valid UTF-8"),
    (b"user=" + b"x" * 1025, "longer than 1024 bytes"),
    (b"user=" + b"x" * 1000000, "longer than 1024 bytes"),
    (b"user=", "is empty"),
    # an escaped NUL
    (b"user=\x010x", "is empty"),
    (b"User=3@1\nFatal: forged", "has no user="),
    (b"\t" * 50000, "has no user="),
    (b"{\"user\":\"3@1\"}", "has no user="),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_registration_of_no_use_is_said_in_one_line(dovecot, endpoint,
                                                      mallory, value, reason):
    with dovecot.lmtp() as lmtp:
        # nothing is wrong before it
        dovecot.setmetadata("mallory", None)
        lmtp.sendmail("sender@example.org", ["mallory"], message())
        assert mallory(value, b"~")
        lmtp.sendmail("sender@example.org", ["mallory"], message())
    line, = dovecot.wait_log("not a valid registration")
    assert "lmtp(mallory)" in line and line.endswith(reason)
    assert line.isprintable() and "forged" not in dovecot.log()
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    assert len(endpoint.attempts) == 1


@pytest.mark.parametrize("prefix", [b"", b"~"], ids=["literal", "literal8"])
def test_imap_takes_no_registration_with_a_nul(dovecot, endpoint, mallory,
                                               prefix):
    assert not mallory(b"user=3\0@1", prefix)
    dovecot.deliver(["mallory", "bob"], message())
    assert endpoint.wait(1)[0].body["user"] == "3@1"
    assert len(endpoint.attempts) == 1
    assert not dovecot.log_lines("http-notify:")
