# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify: what admins do and see."""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.doveadm import (EX_DATAERR, EX_NOTFOUND, EX_NOUSER, EX_TEMPFAIL,
                             EX_USAGE, SECRETS, check, doveadm, failed_check,
                             rows, users)
from harness.dovecot import (METADATA_ENTRY, TIMEOUT, free_port, message,
                             wait_for)
from harness.endpoint import Endpoint

ACCESS = config.handoff_access()


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    """bob is registered, and dovecot-lda has access."""
    with running_dovecot(driver(shared_endpoint), extra=ACCESS) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not dovecot.log_lines("Panic:")


def total(dovecot):
    return rows(dovecot, "status")[-1]


@contextlib.contextmanager
def many_users(endpoint, *names, extra=""):
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint), auth=users(dovecot, *names),
                          extra=ACCESS + extra)
        dovecot.start()
        yield dovecot


def connect(dovecot, name):
    path = dovecot.dir / "run" / name
    wait_for(path.exists, what="the socket")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(str(path))
    return sock


def enqueue(dovecot, url, count, user_count=1000, first=1):
    """Hand off many notifications at once, as a mail process would."""
    with connect(dovecot, "http-notify") as sock:
        sock.sendall(b"VERSION\thttp-notify-handoff\t1\t0\nSESSION\t" +
                     os.urandom(16).hex().encode() + b"\n")

        def send():
            for seq in range(1, count + 1):
                uid = first + seq - 1
                sock.sendall((
                    "NOTIFY\t%d\tuser%d\tINBOX\t%d\t"
                    '{"user":"3@1","event":"messageNew","folder":"INBOX",'
                    '"imap-uid":%d,"from":"a@b"}\turl=%s\n' % (
                        seq, seq % user_count, uid, uid, url)).encode())

        threading.Thread(target=send, daemon=True).start()
        with sock.makefile("rb") as replies:
            assert replies.readline().startswith(b"VERSION")
            for _ in range(count):
                assert replies.readline().startswith(b"OK")


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(next(line for line in status
                        if line.startswith("VmRSS")).split()[1])


# -- register, unregister, list --

def test_register_says_whether_it_changed(dovecot):
    register = ("register", "-u", "reg", "3@1")
    assert rows(dovecot, *register) == [{"username": "reg", "changed": "yes"}]
    assert rows(dovecot, *register) == [{"username": "reg", "changed": "no"}]
    assert rows(dovecot, "register", "-u", "reg", "4@1") == [
        {"username": "reg", "changed": "yes"}]
    assert rows(dovecot, "unregister", "-u", "reg") == [
        {"username": "reg", "changed": "yes"}]
    assert rows(dovecot, "unregister", "-u", "reg") == [
        {"username": "reg", "changed": "no"}]


def getmetadata(dovecot, user):
    """The answer to OX's existence check, with literals in their places."""
    with dovecot.imap(user) as imap:
        status, data = imap.xatom("GETMETADATA", '"" (%s)' % METADATA_ENTRY)
        assert status == "OK", data
        parts = imap.response("METADATA")[1]
        return b"".join(b"".join(part) if isinstance(part, tuple) else part
                        for part in parts).decode()


def test_register_writes_what_ox_looks_for(dovecot):
    """OX compares the whole value."""
    expected = '"" (%s {8}user=3@1)' % METADATA_ENTRY
    dovecot.setmetadata("whole", "user=3@1")
    assert getmetadata(dovecot, "whole") == expected
    assert rows(dovecot, "register", "-u", "whole", "3@1")[0][
        "changed"] == "no"
    dovecot.setmetadata("whole", None)
    doveadm(dovecot, "register", "-u", "whole", "3@1")
    assert getmetadata(dovecot, "whole") == expected
    doveadm(dovecot, "unregister", "-u", "whole")
    assert getmetadata(dovecot, "whole") == '"" (%s NIL)' % METADATA_ENTRY


def test_register_makes_deliveries_notify_and_unregister_ends_that(
        dovecot, endpoint):
    doveadm(dovecot, "register", "-u", "del", "5@1")
    dovecot.deliver("del", message("one"))
    assert endpoint.wait(1)[0].body["user"] == "5@1"
    doveadm(dovecot, "unregister", "-u", "del")
    dovecot.deliver("del", message("none"))
    dovecot.deliver("bob", message("other"))
    assert endpoint.wait(2)[1].body["subject"] == "other"


@pytest.mark.parametrize("value", ["3", "3@", "@1", "user=3@1", "a@b", "3@1 ",
                                   "3@1@2", "-3@1", "4294967296@1",
                                   "2147483648@1", "03@1", "3@01", "0@1",
                                   "3@0", "+3@1", " 3@1"])
def test_register_takes_ox_ids_only(dovecot, value):
    output = doveadm(dovecot, "register", "-u", "ids", "--", value,
                     status=EX_USAGE)
    assert "must be the numbers of an OX user and context" in output
    assert rows(dovecot, "list", "-u", "ids") == []


