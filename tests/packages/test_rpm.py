# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed RPM package, with the Dovecot of the system.

rpm.sh runs this where nothing of it lasts, and where nothing else runs. rpm
knows nothing of what dpkg has installed, so that it is told to look away.
"""

import os
import pathlib
import re
import shutil
import smtplib
import stat
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import manuals  # noqa: E402
from harness.dovecot import message, wait_for  # noqa: E402
from harness.endpoint import Endpoint  # noqa: E402

PACKAGE = os.environ["HTTP_NOTIFY_RPM"]
UPGRADE = os.environ["HTTP_NOTIFY_RPM_UPGRADE"]
CONFIG = pathlib.Path("/etc/dovecot/conf.d/90-http-notify.conf")
SAVED = CONFIG.with_name(CONFIG.name + ".rpmsave")
QUEUE = pathlib.Path("/var/lib/dovecot/http-notify")
LOG = pathlib.Path("/var/log/dovecot.log")
RELOADS = pathlib.Path("/run/reloads")

SITE = """
ssl = no
log_path = %s
first_valid_uid = 1
first_valid_gid = 1
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
""" % LOG
# What the lines of Dovecot have different words for: the site's configuration,
# and what an admin adds to the package's.
SITE_OF = {
    "2.3": """
mail_location = maildir:~/Maildir
mail_attribute_dict = file:%h/dovecot-attributes
userdb {
  driver = static
  args = uid=mail gid=mail home=/var/vmail/%u allow_all_users=yes
}
""",
    "2.4": """
