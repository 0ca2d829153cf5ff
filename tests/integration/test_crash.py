# SPDX-License-Identifier: LGPL-2.1-or-later
"""A campaign of crashes: what was acked arrives, in order.

HTTP_NOTIFY_CAMPAIGN_SECONDS makes it longer, HTTP_NOTIFY_CAMPAIGN_SEED repeats
the decisions of a former one.
"""

import collections
import contextlib
import os
import random
import re
import signal
import smtplib
import threading
import time

from conftest import driver, running_dovecot
from harness.config import IN_TIME
from harness.dovecot import message, wait_for
from harness.endpoint import Endpoint

SECONDS = float(os.environ.get("HTTP_NOTIFY_CAMPAIGN_SECONDS", "75"))
SEED = int(os.environ.get("HTTP_NOTIFY_CAMPAIGN_SEED", "0")) or \
    random.SystemRandom().randrange(1, 1 << 32)
USERS = ["user%d" % n for n in range(20)]
CLIENTS = 4
# of each client between two deliveries
PAUSE = 0.02
# Dovecot's master starts a service that died at once, but one that dies before
# it was ready, or more than ten times in a second, only after some seconds,
# and later each time.
INTERVALS = (0.05, 0.3)

FAILED = r"Notification %s: user=(\S+) folder=INBOX uid=(\d+)"


class Client(threading.Thread):
    """Delivers one message after the other, as an MTA that tries again."""

    def __init__(self, dovecot, users, stop):
        super().__init__(daemon=True)
        self.dovecot, self.users, self.stop_event = dovecot, users, stop
        self.subjects = 0
        # by user: subjects of messages that were answered 250, and of others,
        # which may have been delivered all the same
        self.acked = collections.defaultdict(list)
        self.failed = collections.defaultdict(list)

    def run(self):
        while not self.stop_event.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException):
                with contextlib.closing(self.dovecot.lmtp()) as lmtp:
                    lmtp.ehlo()
                    self.deliver(lmtp)
            time.sleep(0.01)

    def deliver(self, lmtp):
        while not self.stop_event.is_set():
            for user in self.users:
                self.subjects += 1
                subject = "%s/%d" % (user, self.subjects)
                self.failed[user].append(subject)
                # refused means an exception
                lmtp.sendmail("a@example.org", [user], message(subject))
                self.failed[user].pop()
                self.acked[user].append(subject)
                time.sleep(PAUSE)


class Campaign:
    def __init__(self, dovecot, endpoint):
        self.dovecot, self.endpoint = dovecot, endpoint
        self.random = random.Random(SEED)
        self.kills = collections.Counter()
        # requests that were under way when one side of them was stopped
        self.in_flight = 0
        self.figures = collections.Counter()

    def kill(self, name):
        pids = self.dovecot.pids(name)
        if not pids:
            self.figures["found no %s" % name] += 1
            return
        if name == "http-notify":
            self.in_flight += self.endpoint.under_way
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.random.choice(pids), signal.SIGKILL)
            self.kills[name] += 1

    def flap(self):
        endpoint = self.endpoint
        if endpoint.server is None:
            endpoint.start()
            return
        endpoint.heal()
        trouble = self.random.choice(["", "", "", "stop", "500", "hang",
                                      "slow"])
        if trouble == "stop":
            self.in_flight += endpoint.under_way
            endpoint.stop()
        elif trouble == "500":
            endpoint.status = 500
        elif trouble == "hang":
            endpoint.hang = True
        elif trouble == "slow":
            endpoint.delay = 0.1

    def restart(self):
        self.in_flight += self.endpoint.under_way
        self.dovecot.stop()
        self.dovecot.start()

    def reload(self):
        self.in_flight += self.endpoint.under_way
        self.dovecot.reload()

    def run(self):
        actions = [
            (lambda: self.kill("http-notify"), 50),
            (lambda: self.kill("lmtp"), 40),
            (self.flap, 15),
            (self.reload, 2),
            (self.restart, 1),
        ]
        begin = time.monotonic()
        while time.monotonic() - begin < SECONDS:
            action, = self.random.choices([a for a, _ in actions],
                                          [weight for _, weight in actions])
            action()
            time.sleep(self.random.uniform(*INTERVALS))
        self.seconds = time.monotonic() - begin