@pytest.mark.parametrize("args, words", [
    (("register", "-u", "bob"), "http-notify register [-u <user>]"),
    (("register", "-A", "3@1"), "A registration belongs to one user"),
    (("register", "-u", "b*", "3@1"), "A registration belongs to one user"),
    (("register", "-F", "/dev/null", "3@1"),
     "A registration belongs to one user"),
    (("register", "-u", "bob", "3@1", "4@1"), "Extraneous arguments"),
    (("unregister", "-u", "bob", "3@1"), "Extraneous arguments"),
    (("list", "-x"), "invalid option"),
    (("check", "-u", "bob", "-r", "nonsense"), "-r nonsense: not an IP"),
    (("test", "-u", "bob", "more"), "Extraneous arguments"),
    (("status", "more"), "Extraneous arguments"),
    (("purge",), "purge needs -u or -e"),
])
def test_wrong_usage(dovecot, args, words):
    assert words in doveadm(dovecot, *args, status=EX_USAGE)


def test_list_shows_what_ox_and_others_have_registered(dovecot):
    dovecot.setmetadata("ox", "user=17@42")
    assert rows(dovecot, "list", "-u", "ox") == [{
        "username": "ox", "user": "17", "context": "42", "other": ""}]
    dovecot.setmetadata("ox", None)
    assert rows(dovecot, "list", "-u", "ox") == []
    dovecot.setmetadata("egw", "user=7::account;token@host")
    assert rows(dovecot, "list", "-u", "egw") == [{
        "username": "egw", "user": "", "context": "",
        "other": "user=7::account;token@host"}]


def test_list_prints_no_control_characters(dovecot):
    dovecot.doveadm("mailbox", "metadata", "set", "-s", "-u", "evil", "",
                    METADATA_ENTRY, "user=\033[31m\n\rx")
    assert rows(dovecot, "list", "-u", "evil")[0]["other"] == "user=?[31m??x"
    detail = failed_check(dovecot, user="evil")["registration"]
    assert detail.startswith("user=?[31m??x: OX takes")


def test_unknown_user(endpoint):
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint), auth=users(dovecot, "alice"),
                          any_user=False)
        dovecot.start()
        for command in (("register", "3@1"), ("list",), ("check",),
                        ("test",)):
            output = dovecot.doveadm("http-notify", command[0], "-u",
                                     "nobody", *command[1:],
                                     status=EX_NOUSER)
            assert "User doesn't exist" in output


def test_users_by_all_wildcards_and_a_file(endpoint):
    names = ["alice", "albert", "bob", "carol"]
    with many_users(endpoint, *names) as dovecot:
        def changed(*args):
            return {row["username"]: row["changed"]
                    for row in rows(dovecot, *args)}

        def listed(*args):
            return {row["username"]: row["user"]
                    for row in rows(dovecot, "list", *args)}

        for name in ("alice", "albert", "bob"):
            assert changed("register", "-u", name, "1@1") == {name: "yes"}
        file = dovecot.dir / "some"
        file.write_text("bob\nalice\n")
        assert listed("-A") == {"alice": "1", "albert": "1", "bob": "1"}
        assert listed("-u", "*b*") == {"albert": "1", "bob": "1"}
        assert listed("-F", str(file)) == {"alice": "1", "bob": "1"}
        assert changed("unregister", "-A") == dict(
            dict.fromkeys(names, "yes"), carol="no")
        assert listed("-A") == {}


def test_check_and_test_of_all_users(endpoint):
    with many_users(endpoint, "alice", "bob", "carol") as dovecot:
        for user in ("alice", "carol"):
            dovecot.setmetadata(user, "user=3@1")
            dovecot.deliver(user, message())
        endpoint.wait(2)
        found = rows(dovecot, "check", "-A", status=EX_DATAERR)
        assert {row["username"] for row in found} == {
            "alice", "bob", "carol"}
        assert [(row["username"], row["link"]) for row in found
                if row["result"] == "fail"] == [("bob", "registration")]
        output = doveadm(dovecot, "test", "-A", status=EX_TEMPFAIL)
        assert output.count(' 200 OK: {"success": true}') == 2
        assert "doveadm(bob): Error: the user is not registered" in output
        assert len([r for r in endpoint.delivered if r.pushed]) == 4


@pytest.mark.parametrize("format, expected", [
    ("table", "Username user context other bob 3 1"),
    ("flow", "bob user=3 context=1 other="),
    ("tab", "Username user context other bob 3 1"),
    ("json", '[{"username":"bob","user":"3","context":"1","other":""}]'),
])
def test_formats(dovecot, format, expected):
    output = doveadm(dovecot, "list", "-u", "bob", options=("-f", format))
    # in later versions a table has something in an empty column
    assert " ".join(output.split()) in (expected, expected + " -")


@pytest.mark.parametrize("command", ["status", "queue", "report", "check",
                                     "test"])
@pytest.mark.parametrize("format", ["table", "flow", "tab", "json", "pager"])
def test_each_command_in_each_format(dovecot, endpoint, command, format):
    endpoint.hang = True
    try:
        dovecot.deliver("bob", message())
        args = ["-u", "bob"] if command in ("check", "test") else []
        endpoint.hang = False
        output = doveadm(dovecot, command, *args, options=("-f", format))
        if format == "json":
            assert isinstance(json.loads(output), list)
        assert "127.0.0.1" in output or command == "queue"
    finally:
        endpoint.unhang.set()
        endpoint.unhang.clear()
        endpoint.hang = False


# -- by the network --

