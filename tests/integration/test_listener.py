# SPDX-License-Identifier: LGPL-2.1-or-later
"""The IMAP helper: against a real Dovecot, and against a scripted server for
what no real one answers."""

import contextlib
import csv
import os
import pty
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from conftest import running_dovecot
from harness.config import config
from harness.dovecot import METADATA_ENTRY, free_port, wait_for
from harness.imap import ENTRY, Hangup, ImapServer
from harness.listener import (environment, executable, listener,
                              register_users)
from harness.postgresql import postgresql


def run(server, *args, **kwargs):
    """At a server in plain text."""
    return listener("--allow-plaintext", "--server", server.url, *args,
                    **kwargs)


def failure(*args, **kwargs):
    """What it says when it has failed."""
    done = run(*args, **kwargs)
    assert done.returncode == 1, done
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def server():
    with ImapServer() as server:
        yield server


# -- a real Dovecot --

@contextlib.contextmanager
def imap_dovecot(extra="", **kwargs):
    with running_dovecot(extra=extra, **kwargs) as dovecot:
        dovecot.url = "imap://127.0.0.1:%d" % dovecot.imap_port
        yield dovecot


@pytest.fixture(scope="module")
def plain_dovecot():
    # any character in a login, as sites with such names have it
    with imap_dovecot("auth_username_chars =\n") as dovecot:
        yield dovecot


def existence_check(dovecot, user, value):
    """OX's own: is the whole value what it expects?"""
    with dovecot.imap(user) as imap:
        typ, _ = imap.xatom("GETMETADATA", '""', "(%s)" % METADATA_ENTRY)
        assert typ == "OK"
        (head, stored), tail = imap.response("METADATA")[1]
    assert head == b'"" (%s {%d}' % (METADATA_ENTRY.encode(), len(stored))
    assert tail == b")"
    return stored == value.encode()


def test_register_show_change_unregister(plain_dovecot):
    done = run(plain_dovecot, "show", "bob")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "bob is not registered\n"

    done = run(plain_dovecot, "register", "bob", "3@1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "bob: registered as user=3@1\n"
    assert existence_check(plain_dovecot, "bob", "user=3@1")
    assert not existence_check(plain_dovecot, "bob", "user=3@2")
    assert run(plain_dovecot, "show", "bob").stdout == "user=3@1\n"

    done = run(plain_dovecot, "register", "bob", "4@1")
    assert done.stdout == "bob: changed to user=4@1, was user=3@1\n"
    done = run(plain_dovecot, "unregister", "bob")
    assert done.stdout == "bob: unregistered, was user=4@1\n"
    done = run(plain_dovecot, "unregister", "bob")
    assert "nothing to do" in done.stdout and done.returncode == 0
    assert run(plain_dovecot, "show", "bob").stdout == ""


def test_shows_what_others_have_registered(plain_dovecot):
    for value in ("user=7@2", "user=5::acc;token@host",
                  "user=alice@example.org"):
        plain_dovecot.setmetadata("carol", value)
        assert run(plain_dovecot, "show", "carol").stdout == value + "\n"
    plain_dovecot.setmetadata("carol", None)
    assert run(plain_dovecot, "show", "carol").stdout == ""


def test_control_characters_are_shown_escaped(plain_dovecot):
    value = b'user=\x1b[2J"\\\r\nx\xff\xe2\x80\xae'
    with plain_dovecot.imap("dave") as imap:
        imap.send(b'x SETMETADATA "" (%s {%d}\r\n' % (
            METADATA_ENTRY.encode(), len(value)))
        assert imap.readline().startswith(b"+")
        imap.send(value + b")\r\n")
        assert imap.readline().startswith(b"x OK")
    assert run(plain_dovecot, "show", "dave").stdout == \
        'user=\\x1b[2J"\\\\\\r\\nx\\xff\\xe2\\x80\\xae\n'


def test_what_is_right_is_not_written(plain_dovecot):
    run(plain_dovecot, "register", "erin", "3@1")
    path = plain_dovecot.dir / "home/erin/dovecot-attributes"
    before = path.stat()
    assert "nothing to do" in run(plain_dovecot, "register", "erin",
                                  "3@1").stdout
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns,
                                                   after.st_ino)


def test_dry_run_writes_nothing(plain_dovecot):
    done = run(plain_dovecot, "register", "frank", "3@1", "--dry-run")
    assert done.stdout == "frank: would be registered as user=3@1\n"
    assert run(plain_dovecot, "show", "frank").stdout == ""


