# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hand-off socket: what its clients may do, and what a hostile one can't.

Whoever may write to the socket can have notifications sent. But no client
holds up another one, fills the memory or the log, or gets text of its choice
into the log."""

import base64
import contextlib
import os
import random
import shutil
import signal
import socket
import threading
import time

import pytest

from conftest import SANITIZED, driver, running_dovecot
from harness.config import PATIENT
from harness.dovecot import message, wait_for

# A delivery of this long has waited for its hand-off, which may take twice as
# long with PATIENT.
LONG = 15
SESSION = "0123456789abcdef0123456789abcdef"
HELLO = b"VERSION\thttp-notify-handoff\t1\t0\n"
HELLO_SESSION = HELLO + b"SESSION\t" + SESSION.encode() + b"\n"
# the longest line is 8 MB; what is on its way in the kernel comes on top
MUCH_LONGER_THAN_A_LINE = 9*1024*1024


class Client(socket.socket):
    """SESSION stands for a session of the test's own."""

    number = 1

    def sendall(self, data):
        super().sendall(data.replace(
            SESSION.encode(), b"%s%08d" % (SESSION[:24].encode(),
                                           Client.number)))


@pytest.fixture(autouse=True)
def session_of_its_own():
    Client.number += 1


def connect(dovecot):
    sock = Client(socket.AF_UNIX)
    sock.connect(str(dovecot.dir / "run/http-notify"))
    sock.settimeout(60)
    return sock


def service_log(dovecot):
    return dovecot.log_lines(" http-notify: ")


def rss(pid):
    """In bytes."""
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def assert_bob_is_served(dovecot, endpoint):
    """A delivery waits for nothing and is notified."""
    subject = "served at %s" % time.monotonic()
    assert dovecot.deliver("bob", message(subject)) < LONG
    wait_for(lambda: [r for r in list(endpoint.delivered)
                      if r.body.get("subject") == subject],
             what="bob's notification")


@contextlib.contextmanager
def nobody_else_notices(dovecot, endpoint, log_lines):
    """... what is done inside, which costs so many lines of log at most: bob
    is served before, meanwhile and after."""
    assert_bob_is_served(dovecot, endpoint)
    pid = dovecot.service_pid()
    ended = threading.Event()
    troubles = []

    def serve_bob():
        try:
            while not ended.is_set():
                assert_bob_is_served(dovecot, endpoint)
        except BaseException as error:
            troubles.append(error)
    thread = threading.Thread(target=serve_bob)
    thread.start()
    try:
        yield pid
    finally:
        ended.set()
        thread.join()
    assert not troubles, troubles
    assert_bob_is_served(dovecot, endpoint)
    assert dovecot.service_pid() == pid
    assert len(service_log(dovecot)) <= log_lines, service_log(dovecot)
    assert not dovecot.log_lines("Panic:")
    assert not dovecot.log_lines("Notification lost")


def not_bobs(requests):
    """Those that are no delivery's."""
    return [request for request in requests if "subject" not in request.body]


def wait_hung_up(sock):
    """Until the service has hung up; returns what it has said."""
    received = b""
    try:
        while data := sock.recv(65536):
            received += data
    except ConnectionError:
        pass
    return received


def send_until_hung_up(sock, data, limit):
    """The data again and again; returns how many bytes were taken."""
    sent = 0
    try:
        while sent < limit:
            sent += sock.send(data)
    except ConnectionError:
        pass
    return sent


class HandoffClient:
    """A mail process's side of the protocol, by hand."""

    def __init__(self, dovecot, session=SESSION):
        self.sock = connect(dovecot)
        self.file = self.sock.makefile("rb")
        self.send("VERSION\thttp-notify-handoff\t1\t0\nSESSION\t%s\n" %
                  session)
        assert self.reply().startswith("VERSION\thttp-notify-handoff\t1\t")

    def send(self, text):
        self.sock.sendall(text.encode())

    def notify(self, seq, endpoint, uid=1):
        self.send("NOTIFY\t%d\tmallory\tINBOX\t%d\t%s\turl=%s\n" % (
            seq, uid, '{"event":"messageNew","folder":"INBOX","from":"a@b",'
            '"user":"3@1","imap-uid":%d}' % uid,
            endpoint.url))

    def reply(self):
        return self.file.readline().decode()

    def close(self):
        self.file.close()
        self.sock.close()


