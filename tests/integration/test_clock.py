# SPDX-License-Identifier: LGPL-2.1-or-later
"""The wall clock jumps: NTP, an admin, a virtual machine that was suspended.

Nothing expires for it and nothing stalls: what lasts a time is measured by a
clock that does not jump.
"""

import contextlib
import os
import signal
import sqlite3
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.dovecot import message, wait_for
from harness.faults import WallClock, faketime

HOUR = 3600
JUMPS = [2 * HOUR, -3 * HOUR]


@contextlib.contextmanager
def dovecot_with_clock(endpoint, **options):
    """Only the service's clock is set: what Dovecot's master process does when
    time moves is not what this is about."""
    with faketime() as environment, running_dovecot(
            driver(endpoint, **options), PATIENT, start=False) as dovecot:
        clock = WallClock(dovecot.dir / "clock")
        dovecot.wrap_service(**clock.environment(environment))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot, clock


def let_it_notice():
    # its look for what is too old comes every few seconds
    time.sleep(7)


def steps_back(dovecot):
    """Of how many seconds each, the service says, the clock was set back."""
    lines = dovecot.log_lines(" http-notify: ", "Time moved backwards by ")
    return [round(float(line.split()[-2])) for line in lines]


@pytest.mark.parametrize("jumps", [
    [2 * HOUR], [-3 * HOUR], [2 * HOUR, -1 * HOUR]],
    ids=["forwards", "backwards", "to-and-fro"])
def test_jumps_neither_expire_nor_stall(other_endpoint, jumps):
    endpoint = other_endpoint
    endpoint.stop()
    with dovecot_with_clock(endpoint, max_age="1h") as (dovecot, clock):
        for _ in range(3):
            dovecot.deliver("bob", message())
        sent = 3
        for offset in jumps:
            clock.set(offset)
            dovecot.deliver("bob", message())
            sent += 1
            let_it_notice()
            assert dovecot.queued() == sent
        assert steps_back(dovecot) == [
            old - new for old, new in zip([0] + jumps, jumps) if new < old]
        endpoint.start()
        # soon: its probes are no more than some seconds apart by now
        requests = endpoint.wait(sent)
        assert [r.uid for r in requests] == list(range(1, sent + 1))
        assert not dovecot.log_lines("Notification lost")


def test_only_a_step_is_said_to_be_one(other_endpoint):
    """... not that the service was stopped for a while."""
    endpoint = other_endpoint
    # so that it is about to try again all the time
    endpoint.stop()
    with dovecot_with_clock(endpoint) as (dovecot, clock):
        dovecot.deliver("bob", message())
        for offset in (0, 0, -5, -6):
            os.kill(dovecot.service_pid(), signal.SIGSTOP)
            time.sleep(3)
            clock.set(offset)
            os.kill(dovecot.service_pid(), signal.SIGCONT)
            time.sleep(3)
            assert steps_back(dovecot) == {0: [], -5: [5], -6: [5, 1]}[offset]


@pytest.mark.parametrize("offset", JUMPS, ids=["forwards", "backwards"])
def test_service_that_starts_after_a_jump(other_endpoint, offset):
    """... neither expires nor stalls what the one before has left."""
    endpoint = other_endpoint
    endpoint.stop()
    with dovecot_with_clock(endpoint, max_age="1h") as (dovecot, clock):
        for _ in range(3):
            dovecot.deliver("bob", message())
        pid = dovecot.service_pid()
        clock.set(offset)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: dovecot.pids("http-notify") not in ([], [pid]),
                 what="a new service")
        dovecot.deliver("bob", message())
        let_it_notice()
        assert dovecot.queued() == 4
        endpoint.start()
        assert [r.uid for r in endpoint.wait(4)] == [1, 2, 3, 4]
        assert not dovecot.log_lines("Notification lost")