def test_8_bit_login(plain_dovecot):
    login = "jörg@bücher.example"
    assert run(plain_dovecot, "register", login, "3@1").returncode == 0
    assert run(plain_dovecot, "show", login).stdout == "user=3@1\n"
    assert (plain_dovecot.dir / "home" / login /
            "dovecot-attributes").exists()


def test_hostile_logins_stay_logins(server):
    logins = ['a" b', "a\\b", "a{3}", "a%00", "(a)", "a*", "' OR 1=1",
              "a;AUTH=x", "a:b", "a@b@c"]
    for login in logins:
        assert run(server, "register", login, "3@1").returncode == 0
    assert set(server.entries) == set(logins)


def test_login_refused_by_dovecot(plain_dovecot):
    said = failure(plain_dovecot, "show", "bob", password="wrong password")
    assert "bob: login refused: [AUTHENTICATIONFAILED]" in said
    assert "--password-file" in said


def test_all_that_is_in_it_with_starttls_and_imaps(certificates):
    imaps_port = free_port()
    tls = config.tls(*certificates["good"]) + """
service imap-login {
  inet_listener imaps {
    ssl = yes
  }
%s
}
""" % config.tcp_listener("imaps", imaps_port)
    with imap_dovecot(tls) as dovecot:
        for url, user in (("imap://localhost:%d" % dovecot.imap_port, "bob"),
                          ("imaps://localhost:%d" % imaps_port, "carol")):
            args = ("--server", url, "--ca-file", certificates["ca"])
            done = listener(*args, "register", user, "3@1")
            assert (done.returncode, done.stderr) == (0, "")
            assert listener(*args, "show", user).stdout == "user=3@1\n"
            # TLS it was
            assert dovecot.wait_log("user=<%s>, method=" % user, "TLS")
            # the system knows nothing of this CA
            done = listener("--server", url, "show", user)
            assert done.returncode == 1
            assert "certificate of localhost is not accepted" in done.stderr
            assert "--ca-file" in done.stderr


def test_without_starttls_nothing_is_sent(plain_dovecot):
    done = listener("--server", plain_dovecot.url, "show", "nobody-at-all")
    assert done.returncode == 1
    assert "offers no STARTTLS" in done.stderr
    assert "--allow-plaintext" in done.stderr
    assert not plain_dovecot.log_lines("nobody-at-all")


@pytest.fixture(scope="module")
def master_dovecot(tmp_path_factory):
    path = tmp_path_factory.mktemp("master") / "users"
    path.write_text("provisioning:{PLAIN}master-password:::::\n")
    # Dovecot's processes have to get at it
    with running_dovecot(start=False) as dovecot:
        users = dovecot.dir / "master-users"
        users.write_text(path.read_text())
        users.chmod(0o644)
        dovecot.configure(auth=config.masters_of(users))
        dovecot.start()
        dovecot.url = "imap://127.0.0.1:%d" % dovecot.imap_port
        yield dovecot


@pytest.mark.parametrize("options", [(), ("--master-separator", "*")])
def test_master_user(master_dovecot, options, tmp_path):
    user = "alice%d@example.org" % len(options)
    args = ("--master-user", "provisioning", *options)
    done = run(master_dovecot, *args, "register", user, "3@1",
               password="master-password")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(master_dovecot, *args, "show", user,
               password="master-password").stdout == "user=3@1\n"
    assert existence_check(master_dovecot, user, "user=3@1")

    said = failure(master_dovecot, *args, "show", user,
                   password="not the password")
    assert "login refused" in said
    assert "--master-separator" in said


DICT_SERVICE = """
service dict {
  unix_listener dict {
    mode = 0666
  }
}
"""

def test_sql_dictionary():
    """In PostgreSQL: with SQLite, Dovecot 2.4.1's dict process dies of an entry
    that is not there."""
    with postgresql() as server, running_dovecot(start=False) as dovecot:
        server.dir.chmod(0o755)
        server.execute(
            "-c", "CREATE TABLE metadata (username TEXT, name TEXT, "
            "value TEXT, PRIMARY KEY (username, name))", database="postgres")
        dovecot.configure(dictionary=config.dictionary_in_postgresql(
            dovecot, server.dir, server.port), extra=DICT_SERVICE)
        dovecot.start()
        dovecot.url = "imap://127.0.0.1:%d" % dovecot.imap_port
        done = run(dovecot, "register", "bob", "3@1")
        assert (done.returncode, done.stderr) == (0, ""), dovecot.log()
        assert existence_check(dovecot, "bob", "user=3@1")
        assert run(dovecot, "show", "bob").stdout == "user=3@1\n"
        assert server.execute(
            "-c", "SELECT username, value FROM metadata",
            database="postgres") == "bob|user=3@1\n"
        assert run(dovecot, "unregister", "bob").returncode == 0
        assert run(dovecot, "show", "bob").stdout == ""