def test_handoff_sent_again_is_acked_and_stored_once(dovecot, endpoint):
    """A lost ack: the client can't know that it was stored."""
    client = HandoffClient(dovecot)
    client.notify(1, endpoint)
    assert client.reply() == "OK\t1\n"
    endpoint.wait(1)
    client.notify(1, endpoint)
    client.notify(2, endpoint, uid=2)
    assert [client.reply(), client.reply()] == ["OK\t1\n", "OK\t2\n"]
    endpoint.wait(2)
    # or it may send what it has not removed yet once more
    dovecot.wait_queue_empty()

    # the service dies before the client has its ack, but after it is stored
    os.kill(dovecot.service_pid(), signal.SIGKILL)
    client.close()
    client = HandoffClient(dovecot)
    client.notify(2, endpoint, uid=2)
    client.notify(3, endpoint, uid=3)
    assert [client.reply(), client.reply()] == ["OK\t2\n", "OK\t3\n"]
    assert [r.uid for r in endpoint.wait(3)] == [1, 2, 3]
    dovecot.wait_queue_empty()
    assert len(endpoint.attempts) == 3
    client.close()


def test_stored_while_an_answer_comes_in_is_sent(dovecot, endpoint):
    """Both in one turn of the service's loop, the hand-off first."""
    client = HandoffClient(dovecot, "0" * 32)
    client.notify(1, endpoint)
    client.reply()
    endpoint.wait(1)
    endpoint.delay = 0.1
    client.notify(2, endpoint, uid=2)
    client.reply()
    endpoint.wait_attempts(2)
    pid = dovecot.service_pid()
    os.kill(pid, signal.SIGSTOP)
    client.notify(3, endpoint, uid=3)
    endpoint.wait(2)
    time.sleep(0.1)
    os.kill(pid, signal.SIGCONT)
    assert client.reply() == "OK\t3\n"
    assert endpoint.wait(3)[-1].uid == 3
    client.close()


