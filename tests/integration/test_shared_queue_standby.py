# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that share a queue whose PostgreSQL has a synchronous standby: what is
acked is on both."""

import os
import signal
import time

import pytest

from conftest import running_dovecot
from harness.doveadm import rows
from harness.dovecot import wait_for
from harness.shared_site import PATIENT, Load, now_and_then, shared_site

AWAITED = "commits wait for a synchronous standby"
BOTH = range(2)
# One for each user may be under way, and a few may have been answered that are
# not removed yet.
IN_FLIGHT = 100


@pytest.fixture(scope="module")
def shared():
    with shared_site(running_dovecot, count=2, replica=True) as site:
        yield site


@pytest.fixture
def site(shared):
    """All of it works."""
    shared.wait_for_shares()
    shared.wait_until_empty()
    for mail_host in shared.mail_hosts:
        mail_host.dovecot.clear_log()
    return shared


def durability(dovecot):
    """What check says of it."""
    return next((row["result"], row["detail"]) for row in rows(
        dovecot, "check", "-u", "d0@0", status=None)
                if row["link"] == "PostgreSQL durability")


def test_standby_is_away(site):
    """Each commit waits for it, and nobody knows whether it will be lost."""
    standby = site.database.servers[1]
    one, other = (mail_host.dovecot for mail_host in site.mail_hosts)
    with Load(site) as load:
        load.go_on()
        standby.stop()
        for dovecot in one, other:
            dovecot.wait_log("PostgreSQL can't be used", AWAITED,
                             timeout=PATIENT)
        total = rows(one, "status", "--host", ".")[-1]
        assert total["queue"] == "spooling"
        assert AWAITED in total["last_error"]
        wait_for(now_and_then(lambda: durability(one)[0] == "fail"), PATIENT,
                 "check to see it")
        assert AWAITED in durability(one)[1]
        # the session of its former self waits
        os.kill(one.service_pid(), signal.SIGKILL)
        # what was on its way
        time.sleep(3)
        arrived, acked = len(site.recorder.read()), len(load.acked())
        wait_for(lambda: len(load.acked()) > acked + 100, PATIENT,
                 "hand-offs to be acked")
        assert len(site.recorder.read()) == arrived
        standby.start()
        load.go_on(hosts=BOTH)
    assert len(load.check()) <= IN_FLIGHT
    assert not load.named()
    assert durability(one)[0] == "ok"
    # once per spell
    for said in ("can't be used: " + AWAITED, "can be used again",
                 "on this host until", "in PostgreSQL again"):
        assert len(other.log_lines(said)) == 1, said


def test_promoted_standby(site):
    """The disk of the primary is lost with it, while much is acked that has not
    been sent."""
    with Load(site) as load:
        load.go_on()
        site.recorder.slow()
        wait_for(now_and_then(lambda: site.database.count() > 100), PATIENT,
                 "more to be queued than is under way")
        site.promote_standby()
        site.recorder.slow(False)
        load.go_on(hosts=BOTH)
        site.make_new_standby()
    assert len(load.check()) <= IN_FLIGHT
    assert not load.named()


def test_failover_that_one_connection_does_not_hear_of():
    """A host stores in the new server while it has slots of the former one,
    which others have there."""
    links = []
    with shared_site(running_dovecot, count=2, replica=True, links=links,
                     options={"timeout_msecs": 60000}) as site:
        site.wait_for_shares()
        old, new = site.database.servers
        with Load(site) as load:
            load.go_on()
            # users have more queued than what is under way
            site.recorder.slow()
            wait_for(now_and_then(lambda: site.database.count() > 100),
                     PATIENT, "more to be queued than is under way")
            new.execute("-c", "SELECT pg_promote()", database="postgres")
            site.database.server = new
            for link in links:
                link.move(new)
            links[1].heal()
            old.kill()
            wait_for(now_and_then(lambda: site.database.slots()), PATIENT,
                     "a host to take over")
            # until the other one would find out by itself
            time.sleep(6)
            site.recorder.slow(False)
            site.wait_for_shares()
            load.go_on(hosts=BOTH)
        # what was under way, one for each of 48 users, and what may have been
        # until the former server was found to be silent
        assert len(load.check()) <= 64