def test_dovecot_without_imap_metadata():
    with imap_dovecot("protocol imap {\n  imap_metadata = no\n}\n") as dovecot:
        said = failure(dovecot, "register", "bob", "3@1")
        assert "bob: 127.0.0.1 has no METADATA capability" in said
        assert "mail_attribute_dict = " in said
        assert "imap_metadata = yes" in said


def test_dovecot_without_dictionary():
    with imap_dovecot(dictionary="") as dovecot:
        said = failure(dovecot, "register", "bob", "3@1")
        assert "mail_attribute_dict" in said


def test_dictionary_that_cannot_be_written():
    with imap_dovecot(
            dictionary=config.dictionary_in_file("/proc/none")) as dovecot:
        said = failure(dovecot, "register", "bob", "3@1")
        assert "METADATA entry can't be" in said
        assert "mail_attribute_dict" in said


def test_sync_of_5000_users_twice(tmp_path):
    fast = """
service imap-login {
  %s
}
service imap {
  %s
  process_min_avail = 2
}
""" % (config.clients_of_a_process(0), config.clients_of_a_process(1000))
    users = tmp_path / "users.csv"
    users.write_text(register_users(5000))
    # tens of thousands of small files
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with imap_dovecot(fast, parent=memory) as dovecot:
        done = run(dovecot, "sync", users, timeout=500)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            "5000 logins: 5000 registered, 0 changed, 0 unregistered, "
            "0 unchanged, 0 failed; ")
        paths = list(dovecot.dir.glob("home/*/dovecot-attributes"))
        assert len(paths) == 5000
        before = {path: path.stat().st_mtime_ns for path in paths}
        assert existence_check(dovecot, "user4711@example.org",
                               "user=4711@1")

        done = run(dovecot, "sync", users, timeout=500)
        assert done.returncode == 0
        assert "0 registered, 0 changed, 0 unregistered, 5000 unchanged, " \
            "0 failed" in done.stdout
        assert before == {path: path.stat().st_mtime_ns for path in paths}
        print(done.stdout)


# -- sync --

def test_second_sync_sends_no_setmetadata(server, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(500))
    assert run(server, "sync", users).returncode == 0
    assert server.count("SETMETADATA") == 500
    assert server.entries["user7@example.org"] == "user=7@1"
    assert run(server, "sync", users).returncode == 0
    assert server.count("SETMETADATA") == 500
    assert server.connections == 1000
    assert server.most <= 8


def test_the_commands_of_ox_and_no_other(server):
    run(server, "register", "bob", "3@1")
    assert [command for command in server.commands
            if not command.startswith("AUTHENTICATE")] == [
        "CAPABILITY", "ID NIL", "CAPABILITY",
        'GETMETADATA "" (%s)' % ENTRY,
        'SETMETADATA "" (%s "user=3@1")' % ENTRY, "LOGOUT"]
    server.commands.clear()
    run(server, "unregister", "bob")
    assert 'SETMETADATA "" (%s NIL)' % ENTRY in server.commands


def test_file_is_the_truth(server, tmp_path):
    server.entries.update(
        {"same": "user=1@1", "other": "user=1@1", "foreign": "user=a@b",
         "gone": "user=9@1", "unlisted": "user=8@1"})
    users, others = tmp_path / "users.csv", tmp_path / "others"
    users.write_text("login,user,context\nsame,1,1\nother,2,1\nforeign,3,1\n"
                     "new,4,1\n")
    others.write_text("same\nother\ngone\nnever\n")
    report = tmp_path / "report.csv"

    # dry
    before = dict(server.entries)
    done = run(server, "sync", users, "--remove-others", others, "-n")
    assert done.returncode == 0
    assert set(done.stdout.splitlines()[:-1]) == {
        "other: would be changed to user=2@1, is user=1@1",
        "foreign: would be changed to user=3@1, is user=a@b",
        "new: would be registered as user=4@1",
        "gone: would be unregistered, is user=9@1"}
    assert "dry run, nothing was written" in done.stdout
    assert server.entries == before and server.count("SETMETADATA") == 0

    done = run(server, "sync", users, "--remove-others", others,
               "--report", report)
    assert done.returncode == 0
    assert "6 logins: 1 registered, 2 changed, 1 unregistered, 2 unchanged, " \
        "0 failed" in done.stdout
    assert server.entries == {
        "same": "user=1@1", "other": "user=2@1", "foreign": "user=3@1",
        "new": "user=4@1", "unlisted": "user=8@1"}
    rows = list(csv.DictReader(report.open()))
    assert list(rows[0]) == ["login", "action", "outcome", "reason",
                             "milliseconds"]
    assert {(row["login"], row["action"], row["outcome"], row["reason"])
            for row in rows} == {
        ("same", "register", "unchanged", ""),
        ("other", "register", "changed", "was user=1@1"),
        ("foreign", "register", "changed", "was user=a@b"),
        ("new", "register", "registered", ""),
        ("gone", "unregister", "unregistered", "was user=9@1"),
        ("never", "unregister", "unchanged", "")}
    assert all(row["milliseconds"].isdigit() for row in rows)


