# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events other than a new message, most of which happen in IMAP."""

import contextlib
import os
import re
import signal
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.doveadm import check, failed_check, rows
from harness.dovecot import MAILDIR, message, wait_for

MAILBOXES = [MAILDIR, ("mdbox", "~/mdbox")]
# for imap, as the mail user
IMAP = config.more_plugins("notify", "push_notification", "http_notify",
                           protocol="imap") + config.handoff_access()
PUSHED = "5::bob;0123456789abcdef@egroupware.example"


@contextlib.contextmanager
def running(endpoint, *more, extra="", **options):
    mail = options.pop("mail", MAILDIR)
    with running_dovecot(driver(endpoint, **options), *more, mail=mail,
                         extra=IMAP + extra) as dovecot:
        dovecot.setmetadata("bob", "user=" + PUSHED)
        yield dovecot


@pytest.fixture(scope="module")
def egroupware(shared_endpoint):
    with running(shared_endpoint, format="egroupware") as dovecot:
        yield dovecot


def fresh(endpoint, imap, folder, messages=0):
    """A folder of its own, with so many messages of which nothing is left to
    tell."""
    imap.create(folder)
    imap.select(folder)
    for number in range(messages):
        imap.append(folder, None, None, message("m%d" % number).encode())
    imap.noop()
    endpoint.wait(messages)
    endpoint.clear()


def one(endpoint, *fields):
    """The body of the notification, which has these fields in any order."""
    body = endpoint.wait(1)[0].body
    time.sleep(0.1)
    assert len(endpoint.attempts) == 1, [r.body for r in endpoint.attempts]
    assert set(body) == {"user", "event", "folder", "imap-uidvalidity",
                         "imap-uid", *fields}
    assert body["user"] == PUSHED
    return body


def test_append(egroupware, endpoint):
    with egroupware.imap("bob") as imap:
        fresh(endpoint, imap, "append")
        imap.append("append", "\\Seen", None,
                    message("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", body="x").encode())
        body = one(endpoint, "from", "subject", "snippet", "unseen",
                   "messages")
        assert body["event"] == "MessageAppend"
        assert body["folder"] == "append"
        assert body["imap-uid"] == 1
        assert body["subject"] == "Gr\u00fc\u00dfe"
        assert (body["unseen"], body["messages"]) == (0, 1)


def test_copy_and_move(egroupware, endpoint):
    with egroupware.imap("bob") as imap:
        fresh(endpoint, imap, "from", 3)
        imap.create("to")
        imap.uid("COPY", "1:3", "to")
        body = one(endpoint, "from", "subject", "snippet", "unseen",
                   "messages")
        assert body["event"] == "MessageAppend"
        assert body["imap-uid"] == [1, 2, 3]
        assert body["subject"] == "m0"
        assert body["messages"] == 3
        endpoint.clear()
        imap.uid("MOVE", "1:2", "to")
        bodies = [request.body for request in endpoint.wait(2)]
    assert [(body["event"], body["folder"], body["imap-uid"],
             body["messages"]) for body in bodies] == [
        ("MessageAppend", "to", [4, 5], 5),
        ("MessageExpunge", "from", [1, 2], 1)]


def append_together(imap, folder, texts):
    """In one transaction, RFC 3502."""
    imap.send(b"x APPEND " + folder + b"".join(
        b" {%d+}\r\n%s" % (len(text), text) for text in texts) + b"\r\n")
    while True:
        line = imap.readline()
        assert line
        if line.startswith(b"x "):
            assert line.startswith(b"x OK"), line
            return


@pytest.mark.parametrize("mail", [
    MAILDIR, ("sdbox", "~/sdbox"), ("mbox", "~/mail", "~/inbox")],
    ids=lambda mail: mail[0])
def test_what_is_saved_together_is_read_without_harm(endpoint, mail):
    """Dovecot syncs the folder after the commit, and serves it, as if nobody had
    read the first of them before."""
    texts = [message("m%d" % n, body="text %d" % n).encode() for n in range(3)]

    def saved(first):
        body = endpoint.wait(1)[0].body
        assert body["imap-uid"] == [first, first + 1, first + 2]
        assert (body["subject"], body["snippet"]) == ("m0", "text 0")
        endpoint.clear()

    with running(endpoint, format="egroupware", mail=mail) as dovecot:
        with dovecot.imap("bob") as imap:
            imap.create("from")
            imap.create("to")
            for first in 1, 4:
                append_together(imap, b"from", texts)
                saved(first)
            imap.select("from")
            for first in 1, 4:
                imap.uid("COPY", "%d:%d" % (first, first + 2), "to")
                saved(first)
            for folder in "from", "to":
                imap.select(folder)
                found = imap.fetch("1:*", "(BODY.PEEK[TEXT])")[1][::2]
                assert [text.strip() for _, text in found] == 2 * [
                    b"text 0", b"text 1", b"text 2"]
        assert not dovecot.log_lines("Error:")


