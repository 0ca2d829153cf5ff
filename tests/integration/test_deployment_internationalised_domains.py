# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/internationalised-domains: logins and addresses in UTF-8."""

import grp
import imaplib
import json
import os
import socket
import subprocess

import pytest

from conftest import running_dovecot
from harness.config import VERSION
from harness.dovecot import MAIL_UID, PASSWORD, message
from harness.example import LINE, deploy, endpoint, example
from harness.listener import listener

HANS, HANS_A_LABEL = "hans@bücher.example", "hans@xn--bcher-kva.example"
JOERG, JOERG_A_LABEL = "jörg@bücher.example", "jörg@xn--bcher-kva.example"
JOERG_ASCII = "joerg@xn--bcher-kva.example"
SENDER = "sändér@bücher.example"

only_23 = pytest.mark.skipif(VERSION >= (2, 4), reason="what 2.3 lacks")
only_24 = pytest.mark.skipif(VERSION < (2, 4), reason="2.3 has no SMTPUTF8")


@pytest.fixture(scope="module")
def shared_node():
    node = endpoint()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def shared(shared_node):
    with running_dovecot(start=False) as dovecot:
        users = example(dovecot.dir, "internationalised-domains/users", {
            "/var/vmail": dovecot.dir / "home",
            ":vmail:vmail:": ":%d:%d:" % (MAIL_UID, MAIL_UID)}, mode=0o644)
        deploy(dovecot, "internationalised-domains/dovecot-%s.conf" % LINE, {
            "/etc/dovecot/users": users,
            "192.0.2.11": "127.0.0.1",
            "node1.example.com:8009": shared_node.authority},
            mode=0o644, before="auth_verbose = yes", any_login=False,
            any_user=False)
        yield dovecot


@pytest.fixture
def node(shared_node):
    shared_node.clear()
    return shared_node


@pytest.fixture
def mail_host(shared, node):
    """Nobody is registered."""
    for user in HANS, JOERG:
        shared.doveadm("http-notify", "unregister", "-u", user)
    shared.clear_log()
    yield shared
    assert not shared.log_lines("Error:"), shared.log()


def run(dovecot, *args):
    return listener("--allow-plaintext", "--server",
                    "imap://127.0.0.1:%d" % dovecot.imap_port, *args)


def register(dovecot, login, ox_user="3@1"):
    done = run(dovecot, "register", login, ox_user)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "%s: registered as user=%s\n" % (login, ox_user)


