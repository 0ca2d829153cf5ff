# SPDX-License-Identifier: LGPL-2.1-or-later
"""A queue in PostgreSQL, which several Dovecots share as if each were a host."""

import contextlib
import pathlib
import shutil
import tempfile

from harness.dovecot import TOP
from harness.postgresql import postgresql

SCHEMA = TOP / "pgsql/schema-1.sql"
# the engine, which has a package of its own
MODULE = pathlib.Path("/usr/lib/dovecot/modules/http-notify/libpgsql.so")
NAME, ROLE, PASSWORD = "http_notify", "mailhost", "geheim"


class SharedQueue:
    def __init__(self, server, directory):
        """server: the one that can be written to; this may be changed later."""
        self.server = server
        # all that hosts may connect to
        self.servers = [server]
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

    def move_to(self, tablespace):
        """What is queued."""
        self.execute("-c", "ALTER TABLE http_notify.notification "
                     "SET TABLESPACE " + tablespace,
                     "-c", "ALTER INDEX http_notify.notification_pkey "
                     "SET TABLESPACE " + tablespace)

    def slots(self):
        """How many each host has that has any."""
        return sorted(map(int, self.execute("-c", (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND classid = 1752460034 GROUP BY pid")).split()))

    @property
    def conninfo(self):
        return self.conninfo_of(self.servers)

    @staticmethod
    def conninfo_of(servers):
        return "host=%s port=%s dbname=%s user=%s%s" % (
            ",".join(server.address for server in servers),
            ",".join(str(server.port) for server in servers), NAME, ROLE,
            " target_session_attrs=read-write" if len(servers) > 1 else
            "")

    @property
    def settings(self):
        """Of a Dovecot that uses it."""
        return self.settings_for(self.servers)

    def settings_for(self, servers):
        """By these."""
        return ("http_notify_queue = pgsql",
                "http_notify_pgsql = " + self.conninfo_of(servers),
                "http_notify_pgsql_password_file = %s" % self.password_file)


@contextlib.contextmanager
def shared_queue(*options, **kwargs):
    """Of PostgreSQL, as postgresql()'s arguments."""
    with postgresql(*options, **kwargs) as server, \
            tempfile.TemporaryDirectory(prefix="hn-") as directory:
        pathlib.Path(directory).chmod(0o755)
        yield SharedQueue(server, directory)


@contextlib.contextmanager
def module_away():
    """Its package is not installed. Yields what installs it."""
    away = MODULE.with_suffix(".away")
    MODULE.rename(away)

    def install():
        if away.exists():
            away.rename(MODULE)
    try:
        yield install
    finally:
        install()


@contextlib.contextmanager
def refusing(database, statement="RAISE EXCEPTION USING ERRCODE = 'disk_full'",
             event="INSERT"):
    """PostgreSQL stores no notifications, or does not remove any, but does all
    else."""
    database.execute("-c", (
        "CREATE FUNCTION http_notify.refuse() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NULL; END $$" % statement))
    try:
        database.execute("-c", (
            "CREATE TRIGGER refuse BEFORE %s ON http_notify.notification "
            "FOR EACH STATEMENT EXECUTE FUNCTION http_notify.refuse()" %
            event))
        yield
    finally:
        database.execute("-c", "DROP FUNCTION http_notify.refuse() CASCADE")