GARBAGE = {
    "nothing but an end of line": b"\n",
    "ends of lines": b"\n" * 100000,
    "binary": bytes(random.Random(1).choices(range(256), k=64*1024)) + b"\n",
    "NUL": b"\0\xff\r\n\r\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03\n",
    "another protocol": b"VERSION\tother\t1\t0\n",
    "a later version": b"VERSION\thttp-notify-handoff\t2\t0\n",
    "a version that is none":
        b"VERSION\thttp-notify-handoff\ts3cret\x01nFatal: forged\t0\n",
    "a long line": b"x" * 200000,
    # t_strsplit_tabescaped() makes an end of line of the \1n
    "a line of log": b"VERSION\tx\x01nFatal: forged\t1\t0\n",
    "no VERSION":
        b"NOTIFY\t1\tmallory\tINBOX\t1\t{}\turl=http://login:s3cret@x/\n",
    "no SESSION": HELLO +
        b"NOTIFY\t1\tmallory\tINBOX\t1\t{}\turl=http://login:s3cret@x/\n",
    "a bad SESSION": HELLO + b"SESSION\ts3cret\n",
    "two SESSIONs": HELLO_SESSION + HELLO_SESSION,
    "few fields": HELLO_SESSION + b"NOTIFY\t1\ts3cret\n",
    "another command": HELLO_SESSION + b"s3cret\x01nFatal: forged\t1\n",
    "many fields": HELLO_SESSION + b"\t" * 100000 + b"\n",
    "seq 0":
        HELLO_SESSION + b"NOTIFY\t0\tmallory\tINBOX\t1\t{}\turl=http://x/\n",
    "a negative seq":
        HELLO_SESSION + b"NOTIFY\t-1\tmallory\tINBOX\t1\t{}\turl=http://x/\n",
    "a huge seq": HELLO_SESSION +
        b"NOTIFY\t9223372036854775808\tmallory\tINBOX\t1\t{}\turl=http://x/\n",
    "a huge UID": HELLO_SESSION +
        b"NOTIFY\t1\tmallory\tINBOX\t4294967296\t{}\turl=http://x/\n",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_the_connection_and_is_not_logged(dovecot, endpoint,
                                                       what):
    with nobody_else_notices(dovecot, endpoint, log_lines=1):
        with connect(dovecot) as sock:
            try:
                sock.sendall(GARBAGE[what])
            except ConnectionError:
                pass
            wait_hung_up(sock)
    line, = dovecot.wait_log("http-notify: Error:")
    # no more of what it says about the client than this
    assert "conn unix:http-notify (pid=%d,uid=0): " % os.getpid() in line
    for word in ("s3cret", "forged"):
        assert word not in dovecot.log()


@pytest.mark.parametrize("begin", [
    b"", b"VERSION\thttp", HELLO, HELLO + b"SESS", HELLO_SESSION,
    HELLO_SESSION + b"NOTIFY\t1\tmallory\tIN", HELLO_SESSION + b"x" * 100000,
], ids=["nothing", "VER", "VERSION", "SES", "SESSION", "NOTI", "long"])
def test_silent_client_is_left_alone_and_costs_nothing(dovecot, endpoint,
                                                       begin):
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        sock.sendall(begin)
        assert_bob_is_served(dovecot, endpoint)
        # it has what the service says first, and no more
        sock.recv(4096)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@pytest.mark.parametrize("begin, data", [
    (b"", b"x"), (HELLO, b"x"), (HELLO_SESSION, b"x"),
    (HELLO_SESSION + b"NOTIFY\t1\tmallory\tINBOX\t1\t", b"{"),
    # each of these is a field
    (HELLO_SESSION + b"NOTIFY\t1", b"\t"),
    (HELLO_SESSION + b"NOTIFY\t1\tmallory\tINBOX\t1\t{}", b"\turl=http://x/"),
    (HELLO_SESSION, b"\x01"), (b"", b"\0"),
], ids=["VERSION", "SESSION", "NOTIFY", "body", "fields", "options", "escapes",
        "NUL"])
def test_line_without_end_is_not_kept_in_memory(dovecot, endpoint, begin,
                                                data):
    with nobody_else_notices(dovecot, endpoint, log_lines=1) as pid, \
            connect(dovecot) as sock:
        before = rss(pid)
        sock.sendall(begin)
        # a gigabyte, if it took that much
        assert send_until_hung_up(
            sock, data * (65536 // len(data)),
            1024*1024*1024) < MUCH_LONGER_THAN_A_LINE
        wait_hung_up(sock)
        if not SANITIZED:
            assert rss(pid) - before < 24*1024*1024
    line, = dovecot.wait_log("http-notify: Error:")
    assert "a line is too long" in line


def notify_line(seq, endpoint, user="mallory", folder="INBOX", uid=1,
                body=None, options=()):
    """endpoint: an Endpoint or a URL"""
    if body is None:
        body = '{"event":"messageNew","folder":"INBOX","from":"a@b",' \
            '"user":"3@1","imap-uid":%d}' % uid
    fields = ["NOTIFY", str(seq), user, folder, str(uid), body,
              "url=" + getattr(endpoint, "url", endpoint), *options]
    return b"\t".join(
        field if isinstance(field, bytes) else field.encode()
        for field in fields) + b"\n"


def read_replies(sock, count):
    """After the VERSION line."""
    data = b""
    while data.count(b"\n") < count + 1:
        received = sock.recv(65536)
        assert received, "hung up after %d replies" % (data.count(b"\n") - 1)
        data += received
    lines = data.decode().splitlines()
    assert len(lines) == count + 1
    return lines[1:]


@pytest.mark.parametrize("options", [(), ["bad"]],
                         ids=["stored", "refused"])
def test_client_that_does_not_read_its_replies_is_disconnected(
        dovecot, endpoint, options):
    with nobody_else_notices(dovecot, endpoint, log_lines=1) as pid, \
            connect(dovecot) as sock:
        before = rss(pid)
        sock.sendall(HELLO_SESSION)
        # the same one again and again
        line = notify_line(1, endpoint, options=options)
        assert send_until_hung_up(sock, line * 100, 1024*1024*1024) < \
            100*1024*1024
        if not SANITIZED:
            assert rss(pid) - before < 8*1024*1024
        wait_hung_up(sock)
    error, = dovecot.wait_log("http-notify: Error:")
    assert "the replies are not read" in error


def test_thousands_of_notifications_in_one_write(dovecot, endpoint):
    endpoint.status = 200
    count = 2000
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + b"".join(
            notify_line(seq, endpoint, "user%d" % (seq % 10), uid=seq)
            for seq in range(1, count + 1)))
        assert_bob_is_served(dovecot, endpoint)
        assert read_replies(sock, count) == [
            "OK\t%d" % seq for seq in range(1, count + 1)]
        dovecot.wait_queue_empty()
        # each user's in order, and once
        sent = [r.uid for r in not_bobs(endpoint.delivered)]
        assert sorted(sent) == list(range(1, count + 1))
        for n in range(10):
            mine = [uid for uid in sent if uid % 10 == n]
            assert mine == sorted(mine)


def test_huge_lists_of_options(dovecot, endpoint):
    endpoint.status = 200
    with nobody_else_notices(dovecot, endpoint, log_lines=0) as pid, \
            connect(dovecot) as sock:
        before = rss(pid)
        count = 50
        for seq in range(1, count + 1):
            # a list of its own each time, as long as a line can be
            options = ["max_age=%dh" % seq] * 10000
            if seq % 2:
                options += ["x=%d" % seq]
            sock.sendall((HELLO_SESSION if seq == 1 else b"") + notify_line(
                seq, endpoint, uid=seq, options=options))
        replies = read_replies(sock, count)
        assert [line.split("\t")[0] for line in replies] == [
            "FAIL", "OK"] * (count // 2)
        assert replies[-2].endswith("is not an option of this driver")
        dovecot.wait_queue_empty()
        if not SANITIZED:
            assert rss(pid) - before < 16*1024*1024
    assert len(not_bobs(endpoint.delivered)) == count // 2


ODD = [b"\xff\xfe\xc3", b"a\x01nFatal: forged", b"a\x010b", b"a\x01tb",
       b"\r\x1b[31m\x7f", "ü\u202e\ufeff\u0085".encode(), b"\x01", b"%s%n%d",
       b"'; DROP TABLE notification; --", b"../../etc/passwd", b"x" * 50000,
       b""]


@pytest.mark.parametrize("field", ["user", "folder", "body"])
def test_odd_bytes_in_a_field(dovecot, endpoint, field):
    """They neither break a line of the log nor the request."""
    endpoint.status = lambda request: (
        None if request.body and "subject" in request.body else 422)

    def line(seq, **fields):
        return notify_line(seq, endpoint, uid=seq, options=["max_retries=0"],
                           **{"user": "user%d" % seq, **fields})
    with connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + b"".join(
            line(2 * n + 1, **{field: value}) +
            # it does not refuse all
            line(2 * n + 2, body='{"subject":""}')
            for n, value in enumerate(ODD)))
        assert read_replies(sock, 2 * len(ODD)) == [
            "OK\t%d" % seq for seq in range(1, 2 * len(ODD) + 1)]
        lines = dovecot.wait_log("Notification lost", count=len(ODD))
        assert_bob_is_served(dovecot, endpoint)
    assert len(lines) == len(ODD)
    for line in lines:
        assert " http-notify: Error: Notification lost: user=" in line
        assert min(line) >= " " and len(line) < 500, line
    assert not dovecot.log_lines("http-notify: Fatal")
    assert b"\x1b" not in dovecot.log_path.read_bytes()
    for request in endpoint.attempts:
        assert set(request.headers) == set(endpoint.attempts[0].headers)


@pytest.mark.parametrize("option", [
    b"url=http://127.0.0.1:%d/\x01r\x01nX-Injected: 1",
    b"url=http://127.0.0.1:%d/ HTTP/1.1\x01r\x01nX-Injected: 1",
    b"url=http://127.0.0.1:%d/%%0d%%0aX-Injected:1",
    b"url=http://a%%0d%%0aX-Injected:b@127.0.0.1:%d/",
    b"url=http://127.0.0.1:%d/\x01t\xff\xc3",
    b"url=http://127.0.0.1:%d/?%%00\"'<>",
    b"url=file://127.0.0.1:%d/etc/passwd",
    b"url=gopher://127.0.0.1:%d/_x",
    b"url=http://127.0.0.1:%d#@x/",
])
def test_odd_bytes_in_a_url_stay_in_it(dovecot, endpoint, option):
    endpoint.status = 200
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + b"NOTIFY\t1\tmallory\tINBOX\t1\t{}\t" +
                     option % endpoint.port + b"\n")
        reply, = read_replies(sock, 1)
        assert reply == "OK\t1" or reply.startswith("FAIL\t1\turl=")
        dovecot.wait_queue_empty()
    for request in endpoint.attempts:
        assert "X-Injected" not in request.headers
        assert request.path.isascii() and request.path.isprintable()


