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

from harness.config import VERSION

CONF_D = pathlib.Path("/etc/dovecot/conf.d")
CONF = CONF_D / "90-http-notify.conf"
QUEUE = pathlib.Path("/var/lib/dovecot/http-notify")
SERVICE = "/usr/lib/dovecot/http-notify"
PASSWORD = "secret"
MESSAGE = ("From: Alice <alice@example.org>\r\nSubject: %s\r\n\r\n"
           "The beginning of the text\r\n")
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


def wait_for(condition, timeout=20, what="condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out: %s" % what
        time.sleep(0.02)


def is_running():
    return subprocess.run(["service", "dovecot", "status"],
                          stdout=subprocess.DEVNULL).returncode == 0


def service_runs():
    """Our service, and not from an executable that has been replaced."""
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "exe") == SERVICE:
                return True
        except OSError:
            pass
    return False


class Log:
    """Dovecot's log, in a file of its own."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.touch()
        # dovecot-lda writes it itself, as the mail user
        self.path.chmod(0o666)

    def assert_no_trouble(self):
        troubles = [line for line in self.path.read_text().splitlines()
                    if re.search("(Warning|Error|Fatal|Panic): ", line)
                    and not EXPECTED.search(line)]
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


def configure_endpoint(url):
    """What an admin has to do."""
    if VERSION < (2, 4):
        uncomment("push_notification_driver = ")
        uncomment("mail_attribute_dict")
        url = url.replace("%", "%%")
    else:
        uncomment("push_notification ox {")
        uncomment("mail_attribute {")
    substitute("http://login:pass@[^ \n]*", url)
    uncomment("protocol imap {")


def add_user(name):
    run("useradd", "--create-home", name)
    run("chpasswd", text="%s:%s\n" % (name, PASSWORD))


def lmtp(user, subject):
    with smtplib.LMTP("/run/dovecot/lmtp") as client:
        client.sendmail("alice@example.org", [user], MESSAGE % subject)


def lda(user, subject):
    run("/usr/lib/dovecot/dovecot-lda", "-d", user, text=MESSAGE % subject)


def messages(user, mailbox="INBOX"):
    """UIDs of what is in it."""
    return [int(row["uid"]) for row in json.loads(
        run("doveadm", "-f", "json", "fetch", "-u", user, "uid",
            "mailbox", mailbox))]


def queue():
    return json.loads(run("doveadm", "-f", "json", "http-notify", "queue"))
