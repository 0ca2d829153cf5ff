# SPDX-License-Identifier: LGPL-2.1-or-later
"""Registrations in a dictionary elsewhere, and what mail has to do with it when
that hangs."""

import contextlib
import os
import signal
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import block, config
from harness.dovecot import message, wait_for
from harness.postgresql import postgresql
from harness.redis import redis

DICT_SERVICE = block("service dict", block("unix_listener dict", "mode = 0666"))
DEBUG = "log_debug = category=http-notify\n"
KEY = "vendor/vendor.dovecot/pvt/server/vendor/vendor.dovecot/http-notify"
# How long a delivery waits, and the longest that it may take on a busy machine;
# Dovecot's client waits for 30 s and more, and four that are not told by the
# first wait for longer than that, too.
WAIT = "http_notify_handoff_timeout = 3s"
SOON = 10


class InPostgreSQL:
    """By Dovecot's dict service."""

    def __init__(self, server):
        self.server = server
        server.dir.chmod(0o755)
        server.execute(
            "-c", "CREATE TABLE metadata (username TEXT, name TEXT, "
            "value TEXT, PRIMARY KEY (username, name))", database="postgres")

    def settings(self, dovecot):
        return config.dictionary_in_postgresql(dovecot, self.server.dir,
                                               self.server.port)

    def register(self, dovecot, user, value):
        dovecot.setmetadata(user, value)


class InRedis:
    """By the mail process itself."""

    def __init__(self, server):
        self.server = server

    def settings(self, _):
        return config.dictionary_in_redis(self.server.port,
                                          self.server.password)

    def register(self, dovecot, user, value):
        # imap of 2.3 crashes when it writes to Redis itself
        guid = dovecot.doveadm("-f", "flow", "mailbox", "status", "-u", user,
                               "guid", "INBOX").split("guid=")[1].strip()
        self.server.command("SET", "%s/%s/%s" % (user, guid, KEY), value)


@pytest.fixture
def in_postgresql():
    with postgresql() as server:
        yield InPostgreSQL(server)


@pytest.fixture(params=["postgresql", "redis"])
def dictionary(request):
    with contextlib.ExitStack() as stack:
        if request.param == "postgresql":
            yield request.getfixturevalue("in_postgresql")
        else:
            yield InRedis(stack.enter_context(redis("secret")))


@pytest.fixture
def site(dictionary, endpoint):
    """bob is registered."""
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint), WAIT, extra=DICT_SERVICE + DEBUG,
                          dictionary=dictionary.settings(dovecot))
        dovecot.start()
        dovecot.deliver("bob", message())
        dictionary.register(dovecot, "bob", "user=3@1")
        yield dictionary, dovecot
        assert not dovecot.log_lines("Panic:")
        assert not dovecot.log_lines("leak")


@contextlib.contextmanager
def hanging(server):
    server.hang()
    try:
        yield
    finally:
        server.hang(False)


def send(lmtp, users):
    """By one connection, and so by one process; returns the seconds."""
    begin = time.monotonic()
    lmtp.mail("sender@example.org")
    for user in users:
        assert lmtp.rcpt(user)[0] == 250
    replies = [lmtp.data(message())] + [lmtp.getreply() for _ in users[1:]]
    assert [code for code, _ in replies] == [250] * len(users)
    return time.monotonic() - begin


def test_who_is_registered_is_notified_and_nobody_else(site, endpoint):
    _, dovecot = site
    for count in range(1, 4):
        dovecot.deliver(["carol", "bob", "dave"], message())
        assert endpoint.wait(count)[-1].body["user"] == "3@1"
    assert len(endpoint.attempts) == 3
    # not one for each of the messages
    dovecot.wait_log("lmtp(carol)",
                     "No notification: the user is not registered")
    assert not dovecot.log_lines("can't be read")


@pytest.mark.parametrize("users", [
    ["bob"], ["carol"], ["bob", "carol", "dave", "erin", "frank"]],
    ids=["registered", "not-registered", "five"])