def test_failing_logins_and_bad_lines_do_not_stop_the_rest(server, tmp_path):
    def refuse_odd(conn, tag, command):
        conn.answer(tag, "AUTHENTICATE", command)
        if conn.user == "reset":
            raise Hangup

    def refuse(conn, tag, command):
        if conn.user.startswith("odd"):
            conn.send("%s NO [NOPERM] you, not\r\n" % tag)
        else:
            conn.answer(tag, "GETMETADATA", command)
    server.special = {"GETMETADATA": refuse, "AUTHENTICATE": refuse_odd}
    users = tmp_path / "users.csv"
    users.write_text(
        "\ufefflogin,user,context\r\nfirst,1,1\r\nodd1,2,1\r\nbad,x,1\r\n"
        "\"quo\"\"ted, name\",3,1\r\n\r\nfirst,1,1\r\nreset,3,1\r\n"
        "last,4,1\r\n")
    report = tmp_path / "report.csv"
    done = run(server, "sync", users, "--report", report)
    assert done.returncode == 1
    assert server.entries == {"first": "user=1@1", "last": "user=4@1",
                              'quo"ted, name': "user=3@1"}
    assert "%s, line 4: user is not a number" % users in done.stderr
    assert "line 7: the login is in line 2 already" in done.stderr
    assert "odd1: the METADATA entry can't be read: [NOPERM] you, not" in \
        done.stderr
    assert "5 logins: 3 registered" in done.stdout
    assert "2 failed; 2 bad lines" in done.stdout
    rows = {row["login"]: row for row in csv.DictReader(report.open())}
    assert rows["odd1"]["outcome"] == "failed"
    assert "[NOPERM]" in rows["odd1"]["reason"]
    assert rows["bad"]["outcome"] == "failed"
    assert "line 4" in rows["bad"]["reason"]
    assert rows['quo"ted, name']["outcome"] == "registered"


def test_sync_from_standard_input_and_of_empty_files(server):
    done = run(server, "sync", "-", input=register_users(3))
    assert done.returncode == 0 and len(server.entries) == 3
    for text in ("", "login,user,context\n"):
        done = run(server, "sync", "-", input=text)
        assert done.returncode == 0
        assert done.stdout.startswith("0 logins: ")


def test_jobs_at_once(server, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(60))

    def slow(conn, tag, command):
        time.sleep(0.05)
        conn.answer(tag, "GETMETADATA", command)
    server.special = {"GETMETADATA": slow}
    assert run(server, "sync", users, "--jobs", 20).returncode == 0
    assert 10 <= server.most <= 20
    server.most = 0
    assert run(server, "sync", users, "-j", 1).returncode == 0
    assert server.most == 1