class CountingEndpoint(Endpoint):
    """Knows how many requests are under way: begun, and not ended so long ago
    that the service must know."""

    @property
    def under_way(self):
        now = time.monotonic()
        with self.lock:
            return sum(r.ended is None or now - r.ended < 0.05
                       for r in self.attempts[-200:])


def uids_by_subject(dovecot, user):
    """Of all messages that were delivered; a message that an MTA tried twice
    is there twice, under different subjects."""
    found = {}
    with dovecot.imap(user) as imap:
        imap.select("INBOX", readonly=True)
        _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS "
                           "(SUBJECT)])")
        for item in data:
            if isinstance(item, tuple):
                uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                found[item[1].decode().split(":", 1)[1].strip()] = uid
    return found


def test_nothing_is_lost_and_order_holds_over_crashes():
    endpoint = CountingEndpoint()
    print("HTTP_NOTIFY_CAMPAIGN_SEED=%d" % SEED)
    # not Maildir: a killed process leaves its lock file there, for which all
    # others wait two minutes
    with running_dovecot(driver(endpoint, timeout_msecs=500), IN_TIME,
                         mail=("sdbox", "~/sdbox")) as dovecot:
        dovecot.register({user: "user=%d@1" % n
                          for n, user in enumerate(USERS)})
        stop = threading.Event()
        clients = [Client(dovecot, USERS[n::CLIENTS], stop)
                   for n in range(CLIENTS)]
        campaign = Campaign(dovecot, endpoint)
        for client in clients:
            client.start()
        try:
            campaign.run()
        finally:
            stop.set()
            for client in clients:
                client.join(120)
        endpoint.heal()
        if endpoint.server is None:
            endpoint.start()
        check(dovecot, endpoint, clients, campaign)
    endpoint.stop()


def check(dovecot, endpoint, clients, campaign):
    expected, optional = set(), set()
    # the service may have stored the latter
    lost, unconfirmed = (
        {(user, int(uid))
         for user, uid in re.findall(FAILED % words, dovecot.log())}
        for words in ("lost", "not confirmed"))
    for client in clients:
        for user in client.users:
            uids = uids_by_subject(dovecot, user)
            expected |= {(user, uids[s]) for s in client.acked[user]}
            optional |= {(user, uids[s]) for s in client.failed[user]
                         if s in uids}
    expected -= lost | unconfirmed
    optional |= unconfirmed

    def arrived():
        with endpoint.lock:
            delivered = list(endpoint.delivered)
        return [(USERS[int(r.body["user"].split("@")[0])], r.uid, r.key)
                for r in delivered]
    # what master throttles starts with the next connection only
    begin = time.monotonic()
    end = begin + 300
    while expected - {(user, uid) for user, uid, _ in arrived()}:
        assert time.monotonic() < end, "missing: %s" % sorted(
            expected - {(user, uid) for user, uid, _ in arrived()})[:20]
        dovecot.deliver("nobody", message())
        time.sleep(1)
    wait_for(lambda: dovecot.queued() == 0, what="the queue to be empty")
    campaign.figures["seconds until all had arrived"] = round(
        time.monotonic() - begin)

    requests = arrived()
    keys = collections.defaultdict(set)
    for user, uid, key in requests:
        keys[user, uid].add(key)
    duplicates = len(requests) - len({key for _, _, key in requests})
    two_keys = {which for which in keys if len(keys[which]) > 1}
    print("seed %d: %.0f s, kills %s, acked %d, not acked but delivered %d, "
          "named as lost %d, as not confirmed %d, requests %d, of them twice %d (under way when "
          "stopped: %d), under two keys %d, throttled %d times; %s" % (
              SEED, campaign.seconds, dict(campaign.kills), len(expected),
              len(optional), len(lost), len(unconfirmed), len(requests),
              duplicates,
              campaign.in_flight, len(two_keys),
              len(dovecot.log_lines("command startup failed")),
              dict(campaign.figures)))

    assert set(keys) <= expected | optional
    for user in USERS:
        first = list(dict.fromkeys(uid for who, uid, _ in requests
                                   if who == user))
        assert first == sorted(first), user
    assert not two_keys
    assert duplicates <= campaign.in_flight
    assert not dovecot.log_lines("Panic:")
    assert sum(campaign.kills.values()) >= campaign.seconds
