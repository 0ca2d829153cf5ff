# SPDX-License-Identifier: LGPL-2.1-or-later
"""One endpoint's trouble, one user's, or the resolver's, is nobody else's."""

import contextlib
import os

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import message, wait_for
from harness.faults import says_forever
from harness.name_server import NameServer
from test_handoff_socket import (HELLO_SESSION, connect, notify_line,
                                 read_replies,
                                 session_of_its_own)  # noqa: F401

# Seconds; what is tried here holds up deliveries, if any, for longer.
LONG = 10
MESSAGES = 40


def in_order(requests, user="3@1"):
    uids = [r.uid for r in requests if r.body["user"] == user]
    return uids == sorted(uids)


def trouble_of(endpoint, name):
    if name == "hangs":
        endpoint.hang = True
    elif name == "is slow":
        endpoint.delay = LONG + 1
    elif name == "babbles":
        endpoint.fault = says_forever(
            b"HTTP/1.1 200 OK\r\n", b"X-And-So-On: %s\r\n" % (b"x" * 4000))
    elif name == "is refused":
        endpoint.stop()
    elif name == "takes nothing":
        endpoint.status = 500
    elif name == "refuses all":
        endpoint.status = 422
    elif name == "takes one user's only":
        endpoint.status = lambda r: 500 if r.body["user"] == "3@1" else None


@pytest.mark.parametrize("trouble", [
    "hangs", "is slow", "babbles", "is refused", "takes nothing",
    "refuses all", "takes one user's only"])
@pytest.mark.parametrize("bad_first", [True, False])
def test_an_endpoint_that(endpoint, other_endpoint, trouble, bad_first):
    """... costs the other one nothing, whichever is configured first."""
    good, bad = endpoint, other_endpoint
    trouble_of(bad, trouble)
    drivers = [driver(bad, timeout_msecs=20000), driver(good)]
    with running_dovecot(*drivers[::1 if bad_first else -1]) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.setmetadata("carol", "user=4@1")
        pid = dovecot.service_pid()
        for _ in range(MESSAGES):
            assert dovecot.deliver(["bob", "carol"], message()) < LONG
        requests = good.wait(2 * MESSAGES)
        assert in_order(requests, "3@1") and in_order(requests, "4@1")
        assert len(good.attempts) == 2 * MESSAGES
        assert not dovecot.log_lines("Endpoint " + good.authority)
        assert dovecot.service_pid() == pid

        if trouble == "takes one user's only":
            assert in_order(bad.wait(MESSAGES), "4@1")
        if trouble != "refuses all":
            assert not dovecot.log_lines("Notification lost")
        if trouble == "is refused":
            bad.start()
        bad.heal()
        if trouble != "refuses all":
            # what timed out before may have been noted already
            wait_for(lambda: len({r.key for r in bad.delivered}) ==
                     2 * MESSAGES, what="the other one's notifications")
            assert in_order(bad.delivered, "3@1")


def test_a_user_whose_notification_is_never_taken(dovecot, endpoint):
    """... waits alone; the others' go on, in order."""
    users = ["bob", "carol", "poison"]
    for n, user in enumerate(users):
        dovecot.setmetadata(user, "user=%d@2" % n)
    endpoint.status = lambda r: 500 if r.body["user"] == "2@2" else None
    for _ in range(MESSAGES):
        assert dovecot.deliver(users, message()) < LONG
    requests = endpoint.wait(2 * MESSAGES)
    assert in_order(requests, "0@2") and in_order(requests, "1@2")
    # all of its tries were of the first one
    poison = [r for r in endpoint.attempts if r.body["user"] == "2@2"]
    assert len({r.key for r in poison}) == 1
    endpoint.heal()
    requests = endpoint.wait(3 * MESSAGES)
    assert in_order(requests, "2@2")
    dovecot.setmetadata("bob", "user=3@1")


def ask_only(dovecot, name_server):
    """Have the service do so."""
    resolv = dovecot.dir / "resolv.conf"
    resolv.write_text("nameserver %s\noptions timeout:30 attempts:5\n" %
                      name_server.address)
    dovecot.wrap_service(resolv=resolv)