def test_interrupted_and_run_again(server, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(400))
    report = tmp_path / "report.csv"

    def slow(conn, tag, command):
        time.sleep(0.2)
        conn.answer(tag, "GETMETADATA", command)
    server.special = {"GETMETADATA": slow}
    process = subprocess.Popen(
        [executable(), "--allow-plaintext", "-s", server.url, "sync", users,
         "--report", report], env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8")
    wait_for(lambda: server.count("SETMETADATA") > 40, what="some logins")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted: the logins under way are finished" in err
    assert "run it again" in out and "not tried" in out
    done = server.count("SETMETADATA")
    # what was begun was finished, and reported
    assert 40 < done < 400
    assert len(report.read_text().splitlines()) == done + 1

    server.special = {}
    assert run(server, "sync", users).returncode == 0
    assert server.count("SETMETADATA") == 400
    assert len(server.entries) == 400


def test_server_that_is_not_there_is_given_up(tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(2000))
    done = listener("-s", "imap://127.0.0.1:%d" % free_port(), "sync", users)
    assert done.returncode == 1
    assert "Given up: 100 logins in a row" in done.stdout
    assert "not tried" in done.stdout
    assert done.stderr.count("Connection refused") < 200
    # advice once
    assert done.stderr.count("Check --server") == 1


def test_progress_on_a_terminal_only(server, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(100))

    def slow(conn, tag, command):
        time.sleep(0.03)
        conn.answer(tag, "GETMETADATA", command)
    server.special = {"GETMETADATA": slow}
    assert "\r" not in run(server, "sync", users).stderr

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [executable(), "--allow-plaintext", "-s", server.url, "sync", users],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=slave)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):
        while True:
            data = os.read(master, 4096)
            if not data:
                break
            seen += data
    assert process.wait(20) == 0
    os.close(master)
    process.stdout.close()
    assert b"/100 " in seen and b"[#" in seen and b"failed, left: " in seen
    # and gone at the end
    assert seen.endswith(b"\r\x1b[K")


# -- answers that no real server gives --

def answering(pieces):
    """GETMETADATA is answered with these bytes, in pieces."""
    def answer(conn, tag, command):
        for data, size in pieces:
            conn.send(data.replace(b"TAG", tag.encode()), size)
    return answer


@pytest.mark.parametrize("answer, shown", [
    (b'* METADATA "" (%s "user=3@1")\r\nTAG OK\r\n', "user=3@1\n"),
    (b'* METADATA "" (%s {8}\r\nuser=3@1)\r\nTAG OK\r\n', "user=3@1\n"),
    (b'* METADATA "" (%s ~{8}\r\nuser=3@1)\r\nTAG OK\r\n', "user=3@1\n"),
    (b'* METADATA {0}\r\n (%s user=3@1)\r\nTAG OK\r\n', "user=3@1\n"),
    (b'* 3 EXISTS\r\n* METADATA "" (/private/comment {9}\r\ng OK\r\n)))'
     b' %s "a\\"b\\\\c")\r\n* OK [ALERT] {3}\r\nTAG OK\r\n', 'a"b\\\\c\n'),
    (b'* METADATA "" (%s {16}\r\nx\r\ng OK done\r\ng )\r\nTAG OK\r\n',
     "x\\r\\ng OK done\\r\\ng \n"),
    (b'* METADATA "" (%s NIL)\r\nTAG OK\r\n', ""),
    (b'* METADATA "" (%s nil)\r\nTAG OK\r\n', ""),
    (b'* METADATA INBOX (%s x)\r\nTAG OK\r\n', ""),
    (b'TAG OK\r\n', ""),
])
@pytest.mark.parametrize("size", [None, 1])
def test_answers_in_packets_of_any_size(server, answer, shown, size):
    data = answer.replace(b"%s", ENTRY.encode())
    server.special["GETMETADATA"] = answering([(data, size)])
    done = run(server, "show", "bob")
    assert done.returncode == 0, done
    assert done.stdout == shown


def test_name_of_the_entry_in_another_case(server):
    server.special["GETMETADATA"] = answering([(
        b'* metadata "" (/PRIVATE/VENDOR/vendor.dovecot/HTTP-NOTIFY x)\r\n'
        b'TAG ok\r\n', None)])
    assert run(server, "show", "bob").stdout == "x\n"


def hang_up_after(data):
    def answer(conn, tag, command):
        conn.send(data)
        raise Hangup
    return answer


@pytest.mark.parametrize("answer, said", [
    (answering([(b"* 10 BYE\r\n* BYE shutting down\r\n", None),
                (b"", None)]), None),
    (hang_up_after(b"* BYE shutting down\r\n"),
     "ended the session: shutting down"),
    (hang_up_after(b'* METADATA "" (%s {8}\r\nuser' % ENTRY.encode()),
     "closed the connection"),
    (hang_up_after(b""), "closed the connection"),
    (answering([(b"TAG NO [METADATA MAXSIZE 4] too long\r\n", None)]),
     "has at most 26 bytes"),
    (answering([(b"TAG NO [METADATA NOPRIVATE] no\r\n", None)]),
     "keeps no private METADATA"),
    (answering([(b"TAG NO [METADATA TOOMANY] no\r\n", None)]),
     "as many METADATA entries"),
    (answering([(b"TAG NO [UNAVAILABLE] Internal error\r\n", None)]),
     "Internal error"),
    (answering([(b"TAG BAD what?\r\n", None)]), "can't be read: what?"),
    (answering([(b"TAG NO \x1b[2Jclear\r\n", None)]), "\\x1b[2Jclear"),
    (answering([(b'* METADATA "" (%s (x))\r\nTAG OK\r\n' % ENTRY.encode(),
                 None)]), "can't be understood"),
    (answering([(b"hello?\r\n", None)]), "not IMAP"),
])
def test_failures_in_words(server, answer, said):
    server.special["GETMETADATA"] = answer
    if said is None:
        said = "did not answer within 1 s"
    words = failure(server, "-t", 1, "register", "bob", "3@1")
    assert said in words
    assert words.startswith("bob: ")