def test_mail_does_not_wait_for_a_dictionary_that_hangs(site, endpoint, users):
    dictionary, dovecot = site
    with dovecot.lmtp() as lmtp:
        lmtp.ehlo()
        fair = []

        def is_fair():
            """It is not if a busy machine takes so long that the process does
            not ask for a while."""
            dovecot.clear_log()
            fair[:] = [send(lmtp, users) for _ in range(5)][1:]
            dovecot.wait_log("saved mail to INBOX", count=5 * len(users))
            return not dovecot.log_lines("Notification lost")

        wait_for(is_fair, what="fair weather")
        dovecot.wait_queue_empty()
        sent = len(endpoint.delivered)
        dovecot.clear_log()
        with hanging(dictionary.server):
            seconds = [send(lmtp, users) for _ in range(5)]
        print("fair:", fair, "hanging:", seconds)
        assert max(seconds) < SOON
        assert sum(seconds[1:]) < SOON
        # once for all of them
        wait_for(lambda: len(dovecot.log_lines(
            "Notification lost: user=%s folder=INBOX" % users[-1])) == 5,
            what="the log")
        line, = dovecot.wait_log("Error:", "can't be read, no notification")
        assert "did not answer within" in line
        assert "lmtp(%s)" % users[0] in line
        assert len(endpoint.attempts) == sent

        def is_notified():
            send(lmtp, ["bob"])
            time.sleep(0.5)
            return len(endpoint.attempts) > sent
        wait_for(is_notified, what="the dictionary")


def test_lda_does_not_wait_for_a_dictionary_that_hangs(site, endpoint):
    dictionary, dovecot = site
    with hanging(dictionary.server):
        begin = time.monotonic()
        dovecot.lda("bob", message())
        assert time.monotonic() - begin < SOON
    assert endpoint.attempts == []


def test_imap_hardly_waits_for_a_dictionary_that_hangs(dictionary, endpoint):
    """Not at all if Dovecot's client can be asked without waiting for it."""
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint, format="egroupware"), WAIT,
                          extra=DICT_SERVICE + DEBUG + config.more_plugins(
                              "notify", "push_notification", "http_notify",
                              protocol="imap") + config.handoff_access(),
                          dictionary=dictionary.settings(dovecot))
        dovecot.start()
        dovecot.deliver("bob", message())
        dictionary.register(dovecot, "bob", "user=5::bob;token@host")
        with dovecot.imap("bob") as imap:
            imap.select("INBOX")
            seconds = []
            with hanging(dictionary.server):
                for _ in range(20):
                    begin = time.monotonic()
                    imap.store("1", "+FLAGS", "(\\Flagged)")
                    imap.store("1", "-FLAGS", "(\\Flagged)")
                    seconds.append(time.monotonic() - begin)
            print("seconds:", seconds)
            assert max(seconds) < SOON
            assert sum(seconds) < SOON
            assert endpoint.attempts == []

            def is_notified():
                imap.store("1", "+FLAGS", "(\\Answered)")
                imap.store("1", "-FLAGS", "(\\Answered)")
                time.sleep(0.5)
                return endpoint.attempts
            wait_for(is_notified, what="the dictionary")


# -- a new process for each connection --

@pytest.fixture
def short_lived(in_postgresql, endpoint):
    """bob is registered."""
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(
            driver(endpoint), WAIT,
            dictionary=in_postgresql.settings(dovecot),
            extra=DICT_SERVICE + block("service lmtp", "client_limit = 1",
                                       config.clients_of_a_process(1)))
        dovecot.start()
        dovecot.deliver("bob", message())
        in_postgresql.register(dovecot, "bob", "user=3@1")
        # the sockets are no longer new
        time.sleep(2)
        yield in_postgresql.server, dovecot


@contextlib.contextmanager
def service_hanging(dovecot):
    pid = dovecot.service_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["dictionary", "service"])
def test_processes_tell_each_other_what_hangs(short_lived, endpoint, what):
    server, dovecot = short_lived
    with (hanging(server) if what == "dictionary" else
          service_hanging(dovecot)):
        seconds = [dovecot.deliver("bob", message()) for _ in range(5)]
        print("seconds:", seconds)
        assert seconds[0] < SOON
        assert sum(seconds[1:]) < SOON
        within = "within 50 ms" if what == "dictionary" else "within 100 ms"
        dovecot.wait_log(within, count=3)
    # it is in order again, which a short time is enough to see
    dovecot.clear_log()

    def is_notified():
        before = len(endpoint.delivered)
        dovecot.deliver("bob", message(subject="again"))
        time.sleep(0.5)
        return len(endpoint.delivered) > before
    wait_for(is_notified, what=what)