REMOTE = """
doveadm_password = letmein
doveadm_api_key = apikey
service doveadm {
%s%s
}
"""


@pytest.fixture(scope="module")
def remote(shared_endpoint):
    """A Dovecot whose doveadm-server takes TCP and HTTP."""
    tcp, api = free_port(), free_port()
    with many_users(shared_endpoint, "alice", "bob", "carol",
                    extra=REMOTE % (config.tcp_listener("tcp", tcp),
                                    config.tcp_listener("http", api))
                    ) as dovecot:
        dovecot.tcp, dovecot.api = "127.0.0.1:%d" % tcp, api
        yield dovecot


def api(dovecot, command, parameters, headers=None):
    """The answer of doveadm's HTTP API."""
    if headers is None:
        headers = {"Authorization": "X-Dovecot-API " +
                   base64.b64encode(b"apikey").decode()}
    connection = http.client.HTTPConnection("127.0.0.1", dovecot.api,
                                            timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(
            "POST", "/doveadm/v1", json.dumps([[command, parameters, "tag"]]),
            dict(headers, **{"Content-Type": "application/json"}))
        response = connection.getresponse()
        body = response.read().decode()
        if response.status != 200:
            return response.status
    for secret in SECRETS:
        assert secret not in body
    (kind, answer, tag), = json.loads(body)
    assert tag == "tag"
    return answer if kind == "doveadmResponse" else {kind: answer}


def test_doveadm_protocol(remote, endpoint):
    def over_tcp(*args, status=0):
        return rows(remote, args[0], "-S", remote.tcp, *args[1:],
                    status=status)

    assert over_tcp("register", "-u", "alice", "3@1") == [
        {"username": "alice", "changed": "yes"}]
    assert over_tcp("register", "-u", "alice", "3@1") == [
        {"username": "alice", "changed": "no"}]
    assert over_tcp("list", "-A") == [{
        "username": "alice", "user": "3", "context": "1", "other": ""}]
    found = over_tcp("check", "-u", "alice")
    assert {row["result"] for row in found} == {"ok"}
    found = over_tcp("check", "-u", "bob", status=EX_DATAERR)
    assert [row["link"] for row in found if row["result"] == "fail"] == [
        "registration"]
    remote.deliver("alice", message())
    found = over_tcp("test", "-u", "alice")
    assert found[0]["status"] == "200"
    client = remote.imap("alice")
    client.append("INBOX", "", None, message("Not announced").encode())
    client.logout()
    for result in "missing", "queued":
        # the service may be younger than the message
        row, = over_tcp("catch-up", "-u", "alice", "-s", "1h", "--older", *(
            ["-n"] if result == "missing" else []))
        assert (row["username"], row["uid"], row["result"]) == (
            "alice", 2, result)
    assert over_tcp("unregister", "-u", "alice") == [
        {"username": "alice", "changed": "yes"}]
    output = doveadm(remote, "test", "-S", remote.tcp, "-u", "alice",
                     status=EX_TEMPFAIL)
    assert "the user is not registered" in output
    assert not remote.log_lines("BUG")


def test_http_api(remote, endpoint):
    assert api(remote, "httpNotifyRegister",
               {"user": "carol", "registration": "9@2"}) == [
        {"username": "carol", "changed": "yes"}]
    assert api(remote, "httpNotifyList", {"user": "carol"}) == [
        {"username": "carol", "user": "9", "context": "2", "other": ""}]
    assert api(remote, "httpNotifyList", {"allUsers": True}) == [
        {"username": "carol", "user": "9", "context": "2", "other": ""}]
    found = api(remote, "httpNotifyCheck",
                {"user": "carol", "remoteIp": "127.0.0.1"})
    assert {row["result"] for row in found} == {"ok"}
    remote.deliver("carol", message())
    assert api(remote, "httpNotifyTest", {"user": "carol"})[0][
        "status"] == "200"
    assert api(remote, "httpNotifyCatchUp", {
        "user": "carol", "since": "1h", "seen": True, "older": True,
        "dryRun": True}) == []
    assert api(remote, "httpNotifyStatus", {})[-1]["endpoint"] == "total"
    assert api(remote, "httpNotifyReport", {})[0]["page"].endswith("</html>\n")
    assert api(remote, "httpNotifyQueue", {"user": "carol"}) == []
    assert api(remote, "httpNotifyFlush", {"endpoint": "*"}) == [{"count": 0}]
    assert api(remote, "httpNotifyPurge", {"user": "*"}) == [{"count": 0}]
    assert api(remote, "httpNotifyPurge", {})["error"]["exitCode"] == EX_USAGE
    assert api(remote, "httpNotifyLost", {"user": "carol", "folder": "INBOX",
                                          "reason": "refused",
                                          "since": "1h"}) == []
    assert api(remote, "httpNotifyLostResend", {"user": "*"}) == [{"count": 0}]
    assert api(remote, "httpNotifyLostDrop", {"user": "*"}) == [{"count": 0}]
    for command in "httpNotifyLostResend", "httpNotifyLostDrop":
        assert api(remote, command, {})["error"]["exitCode"] == EX_USAGE
    for command in "httpNotifyLost", "httpNotifyQueue":
        assert api(remote, command, {"body": "77"})["error"][
            "exitCode"] == EX_NOTFOUND
    assert api(remote, "httpNotifyUnregister", {"user": "carol"}) == [
        {"username": "carol", "changed": "yes"}]
    assert api(remote, "httpNotifyTest", {"user": "carol"})["error"][
        "exitCode"] == EX_TEMPFAIL


def test_http_api_check_tells_what_is_wrong(remote):
    """It answers either rows or an exit code."""
    found = api(remote, "httpNotifyCheck", {"user": "bob"})
    assert [row["link"] for row in found if row["result"] == "fail"] == [
        "registration"]


def test_http_api_takes_a_password_and_wants_a_key(remote):
    basic = base64.b64encode(b"doveadm:letmein").decode()
    assert api(remote, "httpNotifyList", {"user": "bob"},
               {"Authorization": "Basic " + basic}) == []
    wrong = base64.b64encode(b"doveadm:wrong").decode()
    assert api(remote, "httpNotifyList", {"user": "bob"},
               {"Authorization": "Basic " + wrong}) == 401
    assert api(remote, "httpNotifyList", {"user": "bob"}, {}) == 401


@contextlib.contextmanager
def registered(endpoint, *lines, extra="", **kwargs):
    """A Dovecot with one trouble; bob is registered."""
    lines = lines or [driver(endpoint)]
    with running_dovecot(*lines, extra=ACCESS + extra, **kwargs) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        yield dovecot


# -- test --

def test_test_sends_the_newest_message(dovecot, endpoint):
    dovecot.deliver("bob", message("older"))
    dovecot.deliver("bob", message("newest"))
    endpoint.wait(2)
    row, = rows(dovecot, "test", "-u", "bob")
    assert row.keys() == {"username", "endpoint", "status", "milliseconds",
                          "reason"}
    assert (row["endpoint"], row["status"]) == (endpoint.authority, "200")
    assert int(row["milliseconds"]) < 5000
    first, second = endpoint.wait(3)[1:]
    assert second.pushed
    assert second.body == first.body
    assert second.key != first.key
    wait_for(lambda: dovecot.queued() == 0, what="the queue to be empty")


def test_test_of_several_lines(endpoint, other_endpoint):
    with registered(endpoint, driver(endpoint),
                    driver(other_endpoint)) as dovecot:
        dovecot.deliver("bob", message())
        other_endpoint.wait(1)
        assert [row["endpoint"] for row in
                rows(dovecot, "test", "-u", "bob")] == [
            endpoint.authority, other_endpoint.authority]


def test_test_refused(dovecot, endpoint):
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    endpoint.status = 422
    output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
    assert " 422 " in output
    assert config.name(1) + ": refused: 422" in output
    assert "it stays queued" in output
    endpoint.status = None
    doveadm(dovecot, "flush")
    wait_for(lambda: dovecot.queued() == 0, what="an empty queue")


def test_test_retried_then_delivered(dovecot, endpoint):
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    answers = [503, None]
    endpoint.status = lambda request: answers.pop(0)
    assert [row["status"] for row in rows(dovecot, "test", "-u", "bob")] == [
        "503", "200"]


def test_test_prints_no_control_characters():
    """An endpoint's answer goes to an admin's terminal."""
    raw = socket.socket()
    raw.bind(("127.0.0.1", 0))
    raw.listen()

    def answer():
        conn, _ = raw.accept()
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 422 no\r\nContent-Length: 9\r\n\r\n"
                     b"\033[31m\nx\r\t")
        conn.close()

    threading.Thread(target=answer, daemon=True).start()
    with registered(None, driver("http://127.0.0.1:%d/" %
                                 raw.getsockname()[1])) as evil:
        evil.deliver("carol", message())
        doveadm(evil, "register", "-u", "carol", "3@1")
        output = doveadm(evil, "test", "-u", "carol", status=EX_TEMPFAIL)
        assert "422 no: ?[31m?x??" in output
        assert "\033" not in output
    raw.close()


