# SPDX-License-Identifier: LGPL-2.1-or-later
"""A queue in PostgreSQL that a service can't even try to use: its module is
missing, or its settings are wrong. The host stores until that is put right."""

import pytest

from conftest import running_dovecot
from harness.doveadm import EX_TEMPFAIL, doveadm, failed_check, rows
from harness.dovecot import message, wait_for
from harness.shared_queue import module_away
from test_shared_queue import (PATIENT, Deliveries, assert_in_order, database,
                               errors, host, patient, register, repeats,
                               shared_database, wait_for_slots)

__all__ = ["database", "shared_database"]

INSTALL = "(install the package dovecot-http-notify-pgsql, in the same version)"


def total(dovecot):
    return rows(dovecot, "status", "-H", ".")[-1]


def deliver(dovecot, count):
    for _ in range(count):
        dovecot.deliver("bob", message())


def assert_said_once(dovecot, reason, count=1):
    for words in (("Error: PostgreSQL can't be used: ",),
                  ("Warning: Storing notifications on this host until ",)):
        # one that has started with some spooled is not sure at once
        lines = dovecot.wait_log(*words, count=count, timeout=PATIENT)
        assert len(lines) == count and reason in lines[-1], lines


def assert_spooling(dovecot, count, reason):
    row = total(dovecot)
    assert (row["queue"], row["spooled"]) == ("spooling", count)
    assert reason in row["last_error"]
    assert dovecot.queued() == count
    assert_said_once(dovecot, reason)
    assert not dovecot.log_lines("Notification lost")


def wait_moved(dovecot, endpoint, count):
    """In order, and each once."""
    assert [r.uid for r in endpoint.wait(count, PATIENT)] == list(
        range(1, count + 1))
    wait_for(lambda: total(dovecot)["queue"] == "up", PATIENT,
             "the queue to be used")
    assert dovecot.queued() == 0
    assert not dovecot.log_lines("Notification lost")
    assert not dovecot.log_lines("not confirmed")


def test_missing_module(database, endpoint):
    """Once it is there, nobody has to restart anything."""
    with module_away() as install, host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, 3)
        assert_spooling(dovecot, 3, INSTALL)
        install()
        dovecot.wait_log("What kept PostgreSQL from being used has changed",
                         timeout=PATIENT)
        wait_moved(dovecot, endpoint, 3)
        deliver(dovecot, 1)
        wait_moved(dovecot, endpoint, 4)
        assert len(errors(dovecot)) == 1


def test_installed_under_deliveries(database, endpoint):
    """The service starts again for that, which nobody notices."""
    with module_away() as install, host(database, endpoint) as dovecot:
        register(dovecot)
        with Deliveries(dovecot) as deliveries:
            wait_for(lambda: total(dovecot)["spooled"] > 100, PATIENT, "some")
            install()
            dovecot.wait_log("Storing notifications in PostgreSQL again",
                             timeout=PATIENT)
            sent = deliveries.count
            wait_for(lambda: deliveries.count > sent + 100, PATIENT, "others")
        endpoint.wait(deliveries.count, PATIENT)
        assert_in_order(endpoint.delivered)
        assert repeats(endpoint.delivered) == 0
        assert len(endpoint.delivered) == deliveries.count
        assert not dovecot.log_lines("Notification lost")
        assert not dovecot.log_lines("not confirmed")


def test_removed_while_it_is_used(database, endpoint):
    """A service that runs goes on; the next one stores here."""
    with host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        wait_for_slots(database, 256)
        with module_away() as install:
            deliver(dovecot, 1)
            wait_moved(dovecot, endpoint, 1)
            dovecot.stop()
            dovecot.start()
            deliver(dovecot, 2)
            assert_spooling(dovecot, 2, INSTALL)
            # what a former process has spooled is said to be moved when it is
            dovecot.stop()
            dovecot.start()
            deliver(dovecot, 1)
            assert total(dovecot)["spooled"] == 3
            assert_said_once(dovecot, INSTALL, 2)
            assert not dovecot.log_lines("Moving to PostgreSQL")
            install()
            wait_moved(dovecot, endpoint, 4)
            assert len(dovecot.log_lines(
                "Moving to PostgreSQL what is stored on this host")) == 1


def test_another_reason_is_told(database, endpoint):
    """The package is installed, and the settings are wrong, too."""
    settings = [line.replace(" user=", " usr=") for line in database.settings]
    with module_away() as install, \
            running_dovecot(*patient(endpoint), *settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, 1)
        assert_spooling(dovecot, 1, INSTALL)
        install()
        dovecot.wait_log("Error: PostgreSQL can't be used: http_notify_pgsql",
                         timeout=PATIENT)
        wait_for(lambda: '"usr"' in total(dovecot)["last_error"], PATIENT,
                 "it to be told")
        dovecot.configure(*patient(endpoint), *database.settings)
        dovecot.reload()
        wait_moved(dovecot, endpoint, 1)


@pytest.mark.parametrize("old, new, reason", [
    (" user=", " usr=", 'invalid connection option "usr"'),
    (" user=", " user ", 'missing "="'),
    (" user=", " password=geheim user=", "must not have password in it "
     "(http_notify_pgsql_password_file is for that)"),
    ("http_notify_pgsql = ", "#", "http_notify_pgsql is not set"),
])
def test_malformed_settings(database, endpoint, old, new, reason):
    settings = [line.replace(old, new) for line in database.settings]
    with running_dovecot(*patient(endpoint), *settings) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, 3)
        assert_spooling(dovecot, 3, reason)
        assert "geheim" not in dovecot.log()
        dovecot.configure(*patient(endpoint), *database.settings)
        dovecot.reload()
        wait_moved(dovecot, endpoint, 3)


def test_doveadm(database, endpoint):
    """As while PostgreSQL is away, but for a move, which would wait for ever."""
    with module_away() as install, host(database, endpoint) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, 2)
        said = failed_check(dovecot)["queue"]
        assert "PostgreSQL has been out of use for " in said
        assert "stored on this host, and wait (2 of them)" in said
        assert INSTALL in said
        # of what is in PostgreSQL, and which hosts there are
        for args in (("status",), ("queue",), ("lost",), ("queue", "move"),
                     ("catch-up", "-u", "bob", "-s", "1h")):
            said = doveadm(dovecot, *args, status=EX_TEMPFAIL)
            assert "PostgreSQL can't be used: " in said, said
            assert INSTALL in said
        here = rows(dovecot, "queue", "-H", ".")
        assert [row["uid"] for row in here] == [1, 2]
        doveadm(dovecot, "flush", "-H", ".")
        assert rows(dovecot, "purge", "-u", "bob", "-H", ".")[-1][
            "count"] == 2
        assert total(dovecot)["queue"] == "spooling"
        deliver(dovecot, 1)
        install()
        # check has sent one without a message
        assert [r.uid for r in endpoint.wait(2, PATIENT)] == [0, 3]
