"""Whatever a message contains, the endpoint gets valid JSON in valid UTF-8,
and takes it."""

import json

import pytest

from harness.dovecot import message

ENCODED = "=?UTF-8?B?w4TDlsOc?= =?ISO-8859-1?Q?=E4?="


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
    ("Friends: a@example.org, b@example.org;", "envelope@example.org"),
    ("=?UTF-8?Q?=00?=", None),
    ("alice", "alice"),
])
def test_from_always_has_an_address(dovecot, endpoint, from_, expected):
    body = deliver(dovecot, endpoint, message(from_=from_))
    if expected is not None:
        assert body["from"] == expected


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
        "MAILER-DAEMON"


def test_no_subject_and_no_body(dovecot, endpoint):
    body = deliver(dovecot, endpoint, "From: a@example.org\r\n\r\n")
    assert "subject" not in body
    assert body["snippet"] == ""


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
    assert len(body["snippet"].encode()) <= 1024


def test_log_has_no_line_that_a_message_made(dovecot, endpoint):
    endpoint.status = 422
    dovecot.deliver("bob", message("x\r\n Fatal: forged"))
    line, = dovecot.wait_log("Notification lost")
    assert "forged" not in line
