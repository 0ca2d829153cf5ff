# SPDX-License-Identifier: LGPL-2.1-or-later
"""Notifications with a whole message in them, as an endpoint for calendar mail
gets them: what they cost the service, and others."""

import contextlib
import json
import threading

import pytest

from conftest import SANITIZED, driver, running_dovecot
from harness.config import PATIENT, config
from harness.doveadm import doveadm, rows
from harness.dovecot import message, wait_for
from test_handoff_socket import (HELLO, HELLO_SESSION, connect,
                                 nobody_else_notices, read_replies, rss,
                                 session_of_its_own,  # noqa: F401
                                 wait_hung_up)
from test_handoff_socket import notify_line as any_notify_line
from test_service import flushes_traced

M = 1024*1024


def notify_line(seq, endpoint, options=(), **kwargs):
    """A busy machine may keep the endpoint from answering for seconds."""
    return any_notify_line(seq, endpoint, options=[
        *options, "timeout_msecs=60000"], **kwargs)


def body_of(size, text="x"):
    return json.dumps({
        "user": "mallory", "folder": "INBOX", "event": "messageNew",
        "body": "To: bob@example.com\r\nContent-Type: text/calendar\r\n\r\n" +
                text * (size // len(text.encode()))}, ensure_ascii=False)


def test_large_one_arrives_as_it_is(dovecot, endpoint, calendar):
    body = body_of(3 * M, "Größe \\ \"5 €\"\r\n\t会議\0")
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + notify_line(1, calendar, body=body))
        assert read_replies(sock, 1) == ["OK\t1"]
        # its memory is not kept
        assert wait_hung_up(sock) == b""
        invitation, = calendar.wait_processed(1)
    assert json.loads(body)["body"].encode() == invitation.raw
    assert calendar.delivered[0].raw == body.encode()


def test_refusal_is_told(dovecot, endpoint, calendar):
    with nobody_else_notices(dovecot, endpoint, log_lines=0), \
            connect(dovecot) as sock:
        sock.sendall(HELLO_SESSION + notify_line(
            1, calendar, body=body_of(M), options=["bad"]))
        reply, = read_replies(sock, 1)
        assert reply.startswith("FAIL\t1\t")
        assert wait_hung_up(sock) == b""


def test_session_goes_on_after_large_ones(dovecot, endpoint, calendar):
    with nobody_else_notices(dovecot, endpoint, log_lines=0):
        for first in 1, 3:
            with connect(dovecot) as sock:
                sock.sendall(HELLO_SESSION + b"".join(
                    notify_line(seq, calendar, body=body_of(size))
                    for seq, size in ((first, M), (first + 1, 100))))
                assert read_replies(sock, 2) == [
                    "OK\t%d" % first, "OK\t%d" % (first + 1)]
                wait_hung_up(sock)
        calendar.wait_processed(4)


def test_many_at_once_take_turns(dovecot, endpoint, calendar):
    """Some clients have their turn and do not use it."""
    begin = notify_line(1, calendar, body=body_of(M))[:M // 2]
    with nobody_else_notices(dovecot, endpoint, log_lines=9), \
            contextlib.ExitStack() as stack:
        for n in range(8):
            sock = stack.enter_context(connect(dovecot))
            sock.sendall(HELLO_SESSION.replace(b"01234567", b"%08d" % n))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.send(begin)
        with connect(dovecot) as sock:
            sock.settimeout(60)
            sock.sendall(HELLO_SESSION +
                         notify_line(1, calendar, body=body_of(M)))
            assert read_replies(sock, 1) == ["OK\t1"]
        calendar.wait_processed(1)
    assert any("a long line takes too long" in line
               for line in dovecot.log_lines("http-notify: Error:"))


def test_slow_disk_is_not_its_fault(endpoint, calendar):
    with running_dovecot(driver(endpoint), "http_notify_sync = full",
                         extra=config.handoff_access()) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_queue_empty()
        with flushes_traced(dovecot, "-e",
                            "inject=fsync,fdatasync:delay_enter=7000000"), \
                connect(dovecot) as sock:
            sock.settimeout(60)
            sock.sendall(HELLO_SESSION + notify_line(
                1, calendar, body=body_of(M)))
            assert read_replies(sock, 1) == ["OK\t1"]
        assert not dovecot.log_lines("takes too long")
        calendar.wait_processed(1)


def test_too_large_is_refused(dovecot, endpoint, calendar):
    with nobody_else_notices(dovecot, endpoint, log_lines=1), \
            connect(dovecot) as sock:
        sock.sendall(HELLO)
        with contextlib.suppress(ConnectionError):
            sock.sendall(HELLO_SESSION[len(HELLO):] + notify_line(
                1, calendar, body=body_of(9 * M)))
        wait_hung_up(sock)
    assert not calendar.attempts
    error, = dovecot.wait_log("http-notify: Error:")
    assert "a line is too long" in error


def test_dead_endpoint_leaves_room_in_bytes(endpoint, calendar):
    calendar.status = 503
    size = len(body_of(M))
    with running_dovecot(
            driver(endpoint),
            "http_notify_queue_limit = 1000 %d" % (8 * size),
            extra=config.handoff_access()) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)

        def hand_off(seq):
            with connect(dovecot) as sock:
                sock.sendall(HELLO_SESSION + notify_line(
                    seq, calendar, body=body_of(M), user="user%d" % seq))
                return read_replies(sock, 1)[0]

        for seq in range(1, 7):
            assert hand_off(seq) == "OK\t%d" % seq
        refused = ("the endpoint's share of the queue is full in bytes "
                   "(http_notify_queue_limit = 1000 %d)" % (8 * size))
        for seq in 7, 8:
            assert hand_off(seq) == "FAIL\t%d\t%s" % (seq, refused)
        line, = dovecot.wait_log("has its share of the queue in bytes")
        assert calendar.authority in line
        dovecot.deliver("bob", message())
        endpoint.wait(2)

        def status():
            found = rows(dovecot, "status")
            return [(row["queued"], row["queued_bytes"], row["queued_percent"])
                    for row in found if row["queued"] > 0]
        assert status() == 2 * [(6, 6 * size, 75)]
        assert ("6 queued, %d bytes, 75%% of http_notify_queue_limit" %
                (6 * size)) in doveadm(dovecot, "check", "-u", "bob")
        # it finds the same in the queue
        dovecot.stop()
        dovecot.start()
        wait_for(lambda: status() == 2 * [(6, 6 * size, 75)],
                 what="all to be found")
        assert hand_off(9) == "FAIL\t9\t" + refused
        calendar.heal()
        calendar.wait_processed(6)
        wait_for(lambda: status() == [], what="nothing to be queued")
        assert hand_off(10) == "OK\t10"


@pytest.mark.skipif(SANITIZED, reason="sanitizers take more memory")
def test_burst_takes_little_memory(endpoint, calendar):
    """Of many mail processes, while the endpoint is down and after that."""
    count, clients = 120, 20
    calendar.status = 503

    def hand_off(number):
        for n in range(count // clients):
            with connect(dovecot) as sock:
                sock.settimeout(120)
                session = b"%016x%016x" % (number, n)
                sock.sendall(HELLO + b"SESSION\t" + session + b"\n" +
                             notify_line(1, calendar, body=body_of(M),
                                         user="user%d-%d" % (number, n)))
                assert read_replies(sock, 1) == ["OK\t1"]

    with running_dovecot(driver(endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        with nobody_else_notices(dovecot, endpoint, log_lines=10) as pid:
            before, most = rss(pid), 0
            threads = [threading.Thread(target=hand_off, args=(n,))
                       for n in range(clients)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                most = max(most, rss(pid))
            calendar.heal()

            def all_are_processed():
                nonlocal most
                most = max(most, rss(pid))
                return len(calendar.processed) == count
            wait_for(all_are_processed, timeout=300,
                     what="all to be processed")
            print("memory: %d MB, and %d MB for the burst" % (
                before // M, (most - before) // M))
            assert most - before < 80 * M