@pytest.mark.parametrize("mail", MAILBOXES, ids=lambda mail: mail[0])
def test_flags(endpoint, mail):
    with running(endpoint, format="egroupware", mail=mail) as dovecot, \
            dovecot.imap("bob") as imap:
        fresh(endpoint, imap, "flags", 3)
        imap.uid("STORE", "1:3", "+FLAGS", "(\\Seen)")
        body = one(endpoint, "flags", "keywords", "unseen")
        assert body["event"] == "FlagsSet"
        assert body["imap-uid"] == [1, 2, 3]
        assert (body["flags"], body["keywords"]) == (["\\Seen"], [])
        assert body["unseen"] == 0

        endpoint.clear()
        imap.uid("STORE", "1", "FLAGS", "(\\Flagged $Label1)")
        bodies = [request.body for request in endpoint.wait(2)]
        assert bodies[0]["event"] == "FlagsSet"
        assert bodies[0]["flags"] == ["\\Flagged"]
        assert bodies[0]["keywords"] == ["$Label1"]
        assert "unseen" not in bodies[0]
        assert bodies[1]["event"] == "FlagsClear"
        assert bodies[1]["flags"] == ["\\Seen"]
        for name in "keywords", "keywords-old":
            # but for what Dovecot itself sets, such as $HasNoAttachment
            assert all(keyword.startswith("$Has")
                       for keyword in bodies[1][name])
        assert set(bodies[1]["flags-old"]) - {"\\Recent"} == {"\\Seen"}
        assert bodies[1]["unseen"] == 1

        endpoint.clear()
        imap.uid("STORE", "1:2", "+FLAGS", "(NonJunk)")
        imap.uid("STORE", "1", "-FLAGS", "($Label1)")
        body = one(endpoint, "flags", "keywords", "flags-old",
                   "keywords-old")
        assert body["keywords"] == ["$Label1"]
        assert set(body["keywords-old"]) == {"$Label1", "NonJunk"}
        assert body["flags"] == body["flags-old"] == []


@pytest.mark.parametrize("mail", MAILBOXES, ids=lambda mail: mail[0])
def test_expunge(endpoint, mail):
    with running(endpoint, format="egroupware",
                 events="MessageAppend,MessageExpunge", mail=mail) as dovecot, \
            dovecot.imap("bob") as imap:
        fresh(endpoint, imap, "expunge", 5)
        imap.uid("STORE", "2", "+FLAGS", "(\\Seen)")
        imap.uid("STORE", "1,2,4", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        body = one(endpoint, "unseen", "messages")
        assert body["event"] == "MessageExpunge"
        assert body["imap-uid"] == [1, 2, 4]
        assert (body["unseen"], body["messages"]) == (2, 2)


def test_other_events(endpoint):
    events = ["MessageRead", "MessageTrash", "MailboxCreate", "MailboxDelete",
              "MailboxRename", "MailboxSubscribe", "MailboxUnsubscribe"]
    with running(endpoint, format="egroupware",
                 events=",".join(events)) as dovecot, \
            dovecot.imap("bob") as imap:
        imap.create("one")
        imap.subscribe("one")
        imap.select("one")
        imap.append("one", None, None, message().encode())
        imap.append("one", None, None, message().encode())
        imap.store("1:2", "+FLAGS", "(\\Seen)")
        imap.store("2", "+FLAGS", "(\\Deleted)")
        imap.unselect()
        imap.unsubscribe("one")
        imap.rename("one", "two")
        imap.delete("two")
        bodies = [request.body for request in endpoint.wait(7)]
    assert [(body["event"], body["folder"], body.get("imap-uid"),
             body.get("folder-old")) for body in bodies] == [
        ("MailboxCreate", "one", None, None),
        ("MailboxSubscribe", "one", None, None),
        ("MessageRead", "one", [1, 2], None),
        ("MessageTrash", "one", 2, None),
        ("MailboxUnsubscribe", "one", None, None),
        ("MailboxRename", "two", None, "one"),
        ("MailboxDelete", "two", None, None)]
    assert (bodies[2]["unseen"], bodies[2]["messages"]) == (0, 2)


def test_ox_hears_of_what_it_asks_for(endpoint):
    with running(endpoint, events="MessageNew,FlagsSet") as dovecot, \
            dovecot.imap("bob") as imap:
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "(\\Seen NonJunk)")
        imap.store("1", "-FLAGS", "(\\Seen)")
        imap.create("other")
        imap.append("other", None, None, message().encode())
        body = endpoint.wait(2)[1].body
        time.sleep(0.2)
        assert len(endpoint.attempts) == 2
        assert [row["events"] for row in rows(dovecot, "status")] == [
            "MessageNew=1 FlagsSet=1"] * 2
    assert list(body) == ["user", "event", "folder", "imap-uidvalidity",
                          "imap-uid", "flags", "keywords"] + [
                              "unseen", "unread"]
    assert body["event"] == "flagsSet"
    assert body["imap-uid"] == 1
    assert body["keywords"] == ["NonJunk"]