def test_test_not_registered(dovecot):
    dovecot.deliver("carol", message())
    output = doveadm(dovecot, "test", "-u", "carol", status=EX_TEMPFAIL)
    assert "the user is not registered" in output


def test_test_empty_inbox(dovecot):
    doveadm(dovecot, "register", "-u", "empty", "3@1")
    output = doveadm(dovecot, "test", "-u", "empty", status=EX_TEMPFAIL)
    assert "INBOX is empty: there is no message to announce" in output


def test_test_of_a_hung_endpoint_ends_and_says_it_is_queued(other_endpoint):
    endpoint = other_endpoint
    with registered(endpoint) as dovecot:
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        endpoint.hang = True
        begin = time.monotonic()
        output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
        # not for as long as it may take
        assert time.monotonic() - begin < 25
        assert " 0 " in output and "timed out" in output  # the attempt
        assert ("not delivered; it stays queued, since the endpoint is down "
                "for ") in output
        row, = rows(dovecot, "queue", "-u", "bob")
        assert row["uid"] == 1 and row["attempts"] > 0
        endpoint.hang = False
        endpoint.unhang.set()
        doveadm(dovecot, "flush")
        endpoint.wait(2)


def test_test_of_an_endpoint_that_is_down_tries_it_and_says_why(
        other_endpoint):
    endpoint = other_endpoint
    endpoint.stop()
    with registered(endpoint) as dovecot:
        for _ in range(3):
            dovecot.deliver("bob", message())
        dovecot.wait_log("is down")
        begin = time.monotonic()
        with dovecot.doveadm_start("-f", "json", "http-notify", "test", "-u",
                                   "bob") as process:
            stdout, stderr = process.communicate(timeout=60)
        assert time.monotonic() - begin < 25
        assert process.returncode == EX_TEMPFAIL
        known = json.loads(stdout)[0]
        assert known["endpoint"] == endpoint.authority
        assert (known["status"], known["milliseconds"]) == ("", "")
        assert known["reason"].startswith("down for ")
        assert "4 queued: " in known["reason"] or "3 queued: " in known[
            "reason"]
        assert "onnect" in known["reason"]
        assert "since the endpoint is down for " in stderr
        assert "4 queued: " in stderr
        # and if it is back, it is delivered at once, with what has waited
        endpoint.start()
        begin = time.monotonic()
        found = rows(dovecot, "test", "-u", "bob")
        assert found[-1]["status"] == "200"
        assert len(endpoint.delivered) == 5