@pytest.mark.parametrize("killed", [False, True])
def test_host_that_boots_with_a_clock_years_ahead(other_endpoint, killed):
    """... which NTP sets back a while later. Until then, nobody knows for how
    long it was switched off."""
    endpoint = other_endpoint
    endpoint.stop()
    with dovecot_with_clock(endpoint, max_age="1h") as (dovecot, clock):
        for _ in range(3):
            dovecot.deliver("bob", message())
        if killed:
            os.kill(dovecot.service_pid(), signal.SIGKILL)
        dovecot.stop()
        with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
            db.execute("UPDATE clock SET boot = 'another'"
                       " WHERE boot <> 'stopped'")
            db.commit()
        clock.set(10 * 365 * 24 * HOUR)
        dovecot.start()
        dovecot.deliver("bob", message())
        let_it_notice()
        assert dovecot.queued() == 4
        clock.set(0)
        dovecot.deliver("bob", message())
        let_it_notice()
        assert dovecot.queued() == 5
        endpoint.start()
        assert [r.uid for r in endpoint.wait(5)] == [1, 2, 3, 4, 5]
        assert not dovecot.log_lines("Notification lost")


@pytest.mark.parametrize("offset", JUMPS, ids=["forwards", "backwards"])
def test_max_age_counts_the_time_that_passes(other_endpoint, offset):
    """... whatever the wall clock says meanwhile."""
    endpoint = other_endpoint
    endpoint.stop()
    with dovecot_with_clock(endpoint, max_age="15s") as (dovecot, clock):
        begin = time.monotonic()
        dovecot.deliver("bob", message())
        clock.set(offset)
        dovecot.wait_log("Notification lost", "max_age")
        assert time.monotonic() - begin > 14


@pytest.mark.parametrize("offset", JUMPS, ids=["forwards", "backwards"])
def test_a_retry_comes_when_it_should(other_endpoint, offset):
    """Retries, probes and timeouts of a service that the jump meets while it
    waits for each of them."""
    endpoint = other_endpoint
    with dovecot_with_clock(endpoint, timeout_msecs=1000) as (
            dovecot, clock):
        for trouble in ("busy", "silent", "gone"):
            if trouble == "busy":
                endpoint.status = 503
            elif trouble == "silent":
                endpoint.hang = True
            else:
                endpoint.stop()
            count = len(endpoint.delivered)
            dovecot.deliver("bob", message())
            time.sleep(0.3)
            clock.set(offset)
            time.sleep(0.3)
            if trouble == "gone":
                endpoint.start()
            endpoint.heal()
            endpoint.wait(count + 1)
            clock.set(0)
            dovecot.deliver("bob", message())
            endpoint.wait(count + 2)
        assert not dovecot.log_lines("Notification lost")


def test_many_jumps_while_it_is_busy(other_endpoint):
    """Backwards only, so that what stalled would stay so, and whatever it is
    doing when the clock jumps."""
    endpoint = other_endpoint
    tried = set()
    # a few retries are due all the time
    endpoint.status = lambda r: (
        503 if r.uid % 16 == 1 and r.key not in tried and
        not tried.add(r.key) else None)
    users = ["user%d" % n for n in range(8)]
    with dovecot_with_clock(endpoint) as (dovecot, clock):
        dovecot.register({user: "user=3@1" for user in users})
        count = 50
        for n in range(count):
            clock.set(-n * HOUR)
            dovecot.deliver(users, message())
        endpoint.wait(count * len(users))
        assert not dovecot.log_lines("Notification lost")
        assert not dovecot.log_lines("Panic:")


@pytest.mark.parametrize("offset", JUMPS, ids=["forwards", "backwards"])
def test_all_of_dovecot_sees_the_jump(other_endpoint, offset):
    endpoint = other_endpoint
    endpoint.stop()
    with faketime() as environment, running_dovecot(
            start=False) as dovecot:
        clock = WallClock(dovecot.dir / "clock")
        environment = clock.environment(environment)
        dovecot.configure(driver(endpoint), extra=config.environment(
            *environment))
        dovecot.start(**environment)
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        clock.set(offset)
        sent = 1
        if offset > 0:
            # Backwards, Dovecot's own mail processes end themselves, and the
            # next ones are not started for three minutes.
            assert dovecot.deliver("bob", message()) < 10
            sent = 2
        let_it_notice()
        assert dovecot.queued() == sent
        endpoint.start()
        assert [r.uid for r in endpoint.wait(sent)] == list(
            range(1, sent + 1))
        assert not dovecot.log_lines("Notification lost")