def test_refusal_masks_credentials(dovecot, endpoint):
    client = HandoffClient(dovecot)
    client.send("NOTIFY\t1\tbob\tINBOX\t1\t{}\turl=ftp://login:s3cret@x/\n")
    assert client.reply().startswith("FAIL\t1\turl=ftp://***@x/: ")
    client.close()
    assert "s3cret" not in dovecot.log()


def test_seq_that_comes_again_or_is_far_behind_is_acked_and_not_stored(
        dovecot, endpoint):
    """It was stored before, as the protocol has it; only the client itself
    loses by it. One that was overtaken is stored."""
    endpoint.status = 200
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        seqs = [5, 3, 5, 1, 6, 2**63 - 1, 7, 2**63 - 1]
        sock.sendall(HELLO_SESSION + b"".join(
            notify_line(seq, endpoint, uid=uid)
            for uid, seq in enumerate(seqs, 1)))
        assert read_replies(sock, len(seqs)) == [
            "OK\t%d" % seq for seq in seqs]
        dovecot.wait_queue_empty()
    assert [r.uid for r in not_bobs(endpoint.delivered)] == [
        1, 2, 4, 5, 6]


@pytest.mark.parametrize("hello", [b"", b"VERS", HELLO_SESSION],
                         ids=["nothing", "VER", "SESSION"])
