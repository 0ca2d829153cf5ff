# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify check of a queue in PostgreSQL."""

import itertools
import pathlib
import re
import shutil

import pytest

from conftest import driver, running_dovecot
from harness.doveadm import rows
from harness.dovecot import message, wait_for
from harness.postgresql import USER
from harness.shared_queue import (MODULE, NAME, ROLE, SCHEMA, module_away,
                                  shared_queue)
from harness.shared_site import PATIENT


@pytest.fixture(scope="module")
def database():
    with shared_queue() as database:
        yield database


@pytest.fixture(scope="module")
def dovecot(database):
    with running_dovecot(driver("http://127.0.0.1:1/"),
                         *database.settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for(lambda: database.slots() == [256], PATIENT, "all slots")
        # whose endpoint status looks for in the database
        dovecot.deliver("bob", message())
        wait_for(lambda: database.count() == 1, PATIENT, "it to be stored")
        yield dovecot


def check(dovecot):
    """{link: (result, detail)} of the queue."""
    return {row["link"]: (row["result"], row["detail"])
            for row in rows(dovecot, "check", "-u", "bob", status=None)
            if row["link"] == "queue" or row["link"] == "service" or
            row["link"].startswith("PostgreSQL")}


@pytest.fixture
def changed(database):
    """Has the superuser change something, and change it back at the end."""
    undo = []

    def change(sql, back):
        undo.append(back)
        database.execute("-c", sql)
    yield change
    for sql in reversed(undo):
        database.execute("-c", sql)


def test_all_is_well(dovecot, database):
    found = check(dovecot)
    assert {result for result, detail in found.values()} == {"ok"}
    assert set(found) == {"service"} | {"PostgreSQL" + part for part in (
        "", " password", " TLS", " tables", " autovacuum", " durability",
        " hosts")}
    assert re.fullmatch(r"version \d+\S* on 127\.0\.0\.1, database "
                        "http_notify, role %s" % ROLE,
                        found["PostgreSQL"][1])
    # the same host
    assert found["PostgreSQL TLS"][1] == ""
    assert found["PostgreSQL hosts"][1].endswith(" 256")


@pytest.mark.parametrize("sql, back, link, said", [
    ("REVOKE http_notify FROM mailhost", "GRANT http_notify TO mailhost",
     "tables", "may not use them: GRANT http_notify TO mailhost"),
    ("UPDATE http_notify.version SET version = 7, compatible = 7",
     "UPDATE http_notify.version SET version = 1, compatible = 1",
     "tables", "of version 7, not 1: upgrade dovecot-http-notify"),
    ("UPDATE http_notify.version SET version = 0, compatible = 0",
     "UPDATE http_notify.version SET version = 1, compatible = 1",
     "tables", "of version 0, not 1: as their owner, run schema-1.sql"),
    ("ALTER SCHEMA http_notify RENAME TO other",
     "ALTER SCHEMA other RENAME TO http_notify",
     "tables", "psql -d http_notify -f schema-1.sql"),
    ("ALTER TABLE http_notify.lost RENAME TO other",
     "ALTER TABLE http_notify.other RENAME TO lost",
     "tables", "lacks what schema-1.sql, or PostgreSQL by itself, grants: "
     "SELECT on lost"),
    ("REVOKE EXECUTE ON FUNCTION pg_notify FROM public",
     "GRANT EXECUTE ON FUNCTION pg_notify TO public",
     "tables", "grants: EXECUTE on pg_notify(text,text)"),
    ("ALTER ROLE mailhost SET default_transaction_read_only = on",
     "ALTER ROLE mailhost RESET ALL", "", "can only read"),
    ("ALTER ROLE mailhost PASSWORD 'other'",
     "ALTER ROLE mailhost PASSWORD 'geheim'", "",
     'password authentication failed for user "mailhost"'),
    # whoever is connected keeps its name, and would come back at once
    ("ALTER DATABASE http_notify ALLOW_CONNECTIONS false; "
     "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
     "WHERE datname = 'http_notify'; "
     "ALTER DATABASE http_notify RENAME TO other",
     "ALTER DATABASE other RENAME TO http_notify; "
     "ALTER DATABASE http_notify ALLOW_CONNECTIONS true", "",
     'database "http_notify" does not exist'),
])
def test_what_is_missing_is_named(dovecot, database, sql, back, link, said):
    def change(sql):
        # each for itself
        statements = [("-c", each) for each in sql.split("; ")]
        database.server.execute(
            *itertools.chain(*statements),
            database="postgres" if "DATABASE" in sql else "http_notify")
    try:
        change(sql)
        result, detail = check(dovecot)[("PostgreSQL " + link).strip()]
        assert result == "fail"
        assert said in detail
        assert "geheim" not in detail
    finally:
        change(back)


def test_each_right_of_the_schema_is_looked_at(dovecot, database, changed):
    granted = {(right, table) for rights, tables in re.findall(
        r"^GRANT ([A-Z, ]+) ON (?!SCHEMA)([\w,\s]+?)\s+TO", SCHEMA.read_text(), re.M)
        for right in rights.split(", ")
        for table in re.split(r",\s*", tables)}
    assert ("DELETE", "lost") in granted
    changes = [["%s %s ON http_notify.%s %s http_notify" % (
        what[0], right, table, what[1]) for right, table in granted]
               for what in (("REVOKE", "FROM"), ("GRANT", "TO"))]
    changed(*("; ".join(change) for change in changes))
    result, detail = check(dovecot)["PostgreSQL tables"]
    assert result == "fail"
    lacks = detail.split("grants: ")[1].split(", ")
    assert {tuple(each.split(" on ")) for each in lacks} == granted


@pytest.mark.parametrize("sql, back, link, said", [
    ("ALTER ROLE mailhost SET synchronous_commit = off",
     "ALTER ROLE mailhost RESET ALL", "durability", "synchronous_commit=off"),
    ("ALTER TABLE http_notify.lost SET (autovacuum_enabled = off)",
     "ALTER TABLE http_notify.lost RESET (autovacuum_enabled)",
     "autovacuum", "off for lost"),
    ("CREATE RULE keep AS ON DELETE TO http_notify.notification "
     "DO INSTEAD NOTHING", "DROP RULE keep ON http_notify.notification",
     "tables", "removing what they have sent: rule keep on notification"),
    ("CREATE TABLE audit (id bigint REFERENCES http_notify.part)",
     "DROP TABLE audit", "tables", "reference audit_id_fkey on part"),
    ("ALTER TABLE http_notify.lost ENABLE ROW LEVEL SECURITY",
     "ALTER TABLE http_notify.lost DISABLE ROW LEVEL SECURITY", "tables",
     "row security on lost"),
])
def test_remarks(dovecot, changed, sql, back, link, said):
    changed(sql, back)
    result, detail = check(dovecot)["PostgreSQL " + link]
    assert result == "ok"
    assert said in detail


def test_what_postgresql_says_besides_is_not_logged(dovecot, changed):
    dovecot.clear_log()
    changed("ALTER ROLE mailhost SET log_statement = 'all'; "
            "ALTER ROLE mailhost SET client_min_messages = log",
            "ALTER ROLE mailhost RESET ALL")
    assert {result for result, detail in check(dovecot).values()} == {"ok"}
    assert not dovecot.log_lines("statement")


@pytest.mark.parametrize("mode, text, said", [
    (0o600, "\n", "has no password in its first line"),
    (0o604, "geheim\n", "all users of this host: chmod 0400"),
    (0o000, None, "Permission denied"),
])
def test_password_file(dovecot, database, mode, text, said):
    try:
        if text is not None:
            database.password_file.write_text(text)
        database.password_file.chmod(mode)
        result, detail = check(dovecot)["PostgreSQL password"]
        assert result == "fail"
        assert said in detail
        assert str(database.password_file) in detail
    finally:
        database.write_password("geheim")


@pytest.mark.parametrize("fault", ["stop", "hang"])
def test_outage(dovecot, database, fault):
    if fault == "stop":
        database.server.stop()
    else:
        database.server.hang()
    try:
        found = check(dovecot)
        assert found["service"][0] == "ok"
        assert found["queue"][0] == found["PostgreSQL"][0] == "fail"
        assert "stored on this host" in found["queue"][1]
        assert ("Connection refused" if fault == "stop" else
                "timeout expired") in found["PostgreSQL"][1]
    finally:
        if fault == "stop":
            database.server.start()
        else:
            database.server.hang(False)
    wait_for(lambda: "queue" not in check(dovecot), PATIENT, "its end")


@pytest.mark.parametrize("table", ["notification", "version"])
def test_who_has_locked_a_table(dovecot, database, table):
    """What a service needs to store, and what it needs to send."""
    session = database.server.session(
        "SET application_name = 'by hand'; BEGIN; "
        "LOCK TABLE http_notify.%s IN ACCESS EXCLUSIVE MODE;" % table, NAME)
    try:
        dovecot.deliver("bob", message())
        wait_for(lambda: re.match(
            r"hosts wait for a lock of session \d+ \(by hand, role postgres\): "
            ".*pg_terminate_backend", check(dovecot).get(
                "PostgreSQL tables", ("", ""))[1]), PATIENT,
            "the session to be named")
    finally:
        session.stdin.close()
        session.wait()
        session.stdout.close()
    wait_for(lambda: "queue" not in check(dovecot) and
             check(dovecot).get("PostgreSQL tables") == ("ok", ""), PATIENT,
             "its end")


@pytest.mark.parametrize("name, ca, said", [
    ("foreign", "ca", "is the server's certificate from a CA in sslrootcert"),
    ("expired", "ca", "has it not expired?"),
    ("good", None, "the service's user must be able to read it"),
])
def test_certificate(database, certificates, tmp_path, name, ca, said):
    files = [shutil.copy(file, database.server.dir / pathlib.Path(file).name)
             for file in certificates[name]]
    for file in files:
        shutil.chown(file, USER, USER)
    if ca is None:
        # below a directory that is root's alone
        ca_file = shutil.copy(certificates["ca"], tmp_path)
        tmp_path.chmod(0o700)
    else:
        ca_file = certificates[ca]

    def alter(*settings):
        database.server.execute(
            *(word for setting in settings
              for word in ("-c", "ALTER SYSTEM " + setting)),
            "-c", "SELECT pg_reload_conf()", database="postgres")
    alter("SET ssl_cert_file = '%s'" % files[0],
          "SET ssl_key_file = '%s'" % files[1], "SET ssl = on")
    try:
        settings = [line + " sslmode=verify-full sslrootcert=%s" % ca_file
                    if " = host=" in line else line
                    for line in database.settings]
        with running_dovecot(driver("http://127.0.0.1:1/"),
                             *settings) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            result, detail = check(dovecot)["PostgreSQL"]
            assert result == "fail"
            assert said in detail
            dovecot.wait_log("PostgreSQL can't be used", said)
    finally:
        alter("RESET ssl", "RESET ssl_cert_file", "RESET ssl_key_file")


def test_no_password(database):
    settings = [line for line in database.settings if "_file" not in line]
    with running_dovecot(driver("http://127.0.0.1:1/"), *settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        result, detail = check(dovecot)["PostgreSQL"]
        assert result == "fail"
        assert "set http_notify_pgsql_password_file" in detail


def test_module_of_another_version(database):
    """An update of one package alone, or what make install left."""
    code = MODULE.read_bytes()
    version = re.search(rb"\0(\d[\w.~]*) for \d\.\d\.", code).group(1)
    with module_away():
        MODULE.write_bytes(code.replace(version + b" for ", b"9" * len(
            version) + b" for "))
        with running_dovecot(driver("http://127.0.0.1:1/"),
                             *database.settings) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            result, detail = check(dovecot)["queue"]
            assert result == "fail"
            assert "different ABI version " + "9" * len(version) in detail
            assert ("install the package dovecot-http-notify-pgsql, in the "
                    "same version") in detail


def test_settings_with_a_secret(database):
    settings = [line if "file" in line or "_queue" in line else
                line + " password=geheim" for line in database.settings]
    with running_dovecot(driver("http://127.0.0.1:1/"), *settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        result, detail = check(dovecot)["queue"]
        assert result == "fail"
        assert "must not have password in it" in detail
        assert "geheim" not in detail
