# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PostgreSQL in a temporary directory, as the user that its package made."""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness.dovecot import TIMEOUT, free_port, wait_for
from harness.faults import small_disk

USER = "postgres"


class PostgreSQL:
    def __init__(self, directory, *options, namespace=None,
                 address="127.0.0.1", copy_of=None):
        """options: of the server, such as "fsync=on". namespace: the
        NetworkNamespace that it listens in, at this address. copy_of: another
        one that runs, whose standby it becomes."""
        self.dir = pathlib.Path(directory)
        self.namespace, self.address = namespace, address
        self.options = ["fsync=off", *options]
        # while it is a standby, and later
        self.primary = []
        shutil.chown(self.dir, USER, USER)
        self.port = free_port()
        # the newest there is, /usr/lib/postgresql/<version>/bin
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                       key=lambda path: int(path.parent.name))
        self.process = None
        if copy_of is None:
            self.run("initdb", "--pgdata", self.dir / "data", "--no-sync",
                     "--encoding", "UTF8", "--locale", "C",
                     "--auth-local", "trust", "--auth-host", "scram-sha-256")
            if namespace is not None:
                self.allow_others()
        else:
            self.become_standby(copy_of)

    def allow_others(self):
        """On its network."""
        with open(self.dir / "data/pg_hba.conf", "a") as file:
            file.write("host all all samenet scram-sha-256\n"
                       "host replication postgres samenet trust\n")

    def become_standby(self, primary):
        """Of another one that runs; it has not been started, or has ended."""
        shutil.rmtree(self.dir / "data", ignore_errors=True)
        # by its socket: what is streamed later goes by the network, if it has
        # one
        self.run("pg_basebackup", "--pgdata", self.dir / "data", "--no-sync",
                 "--checkpoint", "fast", "--wal-method", "stream",
                 "--host", primary.dir, "--port", primary.port)
        (self.dir / "data/standby.signal").touch()
        self.primary = ["primary_conninfo=host=%s port=%d user=postgres" % (
            primary.address if primary.namespace else primary.dir,
            primary.port)]

    def run(self, program, *args, **kwargs):
        done = subprocess.run(
            [self.bin / program, *map(str, args)], cwd=self.dir, user=USER,
            group=USER, extra_groups=[], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", **kwargs)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self):
        assert self.process is None
        with open(self.dir / "log", "a") as log, \
                self.namespace or contextlib.nullcontext():
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.dir / "data",
                 "-h", self.address, "-p", str(self.port), "-k", self.dir,
                 *itertools.chain(*(("-c", option) for option in
                                    self.options + self.primary))],
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
                self.process.wait(TIMEOUT)
            self.process = None

    def kill(self):
        """All of it, with no time to say goodbye."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def pids(self):
        """Of it and of its processes, one for each connection."""
        children = pathlib.Path(
            "/proc/%d/task/%d/children" % (2 * (self.process.pid,)))
        return [self.process.pid, *map(int, children.read_text().split())]

    def hang(self, hang=True):
        """It takes connections, but nothing more, until it is told not to."""
        number = signal.SIGSTOP if hang else signal.SIGCONT
        # the first one starts others
        os.kill(self.process.pid, number)
        wait_for(lambda: self._is_stopped() == hang, what="PostgreSQL")
        for pid in self.pids()[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _is_stopped(self):
        stat = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

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
def postgresql(*options, start=True, disk=None, **kwargs):
    """disk: the size of one of its own, in bytes. The others: PostgreSQL()'s
    arguments."""
    # its sockets' path is short, and its user gets at it
    with tempfile.TemporaryDirectory(prefix="hn-pg-") as directory, \
            small_disk(directory, disk) if disk else contextlib.nullcontext():
        server = PostgreSQL(directory, *options, **kwargs)
        try:
            if start:
                server.start()
            yield server
        finally:
            server.stop()
