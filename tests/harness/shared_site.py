# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail hosts that share a queue, a database's host or two, and an endpoint, on
a network of their own; and what has to be true whatever happens to them."""

import collections
import contextlib
import itertools
import re
import shutil
import tempfile
import threading
import time

from harness.config import IN_TIME, Driver
from harness.dovecot import message, wait_for
from harness.handoffs import Handoffs
from harness.hosts import kill_all, network
from harness.postgresql import USER, postgresql
from harness.recorder import Recorder
from harness.shared_queue import shared_queue
from harness.slow_link import SlowLink

# what the database's server and its clients need to notice, on a busy machine
PATIENT = 120
# hosts
ALL = range(100)
# A delivery waits for the hand-off for no longer than 0.5 s.
DELIVERY_MAX = 0.6
# With less than this to spare, hand-offs may come too late.
BUSY = 0.2
FAILED = re.compile(r"Notification (lost|not confirmed): user=(\S+) "
                    r"folder=INBOX uid=(\d+)")


class MailHost:
    def __init__(self, host, dovecot):
        self.host, self.dovecot = host, dovecot

    def start(self):
        with self.host:
            self.dovecot.start()

    def register(self, users):
        with self.host:
            self.dovecot.register({user: "user=" + user for user in users})

    def vanish(self):
        """Nothing of it says goodbye."""
        self.host.unplug()
        kill_all(self.dovecot)

    def come_back(self):
        self.host.unplug(False)
        self.start()


class Site:
    def __init__(self, recorder, options, database, database_hosts, mail_hosts):
        self.recorder, self.options = recorder, options
        self.database = database
        # as database.servers
        self.database_hosts = database_hosts
        self.mail_hosts = mail_hosts
        self.numbers = itertools.count(1)

    def handoffs(self, number, users, per_second):
        return Handoffs(self.mail_hosts[number].dovecot, self.recorder.url,
                        self.options, users, self.numbers, per_second)

    def wait_for_shares(self, timeout=PATIENT):
        """As even as can be among the hosts that are up."""
        count = sum(h.dovecot.process is not None for h in self.mail_hosts)
        shares = [256 // count + (n < 256 % count) for n in range(count)]
        wait_for(now_and_then(
            lambda: self.database.slots() == sorted(shares)), timeout,
            "the hosts' shares")

    def wait_until_empty(self, timeout=PATIENT):
        wait_for(now_and_then(
            lambda: self.database.count() == 0 and not any(
                h.dovecot.queued() for h in self.mail_hosts)), timeout,
            "all queues to be empty")

    def promote_standby(self):
        """The first one's host vanishes."""
        old, new = self.database.servers
        self.database_hosts[0].unplug()
        old.kill()
        new.execute("-c", "SELECT pg_promote()", database="postgres")
        self.database.server = new

    def make_new_standby(self):
        """Of the one that was promoted, by the one that had vanished."""
        old, new = self.database.servers
        self.database_hosts[0].unplug(False)
        old.become_standby(new)
        old.start()
        make_synchronous(new)
        self.database.servers.reverse()
        self.database_hosts.reverse()


@contextlib.contextmanager
def shared_site(running_dovecot, count=3, replica=False, seconds=600,
                options=None, prepare=None, links=None, **kwargs):
    """replica: of the database, synchronous. seconds: how long it may take at
    most. options: of the endpoint. prepare: called with each Dovecot before its
    start. links: a list, to which the SlowLink is added that is between each
    mail host and the database. kwargs: postgresql()'s arguments."""
    options = options or {}
    with contextlib.ExitStack() as stack:
        bridge, hosts = stack.enter_context(network(count + 1 + replica,
                                                    seconds))
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="hn-"))
        recorder = Recorder(directory, bridge.address, namespace=bridge)
        stack.callback(recorder.close)
        database_hosts = hosts[count:]
        database = stack.enter_context(shared_queue(
            namespace=database_hosts[0], address=database_hosts[0].address,
            **kwargs))
        if replica:
            standby = stack.enter_context(postgresql(
                start=False, namespace=database_hosts[1],
                address=database_hosts[1].address, copy_of=database.server,
                **kwargs))
            standby.start()
            make_synchronous(database.server)
            database.servers.append(standby)
        mail_hosts = []
        for host in hosts[:count]:
            servers = database.servers
            if links is not None:
                links.append(SlowLink(database_hosts[0], database.server))
                stack.callback(links[-1].close)
                servers = links[-1:]
            dovecot = stack.enter_context(running_dovecot(
                Driver(recorder.url, **options), IN_TIME,
                *database.settings_for(servers), start=False,
                mail=("sdbox", "~/sdbox")))
            if prepare is not None:
                prepare(dovecot)
            mail_hosts.append(MailHost(host, dovecot))
            mail_hosts[-1].start()
        yield Site(recorder, options, database, database_hosts, mail_hosts)


