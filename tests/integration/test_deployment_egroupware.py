# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/egroupware: what a Lua script for Dovecot's own driver would
send, by one line of configuration."""

import base64
import json
import pathlib
import re
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import OtherDriver, config
from harness.doveadm import check, failed_check
from harness.dovecot import LIBEXEC, message
from harness.endpoint import Endpoint
from harness.egroupware import SCRIPT
from harness.example import LINE, deploy

USER = "5::bob;0123456789abcdef@egroupware.example.com"
PLUGINS = ("notify", "push_notification", "http_notify")


def status(request):
    """What EGroupware's push server answers."""
    if request.path != "/egroupware/push":
        return 404
    credentials = base64.b64encode(b"Bearer:secret").decode()
    if request.headers.get("Authorization") != "Basic " + credentials:
        return 401
    user = request.body.get("user", "")
    return 200 if re.fullmatch(r"\d+::[^;]+;[^@]+@.+", user) else 400


def clear(push):
    push.clear()
    push.status = status


@pytest.fixture
def push():
    push = Endpoint()
    push.status = status
    yield push
    push.stop()


def test_egroupware_is_told(push):
    with running_dovecot(start=False) as dovecot:
        deploy(dovecot, "egroupware/dovecot-%s.conf" % LINE, {
            "https://Bearer:secret@egroupware.example.com":
            "http://Bearer:secret@" + push.authority,
            "192.0.2.11": "127.0.0.1",
            # the test's mail user has no name
            "user = vmail": "mode = 0666"})
        assert failed_check(dovecot, "-r", "127.0.0.1").keys() == {
            "registration"}
        dovecot.setmetadata("bob", "user=" + USER)
        assert not any(check(dovecot, "-r", "127.0.0.1").values())
        clear(push)
        dovecot.deliver("bob", message("new"))
        with dovecot.imap("bob") as imap:
            imap.select("INBOX")
            imap.store("1", "+FLAGS", "(\\Seen)")
            first, second = (request.body for request in push.wait(2))
        assert not dovecot.log_lines("Error:")
        dovecot.doveadm("http-notify", "test", "-u", "bob", "-e",
                        "FlagsSet")
        third = push.wait(3)[2].body
    assert (first["event"], first["user"]) == ("MessageNew", USER)
    assert (second["event"], second["flags"]) == ("FlagsSet", ["\\Seen"])
    assert third == second


# -- beside a script --

NEEDED = [LIBEXEC / "modules/lib22_push_notification_lua_plugin.so",
          pathlib.Path("/usr/share/lua/5.4/socket/http.lua")]


def same(bodies):
    """In any order: what is told of one command. The order of keys is not
    defined by their script, either: its library, LuaJSON, takes them from
    pairs(), which depends on a seed of the process's. Nor is that of UIDs: they
    come as push_notification's hash table of messages has them."""
    for body in bodies:
        if isinstance(body["imap-uid"], list):
            body["imap-uid"].sort()
    return sorted(json.dumps(body, sort_keys=True) for body in bodies)


def command(imap, line):
    """One that imaplib has no function for."""
    imap.send(("x %s\r\n" % line).encode())
    while not imap.readline().startswith(b"x "):
        pass


def multiappend(imap, folder, *subjects, end=""):
    """MULTIAPPEND (RFC 3502) of messages with these subjects."""
    texts = [message(subject) for subject in subjects]
    command(imap, "APPEND %s%s%s" % (folder, "".join(
        " {%d+}\r\n%s" % (len(text), text) for text in texts), end))


# Messages whose headers OX could not cope with, and others that lack something.
UNUSUAL = [
    "Subject: without From\r\n\r\ntext\r\n",
    "From:\r\nSubject:\r\n\r\ntext\r\n",
    "From: Alice: Sales <alice@example.org>\r\n\r\nwithout Subject\r\n",
    "From: root \r\nSubject:  blanks \r\n\r\ntext\r\n",
    "From: undisclosed-recipients:;\r\nSubject: without text\r\n\r\n",
    "From: =?unknown-8bit?B?xOQ?= <a@b.c>\r\nFrom: d@b.c\r\n"
    "Subject: =?unknown-8bit?B?xOQ?= =?utf-8?q?=C3=BC?=\r\n\r\ntext\r\n",
    "From: A\r\n\t<a@b.c>,\r\n b@b.c\r\nSubject: folded\r\n here\r\n"
    "Content-Type: application/pdf\r\n\r\nno text\r\n",
    "From: \"A \\\"B\\\" \\\\\" <a@b.c>\r\nSubject: \"\\ /\ttab\r\n\r\n\"\\\r\n",
]


@pytest.mark.skipif(not all(path.exists() for path in NEEDED),
                    reason="no Lua for Dovecot")