def test_test_of_one_that_is_down_uses_its_standby(endpoint, other_endpoint):
    other_endpoint.stop()
    with registered(None, driver(other_endpoint, standby_url=endpoint.url)
                    ) as dovecot:
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        found = rows(dovecot, "test", "-u", "bob")
        assert (found[-1]["endpoint"], found[-1]["status"]) == (
            endpoint.authority, "200")


@pytest.mark.parametrize("command", ["list", "test", "unregister"])
def test_user_whose_mailbox_is_closed_is_one_of_several(endpoint, command):
    """The others are done all the same."""
    with running_dovecot(start=False) as dovecot:
        closed = dovecot.dir / "home/nobody"
        closed.mkdir(mode=0o700)
        path = dovecot.dir / "users"
        path.write_text("alice:::::{0}/home/alice\n"
                        "nobody:::::{0}/home/nobody\n"
                        "zoe:::::{0}/home/zoe\n".format(dovecot.dir))
        path.chmod(0o644)
        dovecot.configure(driver(endpoint), auth=config.users_of(path),
                          extra=ACCESS)
        dovecot.start()
        for user in ("alice", "zoe"):
            doveadm(dovecot, "register", "-u", user, "3@1")
            dovecot.deliver(user, message())
        endpoint.wait(2)
        with dovecot.doveadm_start("-f", "json", "http-notify", command,
                                   "-A") as process:
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == EX_TEMPFAIL
        assert [row["username"] for row in json.loads(stdout)] == [
            "alice", "zoe"]
        assert "doveadm(nobody): Error: INBOX can't be opened: " in stderr
        assert "Panic" not in stderr


def test_user_without_a_home_is_one_of_several(endpoint):
    """Such as Debian's nobody: is not registered, and that is no error."""
    with running_dovecot(start=False) as dovecot:
        path = dovecot.dir / "users"
        path.write_text("alice:::::%s/home/alice\n"
                        "nobody:::::/nonexistent\n" % dovecot.dir)
        path.chmod(0o644)
        dovecot.configure(driver(endpoint), auth=config.users_of(path),
                          any_user=False)
        dovecot.start()
        doveadm(dovecot, "register", "-u", "alice", "3@1")
        assert [row["username"] for row in rows(dovecot, "list", "-A")] == [
            "alice"]
        assert [(row["username"], row["changed"])
                for row in rows(dovecot, "unregister", "-A")] == [
            ("alice", "yes"), ("nobody", "no")]


def test_test_that_is_killed_leaves_the_notification(other_endpoint):
    endpoint = other_endpoint
    with registered(endpoint) as dovecot:
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        endpoint.hang = True
        process = dovecot.doveadm_start("http-notify", "test", "-u", "bob")
        endpoint.wait_attempts(2)
        process.kill()
        process.communicate()
        endpoint.hang = False
        endpoint.unhang.set()
        endpoint.wait(2)
        assert not dovecot.log_lines("Panic")


# -- status, queue, flush, purge --

def test_status_counts(other_endpoint):
    endpoint = other_endpoint
    with registered(endpoint, driver(endpoint, max_retries=1)) as dovecot:
        assert [row["endpoint"] for row in rows(dovecot, "status")] == [
            "total"]
        for _ in range(3):
            dovecot.deliver("bob", message())
        endpoint.wait(3)
        endpoint.status = 422
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost", "422")
        row, all_of_them = rows(dovecot, "status")
        assert row["endpoint"] == (endpoint.url.split("login")[0] +
                                   endpoint.url.split("@")[1])
        assert row["state"] == "up"
        assert row["standby"] == ""
        expected = {"queued": 0, "oldest": 0, "in_flight": 0, "delivered": 3,
                    "retried": 1, "refused": 1, "dropped": 0, "expired": 0}
        for found in (row, all_of_them):
            assert {key: found[key] for key in expected} == expected
        assert "422" in row["last_error"]