def test_very_many_messages_take_several_notifications(endpoint):
    with running(endpoint, format="egroupware",
                 events="FlagsSet") as dovecot, \
            dovecot.imap("bob") as imap:
        imap.create("many")
        for _ in range(2):
            imap.append("many", None, None, b"Subject: x\r\n\r\nx")
        imap.select("many")
        # 16384 of them
        for _ in range(13):
            imap.copy("1:*", "many")
        imap.noop()
        count = int(imap.select("many")[1][0])
        assert count == 16384
        imap.store("1:*", "+FLAGS", "(\\Seen)")
        requests = endpoint.wait(2)
    uids = [uid for request in requests for uid in request.body["imap-uid"]]
    assert uids == list(range(1, count + 1))
    assert all(len(request.raw) < 65 * 1024 for request in requests)


def test_imap_does_not_wait_for_the_service(endpoint):
    """Nor does it lose anything."""
    with running(endpoint, format="egroupware") as dovecot:
        with dovecot.imap("bob") as imap:
            fresh(endpoint, imap, "waits", 1)
            pid = dovecot.service_pid()
            os.kill(pid, signal.SIGSTOP)
            try:
                begin = time.monotonic()
                imap.store("1", "+FLAGS", "(\\Flagged)")
                imap.store("1", "-FLAGS", "(\\Flagged)")
                # a hand-off that was waited for would take 30 s
                assert time.monotonic() - begin < 15
            finally:
                os.kill(pid, signal.SIGCONT)
            endpoint.wait(2)
        assert not dovecot.log_lines("Error:")


def test_service_that_is_away_for_a_while(endpoint):
    with running(endpoint, format="egroupware") as dovecot:
        with dovecot.imap("bob") as imap:
            fresh(endpoint, imap, "away", 1)
            socket = dovecot.dir / "run/http-notify"
            socket.rename(dovecot.dir / "run/elsewhere")
            imap.store("1", "+FLAGS", "(\\Seen)")
            imap.store("1", "-FLAGS", "(\\Seen)")
            (dovecot.dir / "run/elsewhere").rename(socket)
            assert [request.body["event"] for request in endpoint.wait(2)] == [
                "FlagsSet", "FlagsClear"]
        assert not dovecot.log_lines("Error:")


def test_what_is_left_when_the_user_leaves(endpoint):
    """Is waited for; what can't be handed off is named."""
    with running(endpoint, format="egroupware") as dovecot:
        with dovecot.imap("bob") as imap:
            fresh(endpoint, imap, "leaves", 1)
            imap.store("1", "+FLAGS", "(\\Seen)")
        endpoint.wait(1)
        assert not dovecot.log_lines("Error:")
        with dovecot.imap("bob") as imap:
            imap.select("leaves")
            (dovecot.dir / "run/http-notify").rename(
                dovecot.dir / "run/elsewhere")
            imap.store("1", "-FLAGS", "(\\Seen)")
        dovecot.wait_log("imap(bob)", "Notification lost: user=bob "
                         "folder=leaves uid=1 event=FlagsClear: connect(")


HIBERNATION = """
imap_hibernate_timeout = 1s
service imap {
  unix_listener imap-master {
    mode = 0666
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
"""


