# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/single: one OX node, one Dovecot host."""

import socket

import pytest

from conftest import running_dovecot
from harness.doveadm import failed_check
from harness.dovecot import METADATA_ENTRY, PASSWORD, message
from harness.example import LINE, deploy, endpoint


@pytest.fixture
def node1():
    node = endpoint()
    yield node
    node.stop()


@pytest.fixture
def deployed(node1):
    with running_dovecot(start=False) as dovecot:
        deploy(dovecot, "single/dovecot-%s.conf" % LINE, {
            "node1.example.com:8009": node1.authority,
            "192.0.2.11": "127.0.0.1"})
        yield dovecot


def test_ox_registers_and_is_notified(deployed, node1):
    deployed.setmetadata("alice", "user=3@1")
    deployed.deliver(["alice", "nobody"], message("for Alice"))
    request, = node1.wait(1)
    assert request.pushed
    assert request.body["user"] == "3@1"
    assert request.body["subject"] == "for Alice"


def answers(dovecot, address, *commands):
    """What IMAP says to the last of these, to a client with this address."""
    with socket.create_connection(("127.0.0.1", dovecot.imap_port), 10,
                                  (address, 0)) as sock:
        file = sock.makefile("rwb")
        for command in commands:
            file.write(b"x %s\r\n" % command.encode())
            file.flush()
            said = []
            while not said or not said[-1].startswith("x "):
                said.append(file.readline().decode())
        return said


@pytest.mark.parametrize("address, is_ox", [
    ("127.0.0.1", True), ("127.0.0.2", False)])
def test_only_ox_registers(deployed, address, is_ox):
    login = "LOGIN mallory " + PASSWORD
    capabilities = answers(deployed, address, login, "CAPABILITY")[-2].split()
    assert "IDLE" in capabilities
    assert ("METADATA" in capabilities) == is_ox
    answer = answers(deployed, address, login,
                     'SETMETADATA "" (%s "user=6@1")' % METADATA_ENTRY)[-1]
    assert answer.startswith("x OK" if is_ox else "x NO")


def test_commands_of_the_page(deployed, node1):
    deployed.setmetadata("bob", "user=4@1")
    deployed.deliver("bob", message())
    node1.wait(1)
    # nothing is delivered by dovecot-lda
    assert list(failed_check(deployed, "-r", "127.0.0.1")) == [
        "hand-off by lda"]
    checked = len(node1.delivered)
    deployed.doveadm("http-notify", "test", "-u", "bob")
    *_, request = node1.wait(checked + 1)
    assert request.pushed and request.body["user"] == "4@1"
    assert node1.authority in deployed.doveadm("http-notify", "status")


def test_an_outage_delays_notifications_only(deployed, node1):
    deployed.setmetadata("carol", "user=5@1")
    node1.stop()
    for _ in range(5):
        assert deployed.deliver("carol", message()) < 15
    deployed.wait_log("Error: Endpoint %s is down" % node1.authority)
    assert "carol" in deployed.doveadm("http-notify", "queue")
    node1.start()
    requests = node1.wait(5)
    assert [r.uid for r in requests] == [1, 2, 3, 4, 5]
    deployed.wait_log("Info: Endpoint %s is up again" % node1.authority)
    assert not deployed.log_lines("Notification lost")
