# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver "chronos": calendar mail goes to OX's endpoint for that, as whole
messages."""

import re

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, VERSION, Chronos, config
from harness.dovecot import message, wait_for
from harness.invitations import Shape


@pytest.fixture(scope="module")
def shared_ox_and_calendar(shared_endpoint, shared_calendar):
    with running_dovecot(
            driver(shared_endpoint), Chronos(shared_calendar.url),
            extra=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp") +
            config.handoff_access() + config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot


@pytest.fixture
def dovecot(shared_ox_and_calendar, endpoint, calendar):
    return shared_ox_and_calendar


def invitation(number=1, charset="utf-8", encoding="8bit", shape="google"):
    text = getattr(Shape(charset, encoding), shape)()
    return text.replace(b"Message-ID: <1@", b"Message-ID: <%d@" % number)


def last_is_no_invitation(dovecot, calendar, count):
    """So many have been sent, and there will be no more of those before: this
    one would come after them."""
    dovecot.deliver("bob", invitation(1000))
    processed = calendar.wait_processed(count + 1)
    assert len(processed) == count + 1
    assert b"<1000@" in processed[-1].raw
    return processed[:-1]


def test_invitation_arrives_as_it_is(dovecot, endpoint, calendar):
    dovecot.deliver("bob", invitation(1))
    received, = calendar.wait_processed(1)
    assert received.user == "bob"
    assert received.folder == "INBOX"
    # after what the delivery puts in front of it
    assert received.raw.endswith(invitation(1))
    assert calendar.delivered[0].body["event"] == "messageNew"
    # the mailbox's new message is another matter
    endpoint.wait(1)


def test_charset_survives(dovecot, calendar):
    for number, (charset, encoding) in enumerate([
            ("iso-8859-1", "8bit"), ("shift_jis", "binary"),
            ("koi8-r", "quoted-printable")], 10):
        dovecot.deliver("bob", invitation(number, charset, encoding))
        received = calendar.wait_processed(number - 9)[-1]
        assert Shape(charset, encoding).text in received.calendars[0]


def test_nobody_needs_to_be_registered(dovecot, endpoint, calendar):
    # nothing of other users' is under way
    dovecot.wait_queue_empty()
    endpoint.clear()
    dovecot.deliver("carol", invitation(2))
    received, = calendar.wait_processed(1)
    assert received.user == "carol"
    assert not endpoint.attempts


def test_other_mail_is_not_sent(dovecot, endpoint, calendar):
    dovecot.deliver("bob", message("calendar"))
    endpoint.wait(1)
    assert last_is_no_invitation(dovecot, calendar, 0) == []


def test_any_folder(dovecot, calendar):
    """But one copy is enough."""
    dovecot.setmetadata("dave", "user=4@1")
    (dovecot.dir / "home/dave/.dovecot.sieve").write_text(
        'require ["fileinto", "mailbox", "copy"];\n'
        'fileinto :create :copy "Events"; fileinto :create "More";\n')
    dovecot.deliver("dave", invitation(3))
    dovecot.wait_log("stored mail into mailbox 'More'")
    received, = last_is_no_invitation(dovecot, calendar, 1)
    assert (received.user, received.folder) == ("dave", "Events")


def test_only_deliveries(dovecot, calendar):
    with dovecot.imap("bob") as imap:
        assert imap.append("INBOX", None, None, invitation(4))[0] == "OK"
    assert last_is_no_invitation(dovecot, calendar, 0) == []


def test_lda(dovecot, calendar):
    assert dovecot.lda("bob", invitation(5)).returncode == 0
    received, = calendar.wait_processed(1)
    assert received.user == "bob"


def test_once_per_delivery(dovecot, calendar):
    """However often the user gets it in one; in another one it is sent
    again."""
    for count in 1, 2:
        dovecot.deliver(["bob", "carol", "bob", "carol"], invitation(6))
        assert sorted(received.user for received in
                      calendar.wait_processed(2 * count)) == sorted(
                          ["bob", "carol"] * count)
    assert len(last_is_no_invitation(dovecot, calendar, 4)) == 4


def test_each_line_gets_a_copy(calendar):
    """Of those in its folders."""
    with running_dovecot(
            Chronos(calendar.url, folders="One"),
            Chronos(calendar.url, folders="Two"),
            extra=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp")) as dovecot:
        dovecot.deliver("bob", message())
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(
            'require ["fileinto", "mailbox", "copy"];\n'
            'fileinto :create :copy "One"; fileinto :create "Two";\n')
        dovecot.deliver("bob", invitation())
        assert sorted(one.folder for one in calendar.wait_processed(2)) == [
            "One", "Two"]


def test_outage_loses_nothing(dovecot, calendar):
    calendar.stop()
    for number in range(100, 110):
        assert dovecot.deliver("bob", invitation(number)) < 10
    calendar.start()
    received = calendar.wait_processed(10)
    assert [int(re.search(b"Message-ID: <(\\d+)@", one.raw)[1])
            for one in received] == list(range(100, 110))


def test_too_large_is_not_sent(calendar):
    with running_dovecot(Chronos(calendar.url, msg_max_size="100k"),
                         PATIENT, extra=config.DEBUG) as dovecot:
        large = invitation(1) + b" " * 100*1024
        dovecot.deliver("bob", large)
        assert last_is_no_invitation(dovecot, calendar, 0) == []
        assert dovecot.wait_log(" bytes, and ", " is 102400")
        assert not dovecot.log_lines("Error:")


def test_user_as_registered(calendar):
    with running_dovecot(Chronos(
            calendar.url, user_from_metadata=True)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for user in "bob", "carol":
            dovecot.deliver(user, invitation())
        assert [one.user for one in calendar.wait_processed(2)] == [
            "3@1", "carol"]


@pytest.mark.skipif(VERSION >= (2, 4), reason="the words of a line of 2.3")
def test_line_of_dovecot_pro(calendar):
    with running_dovecot(Chronos(calendar.url, max_retries=1, timeout="2s",
                                 msg_max_size="1mb")) as dovecot:
        dovecot.deliver("bob", invitation())
        calendar.wait_processed(1)


@pytest.mark.skipif(VERSION >= (2, 4), reason="Dovecot does not start")
def test_bad_size_is_said(calendar):
    with running_dovecot(Chronos(calendar.url,
                                 msg_max_size="5M")) as dovecot:
        dovecot.deliver("bob", invitation())
        dovecot.wait_log(" is invalid", "must be a size of up to 4M")


def test_check_and_test(dovecot, calendar):
    answer = dovecot.doveadm("http-notify", "check", "-u", "bob")
    assert re.search(r"endpoint %s +ok" % re.escape(calendar.authority),
                     answer)
    assert [attempt.status for attempt in calendar.attempts] == [400]
    calendar.clear()
    dovecot.doveadm("http-notify", "test", "-u", "bob")
    received, = calendar.wait_processed(1)
    assert "METHOD:CANCEL" in received.calendars[0]