def make_synchronous(primary):
    """Its standby, which does not know of that: should it be promoted, it waits
    for none."""
    primary.execute("-c", "ALTER SYSTEM SET synchronous_standby_names = '*'",
                    "-c", "SELECT pg_reload_conf()", database="postgres")
    wait_for(now_and_then(lambda: primary.execute(
        "-c", "SELECT sync_state FROM pg_stat_replication",
        database="postgres") == "sync\n"), PATIENT, "the standby")


def longest_delivery(machine):
    """The most that one may take on a machine that takes so long without
    notifications, in seconds: it is no real-time system."""
    return DELIVERY_MAX + max(3 * machine, 0.4)


def make_directory(path):
    """Of the user of PostgreSQL."""
    path.mkdir(exist_ok=True)
    shutil.chown(path, USER, USER)
    return path


def now_and_then(condition):
    """For wait_for(), if it takes a process of its own."""
    return lambda: condition() or time.sleep(0.2)


class Deliveries(threading.Thread):
    """Mail for the users of a host, one message after the other, by LMTP; and
    as much for one who is not registered, for comparison."""

    def __init__(self, mail_host, users, numbers, pause=0.1):
        super().__init__(daemon=True)
        self.mail_host, self.users = mail_host, users
        self.unregistered = users[0] + "-unregistered"
        # seconds that it takes this machine without notifications
        self.machine = 0
        self.numbers, self.pause = numbers, pause
        self.stopped, self.gone = threading.Event(), threading.Event()
        self.delivering = threading.Lock()
        # (user, number), in their order: all, and those that were answered
        # 250, with the seconds that took
        self.sent, self.acked = [], {}
        # when those were answered
        self.acked_at = {}
        # why the thread has ended before its time
        self.trouble = None
        mail_host.register(users)

    def die(self):
        """Not in the middle of something: the host's log is not complete."""
        self.gone.set()
        with self.delivering:
            pass

    def live(self):
        self.gone.clear()

    def run(self):
        try:
            while not self.stopped.wait(self.pause):
                with self.delivering:
                    if not self.gone.is_set():
                        self.deliver()
        except Exception as error:
            self.trouble = error

    def deliver(self):
        dovecot = self.mail_host.dovecot
        self.machine = max(self.machine, dovecot.deliver(
            self.unregistered, message()))
        user = self.users[len(self.sent) % len(self.users)]
        number = next(self.numbers)
        self.sent.append((user, number))
        took = dovecot.deliver(user, message(subject=str(number)))
        self.acked_at[number] = time.monotonic()
        self.acked[number] = took

    def not_stored(self):
        """Numbers of what the log names, since it was not stored, or it is not
        known whether it was."""
        named = {(user, int(uid)) for _, user, uid in
                 FAILED.findall(self.mail_host.dovecot.log())}
        found = set()
        for user in {user for user, _ in named}:
            uids = self.uids(user)
            found.update(number for number, uid in uids.items()
                         if (user, uid) in named)
        return found

    def uids(self, user):
        """By number, of all messages that were delivered."""
        found = {}
        with self.mail_host.host, \
                self.mail_host.dovecot.imap(user) as imap:
            imap.select("INBOX", readonly=True)
            _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS "
                               "(SUBJECT)])")
        for item in data:
            if isinstance(item, tuple):
                uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                found[int(item[1].decode().split(":", 1)[1])] = uid
        return found

    def stop(self):
        self.stopped.set()
        self.join(60)
        assert not self.is_alive()
        assert self.trouble is None, self.trouble


