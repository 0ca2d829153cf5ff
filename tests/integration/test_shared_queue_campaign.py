# SPDX-License-Identifier: LGPL-2.1-or-later
"""A campaign of faults at a site whose hosts share a queue: what was acked
arrives, in order, and no more of it twice than what was in flight when another
host took over, or the same one began anew.

HTTP_NOTIFY_CAMPAIGN_SECONDS makes it longer, HTTP_NOTIFY_CAMPAIGN_SEED repeats
the faults of a former one.
"""

import collections
import contextlib
import os
import random
import signal
import time

from conftest import running_dovecot
from harness.faults import fill_disk
from harness.shared_site import Load, shared_site
from harness.takeovers import Takeovers

SECONDS = float(os.environ.get("HTTP_NOTIFY_CAMPAIGN_SECONDS", "120"))
SEED = int(os.environ.get("HTTP_NOTIFY_CAMPAIGN_SEED", "0")) or \
    random.SystemRandom().randrange(1, 1 << 32)
# of each of the three hosts
USERS = 330
PER_SECOND = 30
# In seconds: for how long one that has arrived may not have been removed, on a
# busy machine, if nothing else keeps it.
IN_FLIGHT = 5


class Campaign:
    def __init__(self, site, load, takeovers):
        self.site, self.load = site, load
        self.takeovers = takeovers
        self.random = random.Random(SEED)
        self.begin = time.monotonic()
        # (name, when it began, when it ended)
        self.faults = []

    # -- the database --

    def killed_server(self, _, seconds):
        self.site.database.server.kill()
        time.sleep(seconds / 2)
        self.site.database.server.start()

    def hung_server(self, _, seconds):
        self.site.database.server.hang()
        time.sleep(seconds)
        self.site.database.server.hang(False)

    def slow_server(self, _, seconds):
        """It works for a part of the time."""
        server = self.site.database.server
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            server.hang()
            time.sleep(0.2)
            server.hang(False)
            time.sleep(0.05)

    def promoted_standby(self, _, seconds):
        self.site.promote_standby()
        time.sleep(seconds)
        self.site.make_new_standby()

    def full_disk(self, _, seconds):
        server = self.site.database.server
        ballast = fill_disk(server.dir)
        time.sleep(seconds)
        ballast.unlink()
        time.sleep(1)
        if server.process.poll() is not None:
            # it could not write its log
            server.start()

    def ended_sessions(self, _, seconds):
        self.site.database.execute(
            "-c", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'mailhost'")
        time.sleep(seconds / 4)

    def rotated_password(self, _, seconds):
        database = self.site.database
        password = "geheim%d" % len(self.faults)
        database.execute("-c", "ALTER ROLE mailhost PASSWORD '%s'" % password)
        self.ended_sessions(None, seconds)
        database.write_password(password)

    # -- a host --

    def killed_service(self, host, seconds):
        for _ in range(2):
            for pid in self.site.mail_hosts[host].dovecot.pids("http-notify"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(seconds / 4)

    def stopped_service(self, host, seconds):
        pids = self.site.mail_hosts[host].dovecot.pids("http-notify")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * seconds)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def vanished_host(self, host, seconds):
        self.load.die(host)
        with self.cut(host):
            self.site.mail_hosts[host].vanish()
            time.sleep(seconds + 5)
            self.site.mail_hosts[host].come_back()
        self.load.live(host)

    def deaf_host(self, host, seconds):
        with self.site.mail_hosts[host].host.deaf_to(
                *self.site.database_hosts):
            time.sleep(seconds)

    def deaf_database(self, host, seconds):
        with contextlib.ExitStack() as stack:
            for database in self.site.database_hosts:
                stack.enter_context(database.deaf_to(
                    self.site.mail_hosts[host].host))
            time.sleep(seconds)

    def unplugged_host(self, host, seconds):
        network = self.site.mail_hosts[host].host
        with self.cut(host):
            network.unplug()
            time.sleep(seconds)
            network.unplug(False)

    def cut(self, host):
        return self.takeovers.cut(self.site.mail_hosts[host].host.address)

    def restarted_dovecot(self, host, _):
        self.load.die(host)
        self.site.mail_hosts[host].dovecot.stop()
        self.site.mail_hosts[host].start()
        self.load.live(host)

    # --

    FAULTS = [killed_server, hung_server, slow_server, promoted_standby,
              full_disk, ended_sessions, rotated_password, killed_service,
              stopped_service, vanished_host, deaf_host, deaf_database,
              unplugged_host, restarted_dovecot]

    def run(self):
        """Each fault once, in any order, and again."""
        while True:
            for fault in self.random.sample(self.FAULTS, len(self.FAULTS)):
                host = self.random.randrange(3)
                seconds = self.random.uniform(2, 10)
                pause = self.random.uniform(1, 4)
                if time.monotonic() > self.begin + SECONDS:
                    return
                began = time.monotonic()
                print("%6.1f %s host %d, %.1f s" % (
                    began - self.begin, fault.__name__, host, seconds),
                    flush=True)
                fault(self, host, seconds)
                self.faults.append((fault.__name__, began, time.monotonic()))
                time.sleep(pause)

    def blame(self, repeats):
        """How many were in flight at a fault of which kind, the latest one
        before them; None = at none."""
        blamed = collections.Counter()
        for before, after in repeats:
            name = None
            for fault, begin, end in self.faults:
                if begin - IN_FLIGHT < before.time < end + IN_FLIGHT and \
                        after.time > begin:
                    name = fault
            blamed[name] += 1
        return blamed


def test_nothing_is_lost_and_order_holds_over_faults():
    print("HTTP_NOTIFY_CAMPAIGN_SEED=%d" % SEED)
    with shared_site(running_dovecot, replica=True, seconds=int(SECONDS) + 900,
                     disk=600 * 1024 * 1024) as site:
        site.wait_for_shares()
        with Takeovers(site.database) as takeovers:
            with Load(site, USERS, PER_SECOND) as load:
                campaign = Campaign(site, load, takeovers)
                campaign.run()
                seconds = time.monotonic() - campaign.begin
            repeats = load.check(timeout=180)
        blamed = campaign.blame(repeats)
        unexplained, sessions, in_flight = takeovers.explain(load.records,
                                                             repeats)
        delays = sorted(record.time - client.acked_at[number]
                        for client in load.clients for number in client.acked
                        for record in [load.first.get(number)] if record)
        print("%.0f s, %d faults: %s" % (
            seconds, len(campaign.faults), dict(collections.Counter(
                name for name, _, _ in campaign.faults))))
        print("%d acked, %d arrived; %d refused, %d not confirmed or lost by "
              "the log, %d of unknown fate with their hosts" % (
                  len(load.acked()), len(load.first),
                  sum(len(h.refused) for h in load.handoffs),
                  len(load.not_stored),
                  sum(len(h.unknown) for h in load.handoffs)))
        print("%d repeats: %s; by seconds between the two: %s" % (
            len(repeats), dict(blamed), sorted(collections.Counter(
                round(after.time - before.time)
                for before, after in repeats).items())))
        print("%d in flight when %d sessions lost their slots" % (
            in_flight, sessions))
        print("%d deliveries, longest %.3f s, %.3f s without notifications; "
              "p50 and longest delay of an acked one %.3f, %.1f s" % (
                  sum(len(d.acked) for d in load.deliveries),
                  load.longest_delivery(), load.machine(),
                  delays[len(delays) // 2], delays[-1]))
        assert blamed[None] == 0
        assert not unexplained