def test_a_thousand_clients_that_come_and_go(dovecot, endpoint, hello):
    with nobody_else_notices(dovecot, endpoint, log_lines=0) as pid:
        before = fds(pid)
        for n in range(1000):
            with connect(dovecot) as sock:
                sock.sendall(hello.replace(b"01234567", b"%08d" % n))
        wait_for(lambda: fds(pid) < before + 10, what="all to be closed")


def test_two_hundred_idle_clients(dovecot, endpoint):
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            contextlib.ExitStack() as stack:
        for n in range(200):
            sock = stack.enter_context(connect(dovecot))
            sock.sendall(HELLO_SESSION.replace(b"01234567", b"%08d" % n))
        assert_bob_is_served(dovecot, endpoint)


def test_more_clients_than_the_limit_lock_nobody_out(endpoint):
    """The one that is idle for the longest time makes room, also if it is a
    mail process: its next hand-off is by another connection."""
    with running_dovecot(driver(endpoint), extra="""
            service http-notify {
              client_limit = 20
            }""") as dovecot, contextlib.ExitStack() as stack:
        dovecot.setmetadata("bob", "user=3@1")
        with dovecot.lmtp() as lmtp:
            lmtp.ehlo()
            lmtp.sendmail("a@example.org", ["bob"], message("before"))
            endpoint.wait(1)
            socks = [stack.enter_context(connect(dovecot)) for n in range(100)]
            for sock in socks[:80]:
                wait_hung_up(sock)
            lmtp.sendmail("a@example.org", ["bob"], message("after"))
            endpoint.wait(2)
            # of another process
            assert_bob_is_served(dovecot, endpoint)
        assert service_log(dovecot) == []
        assert not dovecot.log_lines("Notification lost")


