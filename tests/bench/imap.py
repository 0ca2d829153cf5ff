# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an imap process does more for notifications, beside a Lua script's; a
part of bench.sh: STAGE ROUNDS

The CPU time of the process, user and system, which other processes do not vary,
and its own memory. All systems take turns in a run.
"""

import contextlib
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.config import Driver, OtherDriver, config  # noqa: E402
from harness.dovecot import LIBEXEC, Dovecot, message  # noqa: E402
from harness.egroupware import SCRIPT  # noqa: E402
from harness.endpoint import Endpoint  # noqa: E402
from harness.install import install  # noqa: E402

MESSAGES = 10000
OURS = "notify", "push_notification", "http_notify"
FRAMEWORK = OURS[:2]
LUA = "mail_lua", "push_notification_lua"
USER = "5::bob;0123456789abcdef@egroupware.example.com"
MASTER, WORK = "master", "work"


class System:
    """A Dovecot with these plugins in imap."""

    def __init__(self, directory, stage, plugins, *drivers, user=USER):
        self.dovecot = Dovecot(directory, stage, mail=("mdbox", "~/mdbox"),
                               builtin="http_notify" not in plugins)
        extra = config.more_plugins(*plugins, protocol="imap")
        if "http_notify" in plugins:
            extra += config.handoff_access()
        self.dovecot.configure(*drivers, extra=extra)
        self.dovecot.start()
        if user is not None:
            self.dovecot.setmetadata("bob", "user=" + user)
        self.fill()

    def fill(self):
        with self.login() as imap:
            imap.create(MASTER)
            text = message("a message").encode()
            sent = b" {%d+}\r\n" % len(text) + text
            for _ in range(MESSAGES // 1000):
                imap.send(b"fill APPEND " + MASTER.encode() + sent * 1000 +
                          b"\r\n")
                assert b"fill OK" in self.answer(imap, b"fill")
        time.sleep(1)

    def login(self):
        return self.dovecot.imap("bob")

    @staticmethod
    def answer(imap, tag):
        while True:
            line = imap.readline()
            assert line, "the connection was closed"
            if line.startswith(tag):
                return line

    def pid(self):
        """Of the last login's process. It is in the user's home."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                name = (path / "cmdline").read_bytes().split(b"\0")[0]
                fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
                if name.endswith(b"/imap") and \
                   int(fields[1]) == self.dovecot.process.pid:
                    found.append((int(fields[19]), int(path.name)))
        return max(found)[1]

    def refill(self):
        with self.login() as imap:
            imap.delete(WORK)
            imap.create(WORK)
            imap.select(MASTER)
            assert imap.copy("1:*", WORK)[0] == "OK"

    def measure(self, imap, pid, command):
        """The command's milliseconds of CPU, and those until its answer."""
        before, begin = cpu_ns(pid), time.monotonic()
        imap.send(b"x " + command.encode() + b"\r\n")
        assert self.answer(imap, b"x ").startswith(b"x OK")
        msecs = 1000 * (time.monotonic() - begin)
        # what it does in the background
        time.sleep(0.3)
        return (cpu_ns(pid) - before) / 1e6, msecs

    def round(self, results):
        self.refill()
        with self.login() as imap:
            imap.select(WORK)
            pid = self.pid()
            for what, command in (
                    ("STORE", "STORE 1:%d +FLAGS (\\Seen)" % MESSAGES),
                    (None, "STORE 1:%d +FLAGS (\\Deleted)" % MESSAGES),
                    ("EXPUNGE", "EXPUNGE")):
                values = self.measure(imap, pid, command)
                if what is not None:
                    results.setdefault(what, []).append(values)

    def memory(self):
        """Of a process that has told of something, in kB by mapping."""
        with self.login() as imap:
            imap.select(WORK)
            imap.append(WORK, None, None, message("one").encode())
            imap.noop()
            imap.store("1", "+FLAGS", "(\\Flagged)")
            imap.store("1", "-FLAGS", "(\\Flagged)")
            time.sleep(0.3)
            return own_kb(self.pid())


def cpu_ns(pid):
    return int(pathlib.Path("/proc/%d/schedstat" % pid).read_text().split()[0])


def own_kb(pid):
    """By mapping: of files, what has been written to. (Not Private_Dirty: in
    the tmpfs of install.py, every page counts as dirty.)"""
    sizes, name = {}, None
    for line in open("/proc/%d/smaps" % pid):
        if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
            words = line.split(None, 5)
            name = os.path.basename(words[5].strip()) if len(words) > 5 else ""
        elif line.startswith("Anonymous:"):
            sizes[name] = sizes.get(name, 0) + int(line.split()[1])
    return sizes


def systems(stage, endpoint, stack):
    def start(plugins, *drivers, **options):
        return System(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="i-")), stage, plugins,
            *drivers, **options)

    ours = Driver(endpoint.url, format="egroupware")
    yield "no plugin", start(())
    yield "the framework only", start(FRAMEWORK)
    yield "this, not registered", start(OURS, ours, user=None)
    yield "this", start(OURS, ours)
    if (LIBEXEC / "modules/lib22_push_notification_lua_plugin.so").exists():
        script = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="l-")))
        script.chmod(0o755)
        script /= "push.lua"
        script.write_text(SCRIPT.replace("URL", endpoint.url))
        script.chmod(0o644)
        yield "Lua script", start((*FRAMEWORK, *LUA),
                                  OtherDriver("lua", script))


def print_commands(results):
    print("\nIMAP commands on %d messages of an mdbox: ms of CPU of the imap "
          "process (over no plugin), ms until the answer" % MESSAGES)
    print("%-22s %28s %28s" % ("", "STORE +FLAGS (\\Seen)", "EXPUNGE"))
    for name, commands in results.items():
        columns = []
        for what, values in commands.items():
            cpu, wall = (statistics.median(v[i] for v in values)
                         for i in (0, 1))
            ratio = statistics.median(
                v[0] / n[0] for v, n in
                zip(values, results["no plugin"][what]))
            columns.append("%7.1f (%.2f) %7.0f" % (cpu, ratio, wall))
        print("%-22s %28s %28s" % (name, *columns))


def print_memory(memory):
    print("\nMemory of its own that an imap process has, after some events, in "
          "kB (over no plugin)")
    least = memory["no plugin"]
    for name, sizes in memory.items():
        more = {what: size - least.get(what, 0)
                for what, size in sizes.items()}
        print("%-22s %7d (%+d)  %s" % (
            name, sum(sizes.values()), sum(more.values()), ", ".join(
                "%s %+d" % (what or "anonymous", size)
                for what, size in sorted(more.items(), key=lambda m: -m[1])
                if abs(size) >= 4)))


def main(stage, rounds):
    install(stage)
    endpoint = Endpoint()
    endpoint.status = 200
    with contextlib.ExitStack() as stack:
        stack.callback(endpoint.stop)
        started = {}
        for name, system in systems(stage, endpoint, stack):
            stack.callback(system.dovecot.stop)
            started[name] = system
        results = {name: {} for name in started}
        for _ in range(int(rounds)):
            for name, system in started.items():
                system.round(results[name])
                endpoint.clear()
        print_commands(results)
        print_memory({name: system.memory()
                      for name, system in started.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
