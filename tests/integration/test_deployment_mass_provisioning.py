# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/mass-provisioning: registrations from a list, by the command
of the shipped systemd unit and of the shipped line for cron."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import time

import pytest

from conftest import running_dovecot
from harness.config import Driver, config
from harness.dovecot import MAIL_UID, PASSWORD, message
from harness.example import EXAMPLES, LINE, deploy, endpoint, example
from harness.listener import executable

HERE = "mass-provisioning/"
HOST = "192.0.2.20"


@pytest.fixture
def node():
    node = endpoint()
    yield node
    node.stop()


class Site:
    """A mail server with the mailboxes that were set, and a host with the
    list."""

    def __init__(self, dovecot, how, certificates, node, address="127.0.0.1"):
        """address: from where the master user may log in."""
        self.dovecot, self.how, self.node = dovecot, how, node
        self.certificates = certificates
        self.dir = dovecot.dir / "http-notify-sync"
        self.dir.mkdir()
        self.passwd, self.written = dovecot.dir / "users", 0
        self.exist({})
        masters = example(dovecot.dir, HERE + "http-notify-masters",
                          {HOST: address}, mode=0o644)
        deploy(dovecot, HERE + "dovecot-%s.conf" % LINE, {
            HOST: "127.0.0.1",
            "/etc/dovecot/http-notify-masters": masters},
            any_login=False, any_user=False, before="\n".join([
                config.tls(*certificates["good"]),
                config.logins_of(self.passwd), config.users_of(self.passwd),
                config.drivers(Driver(node.url))]))
        (self.dir / "password").write_text("change-me\n")
        (self.dir / "password").chmod(0o600)

    def exist(self, mailboxes):
        """Mailboxes: {login: name of the home}."""
        self.passwd.write_text("".join(
            "%s:{PLAIN}%s:%d:%d::%s\n" % (
                login, PASSWORD, MAIL_UID, MAIL_UID,
                self.dovecot.dir / "home" / home)
            for login, home in mailboxes.items()))
        # Dovecot reads it again if it is of another time, and looks once a
        # second
        self.written += 1
        os.utime(self.passwd, (self.written, self.written))
        if self.dovecot.process is not None:
            time.sleep(1.1)
        self.lists(mailboxes)

    def lists(self, mailboxes):
        (self.dir / "mailboxes").write_text(
            "".join(login + "\n" for login in mailboxes))

    def users(self, *lines):
        (self.dir / "users.csv").write_text(
            "".join(line + "\n" for line in ("login,user,context", *lines)))

    def run(self):
        """As systemd or cron would; returns the exit status, what was said on
        the standard error, and the report: {login: (outcome, reason)}."""
        done = subprocess.run(
            self.how(self), stdin=subprocess.DEVNULL, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        assert "change-me" not in done.stdout + done.stderr
        # of cron's line, nothing is to be mailed if all is well
        if self.how is cron:
            assert done.stdout == ""
        with open(self.dir / "report.csv", newline="") as file:
            report = {row["login"]: (row["outcome"], row["reason"])
                      for row in csv.DictReader(file)}
        return done.returncode, done.stderr, report

    def pushed(self, login):
        """As whom one more message is announced; None: it is not."""
        before = len(self.node.delivered)
        self.dovecot.deliver(login, message())
        self.dovecot.wait_queue_empty()
        requests = self.node.delivered[before:]
        assert all(r.pushed for r in requests) and len(requests) <= 1
        return requests[0].body["user"] if requests else None

    @property
    def url(self):
        # localhost: a name that is in the certificate
        return "imap://localhost:%d" % self.dovecot.imap_port


def replaced(site, text, replacements):
    """By a host's own names, and with the CA of these tests."""
    for name, value in replacements.items():
        assert name in text, name
        text = text.replace(name, str(value))
    return text.replace(" sync ", " --ca-file=%s sync " % (
        site.certificates["ca"]))


def systemd(site):
    unit = (EXAMPLES / HERE / "http-notify-sync.service").read_text()
    command, = re.findall("^ExecStart=((?:.*\\\\\n)*.*)$", unit, re.M)
    assert "LoadCredential=password:/etc/http-notify-sync/password" in unit
    return shlex.split(replaced(site, command, {
        "\\\n\t": "", "/usr/bin/http-notify-listener": executable(),
        "imaps://mail.example.com": site.url,
        "%d": site.dir, "%S/http-notify-sync": site.dir,
        "/etc/http-notify-sync": site.dir}))


def cron(site):
    table = (EXAMPLES / HERE / "http-notify-sync.cron").read_text()
    line, = re.findall(r"^\*/15 \* \* \* \* http-notify-sync (.*)$", table,
                       re.M)
    return ["/bin/sh", "-c", replaced(site, line, {
        " http-notify-listener": " %s" % executable(),
        "imaps://mail.example.com": site.url,
        "/var/lib/http-notify-sync": site.dir,
        "/etc/http-notify-sync": site.dir})]


@pytest.fixture(params=[systemd, cron])
def site(request, certificates, node):
    with running_dovecot(start=False) as dovecot:
        yield Site(dovecot, request.param, certificates, node)
        # 2.4's processes say this when it is stopped
        assert not [line for line in dovecot.log_lines("Error:")
                    if "stats-writer" not in line]


def test_users_come_change_and_go(site):
    site.exist({"%s@example.com" % name: name
                for name in ("alice", "bob", "carol")})
    # the files as they are shipped
    for name in "users.csv", "mailboxes":
        shutil.copy(EXAMPLES / HERE / name, site.dir / name)
    assert site.run() == (0, "", {
        "alice@example.com": ("registered", ""),
        "bob@example.com": ("registered", ""),
        "carol@example.com": ("unchanged", "")})
    assert site.pushed("alice@example.com") == "3@1"
    assert site.pushed("bob@example.com") == "4@1"
    assert site.pushed("carol@example.com") is None

    status, said, report = site.run()
    assert (status, said) == (0, "")
    assert {outcome for outcome, _ in report.values()} == {"unchanged"}

    site.users("bob@example.com,14,2", "carol@example.com,5,1")
    assert site.run() == (0, "", {
        "alice@example.com": ("unregistered", "was user=3@1"),
        "bob@example.com": ("changed", "was user=4@1"),
        "carol@example.com": ("registered", "")})
    assert site.pushed("alice@example.com") is None
    assert site.pushed("bob@example.com") == "14@2"
    assert site.pushed("carol@example.com") == "5@1"


@pytest.mark.parametrize("homes_move", [False, True])
def test_a_domain_is_renamed(site, homes_move):
    site.exist({"alice@old.example": "alice", "bob@old.example": "bob"})
    site.users("alice@old.example,3,1", "bob@old.example,4,1")
    assert site.run()[0] == 0

    site.users("alice@new.example,3,1", "bob@new.example,4,1")
    site.exist({"alice@new.example": "alice2" if homes_move else "alice",
                "bob@new.example": "bob"})
    assert site.run() == (0, "", {
        "alice@new.example":
            ("registered" if homes_move else "unchanged", ""),
        "bob@new.example": ("unchanged", "")})
    assert site.pushed("alice@new.example") == "3@1"
    assert site.pushed("bob@new.example") == "4@1"


def test_what_fails_is_told_and_the_rest_is_done(site):
    site.exist({"alice@example.com": "alice", "bob@example.com": "bob",
                "dave@example.com": "dave"})
    # still in the list, but not on the mail server
    site.lists(["alice@example.com", "gone@old.example"])
    site.users("alice@example.com,3,1", "not.there@example.com,4,1",
               "bob@example.com,04,1", "dave@example.com,6,1")
    status, said, report = site.run()
    assert status == 1
    assert report.pop("alice@example.com") == ("registered", "")
    assert report.pop("dave@example.com") == ("registered", "")
    for login, why in (("not.there@example.com", "login refused"),
                       ("gone@old.example", "login refused"),
                       ("bob@example.com", "line 4")):
        outcome, reason = report.pop(login)
        assert outcome == "failed" and why in reason
        # this is what cron mails
        assert re.search("^%s: .*%s" % (re.escape(login), why), said, re.M)
    assert not report
    assert site.pushed("dave@example.com") == "6@1"

    site.lists([])
    site.users("alice@example.com,3,1", "dave@example.com,6,1")
    assert site.run()[:2] == (0, "")


def test_an_empty_list_is_an_accident(site):
    site.exist({"alice@example.com": "alice"})
    site.users("alice@example.com,3,1")
    assert site.run()[0] == 0
    (site.dir / "users.csv").write_text("")
    site.run()
    assert site.pushed("alice@example.com") == "3@1"


def test_a_mail_server_that_is_down(site):
    site.exist({"alice@example.com": "alice"})
    site.users("alice@example.com,3,1")
    site.dovecot.stop()
    status, said, report = site.run()
    assert status == 1
    assert report["alice@example.com"][0] == "failed"
    assert "alice@example.com: " in said
    site.dovecot.start()
    assert site.run() == (0, "", {"alice@example.com": ("registered", "")})


def test_the_master_user_from_elsewhere_is_refused(certificates, node):
    with running_dovecot(start=False) as dovecot:
        site = Site(dovecot, systemd, certificates, node, "127.0.0.9")
        site.exist({"alice@example.com": "alice"})
        site.users("alice@example.com,3,1")
        status, _, report = site.run()
        assert status == 1
        outcome, reason = report["alice@example.com"]
        assert outcome == "failed" and "login refused" in reason


def test_a_run_that_is_under_way_is_left_alone(certificates, node):
    with running_dovecot(start=False) as dovecot:
        site = Site(dovecot, cron, certificates, node)
        site.users()
        with subprocess.Popen(
                ["flock", site.dir / "lock", "cat"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE) as other:
            other.stdin.write(b"\n")
            other.stdin.flush()
            assert other.stdout.read(1) == b"\n"  # it has the lock
            done = subprocess.run(cron(site), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            assert done.stdout == b""
            assert not (site.dir / "report.csv").exists()
            other.stdin.close()
        assert site.run()[0] == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None,
                    reason="no systemd-analyze")
class TestUnits:
    @pytest.fixture
    def units(self, tmp_path):
        for name in "http-notify-sync.service", "http-notify-sync.timer":
            text = (EXAMPLES / HERE / name).read_text()
            (tmp_path / name).write_text(text.replace(
                "/usr/bin/http-notify-listener", str(executable())))
        return sorted(tmp_path.iterdir())

    def analyze(self, *args):
        done = subprocess.run(
            ["systemd-analyze", *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8")
        return done.returncode, done.stdout

    def test_units_are_well_formed(self, units):
        assert self.analyze("verify", "--man=no", *units) == (0, "")
        # it would have found something
        service = units[0]
        service.write_text(service.read_text() + "ProtectHome=perhaps\n")
        assert "perhaps" in self.analyze("verify", "--man=no", service)[1]

    def test_the_service_may_do_little(self, units):
        """An exposure of 2.0 at most, of 10."""
        status, said = self.analyze("security", "--offline=yes",
                                    "--threshold=20", units[0])
        assert status == 0, said
