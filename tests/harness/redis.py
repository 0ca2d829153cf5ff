# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Redis in a temporary directory, as nobody."""

import contextlib
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness.dovecot import free_port, wait_for

USER = "nobody"


class Redis:
    def __init__(self, directory, password):
        self.dir = pathlib.Path(directory)
        shutil.chown(self.dir, USER)
        self.port = free_port()
        self.password = password
        self.process = None

    def start(self):
        config = self.dir / "redis.conf"
        config.write_text(
            "bind 127.0.0.1\nport %d\nrequirepass %s\ndir %s\n"
            "appendonly yes\n" % (self.port, self.password, self.dir))
        with open(self.dir / "log", "a") as log:
            self.process = subprocess.Popen(
                ["redis-server", config], cwd=self.dir, user=USER,
                group="nogroup", extra_groups=[], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or
                 self.command("PING", check=False) == "PONG\n", what="Redis")
        assert self.process.poll() is None, (self.dir / "log").read_text()

    def stop(self):
        if self.process is not None:
            self.hang(False)
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def hang(self, hang=True):
        """It takes connections, but nothing more, until it is told not to."""
        self.process.send_signal(signal.SIGSTOP if hang else signal.SIGCONT)

    def command(self, *words, check=True):
        """Returns what redis-cli printed."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            env={"REDISCLI_AUTH": self.password, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8")
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout


@contextlib.contextmanager
def redis(password):
    with tempfile.TemporaryDirectory(prefix="hn-redis-") as directory:
        server = Redis(directory, password)
        try:
            server.start()
            yield server
        finally:
            server.stop()