def test_status_counts_what_is_too_old(other_endpoint):
    endpoint = other_endpoint
    with registered(endpoint, driver(endpoint, max_age="8s")) as dovecot:
        endpoint.status = 503
        dovecot.deliver("bob", message())
        wait_for(lambda: rows(dovecot, "status")[0].get("retried", 0) > 0,
                 what="a retry")
        row = rows(dovecot, "status")[0]
        assert row["queued"] == 1
        assert "503" in row["last_error"]
        dovecot.wait_log("Notification lost", "max_age")
        row = rows(dovecot, "status")[0]
        assert (row["queued"], row["expired"], row["delivered"]) == (0, 1, 0)
        assert total(dovecot)["expired"] == 1


def test_status_of_outages(endpoint, other_endpoint):
    other_endpoint.stop()
    with registered(endpoint, driver(endpoint),
                    driver(other_endpoint, standby_url=other_endpoint.url)
                    ) as dovecot:
        endpoint.status = 401
        dovecot.deliver("bob", message())
        dovecot.wait_log("rejects all notifications")
        dovecot.wait_log("is down")
        first, second, all_of_them = rows(dovecot, "status")
        assert (first["state"], first["standby"]) == ("misconfigured", "")
        assert second["state"] == "down"
        assert second["standby"] in ("up", "down")
        assert "401" in first["last_error"]
        assert "refused" in second["last_error"]
        assert all_of_them["state"] == all_of_them["last_error"] == ""
        assert all_of_them["queued"] == 2
        time.sleep(1.1)
        assert all(row["since"] >= 1 and row["oldest"] >= 1
                   for row in rows(dovecot, "status"))


def test_status_tells_logins_at_one_url_apart(endpoint):
    """Without saying what they are."""
    other = endpoint.url.replace("login:", "other:")
    with registered(None, driver(endpoint), driver(other)) as dovecot:
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        dovecot.wait_log("rejects all notifications")
        first, second, _ = rows(dovecot, "status")
        url = endpoint.url.split("login")[0] + endpoint.url.split("@")[1]
        numbers = [row["endpoint"].rpartition(" #")[2]
                   for row in (first, second)]
        assert [row["endpoint"] for row in (first, second)] == [
            "%s #%s" % (url, number) for number in numbers]
        assert len(set(numbers)) == 2
        assert {first["state"], second["state"]} == {"up", "misconfigured"}
        bad = first if first["state"] != "up" else second
        row, = rows(dovecot, "queue", "-e", bad["endpoint"])
        assert row["endpoint"] == bad["endpoint"]
        assert len(rows(dovecot, "queue", "-e", url)) == 1
        assert rows(dovecot, "purge", "-e", "#" + bad["endpoint"].split(
            "#")[1]) == [{"count": 1}]


def test_titles_of_columns_are_those_of_json(dovecot, endpoint):
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    for args in (["status"], ["queue"], ["list", "-u", "bob"],
                 ["check", "-u", "bob"], ["test", "-u", "bob"]):
        found = rows(dovecot, *args)
        if not found:
            continue
        title = doveadm(dovecot, *args, options=("-f", "tab")).split("\n")[0]
        assert title.lower().split("\t") == list(found[0])


@pytest.fixture
def backlog(other_endpoint):
    """Notifications for two endpoints that are down: 6 for one, 3 for the
    other, of the users user0, user1 and user2."""
    gone = Endpoint()
    for endpoint in (other_endpoint, gone):
        endpoint.stop()
    with running_dovecot(driver(other_endpoint)) as dovecot:
        enqueue(dovecot, other_endpoint.url, 6, 3)
        enqueue(dovecot, gone.url, 3, 3, first=101)
        wait_for(lambda: total(dovecot)["queued"] == 9, what="the backlog")
        yield dovecot, other_endpoint, gone


def test_queue_filters(backlog):
    dovecot, endpoint, gone = backlog

    def uids(*args):
        return [row["uid"] for row in rows(dovecot, "queue", *args)]

    assert uids() == [1, 2, 3, 4, 5, 6, 101, 102, 103]
    assert uids("-u", "user1") == [1, 4, 101]
    assert uids("-u", "user*") == uids()
    assert uids("-u", "user") == []
    assert uids("-e", str(gone.port)) == [101, 102, 103]
    assert uids("-e", "*:%d/*" % gone.port) == [101, 102, 103]
    assert uids("-e", "elsewhere") == []
    # as status names it
    name = rows(dovecot, "status")[0]["endpoint"]
    assert uids("-e", name) == [1, 2, 3, 4, 5, 6]
    assert uids("-u", "user?", "-e", str(endpoint.port)) == [1, 2, 3, 4, 5, 6]
    row = rows(dovecot, "queue", "-u", "user1")[0]
    assert row["endpoint"] == name
    assert row["folder"] == "INBOX"
    assert row["expires_in"] > 3000


def test_purge_drops_what_matches_only(backlog):
    dovecot, endpoint, gone = backlog
    assert rows(dovecot, "purge", "-u", "user1", "-e",
                str(endpoint.port)) == [{"count": 2}]
    assert rows(dovecot, "purge", "-e", str(gone.port)) == [{"count": 3}]
    assert rows(dovecot, "purge", "-u", "other*") == [{"count": 0}]
    # that number is not shown
    assert rows(dovecot, "purge", "-e", "#") == [{"count": 0}]
    dovecot.wait_log("Purged 2 notifications (user=user1 endpoint=*")
    endpoint.start()
    doveadm(dovecot, "flush")
    assert sorted(r.uid for r in endpoint.wait(4)) == [2, 3, 5, 6]
    wait_for(lambda: dovecot.queued() == 0, what="the queue to be empty")
    assert endpoint.delivered and len(endpoint.delivered) == 4


