# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events in IMAP while a registration is looked up in the background: in a
dictionary behind the dict service."""

import contextlib
import os
import signal
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import block, config
from harness.dovecot import message

IMAP = config.more_plugins("notify", "push_notification", "http_notify",
                           protocol="imap") + config.handoff_access()
# and what a script in imap files into INBOX
SCRIPT = 'require "fileinto"; fileinto "INBOX";\n'
# while which a script would wait
PATIENT = "http_notify_handoff_timeout = 30s"
SOON = 15


@pytest.fixture
def dovecot(endpoint):
    """bob is registered."""
    with running_dovecot(start=False) as dovecot:
        attributes = dovecot.dir / "attributes"
        attributes.mkdir()
        attributes.chmod(0o777)
        script = dovecot.dir / "home/file.sieve"
        script.write_text(SCRIPT)
        script.chmod(0o644)
        dovecot.configure(
            driver(endpoint, events="MessageNew,MessageAppend,MessageRead,"
                   "FlagsSet"),
            PATIENT, extra=IMAP + config.sieve_in_imap("Filed", script) +
            block("service dict", block("unix_listener dict", "mode = 0666")) +
            config.process_with_a_file(str(attributes / "all")),
            dictionary=config.dictionary_of_a_process())
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not dovecot.log_lines("Panic:")
        assert not dovecot.log_lines("Notification lost")


def events(endpoint, count):
    return [request.body["event"] for request in endpoint.wait(count)]


@contextlib.contextmanager
def hanging(dovecot):
    pids = dovecot.pids("dict")
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_answer_while_a_client_appends(dovecot, endpoint):
    text = message().encode()
    with dovecot.imap("bob") as imap:
        # and the end of the command does not come yet
        imap.send(b"x APPEND INBOX {%d+}\r\n%s" % (len(text), text))
        time.sleep(0.5)
        assert not endpoint.attempts
        imap.send(b"\r\n")
        assert b"x OK" in imap.readline()
        assert events(endpoint, 1) == ["messageAppend"]
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "(\\Flagged)")
        assert events(endpoint, 2) == ["messageAppend", "flagsSet"]


def test_answer_while_a_client_reads(dovecot, endpoint):
    # more than is on its way at once
    dovecot.deliver("bob", message(body=("x" * 70 + "\r\n") * 200000))
    endpoint.wait(1)
    endpoint.clear()
    with dovecot.imap("bob") as imap:
        imap.select("INBOX")
        imap.send(b"x FETCH 1 BODY[]\r\n")
        time.sleep(0.5)
        assert not endpoint.attempts
        while not imap.readline().startswith(b"x OK"):
            pass
        assert events(endpoint, 2) == ["messageRead", "flagsSet"]


def test_script_in_imap_waits_for_nothing(dovecot, endpoint):
    with dovecot.imap("bob") as imap:
        for folder in "from", "Filed":
            imap.create(folder)
        imap.append("from", None, None, message().encode())
    with dovecot.imap("bob") as imap:
        imap.select("from")
        with hanging(dovecot):
            begin = time.monotonic()
            assert imap.copy("1", "Filed")[0] == "OK"
            assert time.monotonic() - begin < SOON
            assert not endpoint.attempts
        assert events(endpoint, 1) == ["messageAppend"]


def test_script_in_imap_runs_for_very_many(dovecot, endpoint):
    """The command does not end before the last, nor does the answer come."""
    count = 512
    with dovecot.imap("bob") as imap:
        for folder in "from", "Filed":
            imap.create(folder)
        imap.append("from", None, None, message().encode())
        while count > int(imap.select("from")[1][0]):
            imap.copy("1:*", "from")
    with dovecot.imap("bob") as imap:
        imap.select("from")
        assert imap.copy("1:*", "Filed")[0] == "OK"
        endpoint.wait(count)
