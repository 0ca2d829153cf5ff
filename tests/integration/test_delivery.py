# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a delivered message to the endpoint."""

import concurrent.futures
import contextlib
import grp
import os
import subprocess
import tempfile
import time

import pytest

from conftest import SANITIZED, driver, running_dovecot
from harness.config import PATIENT, VERSION, OtherDriver, config
from harness.dovecot import LIBEXEC, MAILDIR, message, wait_for
from harness.endpoint import Endpoint
from harness.faults import maildir_locked


def nothing_arrives(dovecot, endpoint):
    """A message for bob that comes after all others arrives, and is the only
    one that does."""
    before = len(endpoint.attempts)
    dovecot.deliver("bob", message("last"))
    endpoint.wait_attempts(before + 1)
    time.sleep(0.2)
    assert [r.body["subject"] for r in endpoint.attempts[before:]] == ["last"]
    assert len(endpoint.attempts) == 1


def test_lmtp_to_one_recipient(dovecot, endpoint):
    dovecot.deliver("bob", message("Hello", "Alice <alice@example.org>",
                                   "The first line.\r\nThe second."))
    request, = endpoint.wait(1)
    body = request.body
    assert list(body) == ["user", "event", "folder", "imap-uidvalidity",
                          "imap-uid", "from", "subject", "snippet", "unseen",
                          "unread"]
    assert body["user"] == "3@1"
    assert body["event"] == "messageNew"
    assert body["folder"] == "INBOX"
    assert body["from"] == "Alice <alice@example.org>"
    assert body["subject"] == "Hello"
    assert body["snippet"] == "The first line. The second."
    assert body["unseen"] == body["unread"]
    assert request.pushed

    with dovecot.imap("bob") as imap:
        imap.select("INBOX", readonly=True)
        uidvalidity = int(imap.response("UIDVALIDITY")[1][0])
        _, (uids,) = imap.uid("SEARCH", "SUBJECT", "Hello")
    assert body["imap-uidvalidity"] == uidvalidity
    assert body["imap-uid"] == int(uids.split()[-1])


def test_request_headers(dovecot, endpoint):
    dovecot.deliver("bob", message())
    request, = endpoint.wait(1)
    headers = request.headers
    assert request.method == "PUT"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("dovecot-http-notify/")
    assert len(headers["Idempotency-Key"]) > 16
    assert "Expect" not in headers
    # the endpoint itself checks that login and password were decoded
    assert headers["Authorization"].startswith("Basic ")


def test_lmtp_to_several_recipients_notifies_the_registered(dovecot, endpoint):
    dovecot.setmetadata("carol", "user=4@1")
    dovecot.deliver(["bob", "nobody-registered", "carol"], message("to all"))
    requests = endpoint.wait(2)
    assert sorted(r.body["user"] for r in requests) == ["3@1", "4@1"]
    assert requests[0].key != requests[1].key
    dovecot.setmetadata("carol", None)
    nothing_arrives_for = len(endpoint.attempts)
    dovecot.deliver("carol", message("unregistered"))
    dovecot.deliver("bob", message("last"))
    endpoint.wait(3)
    assert endpoint.attempts[nothing_arrives_for].body["subject"] == "last"


def test_two_registered_recipients_of_one_message(dovecot, endpoint):
    dovecot.setmetadata("dave", "user=5@1")
    dovecot.deliver(["bob", "dave"], message("both"))
    assert sorted(r.body["user"] for r in endpoint.wait(2)) == ["3@1", "5@1"]


def test_recipients_of_one_message_with_different_uids(endpoint):
    """The first recipient's user lives until all have theirs."""
    users = ["user%d" % n for n in range(4)]
    with running_dovecot(driver(endpoint)) as dovecot:
        for n, user in enumerate(users):
            dovecot.setmetadata(user, "user=%d@1" % n)
            for _ in range(len(users) - n):
                with dovecot.imap(user) as imap:
                    imap.append("INBOX", None, None, b"x: y\r\n\r\n")
        # by a mail process that has no connection to the service yet
        dovecot.deliver(users, message())
        assert sorted((r.body["user"], r.uid) for r in endpoint.wait(4)) == [
            ("0@1", 5), ("1@1", 4), ("2@1", 3), ("3@1", 2)]
        assert not dovecot.log_lines("Notification lost")