def test_a_name_server_that_never_answers(endpoint):
    """It is asked for one endpoint's name. The other goes on meanwhile, and
    the service can be stopped."""
    with NameServer() as name_server:
        with running_dovecot(
                driver("http://node.example.org/"), driver(endpoint),
                start=False) as dovecot:
            ask_only(dovecot, name_server)
            dovecot.start()
            dovecot.setmetadata("bob", "user=3@1")
            for n in range(1, MESSAGES + 1):
                assert dovecot.deliver("bob", message()) < LONG
                endpoint.wait(n)
            line, = dovecot.wait_log("Error: Endpoint node.example.org")
            assert "time" in line.lower()
            # once more while it is waiting for a name
            for n in range(MESSAGES + 1, MESSAGES + 11):
                assert dovecot.deliver("bob", message()) < LONG
                endpoint.wait(n)
            assert in_order(endpoint.delivered)
            assert len(endpoint.attempts) == MESSAGES + 10
            # what was delivered leaves it with the next commit
            wait_for(lambda: dovecot.queued() == MESSAGES + 10,
                     what="the rest of the queue")
            dovecot.stop()
            assert not dovecot.log_lines("killed with signal 9")


def test_name_servers_that_do_not_answer_for_many_names(endpoint):
    """The number of threads is limited, and an endpoint that needs no look-up
    goes on."""
    count = 1200
    with NameServer() as name_server, running_dovecot(
            driver(endpoint.url.replace("localhost", "127.0.0.1")),
            *(driver("http://node%d.example.org/" % n) for n in range(count)),
            start=False) as dovecot:
        ask_only(dovecot, name_server)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: ", "look-ups of endpoints' names")
        pid = dovecot.service_pid()
        endpoint.wait(1)
        dovecot.deliver("bob", message())
        endpoint.wait(2)
        assert len(os.listdir("/proc/%d/task" % pid)) <= 1000 + 1
        assert len(dovecot.log_lines("look-ups of endpoints' names")) == 1


NAME = "node.example.org"


@contextlib.contextmanager
def endpoints_of_one_name(endpoint, name_server, count=64):
    """Yields when each of them has something queued."""
    endpoint.status = 200
    with running_dovecot(driver(endpoint), start=False) as dovecot:
        ask_only(dovecot, name_server)
        dovecot.start()
        wait_for((dovecot.dir / "run/http-notify").exists, what="the socket")
        url = "http://%s:%s/" % (NAME, endpoint.authority.split(":")[1])
        with connect(dovecot) as sock:
            sock.sendall(HELLO_SESSION + b"".join(
                notify_line(n, url + str(n), user="user%d" % n)
                for n in range(1, count + 1)))
            read_replies(sock, count)
            yield dovecot


def test_a_name_is_looked_up_once_at_a_time(other_endpoint):
    with NameServer(delay=0.3) as name_server, endpoints_of_one_name(
            other_endpoint, name_server) as dovecot:
        other_endpoint.wait(64)
        assert name_server.asked == {NAME: 1}
        assert not dovecot.log_lines("Error")


def test_a_lost_question_holds_up_nobody_for_long(other_endpoint):
    """Though the resolver would ask again after half a minute."""
    with NameServer(delay=0) as name_server:
        # for both kinds of addresses
        name_server.lost = 2
        with endpoints_of_one_name(other_endpoint, name_server) as dovecot:
            other_endpoint.wait(64, timeout=25)
            assert name_server.asked[NAME] <= 3
            # the one that has asked
            assert len(dovecot.log_lines("Error: Endpoint")) <= 1


def test_a_name_that_is_unknown_is_so_for_all_who_wait(other_endpoint):
    with NameServer(delay=0.3) as name_server:
        name_server.unknown = True
        with endpoints_of_one_name(other_endpoint, name_server) as dovecot:
            lines = dovecot.wait_log("Error: Endpoint %s" % NAME, count=64)
            assert all("resolve host" in line for line in lines)
            assert name_server.asked[NAME] == 1
            name_server.unknown = False
            other_endpoint.wait(64)


def test_name_server_that_never_answers_is_not_asked_by_all(other_endpoint):
    with NameServer() as name_server, endpoints_of_one_name(
            other_endpoint, name_server) as dovecot:
        lines = dovecot.wait_log("Error: Endpoint %s" % NAME, count=64)
        assert all("timed out" in line for line in lines)
        assert name_server.asked[NAME] < 10