def test_urls_that_looked_like_one_endpoint(dovecot, endpoint):
    """A login may have a whole URL in it. Former versions took the two for one
    endpoint, which then lost the standby that it was using."""
    bare = "%s://%s" % (endpoint.url.split("://")[0],
                        endpoint.url.split("@")[1])
    endpoint.status = 503
    twins = [("http://u@127.0.0.1:1/x", ["standby_url=" + bare.replace(
                 "//", "//s:p@")]),
             (bare.replace("//", "//u%40http:%2F%2F127.0.0.1:1%2Fx%20s:p@"),
              [])]
    pid = dovecot.service_pid()
    with connect(dovecot) as sock:
        seqs = range(1, 13)
        sock.sendall(HELLO_SESSION)
        for seq in seqs:
            url, options = twins[seq % 2]
            sock.sendall(notify_line(
                seq, url, user="user%d" % seq, uid=seq,
                options=[*options, "timeout_msecs=%d" % (1000 + seq)]))
            endpoint.wait_attempts(1)
        assert read_replies(sock, len(seqs)) == [
            "OK\t%d" % seq for seq in seqs]
        time.sleep(1.5)
        endpoint.status = 200
        wait_for(lambda: {r.uid for r in list(endpoint.delivered)} ==
                 set(seqs), what="all of them")
        for request in endpoint.delivered:
            login = base64.b64decode(
                request.headers["Authorization"].split()[1]).decode()
            assert login == ["s:p", "u@http://127.0.0.1:1/x s:p"][
                request.uid % 2]
    assert dovecot.service_pid() == pid
    assert not dovecot.log_lines("Panic:")


@pytest.mark.parametrize("trouble", ["answers 503", "hangs", "is refused"])
def test_tenants_with_netrc_files_of_their_own(dovecot, other_endpoint,
                                               trouble):
    """... for the same URL: what is sent again after a failure has the
    credentials of its own tenant, too."""
    endpoint = other_endpoint
    url = "%s://%s" % (endpoint.url.split("://")[0],
                       endpoint.url.split("@")[1])
    tenants, each = ["a", "b", "c"], 20
    for tenant in tenants:
        path = dovecot.queue_path.parent / ("netrc-" + tenant)
        path.write_text("machine 127.0.0.1 login %s password %s-s3cret\n" % (
            tenant, tenant))
        path.chmod(0o600)
        shutil.chown(path, "dovecot")
    if trouble == "answers 503":
        endpoint.status = 503
    elif trouble == "hangs":
        endpoint.hang = True
    else:
        endpoint.stop()
    with connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + b"".join(
            notify_line(n * len(tenants) + i + 1, url, uid=n + 1,
                        user="%s%d" % (tenant, n), body='{"user":"%s"}' %
                        tenant, options=[
                            "timeout_msecs=500", "netrc_file=%s" %
                            (dovecot.queue_path.parent / ("netrc-" + tenant))])
            for n in range(each) for i, tenant in enumerate(tenants)))
        read_replies(sock, each * len(tenants))
    dovecot.wait_log("Error: Endpoint %s is down" % endpoint.authority,
                     count=len(tenants))
    if trouble == "is refused":
        endpoint.start()
    endpoint.heal()
    endpoint.status = 200
    wait_for(lambda: len({r.key for r in list(endpoint.delivered)}) ==
             each * len(tenants), what="all of them")
    for request in endpoint.attempts:
        tenant = request.body["user"]
        assert base64.b64decode(request.headers["Authorization"].split()[
            1]).decode() == "%s:%s-s3cret" % (tenant, tenant)
    assert "s3cret" not in dovecot.log()


def hosts_of(endpoint, count):
    """URLs of as many hosts, which are all this endpoint: what is below
    localhost is local (RFC 6761)."""
    scheme, rest = endpoint.url.split("://")
    userinfo, rest = rest.split("@")
    return ["%s://%s@h%d.localhost:%d/%s" % (
        scheme, userinfo, n, endpoint.port, rest.split("/", 1)[1])
        for n in range(count)]


def send_round(dovecot, endpoint, urls, one_by_one, round_number=0):
    seqs = range(round_number * len(urls) + 1,
                 (round_number + 1) * len(urls) + 1)
    lines = [notify_line(seq, url, uid=seq, options=["timeout_msecs=20000"])
             for seq, url in zip(seqs, urls)]
    with connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION)
        if one_by_one:
            for seq, line in zip(seqs, lines):
                sock.sendall(line)
                endpoint.wait(seq)
        else:
            sock.sendall(b"".join(lines))
        read_replies(sock, len(urls))
        return endpoint.wait(len(urls) * (round_number + 1))


@pytest.mark.parametrize("hosts, one_by_one", [(10, True), (200, False)])
def test_connections_are_kept_for_all_endpoints(dovecot, other_endpoint, hosts,
                                                one_by_one):
    urls = hosts_of(other_endpoint, hosts)
    for n in range(4):
        requests = send_round(dovecot, other_endpoint, urls, one_by_one, n)
    # some may have been closed by an end that had its reasons
    assert len({r.connection for r in requests}) < hosts * 1.5