def test_unseen_counts_this_message_and_not_those_that_were_read(dovecot,
                                                                 endpoint):
    dovecot.setmetadata("erin", "user=6@1")
    for count in (1, 2, 3):
        dovecot.deliver("erin", message())
        assert endpoint.wait(count)[-1].body["unseen"] == count
    with dovecot.imap("erin") as imap:
        imap.select("INBOX")
        imap.store("1:2", "+FLAGS", "\\Seen")
    dovecot.deliver("erin", message())
    assert endpoint.wait(4)[-1].body["unread"] == 2


def test_one_users_notifications_arrive_in_order(dovecot, endpoint):
    dovecot.setmetadata("frank", "user=7@1")
    endpoint.delay = 0.01
    for _ in range(30):
        dovecot.deliver("frank", message())
    assert [r.uid for r in endpoint.wait(30)] == list(range(1, 31))


def test_imap_append_makes_no_notification(dovecot, endpoint):
    with dovecot.imap("bob") as imap:
        imap.append("INBOX", None, None, message("appended").encode())
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "\\Seen")
        imap.copy("1", "INBOX")
    nothing_arrives(dovecot, endpoint)


def test_imap_loads_the_plugin_as_well(endpoint):
    """An admin may add it to mail_plugins of all protocols."""
    with running_dovecot(driver(endpoint), PATIENT, extra=config.plugins(
            "notify", "push_notification", "http_notify")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        with dovecot.imap("bob") as imap:
            imap.append("INBOX", None, None, message("appended").encode())
        nothing_arrives(dovecot, endpoint)
        assert not dovecot.log_lines("Error:")


def test_delivery_to_another_folder_makes_no_notification(endpoint):
    with running_dovecot(
            driver(endpoint), extra="lda_mailbox_autocreate = yes\n"
            "recipient_delimiter = +\nlmtp_save_to_detail_mailbox = yes\n"
            ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob+Sent", message("by sub-address"))
        nothing_arrives(dovecot, endpoint)


def test_sieve_fileinto_makes_no_notification_and_inbox_does(endpoint):
    sieve = """
    require ["fileinto", "mailbox", "imap4flags"];
    if header :contains "Subject" "list" { fileinto :create "Lists"; stop; }
    if header :contains "Subject" "read" { fileinto :flags "\\\\Seen" "INBOX"; }
    """
    with running_dovecot(
            driver(endpoint), extra=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(sieve)
        dovecot.deliver("bob", message("list mail"))
        nothing_arrives(dovecot, endpoint)
        dovecot.deliver("bob", message("read already"))
        request = endpoint.wait(2)[-1]
        assert request.body["subject"] == "read already"
        # only "last" is unseen
        assert request.body["unseen"] == 1
        dovecot.wait_log("sieve", "stored mail into mailbox")


@pytest.mark.parametrize("builtin", [False, True], ids=["ours", "built-in"])
@pytest.mark.parametrize("command", [
    'addflag "\\\\Seen";', 'setflag "\\\\Seen";',
    'keep :flags "\\\\Seen";', 'fileinto :flags "\\\\Seen" "INBOX";'])
def test_what_sieve_marks_as_seen_is_announced(endpoint, command, builtin):
    """As it is by the built-in driver."""
    plugins = config.more_plugins("sieve", protocol="lmtp")
    if builtin:
        plugins = config.plugins("notify", "push_notification", "sieve",
                                 protocol="lmtp")
    with running_dovecot(
            driver(endpoint, user_from_metadata=True), builtin=builtin,
            extra=config.sieve("~/.dovecot.sieve") + plugins) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(
            'require ["fileinto", "imap4flags"];\n'
            'if header :contains "Subject" "read" { %s }' % command)
        dovecot.deliver("bob", message("unseen"))
        endpoint.wait(1)
        dovecot.deliver("bob", message("read already"))
        body = endpoint.wait(2)[1].body
        # only the first one is unseen
        assert (body["subject"], body["unseen"]) == ("read already", 1)
        with dovecot.imap("bob") as imap:
            imap.select("INBOX")
            assert imap.search(None, "SEEN") == ("OK", [b"2"])


def test_sieve_configured_before_stays_loaded(endpoint):
    """The shipped file adds to mail_plugins, it replaces nothing."""
    with running_dovecot(
            driver(endpoint), before=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(
            'require "fileinto"; fileinto "INBOX";')
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        dovecot.wait_log("sieve:", "stored mail into mailbox")


def test_dovecot_lda(endpoint):
    """With access to the socket for the mail user, as the shipped file says."""
    with running_dovecot(driver(endpoint), extra="""
            service http-notify {
              unix_listener http-notify {
                group = mail
              }
            }""") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        result = dovecot.lda("bob", message("by lda"),
                             groups=[grp.getgrnam("mail").gr_gid])
        assert result.returncode == 0, result.stdout
        request, = endpoint.wait(1)
        assert request.body["subject"] == "by lda"


def test_dovecot_lda_without_access_says_what_to_set(dovecot, endpoint):
    result = dovecot.lda("bob", message("by lda"))
    assert result.returncode == 0
    line, = dovecot.wait_log("lda(bob)", "Error:")
    for words in ("Notification lost: user=bob folder=INBOX uid=",
                  "Permission denied", "unix_listener http-notify",
                  "service http-notify"):
        assert words in line
    nothing_arrives(dovecot, endpoint)


def test_two_drivers_make_two_notifications(endpoint, other_endpoint):
    third = Endpoint()
    with running_dovecot(
            driver(endpoint), driver(other_endpoint),
            driver(third, user_from_metadata=False)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message("copied"))
            requests = [e.wait(count)[-1]
                        for e in (endpoint, other_endpoint, third)]
        assert [r.body["user"] for r in requests] == ["3@1", "3@1", "bob"]
        assert len({r.key for r in requests}) == 3
    third.stop()


SEED = ("push_notification_driver = ox:url=http://login:pass@node1.domain.tld:"
        "8009/preliminary/http-notify/v1/notify") if VERSION < (2, 4) else """
push_notification ox {
  push_notification_ox_url = http://login:pass@node1.domain.tld:8009/\
preliminary/http-notify/v1/notify
}"""


def test_seed_configuration_line_verbatim():
    """CONTRACT: "this line, unchanged, has to work"."""
    # another run of these tests may have the port
    deadline = time.monotonic() + 60
    while True:
        try:
            endpoint = Endpoint(port=8009)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    endpoint.status = 200
    try:
        with running_dovecot(start=False) as dovecot:
            hosts = dovecot.dir / "hosts"
            hosts.write_text("127.0.0.1 node1.domain.tld localhost\n")
            dovecot.configure(SEED)
            dovecot.wrap_service(hosts=hosts)
            dovecot.start()
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            request, = endpoint.wait(1)
            assert request.headers["Host"] == "node1.domain.tld:8009"
            assert request.headers["Authorization"] == \
                "Basic bG9naW46cGFzcw=="
    finally:
        endpoint.stop()


def test_values_of_other_programs_reach_the_endpoint_verbatim(dovecot,
                                                              endpoint):
    values = ["5::acc;t0ken@groupware.example.org", "alice@example.org",
              "münchen@exämple.org"]
    for count, value in enumerate(values, 1):
        dovecot.setmetadata("grace", "user=" + value)
        dovecot.deliver("grace", message())
        request = endpoint.wait(count)[-1]
        assert request.body["user"] == value
        # which OX would drop, and say nothing
        assert request.status == 200 and not request.pushed


def test_a_registration_of_no_use_is_logged_and_repeats_nothing(dovecot,
                                                                endpoint):
    dovecot.setmetadata("mallory", "url=http://evil.example/ auth=s3cret")
    dovecot.deliver("mallory", message())
    line, = dovecot.wait_log("lmtp(mallory)", "Warning:")
    assert "not a valid registration" in line and "no user=" in line
    assert "evil" not in dovecot.log() and "s3cret" not in dovecot.log()
    nothing_arrives(dovecot, endpoint)


def sent_by(lmtp, *users, count=3):
    """By one connection, and so by one process."""
    for _ in range(count):
        for user in users:
            assert lmtp.sendmail("sender@example.org", [user],
                                 message()) == {}


def test_a_registration_of_no_use_is_logged_once_per_spell(dovecot, endpoint):
    with dovecot.lmtp() as lmtp:
        for spell, value in enumerate(["user=", "nobody", None, "nobody"]):
            for user in ("heidi", "ivan"):
                dovecot.setmetadata(user, value)
            sent_by(lmtp, "heidi", "ivan")
            for user in ("heidi", "ivan"):
                count = [1, 2, 2, 3][spell]
                assert len(dovecot.wait_log("lmtp(%s)" % user, "Warning:",
                                            count=count)) == count, value


def test_a_missing_dictionary_is_logged_once_per_spell(endpoint):
    with running_dovecot(driver(endpoint), dictionary="",
                         imap_metadata="") as dovecot:
        with dovecot.lmtp() as lmtp:
            sent_by(lmtp, "bob", "carol")
        for user in ("bob", "carol"):
            line, = dovecot.wait_log("lmtp(%s)" % user, "http-notify: ",
                                      "can't be read, no notification")


def test_a_user_without_registration_costs_one_lookup_and_no_line(endpoint):
    with running_dovecot(
            driver(endpoint), driver(endpoint),
            extra="log_debug = category=storage") as dovecot:
        dovecot.deliver("nobody-registered", message())
        dovecot.wait_log("lmtp(", "Disconnect from")
        assert len(dovecot.wait_log("lmtp(", "Looking up 'priv/")) == 1
        assert [line for line in dovecot.log_lines("lmtp(")
                if "http-notify: " in line and "Debug:" not in line] == []


def reasons(dovecot, words, count=1):
    """Of no notification, in the debug lines of a process, of which there are
    this many at least."""
    dovecot.wait_log(words, "Debug:", "No notification", count=count)
    return [line.split(" http-notify: ")[1]
            for line in dovecot.log_lines(words, "Debug:", "No notification")]


def test_why_nothing_is_sent_is_in_the_debug_lines(endpoint):
    everywhere = config.plugins("notify", "push_notification", "http_notify")
    with running_dovecot(
            driver(endpoint), extra="log_debug = category=http-notify\n"
            "lda_mailbox_autocreate = yes\nrecipient_delimiter = +\n"
            "lmtp_save_to_detail_mailbox = yes\n" + everywhere) as dovecot:
        dovecot.deliver("carol", message())
        assert reasons(dovecot, "lmtp(carol)") == [
            "No notification: the user is not registered"]

        dovecot.setmetadata("dave", "3@1")
        for count in (1, 2):
            dovecot.deliver("dave", message())
            assert reasons(dovecot, "lmtp(dave)", count) == [
                "No notification: the registration is not valid: it has no "
                "user="] * count

        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        assert reasons(dovecot, "lmtp(bob)", 0) == []
        dovecot.deliver("bob+Sent", message())
        # the folder is made first
        assert set(reasons(dovecot, "lmtp(bob)")) == {
            "No notification for folder Sent: %s does not include it" %
            config.option("folders")}
        with dovecot.imap("bob") as imap:
            imap.append("INBOX", None, None, message("appended").encode())
        assert set(reasons(dovecot, "imap(bob)")) == {
            "No notification for folder INBOX: only messages that LMTP or LDA "
            "delivers are announced"}
        endpoint.wait(1)


def test_why_nothing_is_sent_without_a_dictionary(endpoint):
    with running_dovecot(
            driver(endpoint), dictionary="", imap_metadata="",
            extra="log_debug = category=http-notify\n") as dovecot:
        dovecot.deliver("bob", message())
        reason, = reasons(dovecot, "lmtp(bob)")
        assert reason.startswith("No notification: METADATA can't be read: ")


def test_builtin_driver_is_back_when_the_word_is_removed(endpoint):
    """A site goes back by removing one word from mail_plugins."""
    with running_dovecot(
            driver(endpoint, user_from_metadata=True), builtin=True,
            extra=config.plugins("notify", "push_notification",
                                 protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        request, = endpoint.wait(1)
        assert not request.headers.get("User-Agent", "").startswith(
            "dovecot-http-notify/")


def test_the_mailbox_formats_agree_on_uid_and_unseen(endpoint):
    for mail in (("sdbox", "~/sdbox"), ("mdbox", "~/mdbox"),
                 ("mbox", "~/mail", "~/inbox")):
        endpoint.clear()
        with running_dovecot(driver(endpoint), mail=mail) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            for _ in range(3):
                dovecot.deliver("bob", message())
            assert [(r.uid, r.body["unseen"]) for r in endpoint.wait(3)] == [
                (1, 1), (2, 2), (3, 3)], mail
            with dovecot.imap("bob") as imap:
                assert imap.status("INBOX", "(UNSEEN UIDNEXT)")[1][0] \
                    .endswith(b"(UIDNEXT 4 UNSEEN 3)")


# longer than any delivery here may take
LOCK_TIMEOUT = 20


@contextlib.contextmanager
def locked_inbox(*drivers, timeout="500ms"):
    """bob and carol have got a message each, and somebody holds the locks of
    their Maildirs; bob is registered. Yields Dovecot and what lets go."""
    with running_dovecot(
            *drivers, "http_notify_handoff_timeout = " + timeout,
            extra="mail_max_lock_timeout = %d secs\n" % LOCK_TIMEOUT
            ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver(["carol"], message("first"))
        dovecot.deliver("bob", message("first"))
        with contextlib.ExitStack() as stack:
            let_go = [stack.enter_context(maildir_locked(
                dovecot.dir / "home" / user / "Maildir"))
                for user in ("bob", "carol")]
            yield dovecot, lambda: [each() for each in let_go]


def files_in_new(dovecot, user):
    return len(list((dovecot.dir / "home" / user / "Maildir/new").iterdir()))


@pytest.mark.skipif(SANITIZED, reason="has a deadline of its own")
def test_a_locked_maildir_delays_no_delivery(endpoint):
    """For longer than the delivery may wait: the notification is lost."""
    with locked_inbox(driver(endpoint), timeout="100ms") as (dovecot, let_go):
        assert dovecot.deliver("carol", message()) < LOCK_TIMEOUT / 4
        assert dovecot.deliver("bob", message("lost")) < LOCK_TIMEOUT / 4
        assert dovecot.lda("bob", message("by lda")).returncode == 0
        assert files_in_new(dovecot, "bob") == 3
        for process in ("lmtp(bob)", "lda(bob)"):
            line, = dovecot.wait_log(process, "Error:")
            assert ("Notification lost: user=bob folder=INBOX "
                    "event=MessageNew: the message has no UID: another process "
                    "holds dovecot-uidlist.lock") in line
        let_go()
        dovecot.deliver("bob", message("last"))
        assert [r.body["subject"] for r in endpoint.wait(2)] == [
            "first", "last"]
        assert not dovecot.log_lines("Panic:")


def test_uid_that_a_locked_maildir_gets_later(endpoint, other_endpoint):
    """In time, and for all drivers."""
    with locked_inbox(driver(endpoint), driver(other_endpoint), timeout="60s"
                      ) as (dovecot, let_go):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            delivered = pool.submit(dovecot.deliver, "bob", message("late"))
            wait_for(lambda: files_in_new(dovecot, "bob") == 2)
            # it is there, and looked for
            time.sleep(0.2)
            let_go()
            delivered.result()
        late = [each.wait(2)[-1] for each in (endpoint, other_endpoint)]
        assert [(r.body["subject"], r.uid, r.body["unseen"]) for r in late] == [
            ("late", 2, 2)] * 2
        assert {r.body["imap-uidvalidity"] for r in endpoint.delivered} == {
            late[0].body["imap-uidvalidity"]}
        with dovecot.imap("bob") as imap:
            imap.select("INBOX", readonly=True)
            assert imap.uid("SEARCH", "SUBJECT", "late")[1] == [b"2"]
        assert not dovecot.log_lines("Error:")


@pytest.mark.parametrize("mail", [
    MAILDIR, ("sdbox", "~/sdbox"), ("mdbox", "~/mdbox"),
    ("mbox", "~/mail", "~/inbox")], ids=lambda mail: mail[0])
def test_deliveries_to_one_user_at_once(endpoint, mail):
    """They are in each other's way, also in that of an IMAP client."""
    with running_dovecot(driver(endpoint), mail=mail) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        subjects = ["message %d" % n for n in range(40)]
        with dovecot.imap("bob") as imap, \
                concurrent.futures.ThreadPoolExecutor(8) as pool:
            imap.select("INBOX")
            deliveries = [pool.submit(dovecot.deliver, "bob", message(subject))
                          for subject in subjects]
            while not all(each.done() for each in deliveries):
                imap.noop()
            for each in deliveries:
                each.result()
            requests = endpoint.wait(len(subjects))
            imap.noop()
            uids = {}
            for request in requests:
                subject = request.body["subject"]
                _, (found,) = imap.uid("SEARCH", "SUBJECT", '"%s"' % subject)
                # "message 1" is a part of "message 10"
                assert str(request.uid) in found.decode().split()
                uids[subject] = request.uid
        assert sorted(uids) == sorted(subjects)
        assert sorted(uids.values()) == list(range(1, len(subjects) + 1))
        assert not dovecot.log_lines("Notification lost")


@pytest.fixture
def public_key():
    """Of a key that nobody has."""
    with tempfile.TemporaryDirectory(prefix="hn-key-") as directory:
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "public.pem")
        private = subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"],
            check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["openssl", "pkey", "-pubout", "-out", path],
                       input=private, check=True)
        os.chmod(path, 0o644)
        yield path


@pytest.mark.skipif(not (
    LIBEXEC / "modules/lib10_mail_crypt_plugin.so").exists(),
    reason="mail_crypt is not installed")
@pytest.mark.parametrize("mail", [MAILDIR, ("mdbox", "~/mdbox")],
                         ids=lambda mail: mail[0])
def test_mail_that_is_encrypted_with_a_locked_key(endpoint, public_key, mail):
    with running_dovecot(
            driver(endpoint), mail=mail,
            extra=config.encrypted_mail(public_key) +
            config.more_plugins("mail_crypt", protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count, user in enumerate(["bob", "bob", "carol"], 1):
            dovecot.deliver(user, message(
                "A long\r\n =?utf-8?q?subject?=", Message_ID="<1@x.org>"))
            dovecot.wait_log("saved mail", count=count)
        for request in endpoint.wait(2):
            assert request.body["from"] == "Alice <alice@example.org>"
            assert request.body["subject"] == "A long\n =?utf-8?q?subject?="
            assert "snippet" not in request.body
        # Lmtp itself wants to log the subject: as many for a user who is not
        # registered.
        assert len(dovecot.log_lines("Error:", "lmtp(bob)")) == \
            2 * len(dovecot.log_lines("Error:", "lmtp(carol)"))
        assert not dovecot.log_lines(" http-notify: Error:")


def test_driver_that_asks_for_all_events(endpoint):
    """Dovecot's dlog, with no configuration of theirs."""
    with running_dovecot(
            PATIENT, extra=config.dlog_and(driver(endpoint))) as dovecot:
        dovecot.deliver("bob", message("Not registered"))
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("Registered"))
        request, = endpoint.wait(1)
        assert request.body["subject"] == "Registered"
        assert not dovecot.log_lines("Error:")
        assert not dovecot.log_lines("Panic:")
        assert not dovecot.log_lines("Fatal:")


# What the driver finds in a message's events is none of ours.
PUSH_LUA = """
local names
function dovecot_lua_notify_begin_txn(user)
  names = {}
  return {}
end
function dovecot_lua_notify_event_message_new(context, event)
  table.insert(names, event.name)
end
function dovecot_lua_notify_end_txn(context, success)
  dovecot.i_info("Lua has seen: " .. table.concat(names, " "))
end
"""


@pytest.mark.skipif(not (
    LIBEXEC / "modules/lib22_push_notification_lua_plugin.so").exists(),
    reason="push_notification_lua is not installed")
@pytest.mark.parametrize("lua_first", [True, False])
def test_the_driver_lua_sees_nothing_of_this_one(endpoint, script, lua_first):
    script.write_text(PUSH_LUA)
    drivers = [OtherDriver("lua", script), driver(endpoint)]
    with running_dovecot(
            *(drivers if lua_first else reversed(drivers)), PATIENT,
            extra=config.more_plugins("mail_lua", "push_notification_lua",
                                      protocol="lmtp")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message())
            endpoint.wait(count)
            line = dovecot.wait_log("Lua has seen:", count=count)[-1]
            assert line.endswith("Lua has seen: MessageNew")
        assert not dovecot.log_lines("Error:")