@pytest.mark.parametrize("code", ["MAXSIZE 4", "NOPRIVATE", "TOOMANY"])
def test_entry_that_cannot_be_written(server, code):
    server.special["SETMETADATA"] = answering([(
        b"TAG NO [METADATA %s] sorry\r\n" % code.encode(), None)])
    said = failure(server, "register", "bob", "3@1")
    assert "the METADATA entry can't be written: [METADATA %s] sorry" % \
        code in said
    assert len(said.splitlines()) > 1


@pytest.mark.parametrize("answer", [
    b"* METADATA \"\" (%s \"" + b"x" * 10485760 + b"\")\r\nTAG OK\r\n",
    b"* METADATA \"\" (%s {10485760}\r\n" + b"x" * 10485760 +
    b")\r\nTAG OK\r\n",
    b"* OK " + b"x" * 10485760 + b"\r\nTAG OK\r\n",
], ids=["quoted", "literal", "status"])
def test_lines_of_10_mb(server, answer):
    server.special["GETMETADATA"] = answering([(
        answer.replace(b"%s", ENTRY.encode()), None)])
    assert "more than 1 MB" in failure(server, "show", "bob")


def test_lines_of_10_mb_before_the_login(server):
    server.greeting = "* OK " + "x" * 10485760 + "\r\n"
    done = run(server, "show", "bob", "-t", 10)
    # it is for libcurl to take or to refuse that
    assert done.returncode == 1 or done.stderr == "bob is not registered\n"
    assert len(done.stderr) < 2000


def test_many_small_lines_end_by_the_timeout(server):
    def flood(conn, tag, command):
        while True:
            conn.send("* 1 EXISTS\r\n" * 1000)
    server.special["GETMETADATA"] = flood
    begin = time.monotonic()
    assert "did not answer within 1 s" in failure(server, "-t", 1, "show",
                                                  "bob")
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("where", ["greeting", "AUTHENTICATE", "CAPABILITY",
                                   "GETMETADATA", "SETMETADATA", "LOGOUT"])
def test_server_that_hangs(server, where):
    def hang(conn, tag, command):
        time.sleep(120)
    if where == "greeting":
        server.greeting = ""
    else:
        server.special[where] = hang
    begin = time.monotonic()
    done = run(server, "-t", 2, "register", "bob", "3@1")
    assert time.monotonic() - begin < 60
    if where == "LOGOUT":
        # all was done before
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert "within 2 s" in done.stderr
        assert "--timeout" in done.stderr


def test_login_refused(server):
    server.password = "another"
    said = failure(server, "show", "bob")
    assert "bob: login refused: [AUTHENTICATIONFAILED] Not you." in said
    assert "--password-file" in said


def test_no_metadata_capability(server):
    server.capabilities = "IMAP4rev1 SASL-IR ID AUTH=PLAIN"
    said = failure(server, "show", "bob")
    assert "no METADATA capability" in said and "mail_attribute_dict" in said
    server.id = '("name" "Other IMAP")'
    said = failure(server, "show", "bob")
    assert "is not Dovecot" in said
    assert "Point --server to the Dovecot" in said


def test_metadata_server_capability_is_enough(server):
    server.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN METADATA-SERVER"
    assert run(server, "register", "bob", "3@1").returncode == 0


def test_not_dovecot(server):
    server.id = '("name" "Evil\x1b[2J")'
    done = run(server, "register", "bob", "3@1")
    assert done.returncode == 0
    assert "Warning: the server says that it is Evil\\x1b[2J" in done.stderr
    server.special["SETMETADATA"] = answering([(b"TAG NO no\r\n", None)])
    assert "Point --server to the Dovecot" in failure(
        server, "register", "bob", "4@1")


