# SPDX-License-Identifier: LGPL-2.1-or-later
"""This host's Dovecot as its packages install and start it, and what its admin
and its users do with it."""

import json
import os
import pathlib
import re
import smtplib
import subprocess
import tempfile
import time

from harness.config import VERSION, config

CONF_D = pathlib.Path("/etc/dovecot/conf.d")
CONF = CONF_D / "90-http-notify.conf"
QUEUE = pathlib.Path("/var/lib/dovecot/http-notify")
SERVICE = "/usr/lib/dovecot/http-notify"
PASSWORD = "secret"
MESSAGE = ("From: Alice <alice@example.org>\r\nSubject: %s\r\n\r\n"
           "The beginning of the text\r\n")
# Debian's default, mbox in /var/mail, wants a group of dovecot-lda that it does
# not have as the mail user.
MAIL = config.mail_location("maildir", "~/Maildir") + (
    "mail_inbox_path =\n" if VERSION >= (2, 4) else "")
# What is no trouble: what Dovecot says when it is restarted or reloaded, also
# of mail that it is about to take and of processes that have just been started,
# and our service when a test stops the endpoint.
EXPECTED = re.compile("Killed with signal 15|SIGHUP received|"
                      "userdb lookup|Failed to lookup user|"
                      "auth-worker: Aborted USER request|"
                      "stats-writer .*Timeout waiting for handshake|"
                      "Endpoint [^ ]* is down")


def run(*command, text=""):
    """Runs a command and returns what it prints."""
    # not a pipe, whose other end a daemon that it starts may keep
    with tempfile.TemporaryFile("w+") as output:
        status = subprocess.run(
            command, input=text, text=True, stdout=output, stderr=output,
            env=dict(os.environ, DEBIAN_FRONTEND="noninteractive")).returncode
        output.seek(0)
        text = output.read()
    assert status == 0, "%s: exit status %d\n%s" % (
        " ".join(command), status, text)
    return text


def wait_for(condition, timeout=120, what="condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out: %s" % what
        time.sleep(0.02)


def is_running():
    return subprocess.run(["service", "dovecot", "status"],
                          stdout=subprocess.DEVNULL).returncode == 0


def service_runs():
    """Our service, and not from an executable that has been replaced. Returns
    the PIDs of its processes."""
    found = set()
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "exe") == SERVICE:
                found.add(proc.name)
        except OSError:
            pass
    return found


def reload():
    """... and Dovecot has read its configuration."""
    before = service_runs()
    run("doveadm", "reload")
    wait_for(lambda: service_runs() - before, what="the reload")


class Log:
    """Dovecot's log, in a file of its own."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.expected = EXPECTED
        self.path.touch()
        # dovecot-lda writes it itself, as the mail user
        self.path.chmod(0o666)

    def expect(self, pattern):
        """Such lines are no trouble, too."""
        self.expected = re.compile(self.expected.pattern + "|" + pattern)

    def assert_no_trouble(self):
        troubles = [line for line in self.path.read_text().splitlines()
                    if re.search("(Warning|Error|Fatal|Panic): ", line)
                    and not self.expected.search(line)]
        assert not troubles, "\n".join(troubles)


def uncomment(what):
    """In the shipped configuration: a setting, or a section as a whole."""
    lines = CONF.read_text().splitlines()
    first = next(number for number, line in enumerate(lines)
                 if line.lstrip().startswith("#" + what))
    last = first
    if lines[first].endswith("{"):
        last = lines.index("#}", first)
    for number in range(first, last + 1):
        lines[number] = lines[number].replace("#", "", 1)
    CONF.write_text("\n".join(lines) + "\n")


def substitute(pattern, replacement):
    """In the shipped configuration, once."""
    text, count = re.subn(pattern, lambda match: replacement,
                          CONF.read_text())
    assert count == 1, "%s: %d times" % (pattern, count)
    CONF.write_text(text)


def with_url(text, url):
    """A configuration, with this URL for that of the example of OX's endpoint
    for new messages."""
    if VERSION < (2, 4):
        url = url.replace("%", "%%")
    text, count = re.subn("http://login:pass@[^ \n]*/notify",
                          lambda match: url, text)
    assert count == 1, text
    return text


def configure_endpoint(url):
    """What an admin has to do."""
    if VERSION < (2, 4):
        uncomment("push_notification_driver = ")
        uncomment("mail_attribute_dict")
    else:
        uncomment("push_notification ox {")
        uncomment("mail_attribute {")
    CONF.write_text(with_url(CONF.read_text(), url))
    uncomment("protocol imap {")


def take_out_plugin():
    """What built-in-driver.md says of going back without removing anything."""
    text = CONF.read_text()
    if VERSION < (2, 4):
        text, plugins = re.subn("^( *mail_plugins = .*) http_notify$", r"\1",
                                text, flags=re.M)
        text, option = re.subn("^( *push_notification_driver = .*)$",
                               r"\1 user_from_metadata", text, flags=re.M)
    else:
        text, plugins = re.subn("^ *http_notify = yes\n", "", text, flags=re.M)
        text, option = re.subn(
            "^( *)(push_notification_ox_url = http://.*)$",
            r"\1\2\n\1push_notification_ox_user_from_metadata = yes", text,
            flags=re.M)
    assert (plugins, option) == (2, 1)
    CONF.write_text(text)


def add_user(name):
    run("useradd", "--create-home", name)
    run("chpasswd", text="%s:%s\n" % (name, PASSWORD))


def lmtp(user, subject):
    with smtplib.LMTP("/run/dovecot/lmtp") as client:
        client.sendmail("alice@example.org", [user], MESSAGE % subject)


def lda(user, subject, groups="--clear-groups"):
    """As an MTA delivers to a system user: by a process of that user, without
    more groups (Postfix) or, with --init-groups, all (Exim, if told to)."""
    run("setpriv", "--reuid", user, "--regid", user, groups,
        "env", "USER=" + user, "HOME=/home/" + user,
        "/usr/lib/dovecot/dovecot-lda", "-f", "alice@example.org",
        text=MESSAGE % subject)


def messages(user, mailbox="INBOX"):
    """UIDs of what is in it."""
    return [int(row["uid"]) for row in json.loads(
        run("doveadm", "-f", "json", "fetch", "-u", user, "uid",
            "mailbox", mailbox))]


def queue():
    return json.loads(run("doveadm", "-f", "json", "http-notify", "queue"))
