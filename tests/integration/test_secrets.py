# SPDX-License-Identifier: LGPL-2.1-or-later
"""Credentials are for the endpoint they belong to, and for nobody else: no log
has them at any level, and no other user of the machine gets at them."""

import base64
import json
import os
import pathlib
import pwd
import re
import resource
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import free_port, message, wait_for
from harness.endpoint import LOGIN, PASSWORD, PATH, Endpoint
from harness.faults import says

# A URL's special characters, JSON's and HTML's, and what is not ASCII.
AWKWARD = ["pa:ss/wörd", "p@ss?w#rd", 'qu"o\'te\\', "50%25%", "a b\tc",
           "&<>+=", "пароль", "x"]


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    """What is refused is named at once."""
    with running_dovecot(driver(shared_endpoint, max_retries=0)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not dovecot.log_lines("Panic:")


@pytest.fixture
def dovecot(shared_dovecot, endpoint):
    """The endpoint has taken one since it has refused another one: it does not
    refuse all."""
    shared_dovecot.deliver("bob", message())
    endpoint.wait(1)
    endpoint.clear()
    shared_dovecot.clear_log()
    return shared_dovecot


def basic(login, password):
    return base64.b64encode(("%s:%s" % (login, password)).encode()).decode()


def assert_not_in(text, login=LOGIN, password=PASSWORD):
    """The password, as it is or percent-encoded, or the header's value."""
    text = text.lower()
    for form in (password, urllib.parse.quote(password),
                 urllib.parse.quote(password, safe=""),
                 json.dumps(password)[1:-1],
                 basic(login, password), "authorization"):
        assert form.lower() not in text, form


@pytest.mark.parametrize("trouble", [503, 401, "down"])
def test_no_log_has_credentials_at_any_level(other_endpoint, trouble):
    endpoint, standby = other_endpoint, Endpoint()
    standby.status = 503
    with running_dovecot(
            driver(endpoint, standby_url=standby.url_with(
                "stand", "by/the:gate")),
            extra=config.DEBUG) as dovecot:
        users = ["bob"] + ["user%d" % n for n in range(5)]
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        if trouble == "down":
            endpoint.stop()
        endpoint.status = trouble
        dovecot.deliver(users, message())
        dovecot.lda("bob", message())
        dovecot.wait_log("Endpoint " + endpoint.authority)
        standby.wait_attempts(1)
        endpoint.status = None
        dovecot.stop()
        log = dovecot.log()
        # it was all switched on
        assert "Debug: " in log and "push-notification: " in log
        assert_not_in(log)
        assert_not_in(log, "stand", "by/the:gate")
    standby.stop()


REPEATED = {
    "all headers": lambda request: json.dumps(request.headers).encode(),
    "the header's value": lambda request:
        request.headers["Authorization"].encode(),
    "the header's value in lower case": lambda request:
        request.headers["Authorization"].lower().encode(),
    "the password": lambda request:
        ("no such password: " + PASSWORD).encode(),
    "the password in JSON": lambda request:
        json.dumps({"password": PASSWORD}).encode(),
    "the password in a URL": lambda request:
        ("http://" + urllib.parse.quote(PASSWORD, safe="")).encode(),
    # what is logged of a text ends before it does
    "the header's value at the end": lambda request:
        b"." * 190 + request.headers["Authorization"][6:].encode(),
    "the password far away": lambda request:
        b"." * 1000 + PASSWORD.encode(),
}


@pytest.mark.parametrize("what", REPEATED)
def test_an_answer_that_repeats_credentials_is_not_logged(dovecot, endpoint,
                                                          what):
    endpoint.status = 400
    endpoint.answer_body = REPEATED[what]
    dovecot.deliver("bob", message())
    line, = dovecot.wait_log("Notification lost")
    assert line.endswith("refused: 400 (the answer's text may hold "
                         "credentials)")
    assert_not_in(dovecot.log())


def test_an_answer_that_repeats_the_query_is_not_logged(other_endpoint):
    """Some receivers know who may send by a key in the URL."""
    endpoint = other_endpoint
    endpoint.path += "?key=s3cret.Query9"
    endpoint.status = 401
    endpoint.answer_body = lambda request: request.path.encode()
    with running_dovecot(driver(endpoint), extra=config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Error: Endpoint")
        assert "401 (the answer's text may hold credentials)" in line
        for command in "status", "queue":
            assert "Query9" not in dovecot.doveadm("http-notify", command)
        assert "Query9" not in dovecot.log()


@pytest.mark.parametrize("status", [401, 500])
def test_a_kept_notifications_answer_is_not_logged_either(endpoint, status):
    endpoint.status = status
    endpoint.answer_body = REPEATED["all headers"]
    with running_dovecot(driver(endpoint), extra=config.DEBUG) as dovecot:
        users = ["user%d" % n for n in range(5)]
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        dovecot.deliver(users, message())
        line, = dovecot.wait_log("Error: Endpoint")
        assert "%d (the answer's text may hold credentials)" % status in line
        assert_not_in(dovecot.log())


def test_an_answer_without_credentials_is_logged_in_short(dovecot, endpoint):
    endpoint.status = 400
    endpoint.answer_body = lambda request: (
        b'{"error":"no such user\r\n\x1b[31m"}' + b"." * 5000)
    dovecot.deliver("bob", message())
    line, = dovecot.wait_log("Notification lost")
    assert 'refused: 400 Bad Request: {"error":"no such user' in line
    assert "\x1b" not in line and "\r" not in line
    assert 100 < line.count(".") < 220


def says_phrase(phrase, body=b"", status=400):
    return says(b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status, phrase, len(body), body))


@pytest.mark.parametrize("phrase, body, said", [
    (b"USR-0010 Cannot find user with identifier 99 in context 1", b"",
     "USR-0010 Cannot find user with identifier 99 in context 1"),
    (b"Bad Request", b'{"error":"no"}', 'Bad Request: {"error":"no"}'),
    (b"", b"no user", "no user"),
    (b"", b"", ""),
    (b"a  b ", b"", "a  b"),
    (b"\x1b[31m\x07\x08Fatal\tforged", b"", "?[31m??Fatal?forged"),
    ("für".encode(), b"", "für"),
    ("für".encode("latin-1"), b"", "f?r"),
    (b"x" * 90000, b"y", "x" * 200),
    (b"Authorization: Basic bG9naW4=", b"", None),
    (b"wrong: " + PASSWORD.encode(), b"", None),
    (urllib.parse.quote(PASSWORD).encode(), b"no user", None),
    (b"." * 190 + basic(LOGIN, PASSWORD).encode(), b"", None),
    (b"no user", PASSWORD.encode(), None),
])
def test_reason_phrase(dovecot, endpoint, phrase, body, said):
    """OX has its reason there. It is logged as a body is."""
    endpoint.fault = says_phrase(phrase, body)
    dovecot.deliver("bob", message())
    line, = dovecot.wait_log("Notification lost")
    if said is None:
        said = "(the answer's text may hold credentials)"
    reason = line.split("refused: 400")[1].strip()
    assert reason.replace("\N{REPLACEMENT CHARACTER}", "?") == said
    assert_not_in(dovecot.log())


def test_reason_phrase_in_doveadms_answers(other_endpoint):
    other_endpoint.fault = says_phrase(b"USR-0010 \x1b Cannot find user",
                                       status=500)
    with running_dovecot(driver(other_endpoint, timeout_msecs=500)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())

        def said():
            return dovecot.doveadm(
                "-f", "tab", "http-notify", "status").replace(
                    "\N{REPLACEMENT CHARACTER}", "?")
        wait_for(lambda: "500 USR-0010 ? Cannot find user" in said(),
                 what="the reason")


@pytest.mark.parametrize("phrase", [b"no such user", PASSWORD.encode()])
def test_reason_phrase_with_a_netrc_file(endpoint, phrase):
    """Nobody knows which credentials it must not have."""
    with running_dovecot(start=False) as dovecot:
        netrc = dovecot.queue_path.parent / "netrc"
        netrc.write_text(NETRC % ("127.0.0.1", LOGIN, PASSWORD))
        own_by_service(netrc)
        dovecot.configure(driver_with_netrc(endpoint, netrc, max_retries=0))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.fault = says_phrase(phrase)
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Notification lost")
        assert "400 (netrc_file=%s" % netrc in line
        assert phrase.decode() not in line


def test_passwords_with_special_characters(endpoint):
    """They arrive as they are, and no log has them."""
    endpoint.status = 400
    endpoint.answer_body = lambda request: request.headers[
        "Authorization"].encode() + AWKWARD[-1].encode()
    drivers = [driver(endpoint.url_with("user%d" % number, password),
                      max_retries=0)
               for number, password in enumerate(AWKWARD)]
    with running_dovecot(*drivers) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost", count=len(AWKWARD))
        assert sorted(request.headers["Authorization"]
                      for request in endpoint.attempts) == sorted(
            "Basic " + basic("user%d" % number, password)
            for number, password in enumerate(AWKWARD))
        for number, password in enumerate(AWKWARD):
            if len(password) > 1:
                assert_not_in(dovecot.log(), "user%d" % number, password)


def raw_server(reply):
    """Answers each connection's request by reply(request), then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(reply(sock.recv(65536)))
    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize("reply", [
    lambda request: request,
    lambda request: b"HTTP/1.1 400 " + request.replace(b"\r\n", b" ") +
    b"\r\n\r\n",
    lambda request: b"HTTP/1.1 503 x\r\nContent-Length: " +
    request.replace(b"\r\n", b" ") + b"\r\n\r\n",
    lambda request: b"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n" +
    request,
    lambda request: b"HTTP/1.1 503 x\r\nContent-Encoding: " +
    request.replace(b"\r\n", b" ") + b"\r\nRetry-After: " +
    request.replace(b"\r\n", b" ") + b"\r\n\r\n",
], ids=["no HTTP", "status line", "length", "chunks", "headers"])
def test_an_answer_that_is_broken_is_not_repeated(reply):
    """Nor is it in one of libcurl's errors."""
    listener = raw_server(reply)
    with running_dovecot(
            driver("http://%s:%s@127.0.0.1:%d/" % (
                LOGIN, "s3cretpa55", listener.getsockname()[1]), max_retries=0),
            extra=config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost")
        assert_not_in(dovecot.log(), LOGIN, "s3cretpa55")
    listener.close()


def test_an_endpoint_that_is_not_there_is_named_without_credentials():
    urls = ["http://login:s3cret@127.0.0.1:%d/" % free_port(),
            "http://login:s3cret@no-such-host.invalid/",
            "https://login:s3cret@127.0.0.1:%d/" % free_port()]
    with running_dovecot(*map(driver, urls), extra=config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        lines = dovecot.wait_log("Error: Endpoint", "is down", count=3)
        for url in urls:
            host = url.split("@")[1].rstrip("/")
            assert [line for line in lines if "Endpoint " + host in line]
        assert_not_in(dovecot.log(), "login", "s3cret")


def test_redirects_get_no_credentials(endpoint, other_endpoint):
    """Neither ours nor those that they have in their Location."""
    endpoint.status = 307
    endpoint.answer_headers = [("Location", other_endpoint.url_with(
        "other", "s3cret"))]
    with running_dovecot(driver(endpoint), extra=config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error:", "Endpoint", "307")
        assert other_endpoint.attempts == []
        assert_not_in(dovecot.log())
        assert_not_in(dovecot.log(), "other", "s3cret")


def own_by_service(path):
    path.chmod(0o600)
    os.chown(path, *pwd.getpwnam("dovecot")[2:4])


def driver_with_netrc(endpoint, netrc, **options):
    return driver("http://%s%s" % (endpoint.authority, PATH),
                  netrc_file=netrc, **options)


# In quotes, as libcurl 8.14 takes a character beyond ASCII for the end.
NETRC = 'machine %s login %s password "%s"\n'


def test_netrc_file_has_the_credentials(endpoint):
    with running_dovecot(start=False, extra=config.DEBUG) as dovecot:
        netrc = dovecot.queue_path.parent / "netrc"
        netrc.write_text(NETRC % ("other.example", "other", "s3cret") +
                         NETRC % ("127.0.0.1", LOGIN, PASSWORD))
        own_by_service(netrc)
        dovecot.configure(driver_with_netrc(endpoint, netrc, max_retries=0),
                          extra=config.DEBUG)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        # the service can't tell whether a text repeats them
        endpoint.status = 400
        endpoint.answer_body = lambda request: b"no such user"
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Notification lost")
        assert "400 (netrc_file=%s" % netrc in line
        assert "no such user" not in line
        assert_not_in(dovecot.log())


@pytest.mark.parametrize("trouble, said", [
    ("missing", "No such file or directory"),
    ("unreadable", "Permission denied"),
    ("a directory", "is not a regular file"),
    ("a pipe", "is not a regular file"),
    ("of another host", "401 (netrc_file={}: has no login and password for "
     "machine 127.0.0.1)"),
    ("without a password", "401 (netrc_file={}: has no login and password"),
    # libcurl 8.14 sends nothing then
    ("no such file", "netrc_file={}: "),
    ("broken", ""),
])
def test_netrc_file_of_no_use_is_named_and_keeps_the_notifications(
        endpoint, trouble, said):
    with running_dovecot(start=False) as dovecot:
        directory = dovecot.dir / "netrc.d"
        directory.mkdir()
        netrc = directory / "netrc"
        good = NETRC % ("127.0.0.1", LOGIN, PASSWORD)
        if trouble == "a directory":
            netrc.mkdir()
        elif trouble == "a pipe":
            os.mkfifo(netrc)
            own_by_service(netrc)
        elif trouble != "missing":
            netrc.write_text({
                "unreadable": good,
                "of another host": good.replace("127.0.0.1", "127.0.0.2"),
                "without a password": "machine 127.0.0.1 login " + LOGIN,
                "no such file": "%s:%s\n" % (LOGIN, PASSWORD),
                "broken": good.rstrip()[:-1],
            }[trouble])
            netrc.chmod(0o600)
            if trouble != "unreadable":
                own_by_service(netrc)
        dovecot.configure(driver_with_netrc(endpoint, netrc))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(2):
            dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Error: Endpoint", "notifications")
        assert "netrc_file=%s" % netrc in line
        assert said.format(netrc) in line and "keeping" in line
        assert_not_in(dovecot.log())
        assert dovecot.queued() == 2
        assert not endpoint.delivered

        # mended: what was kept goes out, by the next probe or a restart
        if netrc.is_dir():
            netrc.rmdir()
        elif netrc.exists():
            netrc.unlink()
        netrc.write_text(good)
        own_by_service(netrc)
        if said.startswith("401") or trouble in ("no such file", "broken"):
            os.kill(dovecot.service_pid(), signal.SIGKILL)
        assert [r.uid for r in endpoint.wait(2)] == [1, 2]
        assert len(dovecot.wait_log("Error: Endpoint")) == 1


def test_credentials_go_to_no_other_endpoint(endpoint):
    """The service sends all by the same few libcurl handles."""
    endpoint.status = 200
    with running_dovecot(start=False) as dovecot:
        netrc = dovecot.queue_path.parent / "netrc"
        netrc.write_text(NETRC % ("127.0.0.1", "netrc", "s3cret"))
        own_by_service(netrc)
        bare = "http://%s/bare" % endpoint.authority
        dovecot.configure(
            driver(endpoint), driver_with_netrc(endpoint, netrc), driver(bare))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        for count in range(1, 11):
            dovecot.deliver("bob", message())
            endpoint.wait(3 * count)
        seen = [(r.path, r.headers.get("Authorization"))
                for r in endpoint.delivered]
        assert sorted(map(str, seen)) == sorted(map(str, 10 * [
            (PATH, "Basic " + basic(LOGIN, PASSWORD)),
            (PATH, "Basic " + basic("netrc", "s3cret")), ("/bare", None)]))


# What a user of the machine can see of its processes.
LOOK = """
for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/[0-9]*/comm \
        /proc/[0-9]*/status; do
    tr '\\0' ' ' <$file
done 2>/dev/null
find {0} -type f -exec cat {{}} + 2>/dev/null
true
"""


@pytest.mark.parametrize("user", ["nobody", "dovenull"])
def test_no_other_user_sees_credentials(endpoint, user):
    """In the process list, in environments, in files that he may read."""
    endpoint.hang = True
    with running_dovecot(driver(endpoint),
                         extra="verbose_proctitle = yes") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait_attempts(1)
        # the test's own, which is the admin's
        dovecot.main.chmod(0o600)
        seen = subprocess.run(["sh", "-c", LOOK.format(dovecot.dir)],
                              user=user, group="nogroup", extra_groups=[],
                              stdout=subprocess.PIPE, check=True).stdout
        endpoint.hang = False
        endpoint.unhang.set()
        endpoint.unhang.clear()
    # not the command lines of other tests, which have their URLs from an admin
    seen = "\n".join(line for line in seen.decode(errors="replace").split("\n")
                     if "/tests/try." not in line)
    assert "http-notify" in seen
    assert_not_in(seen)


def test_environment_of_the_service_has_no_credentials(dovecot, endpoint):
    for name in ("cmdline", "environ"):
        content = pathlib.Path("/proc/%d/%s" % (
            dovecot.service_pid(), name)).read_text(errors="replace")
        assert_not_in(content)


@pytest.mark.parametrize("settings", [
    "", config.environment(PR_SET_DUMPABLE="1"),
])
def test_service_can_not_be_dumped(endpoint, settings):
    """A core would have the credentials in it; and so would its memory, which
    others of the same user could read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core dumps are not possible here at all")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with running_dovecot(driver(endpoint), extra=settings) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            endpoint.wait(1)
            pid = dovecot.service_pid()
            # root's as a whole, although it is another user's process
            for name in ("environ", "maps", "mem"):
                assert os.stat("/proc/%d/%s" % (pid, name)).st_uid == 0
            limits = pathlib.Path("/proc/%d/limits" % pid).read_text()
            assert not re.search("^Max core file size +0 ", limits, re.M)
            os.kill(pid, signal.SIGABRT)
            line, = dovecot.wait_log("child %d killed with signal 6" % pid)
            assert "(core not dumped" in line
            assert not list(dovecot.dir.rglob("*core*"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
