# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/many-servers: several mail servers, one OX."""

import concurrent.futures
import contextlib
import os
import pwd

import pytest

from conftest import running_dovecot
from harness.dovecot import message
from harness.example import LINE, deploy, endpoint, example

# of each server; every domain has the same users
DOMAINS = [["one.example", "two.example"], ["three.example", "four.example"]]
USERS = ["info", "alice"]
MESSAGES = 10
# one that there is on any machine
POPUSER = pwd.getpwnam("mail")


@pytest.fixture
def node1():
    node = endpoint()
    yield node
    node.stop()


@contextlib.contextmanager
def server(node1):
    with running_dovecot(start=False) as dovecot:
        mailnames = dovecot.dir / "mailnames"
        mailnames.mkdir()
        for path in mailnames, dovecot.dir / "lda.log":
            os.chown(path, POPUSER.pw_uid, POPUSER.pw_gid)
        netrc = example(dovecot.dir, "many-servers/netrc",
                        {"node1.example.com": "127.0.0.1"})
        os.chown(netrc, *pwd.getpwnam("dovecot")[2:4])
        # dovecot-lda has to read it
        deploy(dovecot, "many-servers/dovecot-%s.conf" % LINE, {
            "node1.example.com:8009": node1.authority,
            "192.0.2.11": "127.0.0.1",
            "popuser": POPUSER.pw_name,
            "/var/qmail/mailnames": mailnames,
            "/etc/dovecot/http-notify.netrc": netrc},
            mode=0o644, any_user=False,
            before="first_valid_uid = %d" % POPUSER.pw_uid)
        yield dovecot


@pytest.fixture
def servers(node1):
    with server(node1) as one, server(node1) as two:
        yield {one: DOMAINS[0], two: DOMAINS[1]}


def mailboxes(domains):
    return ["%s@%s" % (user, domain) for domain in domains for user in USERS]


def register_all(servers):
    """As one OX has it: a context for each domain, and users in it. Returns
    {address: USER@CONTEXT}."""
    registered = {}
    for dovecot, domains in servers.items():
        for context, domain in enumerate(domains, len(registered)):
            for user, name in enumerate(USERS):
                registered["%s@%s" % (name, domain)] = "%d@%d" % (user, context)
        dovecot.register({address: "user=" + registered[address]
                          for address in mailboxes(domains)})
    assert len(set(registered.values())) == len(registered)
    return registered


def deliver_to(dovecot, domains):
    """To each mailbox of a server in turn, by LMTP and by dovecot-lda."""
    for number in range(MESSAGES):
        for address in mailboxes(domains):
            if number % 2:
                result = dovecot.lda(address, message(subject=address),
                                     options=("-d", address),
                                     uid=POPUSER.pw_uid)
                assert result.returncode == 0, result.stdout
            else:
                dovecot.deliver(address, message(subject=address))


def deliver_everywhere(servers):
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(deliver_to, *zip(*servers.items())))


def check(requests, registered):
    """Each mailbox's notifications are all there, in order, and have its own
    user."""
    for address, user in registered.items():
        own = [r for r in requests if r.body["user"] == user]
        assert {r.body["subject"] for r in own} == {address}
        assert [r.uid for r in own] == list(range(1, MESSAGES + 1))
    assert len(requests) == len(registered) * MESSAGES
    assert all(r.pushed for r in requests)


def test_each_mailbox_is_who_it_is_in_ox(servers, node1):
    registered = register_all(servers)
    deliver_everywhere(servers)
    check(node1.wait(len(registered) * MESSAGES, 30), registered)
    for dovecot, domains in servers.items():
        for address in mailboxes(domains):
            user, domain = address.split("@")
            assert (dovecot.dir / "mailnames" / domain / user /
                    "dovecot-attributes").exists()


def test_outage_of_ox_is_sat_out_by_each_server(servers, node1):
    registered = register_all(servers)
    node1.stop()
    deliver_everywhere(servers)
    for dovecot in servers:
        dovecot.wait_log("Error: Endpoint %s is down" % node1.authority)
    node1.start()
    check(node1.wait(len(registered) * MESSAGES, 60), registered)
    for dovecot in servers:
        assert not dovecot.log_lines("Notification lost")


def test_address_in_other_case_is_the_same_mailbox(servers, node1):
    dovecot, *_ = servers
    registered = register_all(servers)
    dovecot.deliver("Alice@ONE.example", message())
    request, = node1.wait(1)
    assert request.body["user"] == registered["alice@one.example"]
