# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PostgreSQL in a temporary directory, as the user that its package made."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness.dovecot import free_port, wait_for

USER = "postgres"


class PostgreSQL:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        shutil.chown(self.dir, USER, USER)
        self.port = free_port()
        # the newest there is, /usr/lib/postgresql/<version>/bin
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                       key=lambda path: int(path.parent.name))
        self.run("initdb", "--pgdata", self.dir / "data", "--no-sync",
                 "--encoding", "UTF8", "--locale", "C",
                 "--auth-local", "trust", "--auth-host", "scram-sha-256")
        self.process = None

    def run(self, program, *args, **kwargs):
        done = subprocess.run(
            [self.bin / program, *map(str, args)], cwd=self.dir, user=USER,
            group=USER, extra_groups=[], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", **kwargs)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self):
        with open(self.dir / "log", "a") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.dir / "data",
                 "-h", "127.0.0.1", "-p", str(self.port), "-k", self.dir,
                 "-c", "fsync=off"],
                cwd=self.dir, user=USER, group=USER, extra_groups=[],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or subprocess.run(
            [self.bin / "pg_isready", "-q", "-h", self.dir,
             "-p", str(self.port)]).returncode == 0, what="PostgreSQL")
        assert self.process.poll() is None, (self.dir / "log").read_text()

    def stop(self):
        if self.process is not None:
            if self.process.poll() is None:
                # what hangs has to go on; connections are dropped
                self.hang(False)
                self.process.send_signal(signal.SIGINT)
                self.process.wait(30)
            self.process = None

    def pids(self):
        """Of it and of its processes, one for each connection."""
        children = pathlib.Path(
            "/proc/%d/task/%d/children" % (2 * (self.process.pid,)))
        return [self.process.pid, *map(int, children.read_text().split())]

    def hang(self, hang=True):
        """It takes connections, but nothing more, until it is told not to."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if hang else signal.SIGCONT)

    def _psql(self, database):
        return ["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1",
                "-h", self.dir, "-p", self.port, "-d", database]

    def execute(self, *args, database="dovecot"):
        """By psql as the superuser; returns what it printed."""
        return self.run("psql", *self._psql(database), *args)

    def session(self, sql, database="dovecot"):
        """A psql that has done this and stays; returns its process."""
        process = subprocess.Popen(
            [self.bin / "psql", *map(str, self._psql(database))],
            cwd=self.dir, user=USER, group=USER, extra_groups=[],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        process.stdin.write(sql + "\n\\echo done\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        return process


@contextlib.contextmanager
def postgresql():
    # its sockets' path is short, and its user gets at it
    with tempfile.TemporaryDirectory(prefix="hn-pg-") as directory:
        server = PostgreSQL(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()
