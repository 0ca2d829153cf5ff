# SPDX-License-Identifier: LGPL-2.1-or-later
"""The IMAP helper against a real Cyrus IMAP: other METADATA than Dovecot's."""

import contextlib
import imaplib
import os
import tempfile

import pytest

from harness import cyrus as cyrus_harness
from harness.imap import ENTRY
from harness.listener import listener

NOT_DOVECOT = "Warning: the server says that it is Cyrus IMAPD."


@pytest.fixture(scope="module")
def cyrus_root():
    with tempfile.TemporaryDirectory(prefix="hn-cyrus-") as directory:
        reason = cyrus_harness.unpack(directory)
        if reason is not None:
            pytest.skip("Cyrus IMAP " + reason)
        # its processes are not root's
        os.chmod(directory, 0o755)
        yield directory + "/root"


@contextlib.contextmanager
def running_cyrus(root, *extra):
    with tempfile.TemporaryDirectory(prefix="hn-cyrus-") as directory:
        cyrus = cyrus_harness.Cyrus(directory, root, *extra)
        for user in ("bob", "carol", "admin"):
            cyrus.add_user(user, "secret")
        try:
            cyrus.start()
            yield cyrus
        finally:
            cyrus.stop()


@pytest.fixture(scope="module")
def cyrus(cyrus_root):
    with running_cyrus(cyrus_root) as cyrus:
        yield cyrus


def run(cyrus, *args, **kwargs):
    return listener("--allow-plaintext", "-s",
                    "imap://127.0.0.1:%d" % cyrus.port, *args, **kwargs)


def metadata(cyrus, user):
    """What another client sees."""
    with imaplib.IMAP4("127.0.0.1", cyrus.port) as imap:
        imap.login(user, "secret")
        typ, _ = imap.xatom("GETMETADATA", '""', "(%s)" % ENTRY)
        assert typ == "OK"
        return imap.response("METADATA")[1]


def test_register_show_unregister(cyrus):
    done = run(cyrus, "show", "bob")
    assert (done.returncode, done.stdout) == (0, "")
    assert "bob is not registered" in done.stderr

    done = run(cyrus, "register", "bob", "3@1")
    assert done.stdout == "bob: registered as user=3@1\n"
    assert NOT_DOVECOT in done.stderr
    assert b"user=3@1" in metadata(cyrus, "bob")[0]
    assert run(cyrus, "show", "bob").stdout == "user=3@1\n"
    assert "nothing to do" in run(cyrus, "register", "bob", "3@1").stdout
    done = run(cyrus, "register", "bob", "4@1")
    assert done.stdout == "bob: changed to user=4@1, was user=3@1\n"
    assert run(cyrus, "unregister", "bob").returncode == 0
    assert run(cyrus, "show", "bob").stdout == ""


@pytest.mark.parametrize("value", [b"user=3@1", b'a "quoted" \\ value',
                                   b"two\r\nlines", b"NIL", b""])
def test_values_as_cyrus_sends_them(cyrus, value):
    with imaplib.IMAP4("127.0.0.1", cyrus.port) as imap:
        imap.login("carol", "secret")
        imap.send(b'x SETMETADATA "" (%s {%d+}\r\n%s)\r\n' % (
            ENTRY.encode(), len(value), value))
        line = imap.readline()
        while not line.startswith(b"x "):
            line = imap.readline()
        assert line.startswith(b"x OK"), line
    shown = run(cyrus, "show", "carol")
    assert shown.returncode == 0
    assert shown.stdout.rstrip("\n") == value.decode().replace(
        "\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def test_master_user(cyrus):
    done = run(cyrus, "-m", "admin", "register", "bob", "3@1")
    assert done.returncode == 0
    assert b"user=3@1" in metadata(cyrus, "bob")[0]
    # bob may not act for others
    done = run(cyrus, "-m", "bob", "register", "carol", "3@1")
    assert done.returncode == 1
    assert "login refused" in done.stderr
    assert "--master-separator" in done.stderr


def test_sync(cyrus, tmp_path):
    users, others = tmp_path / "users.csv", tmp_path / "others"
    users.write_text("login,user,context\nbob,3,1\nnobody,9,9\n")
    others.write_text("bob\ncarol\n")
    run(cyrus, "register", "carol", "4@1")
    done = run(cyrus, "sync", users, "--remove-others", others)
    assert done.returncode == 1
    assert "nobody: login refused" in done.stderr
    assert done.stderr.count(NOT_DOVECOT) == 1
    assert "1 failed" in done.stdout
    assert b"user=3@1" in metadata(cyrus, "bob")[0]
    assert run(cyrus, "show", "carol").stdout == ""


def test_entry_that_cyrus_does_not_allow(cyrus_root):
    # its default
    with running_cyrus(cyrus_root,
                       "annotation_allow_undefined: no") as cyrus:
        done = run(cyrus, "register", "bob", "3@1")
        assert done.returncode == 1
        assert "METADATA entry can't be written" in done.stderr
        assert "Point --server to the Dovecot" in done.stderr
