# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/shared-dictionary: backends behind a proxy, which all have
the same registrations."""

import contextlib
import imaplib
import socket

import pytest

from conftest import running_dovecot
from harness.config import block, config
from harness.dovecot import (METADATA_ENTRY, PASSWORD, free_port, message,
                             wait_for)
from harness.example import EXAMPLES, LINE, deploy, endpoint, example
from harness.postgresql import postgresql
from harness.redis import redis

HERE = "shared-dictionary/"
BOB = "bob@example.com"
# where OX comes from, and the proxy
OX, PROXY = "127.0.0.9", "127.0.0.1"
# instead of ssh, which starts a program without this one's environment, too
THERE = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
# options of doveadm: METADATA does not move, it is there
NO_METADATA = ["-o", "mail_attribute_dict=" if LINE == "2.3"
               else "mail_attribute/dict="]


@pytest.fixture
def node():
    node = endpoint()
    yield node
    node.stop()


class InPostgreSQL:
    def __init__(self, server):
        self.server = server
        self.server.execute("-c", "CREATE DATABASE dovecot",
                            database="postgres")
        self.server.execute("-c", (EXAMPLES / HERE / "schema.sql").read_text())

    def files(self, directory):
        replacements = {"192.0.2.30": "127.0.0.1", "5432": self.server.port}
        if LINE != "2.3":
            return "postgresql-%s.conf" % LINE, replacements
        file = example(directory, HERE + "postgresql-2.3.conf.ext",
                       replacements, mode=0o644)
        return "postgresql-2.3.conf", {
            "/etc/dovecot/http-notify-postgresql.conf.ext": file}

    @contextlib.contextmanager
    def hangs(self):
        """Somebody holds a lock."""
        with self.server.session(
                "BEGIN; LOCK TABLE metadata IN ACCESS EXCLUSIVE MODE;") as it:
            yield
            it.stdin.close()

    def registrations(self):
        return self.server.execute(
            "-c", "SELECT username, value FROM metadata "
            "WHERE name LIKE '%/vendor/vendor.dovecot/http-notify'")


class InRedis:
    def __init__(self, server):
        self.server = server

    def files(self, directory):
        return "redis-%s.conf" % LINE, {
            "192.0.2.30": "127.0.0.1", "6379": self.server.port}

    @contextlib.contextmanager
    def hangs(self):
        self.server.hang()
        try:
            yield
        finally:
            self.server.hang(False)

    def registrations(self):
        return "".join(
            "%s|%s" % (key.split("/")[1], self.server.command("GET", key))
            for key in self.server.command("KEYS", "dovecot/*").splitlines()
            if key.endswith("/vendor/vendor.dovecot/http-notify"))



@pytest.fixture
def in_postgresql():
    with postgresql() as server:
        yield InPostgreSQL(server)


@pytest.fixture
def in_redis():
    with redis("secret") as server:
        yield InRedis(server)


@pytest.fixture(params=["in_postgresql", "in_redis"])
def dictionary(request):
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def backend(dictionary, node):
    with running_dovecot(start=False) as dovecot:
        dovecot.lmtp_port = free_port()
        file, replacements = dictionary.files(dovecot.dir)
        # there is no such group
        group = "mode = 0660\n    group = vmail"
        if group in (EXAMPLES / HERE / file).read_text():
            replacements[group] = "mode = 0666"
        deploy(dovecot, HERE + file, dict(replacements, **{
            "192.0.2.11": OX, "192.0.2.40": PROXY,
            "node1.example.com:8009": node.authority}),
            before=block("service lmtp", config.tcp_listener(
                "lmtp", dovecot.lmtp_port)))
        yield dovecot


class Proxy:
    def __init__(self, dovecot):
        self.dovecot = dovecot
        dovecot.configure(
            dictionary="", imap_metadata="", any_login=False, any_user=False,
            auth=config.proxied_by(dovecot.dir / "proxied"))

    def send_to(self, backend, users=(BOB,)):
        for protocol, port in (("imap", backend.imap_port),
                               ("lmtp", backend.lmtp_port)):
            (self.dovecot.dir / ("proxied." + protocol)).write_text("".join(
                "%s:::::::proxy=y nopassword=y host=127.0.0.1 port=%d\n" % (
                    user, port) for user in users))

    @contextlib.contextmanager
    def imap(self, user=BOB, address=OX):
        class From(imaplib.IMAP4):
            def _create_socket(self, timeout):
                return socket.create_connection(
                    (self.host, self.port), 60, (address, 0))

        with From("127.0.0.1", self.dovecot.imap_port) as imap:
            imap.login(user, PASSWORD)
            yield imap

    def register(self, ox_user, user=BOB):
        """As OX does."""
        with self.imap(user) as imap:
            assert b"METADATA" in imap.capability()[1][0]
            status, data = imap.xatom(
                "SETMETADATA", '"" (%s "user=%s")' % (METADATA_ENTRY, ox_user))
            assert status == "OK", data


@pytest.fixture
def site(dictionary, node):
    """The dictionary, the proxy, and two backends."""
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(backend(dictionary, node))
                    for _ in range(2)]
        proxy = stack.enter_context(running_dovecot(start=False, builtin=True))
        yield dictionary, Proxy(proxy), backends


def test_who_moves_to_another_backend_keeps_the_push(site, node):
    dictionary, proxy, (first, second) = site
    proxy.send_to(first)
    proxy.dovecot.start()
    proxy.register("3@1")
    assert dictionary.registrations() == "%s|user=%s\n" % (BOB, "3@1")
    proxy.dovecot.deliver(BOB, message(subject="one"))
    request, = node.wait(1)
    assert request.pushed
    assert (request.body["user"], request.body["subject"]) == ("3@1", "one")

    # the mailbox is copied, and from now on is there
    first.doveadm(*NO_METADATA, "backup", "-u", BOB,
                  *THERE, "doveadm", "-c", second.main, *NO_METADATA,
                  "dsync-server", "-u", BOB)
    proxy.send_to(second)
    proxy.dovecot.wait_reload("auth", "lmtp", "imap-login")
    proxy.dovecot.deliver(BOB, message(subject="two"))
    request = node.wait(2)[1]
    assert request.pushed
    assert (request.body["user"], request.body["subject"]) == ("3@1", "two")
    assert request.uid == 2
    second.wait_log("saved mail to INBOX")
    assert dictionary.registrations() == "%s|user=%s\n" % (BOB, "3@1")

    # what changes there holds here, too
    proxy.register("4@1")
    proxy.dovecot.deliver(BOB, message())
    assert node.wait(3)[2].body["user"] == "4@1"
    assert dictionary.registrations() == "%s|user=%s\n" % (BOB, "4@1")


def outage(dictionary, kind):
    if kind == "hangs":
        return dictionary.hangs()
    dictionary.server.stop()
    return contextlib.ExitStack()


@pytest.mark.parametrize("kind", ["hangs", "down"])
def test_mail_is_delivered_without_the_dictionary(site, node, kind):
    """And comes without push, which the log says."""
    dictionary, proxy, (backend, _) = site
    proxy.send_to(backend)
    proxy.dovecot.start()
    proxy.register("3@1")
    proxy.dovecot.deliver(BOB, message())
    node.wait(1)
    with outage(dictionary, kind):
        seconds = proxy.dovecot.deliver(BOB, message())
        # what deploy() says, which limits look-ups, too; Dovecot's own limit
        # is 30 s
        assert seconds < 20
        assert backend.wait_log("http-notify can't be read, no notification")
    if kind == "down":
        dictionary.server.start()

    def pushed_again():
        proxy.dovecot.deliver(BOB, message())
        backend.wait_queue_empty()
        return len(node.delivered) > 1
    wait_for(pushed_again, what="the dictionary")
    assert node.delivered[-1].body["user"] == "3@1"


def test_only_ox_may_register(site):
    _, proxy, (backend, _) = site
    proxy.send_to(backend)
    proxy.dovecot.start()
    with proxy.imap(address="127.0.0.8") as imap:
        assert b"METADATA" not in imap.capability()[1][0]