def test_user_who_is_put_to_sleep_or_kicked(endpoint):
    """The process ends, and the connection is another one's; or both end."""
    def sleep(imap, pid):
        imap.send(b"x IDLE\r\n")
        assert imap.readline().startswith(b"+")
        wait_for(lambda: not os.path.exists("/proc/%s" % pid), 60,
                 "the end of imap")

    def wake(imap):
        imap.send(b"DONE\r\n")
        assert imap.readline().startswith(b"x OK")

    with running(endpoint, PATIENT, format="egroupware",
                 extra=HIBERNATION) as dovecot, dovecot.imap("bob") as imap:
        fresh(endpoint, imap, "sleep", 1)
        pid = re.findall("mpid=([0-9]+)", dovecot.log())[-1]
        imap.store("1", "+FLAGS", "(\\Seen)")
        sleep(imap, pid)
        wake(imap)
        imap.store("1", "-FLAGS", "(\\Seen)")
        assert [request.body["event"] for request in endpoint.wait(2)] == [
            "FlagsSet", "FlagsClear"]
        assert not dovecot.log_lines("Error:")

        socket, away = (dovecot.dir / "run" / name
                        for name in ("http-notify", "elsewhere"))
        socket.rename(away)
        imap.store("1", "+FLAGS", "(\\Flagged)")
        imap.send(b"x IDLE\r\n")
        dovecot.wait_log("imap(bob)", "Notification lost: user=bob "
                         "folder=sleep uid=1 event=FlagsSet: connect(",
                         timeout=60)
        away.rename(socket)
        imap.readline()
        wake(imap)
        imap.store("1", "-FLAGS", "(\\Flagged)")
        dovecot.doveadm("kick", "bob")
        assert endpoint.wait(3)[2].body["flags"] == ["\\Flagged"]
        assert len(dovecot.log_lines("Error:")) == 1


def test_order_of_a_new_message_and_its_flags(endpoint):
    with running(endpoint, format="egroupware") as dovecot, \
            dovecot.imap("bob") as imap:
        dovecot.deliver("bob", message("first"))
        imap.select("INBOX")
        for number in range(20):
            dovecot.deliver("bob", message("next %d" % number))
            imap.noop()
            imap.store("*", "+FLAGS", "(\\Flagged)")
        events = [request.body["event"] for request in endpoint.wait(41)]
    assert events == ["MessageNew"] + ["MessageNew", "FlagsSet"] * 20


def test_nobody_else_is_announced(endpoint):
    with running(endpoint, format="egroupware",
                 extra="log_debug = category=http-notify\n") as dovecot, \
            dovecot.imap("carol") as imap:
        imap.append("INBOX", None, None, message().encode())
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "(\\Seen)")
        wait_for(lambda: dovecot.log_lines(
            "imap(carol)", "No notification: the user is not registered"),
            what="the reason")
        assert not endpoint.attempts


def test_doveadm_test_sends_any_event(endpoint):
    fields = {"MessageNew": ["from", "subject", "snippet", "unseen", "unread"],
              "MessageExpunge": ["unseen", "unread"],
              "FlagsClear": ["flags", "keywords", "flags-old", "keywords-old",
                             "unseen", "unread"]}
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        for event, expected in fields.items():
            endpoint.clear()
            dovecot.doveadm("http-notify", "test", "-u", "bob", "-e", event)
            body, = (request.body for request in endpoint.wait(1))
            assert body["event"] == event[0].lower() + event[1:]
            assert list(body)[5:] == expected
        endpoint.clear()
        dovecot.doveadm("http-notify", "test", "-u", "bob", "-e",
                        "MailboxRename")
        assert endpoint.wait(1)[0].body == {
            "user": "3@1", "event": "mailboxRename", "folder": "INBOX",
            "folder-old": "INBOX"}
        assert "-e: must be one of MessageNew, " in dovecot.doveadm(
            "http-notify", "test", "-u", "bob", "-e", "New", status=64)


def test_check_knows_what_happens_in_imap(endpoint):
    plugins, handoff = "plugins of imap", "hand-off by imap"
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        # dovecot-lda's, which is left out of these tests
        assert failed_check(dovecot).keys() == {"hand-off by lda"}
    with running_dovecot(driver(endpoint, events="FlagsSet")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert failed_check(dovecot)[plugins] == (
            "mail_plugins lacks notify push_notification http_notify: add it "
            "in protocol imap { }")
    with running_dovecot(driver(endpoint, events="FlagsSet"),
                         extra=config.more_plugins(
                             "notify", "push_notification", "http_notify",
                             protocol="imap") + """
            service http-notify {
              unix_listener http-notify {
                mode = 0600
              }
            }""") as dovecot:
        # in some versions imap has the groups that have access otherwise
        dovecot.setmetadata("bob", "user=3@1")
        assert "for imap, which runs as the mail user" in (
            failed_check(dovecot)[handoff])
    # this is no form of OX's
    with running(endpoint, format="egroupware") as dovecot:
        found = check(dovecot)
        assert {plugins, handoff} <= found.keys()
        assert not any(found.values())
    with running(endpoint, events="FlagsSet") as dovecot:
        assert failed_check(dovecot).keys() == {"registration"}