mail_driver = maildir
mail_path = ~/Maildir
mail_inbox_path =
mail_attribute {
  dict file {
    path = %{home}/dovecot-attributes
  }
}
userdb static {
  userdb_static_allow_all_users = yes
  fields {
    uid = mail
    gid = mail
    home = /var/vmail/%{user}
  }
}
"""}
ELSEWHERE = CONFIG.with_name("95-elsewhere.conf")
BUILT_IN = manuals.TOP / "doc/built-in-driver.md"
ENDPOINT = {
    "2.3": "plugin {\n  push_notification_driver = ox:url=%s\n}\n",
    "2.4": "push_notification ox {\n  push_notification_ox_url = %s\n}\n"}

# There is no systemd here. This does what it is asked for: what dovecot.service
# says to a Dovecot that runs, nothing otherwise.
SYSTEMCTL = """#!/bin/sh
test "$*" = "try-reload-or-restart dovecot.service" || exit 1
test -e /run/dovecot/master.pid || exit 0
echo reload >>%s
exec $(sed -n s/^ExecReload=//p /lib/systemd/system/dovecot.service)
""" % RELOADS




def run(*command, input=""):
    result = subprocess.run(command, input=input, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, universal_newlines=True)
    assert result.returncode == 0, (command, result.stdout)
    return result.stdout


def pids(name):
    return set(subprocess.run(["pidof", name], stdout=subprocess.PIPE,
                              universal_newlines=True).stdout.split())


def run_reloading(*command):
    """Until the process that knows the users has gone: it might answer a last
    question by hanging up."""
    before = pids("auth")
    output = run(*command)
    wait_for(lambda: not before & pids("auth"), what="the reload")
    return output


def rpm(*args):
    return run_reloading("rpm", "--nodeps", *args)


def line():
    """2.3 or 2.4"""
    return run("dovecot", "--version")[:3]


def is_installed():
    return not subprocess.call(["rpm", "-q", "--quiet", "dovecot-http-notify"])


@pytest.fixture(autouse=True)
def system():
    """A mail server without the package, not started."""
    systemctl = pathlib.Path("/usr/bin/systemctl")
    systemctl.unlink(missing_ok=True)
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    (CONFIG.parent / "99-site.conf").write_text(SITE + SITE_OF[line()])
    # names a certificate that not every machine has
    (CONFIG.parent / "10-ssl.conf").write_text("")
    pathlib.Path("/var/vmail").mkdir(exist_ok=True)
    shutil.chown("/var/vmail", "mail", "mail")
    yield
    ELSEWHERE.unlink(missing_ok=True)
    if is_installed():
        rpm("-e", "dovecot-http-notify")
    for path in (SAVED, LOG, RELOADS, ELSEWHERE):
        path.unlink(missing_ok=True)
    for path in (QUEUE, "/var/vmail"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def dovecot():
    """It runs."""
    process = subprocess.Popen(["dovecot", "-F"])
    try:
        # it listens, but until it has written this a signal is lost on it
        wait_for(lambda: LOG.exists() and "starting up" in LOG.read_text(),
                 what="Dovecot's start")
        yield
        print(LOG.read_text())
        process.terminate()
        process.wait(20)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


def reloads():
    return len(RELOADS.read_text().splitlines()) if RELOADS.exists() else 0


def url(endpoint):
    """As this line's configuration has it; 2.3 wants a % twice."""
    return endpoint.url.replace("%", "%%" if line() == "2.3" else "%")


def add_endpoint(endpoint):
    """What the admin has to do, and a user's registration."""
    CONFIG.write_text(CONFIG.read_text() + ENDPOINT[line()] % url(endpoint))
    run_reloading("doveadm", "reload")
    # the process that knows the users may be one that is just ending, if two
    # reloads follow each other
    wait_for(lambda: subprocess.call(
        ["doveadm", "http-notify", "register", "-u", "bob", "3@1"]) == 0,
        what="the registration")


def deliver(*subjects):
    with smtplib.LMTP("/run/dovecot/lmtp", timeout=60) as lmtp:
        for subject in subjects:
            lmtp.sendmail("alice@example.org", "bob", message(subject))


def delivered():
    """What is in the user's mailbox."""
    return run("doveadm", "-f", "flow", "fetch", "-u", "bob",
               "hdr.subject", "all").split()


def subjects(requests):
    return [request.body["subject"] for request in requests]


def test_a_new_install_changes_nothing_until_an_endpoint_is_named(
        dovecot, endpoint):
    rpm("-i", PACKAGE)
    assert reloads() == 1
    wait_for(lambda: pids("http-notify"), what="the reload")
    deliver("before")
    assert endpoint.attempts == []

    add_endpoint(endpoint)
    deliver("after")
    assert subjects(endpoint.wait(1)) == ["after"]
    assert not re.search("Error|Fatal|Panic", LOG.read_text())


def test_the_queue_is_the_services_alone(dovecot):
    rpm("-i", PACKAGE)
    status = QUEUE.stat()
    assert QUEUE.owner() == QUEUE.group() == "dovecot"
    assert stat.S_IMODE(status.st_mode) == 0o700
    wait_for((QUEUE / "queue.sqlite").exists)


def test_an_upgrade_keeps_the_queue_and_the_configuration(dovecot, endpoint):
    rpm("-i", PACKAGE)
    add_endpoint(endpoint)
    endpoint.stop()
    sent = ["message%d" % number for number in range(50)]
    deliver(*sent)
    configuration, service = CONFIG.read_text(), pids("http-notify")

    rpm("-U", UPGRADE)
    assert reloads() == 2
    assert CONFIG.read_text() == configuration
    assert list(CONFIG.parent.glob("*.rpm*")) == []
    wait_for(lambda: pids("http-notify") - service, what="the new service")

    endpoint.start()
    run("doveadm", "http-notify", "flush")
    assert subjects(endpoint.wait(50)) == sent


def test_mail_is_delivered_after_removal(dovecot, endpoint):
    rpm("-i", PACKAGE)
    add_endpoint(endpoint)
    endpoint.stop()
    deliver("before")

    rpm("-e", "dovecot-http-notify")
    assert reloads() == 2
    assert not CONFIG.exists()
    assert url(endpoint) in SAVED.read_text()
    assert "http_notify" not in run("doveconf")
    deliver("by-lmtp")
    run("/usr/lib/dovecot/dovecot-lda", "-d", "bob", input=message("by-lda"))
    assert delivered() == ["hdr.subject=" + subject for subject in
                           ("before", "by-lmtp", "by-lda")]
    assert "Fatal" not in LOG.read_text()

    # What was queued is there when the package is, with its configuration.
    rpm("-i", PACKAGE)
    SAVED.rename(CONFIG)
    endpoint.start()
    run_reloading("doveadm", "reload")
    assert subjects(endpoint.wait(1)) == ["before"]


def test_removal_is_refused_while_there_are_settings_elsewhere(
        dovecot, endpoint):
    rpm("-i", PACKAGE)
    add_endpoint(endpoint)
    configuration = CONFIG.read_text()
    ELSEWHERE.write_text(
        "\nprotocol lmtp {\n  mail_plugins%s http_notify\n}\n" % (
            " = $mail_plugins" if line() == "2.3" else "/http_notify = yes\n#"))
    run_reloading("doveadm", "reload")
    refusal = subprocess.run(
        ["rpm", "--nodeps", "-e", "dovecot-http-notify"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert refusal.returncode != 0
    assert "%s:3: mail_plugins" % ELSEWHERE in refusal.stdout
    assert is_installed()
    assert CONFIG.read_text() == configuration
    deliver("after")
    assert subjects(endpoint.wait(1)) == ["after"]


def test_dovecots_own_driver_sends_after_removal(dovecot, endpoint):
    """With what the page says has to be left."""
    rpm("-i", PACKAGE)
    add_endpoint(endpoint)
    text = manuals.configuration(BUILT_IN, line() + " without the package")
    ELSEWHERE.write_text(re.sub("http://login:pass@[^ \n]*",
                                lambda match: url(endpoint), text))
    rpm("-e", "dovecot-http-notify")
    assert not CONFIG.exists()
    deliver("by-lmtp")
    run("/usr/lib/dovecot/dovecot-lda", "-d", "bob", input=message("by-lda"))
    requests = endpoint.wait(2)
    assert subjects(requests) == ["by-lmtp", "by-lda"]
    for request in requests:
        assert request.body["user"] == "3@1"
        # which ours has
        assert request.key is None


def test_nothing_is_left_of_a_package_that_was_not_used():
    """And its scriptlets do without a Dovecot that runs."""
    rpm("-i", PACKAGE)
    files = run("rpm", "-ql", "dovecot-http-notify").split()
    assert all(map(os.path.lexists, files))
    assert not re.search("warning|error|failed", rpm("-e", "dovecot-http-notify"))
    assert not [path for path in files if os.path.lexists(path) and
                not path.endswith("/.build-id")]
    assert reloads() == 0
