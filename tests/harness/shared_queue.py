# SPDX-License-Identifier: LGPL-2.1-or-later
"""A queue in PostgreSQL, which several Dovecots share as if each were a host."""

import contextlib
import pathlib
import shutil
import tempfile

from harness.dovecot import TOP
from harness.postgresql import postgresql

SCHEMA = TOP / "pgsql/schema-1.sql"
NAME, ROLE, PASSWORD = "http_notify", "mailhost", "geheim"


class SharedQueue:
    def __init__(self, server, directory):
        self.server = server
        self.password_file = pathlib.Path(directory, "password")
        self.server.execute("-c", "CREATE DATABASE " + NAME,
                            database="postgres")
        self.execute("-f", self._schema(directory))
        self.execute("-c", "CREATE ROLE %s LOGIN PASSWORD '%s' "
                     "IN ROLE http_notify" % (ROLE, PASSWORD))
        self.write_password(PASSWORD)

    @staticmethod
    def _schema(directory):
        # where its user can read it
        return shutil.copy(SCHEMA, directory)

    def write_password(self, password):
        self.password_file.write_text(password + "\n")
        self.password_file.chmod(0o600)
        shutil.chown(self.password_file, "dovecot")

    def execute(self, *args):
        return self.server.execute(*args, database=NAME)

    def count(self, table="notification"):
        return int(self.execute("-c",
                                "SELECT count(*) FROM http_notify." + table))

    def slots(self):
        """How many each host has that has any."""
        return sorted(map(int, self.execute("-c", (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND classid = 1752460034 GROUP BY pid")).split()))

    @property
    def conninfo(self):
        return "host=127.0.0.1 port=%d dbname=%s user=%s" % (
            self.server.port, NAME, ROLE)

    @property
    def settings(self):
        """Of a Dovecot that uses it."""
        return ("http_notify_queue = pgsql",
                "http_notify_pgsql = " + self.conninfo,
                "http_notify_pgsql_password_file = %s" % self.password_file)


@contextlib.contextmanager
def shared_queue():
    with postgresql() as server, \
            tempfile.TemporaryDirectory(prefix="hn-") as directory:
        pathlib.Path(directory).chmod(0o755)
        yield SharedQueue(server, directory)