def test_no_plain(server):
    server.capabilities = "IMAP4rev1 LOGINDISABLED AUTH=GSSAPI METADATA"
    said = failure(server, "show", "bob")
    assert "offers no AUTH=PLAIN" in said and "auth_mechanisms" in said
    # not even with a LOGIN that would be allowed
    server.capabilities = "IMAP4rev1 METADATA"
    assert "offers no AUTH=PLAIN" in failure(server, "show", "bob")
    assert server.count("LOGIN") == 0


def test_preauth_is_nobody(server):
    server.greeting = "* PREAUTH you are root\r\n"
    assert "PREAUTH" in failure(server, "register", "bob", "3@1")
    assert server.entries == {} and server.count("GETMETADATA") == 0


@pytest.mark.parametrize("greeting, said", [
    ("220 mail.example.org ESMTP\r\n", "does not speak IMAP: 220 mail"),
    ("+OK POP3\r\n", "does not speak IMAP"),
    ("* BYE too many connections\r\n", "too many connections"),
])
def test_greetings(server, greeting, said):
    server.greeting = greeting
    assert said in failure(server, "-t", 5, "show", "bob")


def test_names_and_ports():
    done = listener("-s", "imap://no-such-host.invalid", "show", "bob")
    assert done.returncode == 1 and "is not known" in done.stderr
    done = listener("-s", "imap://127.0.0.1:%d" % free_port(), "show", "bob")
    assert done.returncode == 1 and "Connection refused" in done.stderr


@pytest.mark.parametrize("name, said", [
    ("expired", "certificate has expired"), ("foreign", "certificate"),
])
@pytest.mark.parametrize("kind", ["imaps", "starttls"])
def test_certificate_that_does_not_verify(certificates, kind, name, said):
    with ImapServer(**{kind: certificates[name]}) as server:
        for options in ((), ("--allow-plaintext",)):
            done = listener("-s", server.url, "--ca-file", certificates["ca"],
                            *options, "show", "bob")
            assert done.returncode == 1
            assert "certificate of localhost is not accepted" in done.stderr
            assert said in done.stderr
        assert server.count("AUTHENTICATE") == 0


def test_certificate_of_another_name(certificates):
    with ImapServer(imaps=certificates["good"]) as server:
        done = listener("-s", server.url.replace("localhost", "127.0.0.1"),
                        "--ca-file", certificates["ca"], "show", "bob")
        assert done.returncode == 1
        assert "certificate of 127.0.0.1 is not accepted" in done.stderr
        assert server.count("AUTHENTICATE") == 0


@pytest.mark.parametrize("kind", ["imaps", "starttls"])
def test_sync_over_tls(certificates, kind):
    with ImapServer(**{kind: certificates["good"]}) as server:
        done = listener("-s", server.url, "--ca-file", certificates["ca"],
                        "sync", "-", input=register_users(100))
        assert done.returncode == 0
        assert len(server.entries) == 100


def test_tls_expected_where_there_is_none(server):
    done = listener("-s", server.url.replace("imap:", "imaps:"), "-t", 5,
                    "show", "bob")
    assert done.returncode == 1
    assert "no TLS with 127.0.0.1" in done.stderr
    assert "imaps:// (TLS from the start" in done.stderr


def test_ipv6():
    with ImapServer(address="::1") as server:
        done = listener("--allow-plaintext", "-s", "imap://[::1]:%d" %
                        server.port, "register", "bob", "3@1")
        assert (done.returncode, done.stderr) == (0, "")
        assert server.entries == {"bob": "user=3@1"}


# -- passwords and usage --

def test_password_file(server, tmp_path):
    path = tmp_path / "password"
    server.password = "sésame \"ouvre\\"
    for text in ("%s\n", "%s\r\nmore\n", "%s"):
        path.write_text(text % server.password)
        path.chmod(0o640)
        done = run(server, "-p", path, "show", "bob", password="wrong-one")
        assert (done.returncode, done.stdout) == (0, "")
    path.chmod(0o644)
    done = run(server, "-p", path, "show", "bob", password=None)
    assert done.returncode == 2 and "other users can read" in done.stderr
    path.chmod(0o600)
    for text in ("", "\n", "\0x\n"):
        path.write_text(text)
        done = run(server, "-p", path, "show", "bob", password=None)
        assert done.returncode == 2 and str(path) in done.stderr
    done = run(server, "-p", tmp_path / "none", "show", "bob")
    assert done.returncode == 2 and "No such file" in done.stderr


