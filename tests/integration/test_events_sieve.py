# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sieve scripts that run after the delivery: what they file is no new
message."""

import time

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import message

PLUGINS = ("notify", "push_notification", "http_notify")
SCRIPT = """require ["fileinto"];
if header :is "subject" "filed" { fileinto "INBOX"; }
"""


@pytest.fixture(scope="module")
def shared(shared_endpoint):
    with running_dovecot(start=False) as dovecot:
        # where it can be compiled
        script = dovecot.dir / "home/file.sieve"
        script.write_text(SCRIPT)
        script.chmod(0o644)
        dovecot.configure(
            driver(shared_endpoint, events="MessageNew,MessageAppend"),
            extra=config.handoff_access() +
            config.more_plugins(*PLUGINS, protocol="imap") +
            config.more_plugins(*PLUGINS, protocol="sieve-filter") +
            config.sieve_in_imap("Filed", script))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot, script
        assert not dovecot.log_lines("Panic:")


@pytest.fixture
def site(shared, endpoint):
    return shared


def events(endpoint, count):
    """Once there are so many: events and subjects."""
    bodies = [request.body for request in endpoint.wait(count)]
    time.sleep(0.2)
    assert len(endpoint.attempts) == count
    return [(body["event"], body["subject"]) for body in bodies]


def source(dovecot, name, *subjects):
    """A folder that is not announced."""
    with dovecot.imap("bob") as imap:
        imap.create(name)
        for subject in subjects:
            imap.append(name, None, None, message(subject).encode())


def test_flags_that_a_script_sets_follow_the_message(endpoint):
    with running_dovecot(start=False) as dovecot:
        script = dovecot.dir / "home/flag.sieve"
        script.write_text('require "imap4flags";\n'
                          'addflag "\\\\Flagged"; keep;\n')
        script.chmod(0o644)
        dovecot.configure(
            driver(endpoint, folders="*", registration="optional",
                   events="MessageAppend,FlagsSet"),
            extra=config.handoff_access() +
            config.more_plugins(*PLUGINS, protocol="imap") +
            config.sieve_in_imap("Filed", script))
        dovecot.start()
        source(dovecot, "from", "one", "two")
        endpoint.wait(2)
        endpoint.clear()
        with dovecot.imap("bob") as imap:
            imap.create("Filed")
            imap.select("from")
            assert imap.copy("1:2", "Filed")[0] == "OK"
            bodies = [request.body for request in endpoint.wait(2)]
        assert not dovecot.log_lines("Error:")
    assert [(body["event"], body["folder"], body["imap-uid"])
            for body in bodies] == [
        ("messageAppend", "Filed", [1, 2]),
        ("flagsSet", "Filed", [1, 2])]


def test_sieve_filter(site, endpoint):
    dovecot, script = site
    source(dovecot, "filter", "filed", "other", "filed")
    dovecot.sieve_filter("bob", script, "filter")
    assert events(endpoint, 2) == [("messageAppend", "filed")] * 2


def test_sieve_filter_files_many(site, endpoint):
    """Each is a transaction of its own, and more than may be put off."""
    dovecot, script = site
    count = 300
    source(dovecot, "many", *["filed"] * count)
    dovecot.sieve_filter("bob", script, "many")
    assert events(endpoint, count) == [("messageAppend", "filed")] * count


def test_sieve_in_imap(site, endpoint):
    dovecot, _ = site
    source(dovecot, "from", "filed")
    with dovecot.imap("bob") as imap:
        imap.create("Filed")
        imap.select("from")
        assert imap.copy("1", "Filed")[0] == "OK"
        assert events(endpoint, 1) == [("messageAppend", "filed")]


def test_sieve_in_imap_files_very_many(site, endpoint):
    """In one command, which the process is busy with all the time: more than
    it may keep for a service that does not answer."""
    dovecot, _ = site
    count = 1024
    with dovecot.imap("bob") as imap:
        imap.create("long")
        # they have more than 1 kB each
        imap.append("long", None, None, message(
            "filed", from_="n" * 900 + " <alice@example.org>").encode())
        while count > int(imap.select("long")[1][0]):
            imap.copy("1:*", "long")
        imap.create("Filed")
        assert imap.copy("1:*", "Filed")[0] == "OK"
        endpoint.wait(count)
    assert not dovecot.log_lines("Error:")


def test_delivery_is_a_new_message(site, endpoint):
    dovecot, _ = site
    dovecot.deliver("bob", message("delivered"))
    assert events(endpoint, 1) == [("messageNew", "delivered")]
