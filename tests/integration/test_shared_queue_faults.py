# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of three hosts that share a queue: what was acked arrives, in order,
and deliveries do not wait."""

import os
import re
import signal
import time

import pytest

from conftest import running_dovecot
from harness.dovecot import wait_for
from harness.faults import fill_disk, small_disk
from harness.shared_queue import PASSWORD
from harness.shared_site import (PATIENT, Load, make_directory, now_and_then,
                                 shared_site)

# Of a host whose sessions the server does not know to be gone: for what others
# have stored since.
TAKEOVER_MAX = 15
OTHERS = (1, 2)
# What one host may have sent without having removed it. Without a fault in the
# midst of it, that is next to nothing.
IN_FLIGHT = 50


@pytest.fixture(scope="module")
def shared():
    with shared_site(running_dovecot) as site:
        yield site


@pytest.fixture
def site(shared):
    """All of it works."""
    shared.wait_for_shares()
    shared.wait_until_empty()
    return shared


def test_idle_site_costs_heartbeats_only(site):
    """However many parts the queue has."""
    database, seconds = site.database, 12
    with Load(site) as load:
        load.go_on(300)
    load.check()
    assert database.count("part") > 30

    def wal():
        return int(database.execute(
            "-c", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))

    database.execute("-c", "ALTER SYSTEM SET log_statement = 'all'",
                     "-c", "SELECT pg_reload_conf()")
    try:
        # what is left to do of the load
        time.sleep(3)
        log = database.server.dir / "log"
        begin, written = log.stat().st_size, wal()
        time.sleep(seconds)
        written = wal() - written
        said = log.read_bytes()[begin:].decode()
    finally:
        database.execute("-c", "ALTER SYSTEM RESET log_statement",
                         "-c", "SELECT pg_reload_conf()")
    statements = re.findall(r"execute \d+: (.*)", said)
    others = [text for text in statements if "clock_timestamp" not in text and
              "pg_locks" not in text]
    beats = 3 * (seconds / 2 + 1)
    assert beats < len(statements) - len(others) <= 3 * beats
    # a look at what is in a host's slots, every 20 s
    assert len([text for text in others if "WITH RECURSIVE" in text]) <= 6
    # and sessions of mail processes that have ended, every minute
    assert all("WITH RECURSIVE" in text or "http_notify.session" in text
               for text in others), others
    assert written < 65536


def test_killed_server(site):
    with Load(site) as load:
        load.go_on()
        site.database.server.kill()
        time.sleep(3)
        site.database.server.start()
        load.go_on()
    assert len(load.check()) <= IN_FLIGHT
    assert not load.named()


def test_killed_service(site):
    with Load(site) as load:
        for _ in range(3):
            load.go_on()
            os.kill(site.mail_hosts[0].dovecot.service_pid(), signal.SIGKILL)
        load.go_on()
    assert len(load.check()) <= IN_FLIGHT


def test_vanished_host(site):
    with Load(site) as load:
        load.go_on()
        load.die(0)
        site.mail_hosts[0].vanish()
        site.wait_for_shares()
        load.go_on(hosts=OTHERS)
        site.mail_hosts[0].come_back()
        load.live(0)
        site.wait_for_shares()
    assert len(load.check()) <= IN_FLIGHT
    assert load.longest_delay() < TAKEOVER_MAX + load.machine()


@pytest.mark.parametrize("deaf", ["host", "database"])
def test_partition_one_sided(site, deaf):
    """The host does not hear the database, or the other way round."""
    one, database = site.mail_hosts[0].host, site.database_hosts[0]
    with Load(site) as load:
        load.go_on()
        with one.deaf_to(database) if deaf == "host" else \
                database.deaf_to(one):
            wait_for(now_and_then(
                lambda: site.database.slots() == [128, 128]), TAKEOVER_MAX,
                "the others to take over")
            load.go_on(hosts=OTHERS)
        site.wait_for_shares()
        load.go_on()
    assert len(load.check()) <= IN_FLIGHT
    assert not load.named()
    assert load.longest_delay(OTHERS) < TAKEOVER_MAX + load.machine()


def test_password_is_rotated(site):
    """First in the database, where it counts for new sessions."""
    database = site.database

    def rotate(password):
        database.execute("-c", "ALTER ROLE mailhost PASSWORD '%s'" % password)
        load.go_on()
        database.execute("-c", "SELECT pg_terminate_backend(pid) FROM "
                         "pg_stat_activity WHERE usename = 'mailhost'")
        for mail_host in site.mail_hosts:
            mail_host.dovecot.wait_log("PostgreSQL can't be used", "password",
                                       timeout=PATIENT)
        database.write_password(password)
        load.go_on()

    for mail_host in site.mail_hosts:
        mail_host.dovecot.clear_log()
    try:
        with Load(site) as load:
            rotate("neu")
    finally:
        database.execute("-c", "ALTER ROLE mailhost PASSWORD '%s'" % PASSWORD)
        database.write_password(PASSWORD)
    assert len(load.check()) <= IN_FLIGHT
    assert not load.named()


def test_full_disk(site):
    """The one that notifications are on; the server goes on without."""
    server = site.database.server
    disk = make_directory(server.dir / "disk")
    with small_disk(disk, 4 * 1024 * 1024):
        space = make_directory(disk / "space")
        site.database.execute("-c", "CREATE TABLESPACE small LOCATION '%s'" %
                              space)
        site.database.move_to("small")
        try:
            with Load(site) as load:
                load.go_on()
                ballast = fill_disk(disk)
                # it needs more, rather than what was in use before
                site.recorder.slow()
                for mail_host in site.mail_hosts:
                    mail_host.dovecot.wait_log(
                        "on this host until PostgreSQL", "space",
                        timeout=PATIENT)
                site.recorder.slow(False)
                time.sleep(2)
                ballast.unlink()
                load.go_on()
            assert len(load.check()) <= IN_FLIGHT
            assert not load.named()
        finally:
            site.recorder.slow(False)
            (disk / "ballast").unlink(missing_ok=True)
            site.database.move_to("pg_default")
            site.database.execute("-c", "DROP TABLESPACE small")