def test_password_is_nowhere_to_be_seen(server, tmp_path):
    reached, go_on = threading.Event(), threading.Event()

    def wait(conn, tag, command):
        reached.set()
        go_on.wait(10)
        conn.answer(tag, "GETMETADATA", command)
    server.special["GETMETADATA"] = wait
    path, report = tmp_path / "password", tmp_path / "report"
    path.write_text("secret")
    path.chmod(0o600)
    process = subprocess.Popen(
        [executable(), "--allow-plaintext", "-s", server.url, "-p", path,
         "--report", report, "show", "bob"], env=environment(None),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert reached.wait(10)
    proc = pathlib.Path("/proc/%d" % process.pid)
    assert b"secret" not in (proc / "cmdline").read_bytes()
    assert b"secret" not in (proc / "environ").read_bytes()
    assert "Max core file size        0                    0" in \
        (proc / "limits").read_text()
    go_on.set()
    assert b"secret" not in process.communicate(timeout=60)[0]
    assert "secret" not in report.read_text()


@pytest.mark.parametrize("args, said", [
    ((), "a command is missing"),
    (("frobnicate", "bob"), "frobnicate is not a command"),
    (("register", "bob"), "register needs: LOGIN USER@CONTEXT"),
    (("register", "bob", "3"), "USER@CONTEXT"),
    (("register", "bob", "03@1"), "USER@CONTEXT"),
    (("register", "bob", "user=3@1"), "USER@CONTEXT"),
    (("register", "bob", "3@1\r\nx"), "USER@CONTEXT"),
    (("register", "bob", "+1@1"), "USER@CONTEXT"),
    (("register", "", "3@1"), "the login is empty"),
    (("register", "a\r\nx LOGOUT", "3@1"), "control characters"),
    (("show", "b\udcff"), "not UTF-8"),
    (("show", "a*b", "--master-user", "m", "--master-separator", "*"),
     "separator"),
    (("show", "bob", "carol"), "show needs: LOGIN"),
    (("show", "bob", "--master-separator", "*"), "needs --master-user"),
    (("show", "bob", "--timeout", "0"), "--timeout"),
    (("show", "bob", "--jobs", "8x"), "--jobs"),
    (("show", "bob", "--frobnicate"), "frobnicate"),
    (("show", "bob", "--remove-others", "x"), "for sync"),
    (("sync", "/nonexistent"), "No such file"),
    (("sync", "-", "--remove-others", "-"), "both"),
    (("show", "bob", "--report", "/nonexistent/x"), "No such file"),
    (("show", "bob", "--ca-file", "/nonexistent"), "No such file"),
    (("show", "bob", "--server", "imap://bob:s3cret@localhost"),
     "no login or password"),
    (("show", "bob", "--server", "http://localhost"), "imaps://HOST"),
])
def test_wrong_usage(server, args, said):
    done = run(server, *args)
    assert done.returncode == 2, done
    assert said in done.stderr
    assert done.stdout == ""
    assert server.connections == 0


def test_usage_without_server_or_password(server):
    done = listener("show", "bob")
    assert done.returncode == 2 and "--server is missing" in done.stderr
    done = run(server, "show", "bob", password=None)
    assert done.returncode == 2 and "HTTP_NOTIFY_PASSWORD" in done.stderr


def test_wrong_header_is_wrong_usage(server):
    done = run(server, "sync", "-", input="bob,3,1\n")
    assert done.returncode == 2
    assert "login,user,context" in done.stderr and not server.connections


def test_report_never_overwrites_what_is_read(server, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(register_users(3))
    (tmp_path / "link").symlink_to(users)
    done = run(server, "sync", users, "--report", tmp_path / "link")
    assert done.returncode == 2 and "overwrite" in done.stderr
    assert users.read_text() == register_users(3)


def test_report_that_cannot_be_written_is_a_failure(server):
    done = run(server, "show", "bob", "--report", "/dev/full")
    assert done.returncode == 1 and "No space left" in done.stderr


def test_help_and_version():
    done = listener("--help", password=None)
    assert done.returncode == 0 and done.stderr == ""
    for option in ("--server", "--ca-file", "--allow-plaintext",
                   "--password-file", "--master-user", "--master-separator",
                   "--timeout", "--dry-run", "--jobs", "--remove-others",
                   "--report", "HTTP_NOTIFY_PASSWORD", "sync FILE"):
        assert option in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    done = listener("--version", password=None)
    assert done.returncode == 0
    assert done.stdout.startswith("http-notify-listener ")


def test_proxies_of_the_environment_are_not_used(server):
    env = {name: "http://127.0.0.1:%d" % free_port()
           for name in ("all_proxy", "ALL_PROXY", "imap_proxy")}
    assert run(server, "show", "bob", env=env).returncode == 0
