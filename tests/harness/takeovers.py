# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which host of a site sends what, and what was in flight when that changed:
the endpoint had it, and it was not removed from the queue yet. That, and
nothing else, may be sent again."""

import collections
import contextlib
import threading
import time

# Commits, of a superuser's so that the role needs no other rights than it has:
# a constraint's trigger runs at the end of the transaction.
NOTE_REMOVALS = """
CREATE SCHEMA noted;
CREATE TABLE noted.removal (number bigint, slot bigint, time double precision);
CREATE FUNCTION noted.note() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$ BEGIN
    INSERT INTO noted.removal SELECT
        (convert_from(old.body, 'UTF8')::json ->> 'subject')::bigint, slot,
        extract(epoch FROM clock_timestamp())
        FROM http_notify.part WHERE id = old.id >> 36;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note AFTER DELETE ON http_notify.notification
    INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted.note();
"""
# a row of a slot's number or -1, a session that has it or may have any, and
# its host's address
WHO = """
SELECT CASE classid WHEN 1752460034 THEN objid::int ELSE -1 END, pid,
    host(client_addr)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid IN (1752460034, 1752460035)
    AND granted;
\\echo done
"""
PAUSE = 0.1
# For how long packets that were held up may come after a cable is back.
LATE = 10

# A session of a host had the slot at since, and another one had it at until, or
# nobody has had it since. given: in good order, since it lives.
Loss = collections.namedtuple("Loss", "host since until given")


class Takeovers(threading.Thread):
    """Watches until the end of the block."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.database = database
        self.stopped = threading.Event()
        # (when it was asked, when it was answered, {slot: (pid, host)},
        # sessions)
        self.seen = []
        # (host, from when on, until when) nothing of it arrived anywhere
        self.cuts = []

    def __enter__(self):
        self.database.execute("-c", NOTE_REMOVALS)
        self.start()
        return self

    def __exit__(self, *args):
        self.stopped.set()
        self.join(60)
        assert not self.is_alive()

    def run(self):
        """It begins anew when the server has gone, or is another one."""
        while not self.stopped.wait(PAUSE):
            server = self.database.server
            if server.process is None:
                continue
            with contextlib.suppress(OSError, AssertionError, ValueError):
                session = server.session("", database="http_notify")
                with session:
                    while self.database.server is server and \
                            not self.stopped.wait(PAUSE):
                        self.look(session)
                    session.stdin.close()

    def look(self, session):
        asked = time.monotonic()
        session.stdin.write(WHO)
        session.stdin.flush()
        slots, sessions = {}, set()
        for line in iter(session.stdout.readline, "done\n"):
            slot, pid, host = line.rstrip("\n").split("|")
            sessions.add(pid)
            if slot != "-1":
                slots[int(slot)] = pid, host
        self.seen.append((asked, time.monotonic(), slots, sessions))

    @contextlib.contextmanager
    def cut(self, host):
        """The host can't be heard, also by the endpoint."""
        since = time.monotonic()
        yield
        self.cuts.append((host, since, time.monotonic() + LATE))

    # -- when it has ended --

    def losses(self):
        """{slot: losses}"""
        found = collections.defaultdict(list)
        # by slot: who had it last, when, and whether that session lived on
        last = {}
        for asked, answered, slots, sessions in self.seen:
            for slot, (owner, since, given) in list(last.items()):
                if slots.get(slot) == owner:
                    continue
                if given is None:
                    given = owner[0] in sessions
                    last[slot] = owner, since, given
                if slot in slots:
                    found[slot].append(Loss(owner[1], since, answered, given))
            for slot, owner in slots.items():
                last[slot] = owner, asked, None
        return found

    def explain(self, records, repeats):
        """Returns the repeats that nothing explains, how many sessions have
        lost slots, not in good order, and how much was in flight then. Each
        loss explains one repeat of what was."""
        slots, removed = self.removals()
        sent = collections.defaultdict(list)
        for record in records:
            sent[record.host, slots[record.number]].append(record)
        # losses by number
        in_flight, sessions = collections.defaultdict(list), set()
        for slot, losses in self.losses().items():
            for loss in losses:
                if loss.given:
                    continue
                sessions.add((loss.host, loss.since))
                for number in {r.number for r in sent[loss.host, slot]
                               if r.time <= loss.until and
                               removed[r.number] >= loss.since}:
                    in_flight[number].append(loss)
        count = sum(map(len, in_flight.values()))
        return ([repeat for repeat in repeats if not self.is_explained(
            repeat, in_flight[repeat[0].number],
            removed[repeat[0].number])], len(sessions), count)

    def is_explained(self, repeat, losses, removed):
        before, after = repeat
        for loss in losses:
            if loss.host == before.host and loss.since <= after.time and \
                    before.time <= loss.until:
                losses.remove(loss)
                return True
        return any(host in (before.host, after.host) and
                   before.time <= until and removed >= since
                   for host, since, until in self.cuts)

    def removals(self):
        """{number: slot}, {number: when it was removed}"""
        ahead = time.time() - time.monotonic()
        slots, removed = {}, {}
        for line in self.database.execute(
                "-c", "SELECT number, slot, time FROM noted.removal "
                "ORDER BY time").split():
            number, slot, when = line.split("|")
            slots[int(number)] = int(slot)
            removed[int(number)] = float(when) - ahead
        return slots, removed
