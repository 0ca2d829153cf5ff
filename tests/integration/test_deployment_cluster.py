# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/cluster and balancer: two OX nodes."""

import contextlib

import pytest

from conftest import running_dovecot
from harness.dovecot import free_port, message, wait_for
from harness.example import LINE, deploy, endpoint, example
from harness.haproxy import haproxy

USERS = ["alice", "bob", "carol"]


@pytest.fixture
def nodes():
    nodes = [endpoint(), endpoint()]
    yield nodes
    for node in nodes:
        node.stop()


class Cluster:
    """Two nodes, and what is delivered to a Dovecot that knows them."""

    def __init__(self, dovecot, nodes):
        self.dovecot, self.nodes = dovecot, nodes
        self.delivered = 0
        dovecot.register({user: "user=%d@1" % number
                          for number, user in enumerate(USERS)})

    def deliver(self, rounds=1):
        for _ in range(rounds):
            # no hand-off waits for as long as it might
            assert self.dovecot.deliver(USERS, message()) < 15
            self.delivered += 1

    def arrived(self):
        return sorted((r for node in self.nodes for r in node.delivered),
                      key=lambda r: r.time)

    def wait_all(self):
        """All that was delivered arrives, once, and in order."""
        wait_for(lambda: len(self.arrived()) >= len(USERS) * self.delivered,
                 what="the notifications")
        for number in range(len(USERS)):
            assert [r.uid for r in self.arrived()
                    if r.body["user"] == "%d@1" % number] == list(
                        range(1, self.delivered + 1))
        assert not self.dovecot.log_lines("Notification lost")


def stops(node):
    node.stop()


def hangs(node):
    node.hang = True


def comes_back(node):
    if node.server is None:
        node.start()
    else:
        node.heal()


@pytest.mark.parametrize("fault", [stops, hangs])
def test_hot_standby(nodes, fault):
    node1, node2 = nodes
    with running_dovecot(start=False) as dovecot:
        deploy(dovecot, "cluster/dovecot-%s.conf" % LINE, {
            "node1.example.com:8009": node1.authority,
            "node2.example.com:8009": node2.authority,
            "192.0.2.11": "127.0.0.1", "192.0.2.12": "127.0.0.2"})
        cluster = Cluster(dovecot, nodes)
        cluster.deliver()
        cluster.wait_all()
        assert not node2.attempts

        fault(node1)
        cluster.deliver(10)
        cluster.wait_all()
        assert len(node2.delivered) == 10 * len(USERS)
        dovecot.wait_log("Error: Endpoint " + node1.authority)

        comes_back(node1)

        def is_back():
            cluster.deliver()
            cluster.wait_all()
            return dovecot.log_lines(
                "Info: Endpoint %s is up again" % node1.authority)
        wait_for(is_back, 90, "node1 to be used again")
        before = len(node2.attempts)
        cluster.deliver(10)
        cluster.wait_all()
        assert len(node2.attempts) == before


@contextlib.contextmanager
def balanced(nodes):
    with running_dovecot(start=False) as dovecot:
        port = free_port()
        balancer = "127.0.0.1:%d" % port
        sections = example(dovecot.dir, "balancer/haproxy.cfg", {
            "balancer.example.com:8009": balancer,
            "node1.example.com:8009": nodes[0].authority,
            "node2.example.com:8009": nodes[1].authority})
        with haproxy(sections, port):
            deploy(dovecot, "balancer/dovecot-%s.conf" % LINE, {
                "balancer.example.com:8009": balancer,
                "192.0.2.11": "127.0.0.1", "192.0.2.12": "127.0.0.2"})
            yield Cluster(dovecot, nodes)


@pytest.mark.parametrize("fault", [stops, hangs])
@pytest.mark.parametrize("which", [0, 1])
def test_balancer(nodes, fault, which):
    """One node's outage is not seen by the mail server at all."""
    node, other = nodes[which], nodes[1 - which]
    with balanced(nodes) as cluster:
        cluster.deliver(4)
        cluster.wait_all()
        assert node.delivered and other.delivered

        fault(node)
        before = len(other.delivered)
        cluster.deliver(20)
        cluster.wait_all()
        assert len(other.delivered) == before + 20 * len(USERS)

        comes_back(node)
        before = len(node.delivered)

        def is_back():
            cluster.deliver()
            cluster.wait_all()
            return len(node.delivered) > before
        wait_for(is_back, what="the node to be used again")
        assert not cluster.dovecot.log_lines("Endpoint ")


def test_balancer_without_a_node(nodes):
    with balanced(nodes) as cluster:
        stops(nodes[0])
        hangs(nodes[1])
        cluster.deliver(5)
        cluster.dovecot.wait_log("Error: Endpoint ")
        comes_back(nodes[1])
        cluster.wait_all()