def first_difference(*lists):
    """Where they begin to differ, and some of what comes there."""
    place = next(n for n, pair in enumerate(itertools.zip_longest(*lists))
                 if pair[0] != pair[1])
    return [of[max(place - 2, 0):place + 5] for of in lists]


class Load:
    """Handed off and delivered at each of the site's hosts until the end of
    the block."""

    def __init__(self, site, users=20, per_second=20, delivered_users=4):
        """users: of each host, as many again by deliveries."""
        self.site = site
        self.handoffs = [
            site.handoffs(n, ["h%d@%d" % (u, n) for u in range(users)],
                          per_second) for n in range(len(site.mail_hosts))]
        self.deliveries = [
            Deliveries(mail_host, ["d%d@%d" % (u, n)
                                   for u in range(delivered_users)],
                       site.numbers)
            for n, mail_host in enumerate(site.mail_hosts)]

    @property
    def clients(self):
        return [*self.handoffs, *self.deliveries]

    def __enter__(self):
        self.since = time.strftime("%Y-%m-%d %H:%M:%S")
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *args):
        for client in self.clients:
            client.stop()

    def die(self, number):
        """The clients of this host, which is about to vanish."""
        self.handoffs[number].die()
        self.deliveries[number].die()

    def live(self, number):
        self.handoffs[number].live()
        self.deliveries[number].live()

    def go_on(self, count=100, hosts=ALL):
        """So many more of these hosts' are acked and arrive."""
        before = self.acked(hosts)
        wait_for(lambda: len(self.acked(hosts)) >= len(before) + count,
                 PATIENT, "hand-offs to be acked")
        self.site.recorder.wait(self.acked(hosts) - before)

    def acked(self, hosts=ALL):
        """By clients of these hosts."""
        return {number for clients in (self.handoffs, self.deliveries)
                for host, client in enumerate(clients) if host in hosts
                for number in list(client.acked)}

    def longest_delivery(self):
        return max(max(d.acked.values(), default=0) for d in self.deliveries)

    def check_order(self):
        """What nobody has confirmed may be on its way from one mail process
        when another one hands off what comes after it."""
        arrived = collections.defaultdict(list)
        for record in self.first.values():
            if record.number not in self.not_stored:
                arrived[record.user].append(record.number)
        for client in self.clients:
            sent = collections.defaultdict(list)
            for user, number in client.sent:
                if number in self.first and number not in self.not_stored:
                    sent[user].append(number)
            for user, of_user in sent.items():
                assert arrived[user] == of_user, (
                    user, first_difference(arrived[user], of_user))

    def named(self):
        """After check(): the log's lines of what was not stored, unless that
        can be the fault of a busy machine."""
        if self.machine() > BUSY:
            return []
        return [line for mail_host in self.site.mail_hosts
                for line in mail_host.dovecot.log().splitlines()
                if FAILED.search(line) and line[:26] >= self.since]

    def machine(self):
        """The longest one without notifications."""
        return max(d.machine for d in self.deliveries)

    def longest_delay(self, hosts=ALL):
        """From the ack to the arrival, after check()."""
        return max(self.first[number].time - client.acked_at[number]
                   for clients in (self.handoffs, self.deliveries)
                   for host, client in enumerate(clients) if host in hosts
                   for number in client.acked if number in self.first)

    def check(self, timeout=PATIENT):
        """Once it has ended: all that was acked arrives, in order, and no
        delivery has waited. Returns the repeats, each as two records, that of
        the arrival before and its own."""
        self.not_stored = set().union(*(d.not_stored()
                                        for d in self.deliveries))
        self.site.recorder.wait(self.acked() - self.not_stored, timeout)
        self.site.wait_until_empty(timeout)
        ours = {number for c in self.clients for _, number in c.sent}
        records = [r for r in self.site.recorder.read() if r.number in ours]
        refused = set().union(*(h.refused for h in self.handoffs))
        first, last, keys, repeats = {}, {}, {}, []
        for record in records:
            if record.number in last:
                repeats.append((last[record.number], record))
            first.setdefault(record.number, record)
            last[record.number] = record
            assert keys.setdefault(record.key, record.number) == \
                record.number, record
        assert len(keys) == len(first), "sent again under another key"
        assert not refused & first.keys()
        self.first, self.records = first, records
        self.check_order()
        assert self.longest_delivery() < longest_delivery(self.machine())
        return repeats
