# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway Dovecot under a temporary directory.

Nothing of it is outside of that directory. Executables and modules are linked
there, for a test to replace; what is under test is there by install.py. The
shipped conf.d/90-http-notify.conf is included as it is.
"""

import concurrent.futures
import contextlib
import imaplib
import os
import pathlib
import random
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import time

from harness.config import PATIENT, Driver, config

TOP = pathlib.Path(__file__).resolve().parents[2]
MAIL_UID = 20000  # no such user is needed
PASSWORD = "secret"
# How long to wait for what has to happen, in seconds. A busy machine is slow,
# and an endpoint may be tried again after a minute. What has to be sooner is
# tested with something that would hold it up for longer.
TIMEOUT = 120
HOME_DICTIONARY = config.dictionary_in_file(config.HOME + "/dovecot-attributes")
MAILDIR = ("maildir", "~/Maildir")
LIBEXEC = pathlib.Path("/usr/lib/dovecot")
METADATA_ENTRY = "/private/vendor/vendor.dovecot/http-notify"
# For sanitizers: a directory with executables to run instead of those of the
# same names, and one for what these find.
WRAPPERS = os.environ.get("HTTP_NOTIFY_WRAPPERS")
FINDINGS = os.environ.get("HTTP_NOTIFY_FINDINGS")

# Below those that the kernel gives to anybody; and so many in a row belong to one
# process of tests, or two might take the same between a look and a bind().
PORTS = range(10000, 32000)
PORTS_OF_A_PROCESS = 200


def ports_of_this_process():
    first = list(PORTS[::PORTS_OF_A_PROCESS])
    random.shuffle(first)
    # whoever has this name has the ports, in this network namespace
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for port in first:
        with contextlib.suppress(OSError):
            mark.bind("\0dovecot-http-notify-port-%d" % port)
            break
    else:
        raise AssertionError("other tests have all ports")
    while True:
        yield from range(port, port + PORTS_OF_A_PROCESS)


ports = ports_of_this_process()


def free_port():
    for port in ports:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def wait_for(condition, timeout=TIMEOUT, what="condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out: %s" % what
        time.sleep(0.005)


def link_all(source, target):
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        link = target / path.name
        if not link.exists():
            link.symlink_to(path)


class Dovecot:
    def __init__(self, directory, stage, mail=MAILDIR, builtin=False,
                 wrappers=WRAPPERS, hostname=None):
        """stage: what was installed. mail: arguments of
        config.mail_location(). builtin: without this project, with Dovecot's
        own plugins only. wrappers: as WRAPPERS above. hostname: what its
        services, but not doveadm, take for this host's."""
        self.dir = pathlib.Path(directory)
        self.stage = pathlib.Path(stage)
        self.imap_port = free_port()
        self.mail = mail
        self.builtin = builtin
        self.wrappers = wrappers
        self.environment = {} if hostname is None else {
            "DOVECOT_HOSTNAME": hostname}
        self.process = None
        self.main = self.dir / "dovecot.conf"
        self.log_path = self.dir / "dovecot.log"
        self._lay_out()

    def _lay_out(self):
        # mail users have to get at their homes
        self.dir.chmod(0o755)
        for name in ("run", "state", "home"):
            (self.dir / name).mkdir()
        os.chown(self.dir / "home", MAIL_UID, MAIL_UID)
        # dovecot-lda writes its log itself, as the mail user
        self.log_path.touch()
        (self.dir / "lda.log").touch()
        os.chown(self.dir / "lda.log", MAIL_UID, MAIL_UID)
        libexec, modules = self.dir / "libexec", self.dir / "modules"
        if self.wrappers is not None:
            link_all(pathlib.Path(self.wrappers), libexec)
        if not self.builtin:
            queue = self.dir / "state/http-notify"
            queue.mkdir(mode=0o700)
            shutil.chown(queue, "dovecot")
        link_all(LIBEXEC / "modules", modules)
        link_all(LIBEXEC, libexec)

    def configure(self, *lines, before="", extra="", auth="", any_login=True,
                  any_user=True, dictionary=HOME_DICTIONARY,
                  imap_metadata=config.imap_metadata()):
        """lines: Drivers and settings of plugins, of which PATIENT is added if
        the time limit of hand-offs is not among them. before: what comes before
        the shipped file, and extra at the end. auth: what comes before the
        passdb and the userdb that know any user, if there are these."""
        parts = [
            config.main(dir=self.dir, name=self.dir.name, uid=MAIL_UID,
                        imap_port=self.imap_port),
            config.mail_location(*self.mail), dictionary, imap_metadata,
            auth]
        if any_login:
            parts.append(config.any_login(PASSWORD))
        if any_user:
            parts.append(config.any_user(MAIL_UID, self.dir / "home"))
        parts.append(before)
        if not self.builtin:
            parts.append("!include %s" % (
                self.stage / "etc/dovecot/conf.d/90-http-notify.conf"))
        if self.wrappers is not None:
            # what they do takes memory and time
            parts.append("default_vsz_limit = " + config.UNLIMITED)
            lines += "http_notify_handoff_timeout = 60s",
        elif not self.builtin and not any(
                "http_notify_handoff_timeout" in str(line) for line in lines):
            lines += PATIENT,
        parts.append(config.drivers(*(
            line for line in lines if isinstance(line, Driver))))
        parts.append(config.plugin_settings(*(
            line for line in lines if not isinstance(line, Driver))))
        self.main.write_text("\n".join([*parts, extra, ""]))

    def wrap_service(self, prefix="", hosts=None, resolv=None, **environment):
        """Have the service started by a shell, as root, with a command before
        it and with more in its environment. hosts: a file from which it, and
        nobody else, knows all names that it can. resolv: its resolv.conf."""
        if hosts is not None:
            prefix = self._with_hosts(hosts) + prefix
        if resolv is not None:
            prefix = self._with_files({"/etc/resolv.conf": resolv}) + prefix
        executable = self.dir / "libexec/http-notify"
        executable.unlink()
        executable.write_text("#!/bin/sh\n%sexec %s %s \"$@\"\n" % (
            "".join("export %s='%s'\n" % item
                    for item in environment.items()),
            prefix, LIBEXEC / "http-notify"))
        executable.chmod(0o755)

    def _with_hosts(self, hosts):
        """Not by libnss_wrapper, which dies if two threads begin with it."""
        switch = self.dir / "nsswitch.conf"
        switch.write_text("hosts: files\n")
        return self._with_files({"/etc/hosts": hosts,
                                 "/etc/nsswitch.conf": switch})

    def _with_files(self, files):
        """The command that runs another one with these in the place of
        others."""
        # try.py has no pytest
        from harness.faults import skip_unless
        skip_unless("unshare", "--mount", "sh", "-c",
                    "mount --bind /etc/hosts /etc/resolv.conf")
        script = self.dir / "with-files"
        script.write_text("".join(
            "mount --bind %s %s || exit\n" % (file, path)
            for path, file in files.items()) + "exec \"$@\"\n")
        return "unshare --mount sh %s " % script

    def start(self, **environment):
        with open(self.dir / "start.log", "w") as said:
            self.process = subprocess.Popen(
                ["dovecot", "-F", "-c", str(self.main)],
                env=dict(os.environ, **self.environment, **environment),
                stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        wait_for(lambda: self._answers() or self.process.poll() is not None,
                 what="Dovecot's start")
        assert self.process.poll() is None, (
            self.log() + (self.dir / "start.log").read_text())

    def _answers(self):
        try:
            socket.create_connection(
                ("127.0.0.1", self.imap_port), 1).close()
            # written once it listens at all sockets
            return (self.dir / "run/master.pid").read_text() == \
                "%d\n" % self.process.pid
        except OSError:
            return False

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            # master waits for nobody, but nothing may outlive a test
            wait_for(lambda: not self.pids(), what="Dovecot's processes' end")
            self.process = None

    def reload(self):
        """Processes end, and others begin with the new configuration, at some
        time after it."""
        self.process.send_signal(signal.SIGHUP)

    def wait_reload(self, *names):
        """Until none of these executables' processes is one of before. There
        was one of some."""
        def pids():
            return {pid for name in names for pid in self.pids(name)}

        before = pids()
        assert before
        self.reload()
        wait_for(lambda: not before & pids(),
                 what="the end of %s" % (names,))

    def pids(self, name=None):
        """Of this Dovecot's processes, all or those of one executable."""
        found = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.stat(proc / "cwd").st_ino not in self._cwds():
                    continue
                cmdline = (proc / "cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            # Dovecot puts what it says of the process, if only nothing, after
            # a blank
            if name is None or cmdline.split(b" ")[0].endswith(
                    b"/" + name.encode()):
                found.append(int(proc.name))
        return found

    def _cwds(self):
        # Dovecot's processes run in base_dir, login processes below it
        return {os.stat(path).st_ino for path in
                (self.dir / "run", self.dir / "run/login",
                 self.dir / "run/empty") if path.exists()}

    def log(self):
        return self.log_path.read_text() + (self.dir / "lda.log").read_text()

    def log_lines(self, *words):
        """The lines of the log in which all the words are."""
        return [line for line in self.log().splitlines()
                if all(word in line for word in words)]

    def wait_log(self, *words, count=1, timeout=TIMEOUT):
        wait_for(lambda: len(self.log_lines(*words)) >= count, timeout,
                 "log lines with %s" % (words,))
        return self.log_lines(*words)

    def assert_no_findings(self):
        """By sanitizers, in files of theirs. The one for undefined behaviour
        knows nothing of such files, it says it in the log."""
        if FINDINGS is None:
            return
        findings = self.log_lines(": runtime error: ")
        findings += self.log_lines("Sanitizer: ")
        for path in pathlib.Path(FINDINGS).glob("*.*"):
            findings.append(path.read_text())
            # is this test's only
            path.rename(path.with_name("seen-" + path.stem))
        assert not findings, "\n".join(findings)

    def clear_log(self):
        self.assert_no_findings()
        # not a new file: the log process has this one open
        os.truncate(self.log_path, 0)
        os.truncate(self.dir / "lda.log", 0)

    @property
    def queue_path(self):
        return self.dir / "state/http-notify/queue.sqlite"

    def queued(self):
        """How many notifications are in the queue, by a look into it."""
        with contextlib.closing(sqlite3.connect(
                "file:%s?mode=ro" % self.queue_path, uri=True)) as db:
            return db.execute(
                "SELECT count(*) FROM notification").fetchone()[0]

    def wait_queue_empty(self, timeout=TIMEOUT):
        wait_for(lambda: self.queued() == 0, timeout, "the queue to be empty")

    def service_pid(self):
        wait_for(lambda: len(self.pids("http-notify")) == 1,
                 what="one http-notify process")
        return self.pids("http-notify")[0]

    # -- what the peers do --

    def imap(self, user):
        imap = imaplib.IMAP4("127.0.0.1", self.imap_port, TIMEOUT)
        imap.login(user, PASSWORD)
        return imap

    def setmetadata(self, user, value):
        """With the bytes that an OX node sends; value None unregisters."""
        with self.imap(user) as imap:
            quoted = "NIL" if value is None else '"%s"' % value
            status, data = imap.xatom(
                "SETMETADATA",
                ('"" (%s %s)' % (METADATA_ENTRY, quoted)).encode())
            assert status == "OK", data

    def register(self, registrations):
        """As setmetadata, for many users at once: {user: value}."""
        # not by doveadm: for many users 2.3.19 writes another key than asked
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.setmetadata, *zip(*registrations.items())))

    def setmetadata_literal(self, user, value, prefix=b""):
        """With any bytes, as an IMAP literal, or a literal8 with prefix ~;
        returns whether it was taken."""
        with self.imap(user) as imap:
            imap.send(b'x SETMETADATA "" (%s %s{%d}\r\n' % (
                METADATA_ENTRY.encode(), prefix, len(value)))
            assert imap.readline().startswith(b"+")
            imap.send(value + b")\r\n")
            reply = imap.readline()
            assert reply.startswith(b"x "), reply
            return reply.startswith(b"x OK")

    def lmtp(self):
        """Connected and greeted."""
        lmtp = smtplib.LMTP(str(self.dir / "run/lmtp"), timeout=TIMEOUT)
        return lmtp

    def deliver(self, users, message, sender="sender@example.org",
                options=()):
        """By LMTP; returns the seconds from the end of DATA to the reply."""
        if isinstance(users, str):
            users = [users]
        if isinstance(message, str):
            message = message.encode()
        lmtp = self.lmtp()
        try:
            lmtp.ehlo()
            code, reply = lmtp.mail(sender, options)
            assert code == 250, reply
            for user in users:
                code, reply = lmtp.rcpt(user)
                assert code == 250, reply
            begin = time.monotonic()
            code, reply = lmtp.data(message)
            assert code == 250, reply
            replies = [lmtp.getreply() for _ in users[1:]]
            end = time.monotonic()
            assert all(code == 250 for code, _ in replies), replies
            lmtp.quit()
        finally:
            lmtp.close()
        return end - begin

    def doveadm_start(self, *args):
        """doveadm ...; returns the process."""
        return subprocess.Popen(
            ["doveadm", "-c", str(self.main), *args],
            cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True)

    def doveadm(self, *args, status=0):
        """Returns what it printed. status: None = any"""
        with self.doveadm_start(*args) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert status in (process.returncode, None), (
            process.returncode, stdout, stderr, self.log())
        return stdout + stderr

    def sieve_filter(self, user, script, folder):
        """Runs a script, which is in a file, for the messages of a folder."""
        subprocess.run(["sieve-filter", "-c", str(self.main), "-u", user, "-e",
                        "-W", str(script), folder], cwd=self.dir, check=True)

    def lda(self, user, message, groups=(), options=(), uid=MAIL_UID,
            prefix=()):
        """By dovecot-lda as the mail user, as an MTA runs it; by the command
        of prefix, if there is one."""
        home = self.dir / "home" / user
        home.mkdir(exist_ok=True)
        os.chown(home, uid, uid)
        env = dict(os.environ, USER=user, HOME=str(home))
        return subprocess.run(
            [*prefix, str(self.dir / "libexec/dovecot-lda"),
             "-c", str(self.main), "-f", "sender@example.org", *options],
            input=message.encode() if isinstance(message, str) else message,
            env=env, user=uid, group=uid, extra_groups=groups,
            cwd=str(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def message(subject="Hello", from_="Alice <alice@example.org>",
            body="This is the text.", **headers):
    lines = ["From: %s" % from_, "To: bob@example.org",
             "Subject: %s" % subject]
    lines += ["%s: %s" % (name.replace("_", "-"), value)
              for name, value in headers.items()]
    return "\r\n".join(lines + ["", body, ""])
