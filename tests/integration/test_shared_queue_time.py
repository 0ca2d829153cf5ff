# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that share a queue, and time: one that was stopped, a database that is
slow, and clocks that differ."""

import contextlib
import os
import signal
import time

import pytest

from conftest import running_dovecot
from harness.dovecot import wait_for
from harness.faults import WallClock, faketime
from harness.shared_site import PATIENT, Load, now_and_then, shared_site

HOUR = 3600
BOTH = range(2)


@pytest.fixture(scope="module")
def linked():
    """Two hosts, to which a database that has gone seems to be there."""
    links = []
    # the endpoint's answers count, however late a service sees them
    with shared_site(running_dovecot, count=2, links=links,
                     options={"timeout_msecs": 60000}) as site:
        site.links = links
        yield site


def test_stopped_service(linked):
    """By a hypervisor, say. When it goes on, the other has sent what it was
    about to, and it has not been told."""
    site, one = linked, linked.mail_hosts[0]
    site.wait_for_shares()
    with Load(site) as load:
        load.go_on()
        # users have more queued than what is under way
        site.recorder.slow()
        time.sleep(5)
        pid = one.dovecot.service_pid()
        os.kill(pid, signal.SIGSTOP)
        site.links[0].snap()
        wait_for(now_and_then(lambda: site.database.slots() == [256]), PATIENT,
                 "the other to take over")
        # it is as far as that
        time.sleep(8)
        went_on = time.monotonic()
        os.kill(pid, signal.SIGCONT)
        time.sleep(3)
        site.recorder.slow(False)
        site.links[0].heal()
        site.wait_for_shares()
        load.go_on(hosts=BOTH)
    repeats = load.check()
    assert not [second for first, second in repeats
                if second.host == one.host.address and second.time > went_on]
    # what was under way, one for each user
    assert len(repeats) <= 48


@pytest.mark.parametrize("seconds", [0.2, 2])
def test_slow_server(linked, seconds):
    """From a question to the answer."""
    site = linked
    site.wait_for_shares()
    with Load(site) as load:
        load.go_on(hosts=BOTH)
        for link in site.links:
            link.delay = seconds / 2
        time.sleep(3)
        for _ in range(8):
            # heartbeats are answered in time
            assert site.database.slots() == [128, 128]
            time.sleep(1)
        for link in site.links:
            link.delay = 0
        load.go_on(hosts=BOTH)
    assert len(load.check()) == 0
    assert not load.named()


def test_clocks_that_differ_expire_nothing():
    """Each host's notifications are sent by the other one, too, and lie in the
    queues of both kinds."""
    offsets = iter([HOUR, -HOUR])
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(faketime())

        def set_clock(dovecot):
            clock = WallClock(dovecot.dir / "clock")
            clock.set(next(offsets))
            dovecot.wrap_service(**clock.environment(environment))

        site = stack.enter_context(shared_site(
            running_dovecot, count=2, options={"max_age": "10m"},
            prepare=set_clock))
        site.wait_for_shares()
        with Load(site) as load:
            load.go_on()
            site.database.server.stop()
            time.sleep(3)
            site.database.server.start()
            load.go_on()
            # they begin anew, with the clock of this host
            for mail_host in site.mail_hosts:
                os.kill(mail_host.dovecot.service_pid(), signal.SIGKILL)
            load.go_on()
            # it looks for what is too old
            site.recorder.slow()
            time.sleep(7)
            site.recorder.slow(False)
        load.check()
        for mail_host in site.mail_hosts:
            assert not mail_host.dovecot.log_lines("max_age reached")