def test_the_script_sends_the_same(push, other_endpoint, script):
    def told(count):
        """What both have been told by a command that leads to so many
        notifications."""
        by_script = [request.body for request in push.wait(count)]
        ours = [request.body for request in other_endpoint.wait(count)]
        time.sleep(0.2)
        assert len(push.attempts) == len(other_endpoint.attempts) == count, (
            [request.body for request in push.attempts],
            [request.body for request in other_endpoint.attempts])
        assert same(ours) == same(by_script)
        clear(push)
        other_endpoint.clear()
        return {body["event"] for body in ours}

    script.write_text(SCRIPT.replace(
        "URL", "http://Bearer:secret@%s/egroupware/push" % push.authority))
    script.chmod(0o644)
    lua = "mail_lua", "push_notification_lua"
    with running_dovecot(
            driver(other_endpoint, format="egroupware"),
            OtherDriver("lua", script),
            extra=config.more_plugins(*lua, protocol="lmtp") +
            config.more_plugins(*PLUGINS, *lua, protocol="imap") +
            config.handoff_access()) as dovecot:
        for user in "bob", "dave":
            dovecot.setmetadata(user, "user=" + USER)
        dovecot.deliver("bob", message(
            "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
            "=?utf-8?q?J=C3=B6rg?= <joerg@example.org>", "Some text"))
        assert told(1) == {"MessageNew"}
        dovecot.deliver("bob", message("no MIME"))
        assert told(1) == {"MessageNew"}
        for text in UNUSUAL:
            dovecot.deliver("dave", text)
            assert told(1) == {"MessageNew"}
        with dovecot.imap("bob") as imap:
            imap.select("INBOX")
            imap.store("1:2", "+FLAGS", "(\\Seen)")
            assert told(1) == {"FlagsSet"}
            imap.store("1", "+FLAGS", "(\\Answered $Forwarded)")
            assert told(1) == {"FlagsSet"}
            imap.store("1", "+FLAGS", "(NonJunk)")
            imap.store("1:2", "FLAGS", "(\\Flagged)")
            # of the first, a flag, a keyword and NonJunk; of the other, a flag
            assert told(3) == {"FlagsSet", "FlagsClear"}
            imap.store("2", "-FLAGS", "(\\Flagged)")
            assert told(1) == {"FlagsClear"}
            imap.create("Entw&APw-rfe")
            imap.copy("1", "Entw&APw-rfe")
            assert told(1) == {"MessageAppend"}
            imap.append("Entw&APw-rfe", "\\Seen", None,
                        message("appended").encode())
            assert told(1) == {"MessageAppend"}
            imap.uid("MOVE", "2", "Entw&APw-rfe")
            assert told(2) == {"MessageAppend", "MessageExpunge"}
            imap.select("Entw&APw-rfe")
            imap.store("1:*", "+FLAGS", "(\\Deleted)")
            assert told(1) == {"FlagsSet"}
            imap.expunge()
            assert told(1) == {"MessageExpunge"}
            # nothing: no such message, no change, a condition that fails
            imap.expunge()
            imap.select("INBOX")
            imap.uid("EXPUNGE", "999")
            imap.store("1", "-FLAGS", "(\\Draft)")
            imap.store("1", "+FLAGS", "()")
            command(imap, "UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Draft)")
            multiappend(imap, "INBOX", "first", "second", end=" (\\None) {1+}")
            assert told(0) == set()
            multiappend(imap, "INBOX", "first", "second", "third")
            assert told(1) == {"MessageAppend"}
            imap.noop()
            text = message("replaced")
            if b"REPLACE" in imap.capability()[1][0].split():
                command(imap, "REPLACE 4 INBOX {%d+}\r\n%s" % (
                    len(text), text))
                assert told(2) == {"MessageAppend", "MessageExpunge"}
                imap.noop()
            imap.store("2:4", "+FLAGS.SILENT", "($Label1)")
            assert told(1) == {"FlagsSet"}
            imap.fetch("2:4", "BODY[]")
            assert told(1) == {"FlagsSet"}
            imap.store("2:4", "FLAGS", "($Label2 \\Draft)")
            assert told(2) == {"FlagsSet", "FlagsClear"}
            uid = imap.uid("SEARCH", "SUBJECT", "first")[1][0].decode()
            command(imap, 'APPEND INBOX CATENATE (URL "/INBOX/;UID=%s" '
                    'TEXT {8+}\r\nmore..\r\n)' % uid)
            assert told(1) == {"MessageAppend"}
            command(imap, 'APPEND INBOX CATENATE (TEXT {16+}\r\n'
                    'Subject: x\r\n\r\na. URL "/INBOX/;UID=9999")')
            assert told(0) == set()
            imap.uid("MOVE", "1", "INBOX")
            assert told(2) == {"MessageAppend", "MessageExpunge"}
            imap.store("1:2", "+FLAGS", "(\\Deleted)")
            assert told(1) == {"FlagsSet"}
            imap.uid("EXPUNGE", "3")
            assert told(1) == {"MessageExpunge"}
            imap.close()
            assert told(1) == {"MessageExpunge"}
            imap.delete("Entw&APw-rfe")
            assert told(0) == set()
            imap.create("gone")
            imap.append("gone", None, None, message("gone").encode())
            assert told(1) == {"MessageAppend"}
            imap.delete("gone")
            assert told(1) == {"MessageExpunge"}
        assert not dovecot.log_lines("Error:")
