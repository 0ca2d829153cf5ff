# SPDX-License-Identifier: LGPL-2.1-or-later
"""standby_url: used while url is down, and left when it answers."""

import contextlib
import re
import time

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import TOP, message, wait_for
from harness.endpoint import Endpoint
from harness.faults import faketime, says

USERS = ["bob", "carol", "dave", "erin", "frank"]
# seconds; far below what a delivery would be held up for
LONG = 10


@pytest.fixture
def standby():
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@contextlib.contextmanager
def dovecot_with(first, standby, start=True, **options):
    with running_dovecot(driver(first, standby_url=standby.url, **options),
                         start=start) as dovecot:
        if dovecot.process is not None:
            register(dovecot)
        yield dovecot


def register(dovecot):
    dovecot.register({user: "user=%d@1" % n for n, user in enumerate(USERS)})


class Outage:
    """The first endpoint's: begin() and end()."""

    def __init__(self, endpoint, name):
        self.endpoint, self.name = endpoint, name

    def begin(self):
        if self.name == "refused":
            self.endpoint.stop()
        elif self.name == "hangs":
            self.endpoint.hang = True
        else:
            self.endpoint.status = int(self.name)

    def end(self):
        if self.name == "refused":
            self.endpoint.start()
        else:
            self.endpoint.heal()


def arrived(*endpoints):
    """What was taken by any of them, in the order of time."""
    return sorted((r for endpoint in endpoints for r in endpoint.delivered),
                  key=lambda r: r.time)


def check_in_order_and_once(count, *endpoints):
    requests = arrived(*endpoints)
    assert len({r.key for r in requests}) == len(requests)
    for user in range(len(USERS)):
        uids = [r.uid for r in requests if r.body["user"] == "%d@1" % user]
        assert uids == list(range(1, count + 1))


@pytest.mark.parametrize("trouble", ["refused", "hangs", "500", "503", "404"])
def test_takes_over_and_hands_back(other_endpoint, standby, trouble):
    """In order, and once, for each user, over both changes."""
    first = other_endpoint
    outage = Outage(first, trouble)
    # those that are well have to answer within that on a busy machine
    with dovecot_with(first, standby, timeout_msecs=20000) as dovecot:
        dovecot.deliver(USERS, message())
        first.wait(len(USERS))
        outage.begin()
        for _ in range(3):
            assert dovecot.deliver(USERS, message()) < LONG
        standby.wait(3 * len(USERS))
        begin, = dovecot.wait_log("Error: Endpoint " + first.authority)
        assert not dovecot.log_lines("Endpoint " + standby.authority)

        outage.end()
        count = 4

        def handed_back():
            nonlocal count
            dovecot.deliver(USERS, message())
            count += 1
            wait_for(lambda: len(arrived(first, standby)) ==
                     count * len(USERS), what="the notifications")
            return dovecot.log_lines(
                "Info: Endpoint %s is up again" % first.authority)
        # a server that seems misconfigured is tried after half a minute
        wait_for(handed_back, what="the first endpoint to be used again")
        standby.clear()
        dovecot.deliver(USERS, message())
        first.wait(2 * len(USERS))
        assert standby.attempts == []
        dovecot.wait_log("Endpoint " + first.authority, count=2)
        assert len(dovecot.wait_log("Endpoint ", count=2)) == 2


@pytest.mark.parametrize("trouble", ["refused", "500", "404"])
def test_order_holds_while_it_comes_and_goes(other_endpoint, standby, trouble):
    first = other_endpoint
    outage = Outage(first, trouble)
    # what is too late is sent to the other one as well
    with dovecot_with(first, standby, timeout_msecs=20000) as dovecot:
        for n in range(30):
            if n in (5, 17):
                outage.begin()
            elif n in (11, 23):
                outage.end()
            dovecot.deliver(USERS, message())
        wait_for(lambda: len(arrived(first, standby)) >= 30 * len(USERS), 30,
                 "the notifications")
        check_in_order_and_once(30, first, standby)
        assert not dovecot.log_lines("Notification lost")


def test_lost_answer_comes_again_with_the_same_key(other_endpoint, standby):
    """The first server took it and died before it could say so: the standby
    gets it as the same notification."""
    first = other_endpoint
    first.fault = says(b"")
    with dovecot_with(first, standby) as dovecot:
        dovecot.deliver("bob", message())
        request, = standby.wait(1)
        assert [r.key for r in first.attempts] == [request.key]


def test_both_down_is_kept(other_endpoint, standby):
    first = other_endpoint
    first.stop()
    standby.stop()
    with dovecot_with(first, standby) as dovecot:
        for _ in range(3):
            assert dovecot.deliver(USERS, message()) < LONG
        for endpoint in (first, standby):
            dovecot.wait_log("Error: Endpoint %s is down" %
                             endpoint.authority)
        standby.start()
        wait_for(lambda: len(standby.delivered) == 3 * len(USERS), 30,
                 "the standby's notifications")
        check_in_order_and_once(3, standby)
        dovecot.wait_log("Info: Endpoint %s is up again" % standby.authority)
        assert not dovecot.log_lines("Notification lost")


def test_standby_that_is_down_harms_nothing(other_endpoint, standby):
    first = other_endpoint
    standby.stop()
    with dovecot_with(first, standby) as dovecot:
        for _ in range(10):
            dovecot.deliver(USERS, message())
        first.wait(10 * len(USERS))
        check_in_order_and_once(10, first)
        assert len(first.attempts) == 10 * len(USERS)
        assert not dovecot.log_lines("Endpoint ")


def test_probes_are_a_minute_apart_at_most():
    header = (TOP / "src/service/delivery/health.h").read_text()
    longest, = re.findall(r"define HEALTH_PROBE_MAX_MSECS \((\d+)\*1000\)",
                          header)
    # and a quarter of jitter
    assert int(longest) * 1.25 <= 60


@pytest.mark.parametrize("trouble", ["500", "404"])
def test_first_is_tried_every_minute_also_after_an_hour(other_endpoint,
                                                        standby, trouble):
    """In time lapse, with a clock of the service's that goes faster."""
    first = other_endpoint
    outage = Outage(first, trouble)
    speed = 300
    with faketime() as environment, dovecot_with(
            first, standby, timeout_msecs=600000, max_age="1w",
            start=False) as dovecot:
        dovecot.wrap_service(FAKETIME="+0 x%d" % speed, **environment)
        dovecot.start()
        register(dovecot)
        outage.begin()
        end = time.monotonic() + 3600 / speed
        while time.monotonic() < end:
            dovecot.deliver(USERS, message())
            time.sleep(0.02)
        times = [r.time for r in first.attempts[-10:]]
        seconds = sorted((after - before) * speed
                         for before, after in zip(times, times[1:]))
        # the median, with what a busy machine adds; waits that grew with the
        # outage would be half an hour by now
        assert seconds[len(seconds) // 2] <= 600
        outage.end()

        def handed_back():
            dovecot.deliver("bob", message())
            return first.delivered
        wait_for(handed_back, what="the first endpoint to be used again")