def test_more_endpoints_than_file_descriptors(other_endpoint):
    """They wait for one another, and neither mail processes nor the service
    suffer."""
    endpoint = other_endpoint
    endpoint.delay = 0.2
    with running_dovecot(driver(endpoint), PATIENT, start=False) as dovecot:
        dovecot.wrap_service("prlimit --nofile=80:80")
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        pid = dovecot.service_pid()
        endpoint.clear()
        for n in range(2):
            requests = send_round(dovecot, endpoint, hosts_of(endpoint, 150),
                                  False, n)
            assert dovecot.deliver("bob", message()) < LONG
            assert len({r.connection for r in requests}) > 40
            wait_for(lambda: len(endpoint.delivered) == 150 * (n + 1) + n + 1,
                     what="bob's")
        assert dovecot.service_pid() == pid
        assert service_log(dovecot) == []


def test_slow_endpoints_share_few_file_descriptors(other_endpoint):
    """The names are looked up, which takes more of them than a connection."""
    endpoint, count = other_endpoint, 300
    endpoint.delay, endpoint.status = 0.2, 200
    names = ["host%d.example" % n for n in range(50)]
    urls = ["%s?%d" % (endpoint.url.replace("127.0.0.1",
                                            names[n % len(names)]), n)
            for n in range(count)]
    with running_dovecot(driver(endpoint), PATIENT, start=False) as dovecot:
        hosts = dovecot.dir / "hosts"
        hosts.write_text("".join("127.0.0.1 %s\n" % name for name in names))
        dovecot.wrap_service("prlimit --nofile=200:200", hosts=hosts)
        dovecot.start()
        pid = dovecot.service_pid()
        dovecot.setmetadata("bob", "user=3@1")
        with connect(dovecot) as sock:
            sock.sendall(HELLO_SESSION + b"".join(
                notify_line(n + 1, url, uid=n + 1)
                for n, url in enumerate(urls * 2)))
            assert all(reply.startswith("OK")
                       for reply in read_replies(sock, count * 2))
        for _ in range(20):
            assert dovecot.deliver("bob", message()) < LONG
        dovecot.wait_queue_empty()
        assert len(endpoint.attempts) == len(
            {r.key for r in endpoint.attempts})
        assert dovecot.service_pid() == pid
        assert service_log(dovecot) == []


def test_no_file_descriptor_is_left_for_a_while(other_endpoint):
    """Requests wait or fail and are tried again; the service goes on."""
    endpoint, limit = other_endpoint, 100
    with contextlib.ExitStack() as stack:
        dovecot = stack.enter_context(
            running_dovecot(driver(endpoint), start=False))
        dovecot.wrap_service("prlimit --nofile=%d:%d" % (limit, limit))
        dovecot.start()
        pid = dovecot.service_pid()

        def open_fds():
            return len(os.listdir("/proc/%d/fd" % pid))
        sock = stack.enter_context(connect(dovecot))
        sock.sendall(HELLO_SESSION + notify_line(1, endpoint, uid=1))
        read_replies(sock, 1)
        endpoint.wait(1)
        dovecot.wait_queue_empty()
        # one is left, for a socket, and none for what comes with it
        with contextlib.ExitStack() as admins:
            while open_fds() < limit - 1:
                before = open_fds()
                admin = admins.enter_context(socket.socket(socket.AF_UNIX))
                admin.connect(str(dovecot.dir / "run/http-notify-admin"))
                wait_for(lambda: open_fds() != before, what="it")
            sock.sendall(b"".join(
                notify_line(n, url, uid=n) for n, url in
                enumerate(hosts_of(endpoint, 20), 2)))
            dovecot.wait_log("Connections to endpoints fail: socket() failed: "
                             "Too many open files")
        endpoint.wait(21)
        dovecot.wait_queue_empty()
        assert len(endpoint.attempts) == 21
        assert len(dovecot.log_lines("Connections to endpoints")) == 1
        assert dovecot.service_pid() == pid
        assert not dovecot.log_lines("Fatal")

