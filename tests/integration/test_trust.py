# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whom the service trusts. A process that the admin has named by user or group
of the hand-off socket chooses its endpoint. One that has access only because
the socket's mode lets anybody in may use the endpoints of dovecot.conf, each
as one of its own, and has no effect on what others hand off."""

import contextlib
import grp
import json
import pwd
import socket
import subprocess
import sys

import pytest

from conftest import driver, running_dovecot
from harness.config import block, config
from harness.dovecot import message, wait_for
from harness.endpoint import Endpoint
from test_handoff_socket import (HELLO_SESSION, SESSION, Client, connect,
                                 notify_line, read_replies, wait_hung_up)

NOBODY = pwd.getpwnam("nobody")
DOVECOT_GROUP = grp.getgrnam("dovecot").gr_gid
# what an endpoint has unless it is told otherwise
DEFAULTS = ["timeout_msecs=2000", "max_age=3600s"]
REFUSED = "may only use endpoints that dovecot.conf has"


def connect_as(dovecot, uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, groups=()):
    """A connection that a process of this user has made."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run([sys.executable, "-c", """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"],
                [sock.fileno()])
""", dovecot.dir / "run/http-notify", str(theirs.fileno())],
                       check=True, user=uid, group=gid, extra_groups=groups,
                       pass_fds=[theirs.fileno()])
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    sock = Client(fileno=fds[0])
    sock.settimeout(60)
    return sock


def hand_off(sock, *lines):
    """Returns the replies."""
    sock.sendall(HELLO_SESSION + b"".join(lines))
    return read_replies(sock, len(lines))


@pytest.fixture
def open_dovecot(endpoint):
    """Any process has access."""
    with running_dovecot(driver(endpoint),
                         extra=config.handoff_access()) as dovecot:
        dovecot.service_pid()
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot


def test_stranger_may_use_what_is_configured_and_nothing_else(
        open_dovecot, endpoint, other_endpoint, tmp_path):
    netrc = "netrc_file=%s" % (tmp_path / "netrc")
    tries = [
        (other_endpoint, DEFAULTS), (endpoint, []),
        (endpoint, [*DEFAULTS, netrc]), (endpoint, [*DEFAULTS, ""]),
        (endpoint, [*DEFAULTS, "method=POST"]),
        (endpoint, [*DEFAULTS, "proxy=http://127.0.0.1:1"]),
        (endpoint, [*DEFAULTS, "max_retries=0"]),
        (endpoint, ["max_age=3600s", "timeout_msecs=2000"]),
        (endpoint.url + "?", DEFAULTS),
        (endpoint, [*DEFAULTS, "url=" + other_endpoint.url]),
        (endpoint, [*DEFAULTS, "owner=0"]),
    ]
    with connect_as(open_dovecot) as sock:
        replies = hand_off(sock, *(
            notify_line(n + 1, to, uid=n + 1, options=options)
            for n, (to, options) in enumerate(tries)))
        for reply in replies:
            assert reply.startswith("FAIL") and REFUSED in reply
            assert "user ID %d " % NOBODY.pw_uid in reply
        sock.sendall(notify_line(100, endpoint, uid=100, options=DEFAULTS))
        assert sock.recv(100) == b"OK\t100\n"
    request, = endpoint.wait(1)
    assert request.body["imap-uid"] == 100
    assert not other_endpoint.attempts


@pytest.mark.parametrize("named", [
    {"groups": [DOVECOT_GROUP]}, {"gid": DOVECOT_GROUP}, {"uid": 0, "gid": 0},
], ids=["supplementary group", "group", "root"])
def test_who_is_named_chooses(open_dovecot, other_endpoint, named):
    with connect_as(open_dovecot, **named) as sock:
        reply, = hand_off(sock, notify_line(1, other_endpoint))
        assert reply == "OK\t1"
    other_endpoint.wait(1)


def test_the_sockets_user_chooses(endpoint, other_endpoint):
    with running_dovecot(driver(endpoint), extra=block(
            "service http-notify", block(
                "unix_listener http-notify", "user = nobody",
                "mode = 0600"))) as dovecot:
        dovecot.service_pid()
        with connect_as(dovecot) as sock:
            reply, = hand_off(sock, notify_line(1, other_endpoint))
            assert reply == "OK\t1"
        other_endpoint.wait(1)


def test_a_strangers_endpoint_is_its_own(open_dovecot, endpoint):
    """It can name another user and make the endpoint refuse or fail; that
    user's notifications don't wait, also after a restart."""
    bad = '{"event":"messageNew","user":"3@1","folder":"INBOX","bad":1}'
    endpoint.status = lambda request: 503 if "bad" in request.body else 200
    with connect_as(open_dovecot) as sock:
        replies = hand_off(sock, *(
            notify_line(n, endpoint, user="bob", uid=n, body=bad,
                        options=DEFAULTS) for n in range(1, 51)))
        assert all(reply.startswith("OK") for reply in replies)
    for number in range(3):
        if number == 1:
            open_dovecot.stop()
            open_dovecot.start()
        subject = "bob's mail %d" % number
        open_dovecot.deliver("bob", message(subject))
        wait_for(lambda: [r for r in list(endpoint.delivered)
                          if r.body.get("subject") == subject],
                 what="bob's notification")
    # the last one leaves the queue after its answer
    wait_for(lambda: open_dovecot.queued() == 50,
             what="the stranger's alone to be queued")
    assert not [line for line in open_dovecot.log_lines("is down")
                if "of user ID" not in line]


def test_a_stranger_makes_no_key_of_a_message(open_dovecot):
    """By which the service would take it for one that is found again."""
    with connect_as(open_dovecot) as sock:
        sock.sendall(HELLO_SESSION.replace(SESSION[24:].encode(), b"0" * 8))
        wait_hung_up(sock)
    open_dovecot.wait_log("Invalid hand-off: SESSION is one that the service "
                          "makes")


def test_two_strangers_do_not_share(open_dovecot, endpoint):
    endpoint.stop()
    for uid in (NOBODY.pw_uid, NOBODY.pw_uid - 1):
        with connect_as(open_dovecot, uid=uid) as sock:
            reply, = hand_off(sock, notify_line(uid, endpoint, user="bob",
                                                options=DEFAULTS))
            assert reply.startswith("OK")
    for uid in (NOBODY.pw_uid, NOBODY.pw_uid - 1):
        open_dovecot.wait_log("is down", "(of user ID %d)" % uid)
    endpoint.start()
    endpoint.wait(2)


def test_strangers_leave_room_for_others(endpoint):
    with running_dovecot(driver(endpoint), extra=config.handoff_access() +
                         block("service http-notify",
                               "client_limit = 8")) as dovecot, \
            contextlib.ExitStack() as stack:
        dovecot.service_pid()
        sock = stack.enter_context(connect(dovecot))
        reply, = hand_off(sock, notify_line(1, endpoint, uid=1))
        assert reply == "OK\t1"
        strangers = [stack.enter_context(connect_as(dovecot))
                     for _ in range(20)]
        # this one is there, so that all before it have been accepted
        reply, = hand_off(strangers[-1], notify_line(1, endpoint, uid=2,
                                                     options=DEFAULTS))
        assert reply == "OK\t1"
        sock.sendall(notify_line(2, endpoint, uid=3))
        assert sock.recv(100) == b"OK\t2\n"


def test_lda_as_the_mail_user(other_endpoint):
    """... uses what dovecot.conf has, also for protocol lda only, and with a
    password that has to be quoted."""
    endpoint = Endpoint(credentials=("lo@gin", "p@ss%"))
    with contextlib.ExitStack() as stack:
        stack.callback(endpoint.stop)
        login = endpoint.url
        with running_dovecot(driver(login), extra=config.handoff_access() +
                             block("protocol lda", config.drivers(
                                 driver(login), driver(other_endpoint,
                                                       max_age="2h")))
                             ) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            assert dovecot.lda("bob", message("by lda")).returncode == 0
            endpoint.wait(1)
            other_endpoint.wait(1)
            assert not dovecot.log_lines("Notification lost")


def test_lda_with_variables_is_told_why(endpoint):
    with running_dovecot(
            driver(endpoint, standby_url="http://127.0.0.1:9/%{user}"),
            extra=config.handoff_access()) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.lda("bob", message("by lda")).returncode == 0
        line, = dovecot.wait_log("Notification lost: user=bob ")
        assert REFUSED in line
        dovecot.deliver("bob", message("by lmtp"))
        request, = endpoint.wait(1)
        assert request.body["subject"] == "by lmtp"


@contextlib.contextmanager
def users_with_ids(uids, *drivers, listener, fields=()):
    """uids: of users. fields: those of their userdb fields that there are."""
    with running_dovecot(start=False) as dovecot:
        users = dovecot.dir / "users"
        users.write_text("".join(
            "%s::%d:%d::%s/home/%s::%s\n" % (
                user, uid, uid, dovecot.dir, user, " ".join(
                    "userdb_%s=%s" % item
                    for item in dict(fields).get(user, {}).items()))
            for user, uid in uids.items()))
        users.chmod(0o644)
        (dovecot.dir / "home").chmod(0o777)
        dovecot.configure(*drivers, auth=config.users_of(users), extra=block(
            "service http-notify", block("unix_listener http-notify",
                                         *listener)))
        dovecot.start()
        dovecot.register({user: "user=3@1" for user in uids})
        yield dovecot


def test_lmtp_is_roots(endpoint, other_endpoint):
    """... and not its users', each of whom has a user ID and an endpoint of
    their own; nobody else needs access."""
    uids = {"alice": 20001, "bob": 20002}
    every_users, fields = config.drivers_of_users({
        "alice": driver(endpoint), "bob": driver(other_endpoint)})
    with users_with_ids(uids, every_users, fields=fields, listener=[
            "mode = 0600", "user = root", "group = root"]) as dovecot:
        dovecot.deliver(list(uids), message())
        endpoint.wait(1)
        other_endpoint.wait(1)
        for user, uid in uids.items():
            for path in (dovecot.dir / "home" / user).rglob("*"):
                assert path.stat().st_uid == uid


@pytest.mark.parametrize("listener, words", [
    (["mode = 0666"], "as anybody"), (["user = nobody"], ""),
    (["mode = 0666", "user = nobody"], "")],
    ids=["anybody", "user", "user and anybody"])
def test_check_says_how_lda_has_access(endpoint, listener, words):
    with users_with_ids({"bob": NOBODY.pw_uid}, driver(endpoint),
                        listener=listener) as dovecot:
        row, = [row for row in json.loads(dovecot.doveadm(
            "-f", "json", "http-notify", "check", "-u", "bob"))
            if row["link"] == "hand-off by lda"]
        assert row["result"] == "ok"
        assert row["detail"].split(":")[0] == words