def test_purge_without_a_filter_is_refused(backlog):
    dovecot, _, _ = backlog
    output = doveadm(dovecot, "purge", status=EX_USAGE)
    assert "purge needs -u or -e (-u '*' drops all there is)" in output
    assert dovecot.queued() == 9
    assert doveadm(dovecot, "purge", "-u", "*") == "count=9\n"
    assert total(dovecot)["queued"] == 0
    wait_for(lambda: dovecot.queued() == 0, what="the queue to be empty")


def test_purge_leaves_what_is_under_way(other_endpoint):
    endpoint = other_endpoint
    with registered(endpoint, driver(endpoint, timeout_msecs=60000)
                    ) as dovecot:
        endpoint.hang = True
        for _ in range(3):
            dovecot.deliver("bob", message())
        endpoint.wait_attempts(1)
        assert rows(dovecot, "purge", "-u", "bob") == [{"count": 2}]
        row, = rows(dovecot, "queue")
        assert row["uid"] == 1
        assert rows(dovecot, "status")[0]["in_flight"] == 1
        endpoint.hang = False
        endpoint.unhang.set()
        assert endpoint.wait(1)[0].uid == 1
        dovecot.deliver("bob", message())
        assert endpoint.wait(2)[1].uid == 4


def test_flush_ends_the_wait(other_endpoint):
    """What is misconfigured is probed after half a minute at first."""
    endpoint = other_endpoint
    with registered(endpoint) as dovecot:
        endpoint.status = 401
        dovecot.deliver("bob", message())
        dovecot.wait_log("rejects all notifications")
        endpoint.status = None
        assert doveadm(dovecot, "flush", "-e", "elsewhere") == "count=0\n"
        assert endpoint.delivered == []
        assert doveadm(dovecot, "flush", "-e", str(endpoint.port)) == (
            "count=1\n")
        endpoint.wait(1, 15)


def test_flush_of_one_user(other_endpoint):
    """Retries of the others wait on."""
    endpoint = other_endpoint
    with registered(endpoint) as dovecot:
        doveadm(dovecot, "register", "-u", "carol", "4@1")
        doveadm(dovecot, "register", "-u", "dave", "5@1")
        endpoint.status = lambda request: (
            None if request.body["user"] == "5@1" else 500)
        for user in ("bob", "carol"):
            dovecot.deliver(user, message())
        # until each waits for 16 seconds
        for _ in range(50):
            if {row["attempts"] for row in rows(dovecot, "queue")} == {3}:
                break
            dovecot.deliver("dave", message())
            time.sleep(0.3)
        endpoint.status = None
        endpoint.clear()
        assert doveadm(dovecot, "flush", "-u", "carol") == "count=1\n"
        assert endpoint.wait(1)[0].body["user"] == "4@1"
        time.sleep(1)
        assert [row["username"] for row in rows(dovecot, "queue")] == ["bob"]


def test_queue_of_what_is_over_age(other_endpoint):
    """It is under way, so it is not given up yet."""
    endpoint = other_endpoint
    with registered(endpoint, driver(endpoint, timeout_msecs=60000,
                                     max_age="1s")) as dovecot:
        endpoint.hang = True
        dovecot.deliver("bob", message())
        endpoint.wait_attempts(1)
        time.sleep(2.5)
        row, = rows(dovecot, "queue")
        assert row["expires_in"] == 0
        assert row["age"] >= 2


def test_long_queue_is_listed_while_deliveries_go_on(endpoint,
                                                     other_endpoint):
    """As fast as it is read: the service keeps none of it in memory."""
    count = 20000
    other_endpoint.stop()
    with registered(endpoint) as dovecot:
        enqueue(dovecot, other_endpoint.url, count)
        pid = dovecot.service_pid()
        found = rows(dovecot, "queue")
        assert [row["uid"] for row in found] == list(range(1, count + 1))
        before = rss_kb(pid)

        with connect(dovecot, "http-notify-admin") as slow:
            slow.sendall(b"VERSION\thttp-notify-admin\t1\t0\nQUEUE\t*\t*\n")
            time.sleep(0.5)
            for number in range(1, 6):
                dovecot.deliver("bob", message())
                endpoint.wait(number)
            # it is at its socket's buffer
            assert rss_kb(pid) - before < 4096
            # the answer to the last one may not have been seen yet
            wait_for(lambda: total(dovecot)["delivered"] == 5, 5,
                     "it to be counted")
            with slow.makefile("rb") as lines:
                listed = 0
                while not (line := lines.readline()).startswith(b"OK"):
                    listed += line != b"WAIT\n"
        # and VERSION
        assert listed == count + 1
        assert dovecot.service_pid() == pid