def lmtp_replies(dovecot, *commands):
    """To these bytes, after LHLO."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(dovecot.dir / "run/lmtp"))
        with sock.makefile("rb") as file:
            file.readline()
            for command in ("LHLO relay", *commands):
                sock.sendall((command + "\r\n").encode())
                reply = file.readline()
                while reply[3:4] == b"-":
                    reply = file.readline()
                yield reply.decode()


@pytest.mark.parametrize("login, other", [
    (HANS, HANS_A_LABEL), (HANS_A_LABEL, HANS),
    (JOERG, JOERG_A_LABEL), (JOERG_A_LABEL, JOERG)])
def test_registration_by_either_name(mail_host, login, other):
    register(mail_host, login)
    assert run(mail_host, "show", other).stdout == "user=3@1\n"
    # and for whoever looks on the mail host
    for name in login, other:
        listed = json.loads(mail_host.doveadm(
            "-f", "json", "http-notify", "list", "-u", name))
        assert [(row["user"], row["context"]) for row in listed] == [
            ("3", "1")]
    assert run(mail_host, "unregister", other).returncode == 0
    assert run(mail_host, "show", login).stdout == ""


def test_login_with_octets_in_a_literal(mail_host):
    """By LOGIN, as clients without SASL PLAIN do."""
    with imaplib.IMAP4("127.0.0.1", mail_host.imap_port) as imap:
        imap.send(b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (
            len(JOERG.encode()), JOERG.encode(),
            len(PASSWORD), PASSWORD.encode()))
        line = imap.readline()
        while line.startswith(b"*"):
            line = imap.readline()
        assert line.startswith(b"a OK")


def test_letters_of_other_scripts_are_let_in(mail_host):
    """To be looked up: there are no such users."""
    for login in ("θάνος@παράδειγμα.example", "иван@почта.example",
                  "用户@例子.example", "사용자@예제.example",
                  "يوسف@مثال.example", "योगेश@उदाहरण.example",
                  "ผู้ใช้@ตัวอย่าง.example"):
        mail_host.doveadm("user", login, status=os.EX_NOUSER)
        mail_host.wait_log(login, "unknown user")
    assert not mail_host.log_lines("disallowed")
    # but a path is not
    mail_host.doveadm("user", "../" + JOERG, status=os.EX_NOUSER)
    mail_host.wait_log("disallowed", "../" + JOERG)


# what is in the header is sent as it is
FROM = {
    "utf-8": "Jörg Ü <%s>" % SENDER,
    "a-label": "sender@xn--bcher-kva.example",
    "encoded word": "=?utf-8?q?J=C3=B6rg?= <sender@xn--bcher-kva.example>",
    "right to left": "يوسف <يوسف@مثال.example>",
    "beyond the BMP": "𐍈 \U0001f4e7 <𐍈@𐍈.example>",
}


@pytest.mark.parametrize("from_", FROM.values(), ids=list(FROM))
def test_from_and_subject_arrive_octet_for_octet(mail_host, node, from_):
    register(mail_host, HANS)
    mail_host.deliver(HANS_A_LABEL, message(
        from_=from_, subject="Grüße, 你好", body="Hällo"))
    request, = node.wait(1)
    assert request.pushed
    assert request.body["user"] == "3@1"
    for name, value in (("from", from_), ("subject", "Grüße, 你好"),
                        ("snippet", "Hällo")):
        assert request.body[name] == value
        # not by \u escapes either
        assert b'"%s":%s' % (name.encode(), json.dumps(
            value, ensure_ascii=False).encode()) in request.raw


def lda(dovecot, user, address, text):
    """As an MTA does for virtual users: dovecot-lda looks the user up."""
    return subprocess.run(
        [dovecot.dir / "libexec/dovecot-lda", "-c", dovecot.main, "-d", user,
         "-a", address, "-f", "sender@example.org"],
        input=text, encoding="utf-8", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, cwd=dovecot.dir, user=MAIL_UID,
        group=MAIL_UID, extra_groups=[grp.getgrnam("dovecot").gr_gid])


@pytest.mark.parametrize("login, address", [
    (HANS, HANS_A_LABEL), (JOERG, JOERG_ASCII)])
def test_one_mailbox_whatever_name_mail_comes_by(mail_host, node, login,
                                                 address):
    register(mail_host, login)
    mail_host.deliver(address, message(from_="Ü <%s>" % SENDER))
    for name in login, address:
        done = lda(mail_host, name, address, message())
        assert done.returncode == 0, done
    first, *others = node.wait(3)
    assert [r.uid for r in others] == [first.uid + 1, first.uid + 2]
    assert first.body["from"] == "Ü <%s>" % SENDER
    assert sorted(mail_host.dir.glob("home/*/*")) == sorted(
        mail_host.dir / "home/bücher.example" / name
        for name in ("hans", "jörg"))


def test_endpoints_that_know_users_by_their_address(mail_host, node):
    """Registered as another program does, not by numbers."""
    mail_host.doveadm("mailbox", "metadata", "set", "-u", HANS, "-s", "",
                      "/private/vendor/vendor.dovecot/http-notify",
                      "user=" + JOERG)
    mail_host.deliver(HANS_A_LABEL, message())
    request, = node.wait(1)
    assert b'"user":"%s"' % JOERG.encode() in request.raw


def test_an_outage_shows_by_the_name_of_the_mailbox(mail_host, node):
    register(mail_host, HANS)
    node.status = 503
    mail_host.deliver(HANS_A_LABEL, message())
    node.wait_attempts(1)
    queue = json.loads(mail_host.doveadm(
        "-f", "json", "http-notify", "queue", "-u", "*@bücher.example"))
    assert [row["username"] for row in queue] == [HANS]
    node.heal()
    mail_host.doveadm("http-notify", "flush", "-u", HANS)
    assert node.wait(1)[0].pushed


@only_24
def test_smtputf8(mail_host, node):
    register(mail_host, JOERG)
    mail_host.deliver(JOERG, message(from_="Ü <%s>" % SENDER),
                      sender=SENDER, options=["SMTPUTF8"])
    mail_host.deliver(JOERG_A_LABEL, message(), sender=SENDER,
                      options=["SMTPUTF8"])
    # no header From: the sender of the envelope
    mail_host.deliver(JOERG, "Subject: none\r\n\r\n", sender=SENDER,
                      options=["SMTPUTF8"])
    assert lda(mail_host, JOERG, JOERG, message()).returncode == 0
    requests = node.wait(4)
    assert all(r.pushed for r in requests)
    assert requests[0].body["from"] == "Ü <%s>" % SENDER
    assert requests[2].body["from"] == SENDER
    assert SENDER.encode() in requests[2].raw


@only_23
def test_what_does_not_work_with_23(mail_host):
    """The MTA is told, and bounces it."""
    *_, mail = lmtp_replies(mail_host, "MAIL FROM:<s@example.org> SMTPUTF8")
    assert mail.startswith("555 ")
    *_, mail, hans, joerg = lmtp_replies(
        mail_host, "MAIL FROM:<s@example.org>", "RCPT TO:<%s>" % HANS,
        "RCPT TO:<%s>" % JOERG_A_LABEL)
    assert mail.startswith("250 ")
    assert hans.startswith("501 ") and joerg.startswith("501 ")
    assert lda(mail_host, JOERG, JOERG, message()).returncode == os.EX_USAGE