def test_readers_that_leave_in_the_middle_leave_nothing(endpoint,
                                                        other_endpoint):
    other_endpoint.stop()
    with registered(endpoint) as dovecot:
        enqueue(dovecot, other_endpoint.url, 20000)
        pid = dovecot.service_pid()
        # and the log's, the queue's and so on
        fds = len(os.listdir("/proc/%d/fd" % pid))
        for _ in range(10):
            with connect(dovecot, "http-notify-admin") as sock:
                sock.sendall(
                    b"VERSION\thttp-notify-admin\t1\t0\nQUEUE\t*\t*\n")
                sock.recv(4096)
        process = dovecot.doveadm_start("http-notify", "queue")
        time.sleep(1)  # its output is full
        assert process.poll() is None
        process.kill()
        process.communicate()
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % pid)) <= fds,
                 what="the connections' end")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        assert dovecot.service_pid() == pid
        assert not dovecot.log_lines("Panic")


def test_purge_of_a_long_queue(endpoint, other_endpoint):
    other_endpoint.stop()
    with registered(endpoint) as dovecot:
        enqueue(dovecot, other_endpoint.url, 20000)
        purged = [rows(dovecot, "purge", "-u", mask)[0]["count"]
                  for mask in ("user7", "*")]
        # one that is being sent, as a probe, is left
        assert 19 <= purged[0] <= 20
        purged.append(20000 - sum(purged))
        assert purged[2] <= 2
        wait_for(lambda: dovecot.queued() == purged[2], what="what is left")
        wait_for(lambda: rows(dovecot, "purge", "-u", "*") and
                 dovecot.queued() == 0, what="the queue to be empty")
        assert total(dovecot)["queued"] == 0
        dovecot.deliver("bob", message())
        endpoint.wait(1)


def test_output_without_the_service_is_valid(dovecot):
    """And nothing speaks of hosts, of which there is one."""
    dovecot.stop()
    for command in (("status",), ("queue",), ("flush",), ("purge", "-u", "*"),
                    ("lost",)):
        process = dovecot.doveadm_start("-f", "json", "http-notify", *command)
        stdout, stderr = process.communicate()
        assert process.returncode == EX_TEMPFAIL
        assert json.loads(stdout) == []
        assert stderr.count("\n") == 1
        assert stderr.startswith("Error: connect(")
    dovecot.start()


def test_purge_ends_with_the_connection(endpoint, other_endpoint):
    other_endpoint.stop()
    with registered(endpoint) as dovecot:
        enqueue(dovecot, other_endpoint.url, 20000)
        with connect(dovecot, "http-notify-admin") as sock:
            # nothing is written to it after that
            sock.recv(64)
            sock.sendall(b"VERSION\thttp-notify-admin\t1\t0\nPURGE\t*\t*\n")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        # the log tells what doveadm can't
        line, = dovecot.wait_log("Purged")
        # the other's answer may not have been seen yet
        queued, = (row["queued"] for row in rows(dovecot, "status")
                   if row["endpoint"] == other_endpoint.url_without)
        assert queued > 0
        assert "Purged %d notifications" % (20000 - queued) in line


def test_commands_that_are_sent_ahead_are_answered_in_turn(endpoint,
                                                           other_endpoint):
    other_endpoint.stop()
    with registered(endpoint) as dovecot:
        enqueue(dovecot, other_endpoint.url, 3000)
        with connect(dovecot, "http-notify-admin") as sock:
            sock.sendall(b"VERSION\thttp-notify-admin\t1\t0\n" +
                         b"QUEUE\t*\t*\nSTATUS\nFLUSH\tnobody\telsewhere\n" +
                         b"QUEUE\tuser1\t*\n")
            with sock.makefile("rb") as lines:
                assert lines.readline().startswith(b"VERSION")
                for row_count, end in ((3000, b"OK\t3000\n"), (2, b"OK\t1\n"),
                                       (0, b"OK\t0\n"), (3, b"OK\t3\n")):
                    for _ in range(row_count):
                        assert lines.readline().startswith(b"ROW")
                    assert lines.readline() == end


@pytest.mark.parametrize("line", [
    b"NOTIFY\t1\tbob\tINBOX\t1\t{}\turl=http://host/", b"STATUS\tmore",
    b"QUEUE\t*", b"SEND\tbob\tINBOX\tmany\t{}\turl=http://host/", b"PURGE",
    b"LOST\t*\t*\t*\t*\t\tsoon", b"BODY\tLOST\tx",
    b"", b"x" * 200000])
def test_invalid_commands_close_the_connection(dovecot, endpoint, line):
    with connect(dovecot, "http-notify-admin") as sock:
        sock.sendall(b"VERSION\thttp-notify-admin\t1\t0\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(line + b"\n")
            with sock.makefile("rb") as lines:
                assert lines.readline().startswith(b"VERSION")
                assert lines.readline() == b""
    dovecot.deliver("bob", message())
    endpoint.wait(1)


def test_invalid_options_fail_without_secrets(dovecot):
    with connect(dovecot, "http-notify-admin") as sock:
        sock.sendall(b"VERSION\thttp-notify-admin\t1\t0\n")
        bad = b"\turl=http://login:s3cret@host:port/\n"
        sock.sendall(b"PROBE\t{}" + bad)
        sock.sendall(b"SEND\tbob\tINBOX\t1\t{}" + bad)
        with sock.makefile("rb") as lines:
            assert lines.readline().startswith(b"VERSION")
            for _ in range(2):
                line = lines.readline()
                assert line.startswith(b"FAIL\t")
                assert b"s3cret" not in line
