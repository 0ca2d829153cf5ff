# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of answers: what follows from each way an attempt can end.

All cases happen at once, each to an endpoint of its own, to users of its own,
with two messages for each user: the fault, the notice of it in the log, a
while with it, and the end of it. The tests look at what that left behind.
"""

import concurrent.futures
import contextlib
import email.utils
import os
import re
import ssl
import tempfile
import time
import warnings

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import message, wait_for
from harness.endpoint import PATH, Endpoint
from harness.faults import (Deaf, faketime, network_namespace, says,
                            says_forever)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n"


class Case:
    """An endpoint that answers well."""
    tls = None
    users_count = 1
    timeout_msecs = 2000
    # is there something to be seen in the log?
    trouble = True

    def __init__(self, name):
        self.name = name
        self.endpoint = Endpoint(tls=self.tls)
        # as in its URL
        self.authority = self.endpoint.url.split("@")[1].split("/")[0]
        self.users = ["%s-%d" % (name, n) for n in range(self.users_count)]
        self.in_trouble_since = None
        self.healed = False

    def begin(self):
        pass

    def heal(self):
        self.endpoint.heal()

    def close(self):
        self.endpoint.stop()

    # -- what happened --

    def lines(self, dovecot, *words):
        return dovecot.log_lines("http-notify: ", self.authority, *words)

    def uids(self, user_idx=0):
        return [r.uid for r in self.endpoint.delivered
                if r.body["user"] == "%d@1" % user_idx]

    def all_delivered(self):
        return len(self.endpoint.delivered) >= 2 * len(self.users)


class Success(Case):
    trouble = False

    def __init__(self, status):
        super().__init__("success-%d" % status)
        self.endpoint.status = status


class Busy(Case):
    """One notification that gets such an answer says nothing about its
    endpoint; so many do."""
    users_count = 8

    def __init__(self, status):
        super().__init__("busy-%d" % status)
        self.endpoint.status = status
        self.reason = str(status)


class Misconfigured(Case):
    def __init__(self, status):
        super().__init__("misconfigured-%d" % status)
        self.endpoint.status = status
        self.reason = str(status)


class Refusing(Misconfigured):
    """All that comes, as by a proxy that is not set up yet."""
    users_count = 8


class Redirecting(Misconfigured):
    def __init__(self, status):
        super().__init__(status)
        self.other = Endpoint()
        self.endpoint.answer_headers = [("Location", self.other.url)]

    def close(self):
        super().close()
        self.other.stop()


class Faulty(Case):
    """Takes the request; what it answers is none of HTTP's."""
    timeout_msecs = 500

    def __init__(self, name, reason, fault):
        super().__init__(name)
        self.reason = reason
        self.endpoint.fault = fault


class StatusAlone(Case):
    """Says no more that makes sense than its status."""
    timeout_msecs = 500
    trouble = False

    def __init__(self, name, fault):
        super().__init__(name)
        self.endpoint.fault = fault

    def heal(self):
        pass

    def all_delivered(self):
        return len(self.endpoint.attempts) >= 2


class NotListening(Case):
    def __init__(self):
        super().__init__("connection-refused")
        self.reason = "refused"
        self.endpoint.stop()

    def heal(self):
        self.endpoint.start()


class NotAccepting(Case):
    timeout_msecs = 500

    def __init__(self):
        super().__init__("not-accepting")
        self.reason = "time"
        self.endpoint.stop()
        self.deaf = Deaf(self.endpoint.port)

    def heal(self):
        self.deaf.close()
        self.endpoint.start()

    def close(self):
        self.deaf.close()
        super().close()


class NoName(Case):
    """Its name comes to be known."""

    def __init__(self, hosts):
        super().__init__("no-such-name")
        self.reason = "resolve"
        self.hosts = hosts
        self.authority = self.authority.replace("127.0.0.1", "new.invalid")

    def heal(self):
        with open(self.hosts, "a") as hosts:
            hosts.write("127.0.0.1 new.invalid\n")


class BadTLS(Case):
    """Something else is on its port instead."""

    def __init__(self, name, reason, certificates, tls=None, deaf=False):
        self.good = self.tls = certificates["good"]
        super().__init__(name)
        self.reason = reason
        self.deaf = None
        self.endpoint.stop()
        if deaf:
            self.timeout_msecs = 500
            self.deaf = Deaf(self.endpoint.port)
        else:
            self.endpoint.tls = tls
            self.endpoint.start()

    def heal(self):
        if self.deaf is not None:
            self.deaf.close()
        self.endpoint.stop()
        self.endpoint.tls = self.good
        self.endpoint.start()


def tls_context(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates["good"])
    return context


def old_tls(certificates):
    context = tls_context(certificates)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def tls_with_client_certificate(certificates):
    context = tls_context(certificates)
    context.load_verify_locations(certificates["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class RetryAfter(Case):
    """The first answer has this header, the second one is success."""

    def __init__(self, name, status, value, wait=0):
        """value: a function, if it depends on when it is sent."""
        super().__init__("retry-after-%d-%s" % (status, name))
        self.status, self.value, self.wait = status, value, wait
        self.reason = str(status)
        self.endpoint.status = self.answer

    def answer(self, request):
        self.endpoint.answer_headers = ()
        if len(self.endpoint.attempts) > 1:
            return None
        value = self.value() if callable(self.value) else self.value
        self.endpoint.answer_headers = [("Retry-After", value)]
        return self.status

    def heal(self):
        pass


def http_date(seconds):
    return lambda: email.utils.formatdate(time.time() + seconds, usegmt=True)


# name: value, and how long it makes the service wait at least
RETRY_AFTER = {
    "seconds": ("3", 3),
    # a second may be cut off
    "date": (http_date(4), 3),
    "zero": ("0", 0),
    "past-date": (http_date(-3600), 0),
    "garbage": ("soon", 0),
    "negative": ("-30", 0),
    "broken-date": ("Wed, 99 Foo 2099 25:61:61 GMT", 0),
}

SUCCESS = (200, 201, 202, 204)
REFUSED = (400, 402, 406, 409, 410, 413, 422)
BUSY = (408, 425, 429, 500, 501, 502, 503, 504, 599)
REDIRECTS = (301, 302, 307, 308)
MISCONFIGURED = (401, 403, 404, 405, 407, 421, 426)

FAULTY = {
    "never-answers": ("time", says(b"", "silence")),
    "closes-after-the-request": ("", says(b"")),
    "resets-after-the-request": ("reset", says(b"", "reset")),
    "garbage": ("", says(b"SSH-2.0-OpenSSH_9.2p1\r\n")),
    "binary-garbage": ("", says(bytes(range(256)) * 16)),
    "silence-in-the-headers": ("time", says(OK[:-5], "silence")),
    "closes-in-the-headers": ("", says(OK[:-5])),
    "closes-before-the-end-of-the-headers": ("", says(OK)),
    "interim-answers-only": ("", says(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")),
    "endless-headers": ("", says_forever(OK, b"X-And-So-On: %s\r\n" % (
        b"x" * 4000))),
    "endless-header-line": ("", says_forever(OK + b"X: ", b"x" * 4000)),
    "endless-trickle": ("time", says_forever(OK, b"X: y\r\n", 0.05)),
    "endless-interim-answers": ("", says_forever(
        b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001)),
}

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'{"success":true}'
CHUNKS = CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
# their status is complete, and what follows is of no interest
STATUS_ALONE = {
    "silence-in-the-body": says(OK + b"\r\n{", "silence"),
    "closes-in-the-body": says(OK + b"\r\n{"),
    "resets-in-the-body": says(OK + b"\r\n{", "reset"),
    "resets-before-the-body": says(OK + b"\r\n", "reset"),
    "endless-body": says_forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.05),
    "trailers": says(CHUNKS + b"X-Checksum: 0\r\nHTTP/1.1 500 Haha\r\n\r\n"),
    "trailers-that-break-off": says(CHUNKS + b"X-Checksum: "),
    "silence-in-the-trailers": says(CHUNKS + b"X: y\r\n", "silence"),
    "broken-chunks": says(CHUNKED + b"no number\r\n"),
    "early-hints": says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints"
                        b"\r\nLink: </>\r\n\r\n" + OK + b"\r\n{", "reset"),
    "no-phrase": says(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n{"),
}
TLS = ("expired", "other-ca", "other-name", "plain-http", "old-version",
       "client-certificate", "handshake-hangs")


def make_cases(certificates, hosts):
    yield from map(Success, SUCCESS)
    yield from map(Refusing, REFUSED)
    yield from map(Busy, BUSY)
    yield from map(Redirecting, REDIRECTS)
    yield from map(Misconfigured, MISCONFIGURED)
    for name, (reason, fault) in FAULTY.items():
        yield Faulty(name, reason, fault)
    for name, fault in STATUS_ALONE.items():
        yield StatusAlone(name, fault)
    yield NotListening()
    yield NotAccepting()
    yield NoName(hosts)
    for name, reason, tls in (
            ("expired", "expired", certificates["expired"]),
            ("other-ca", "certificate", certificates["foreign"]),
            ("other-name", "name", certificates["other_name"]),
            ("plain-http", "SSL", None),
            ("old-version", "SSL", old_tls(certificates)),
            # in TLS 1.3 it may be gone before its alert is read
            ("client-certificate", "",
             tls_with_client_certificate(certificates))):
        yield BadTLS("tls-" + name, reason, certificates, tls)
    yield BadTLS("tls-handshake-hangs", "time", certificates, deaf=True)
    for name, (value, wait) in RETRY_AFTER.items():
        for status in (429, 503):
            yield RetryAfter(name, status, value, wait)


@contextlib.contextmanager
def dovecot_with(cases, directory, **kwargs):
    """Where each case's users have its endpoint."""
    credentials = cases[0].endpoint.url.split("//")[1].split("@")[0]
    every_users, fields = config.drivers_of_users({
        user: driver("%s://%s@%s%s" % (
            "https" if case.tls else "http", credentials, case.authority,
            PATH), timeout_msecs=case.timeout_msecs)
        for case in cases for user in case.users})
    users = directory + "/users"
    with open(users, "w") as file:
        for case in cases:
            for user in case.users:
                file.write(
                    "%s::20000:20000::%s/home/%s::%s\n" % (
                        user, directory, user, " ".join(
                            "userdb_%s=%s" % item
                            for item in fields[user].items())))
    os.mkdir(directory + "/home")
    os.chmod(directory, 0o755)
    os.chmod(directory + "/home", 0o777)
    with running_dovecot(every_users, auth=config.users_of(users),
                         start=False, **kwargs) as dovecot:
        yield dovecot


class Spells:
    def __init__(self, dovecot, cases):
        self.dovecot = dovecot
        self.cases = {case.name: case for case in cases}

    def watch_trouble(self):
        """One case's end follows a while after its begin."""
        log = self.dovecot.log()
        now = time.monotonic()
        for case in self.cases.values():
            if case.in_trouble_since is None and (
                    not case.trouble or case.authority + " is down" in log or
                    case.authority + " rejects all notif" in log or
                    "endpoint=" + case.authority in log):
                case.in_trouble_since = now
            # another probe fails meanwhile
            if not case.healed and case.in_trouble_since is not None and \
                    now - case.in_trouble_since > 1.5:
                case.heal()
                case.healed = True
        return all(case.healed for case in self.cases.values())


def close_all(cases):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda case: case.close(), cases))


@pytest.fixture(scope="module")
def spells(certificates):
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="hn-cases-"))
        hosts = directory + "/hosts"
        with open(hosts, "w") as file:
            file.write("127.0.0.1 localhost\n")
        cases = []
        stack.callback(close_all, cases)
        cases.extend(make_cases(certificates, hosts))
        dovecot = stack.enter_context(dovecot_with(
            cases, directory,
            extra="ssl_client_ca_file = %s" % certificates["ca"]))
        dovecot.wrap_service(hosts=hosts)
        dovecot.start()
        dovecot.register({user: "user=%d@1" % idx for case in cases
                          for idx, user in enumerate(case.users)})
        spells = Spells(dovecot, cases)
        for _ in range(2):
            for case in cases:
                dovecot.deliver(case.users, message())
        # tests say which case it was if one does not get there
        for condition in (
                spells.watch_trouble,
                lambda: all(case.all_delivered() for case in cases
                            if not isinstance(case, Misconfigured))):
            with contextlib.suppress(AssertionError):
                wait_for(condition, 20)
        yield spells
        assert not dovecot.log_lines("Panic:")
        assert not dovecot.log_lines("Fatal:")


def check_spell(spells, name, began):
    """All of it arrives, in order, as the same notifications; the log has a
    line when it began and one when it ended."""
    case = spells.cases[name]
    for user_idx in range(len(case.users)):
        assert case.uids(user_idx) == [1, 2]
    assert len({r.key for r in case.endpoint.attempts}) == 2 * len(case.users)
    begin, end = case.lines(spells.dovecot)
    assert "Error: Endpoint %s %s" % (case.authority, began) in begin
    assert re.search(case.reason, begin.split(began)[1], re.IGNORECASE)
    assert "Info: Endpoint %s is up again" % case.authority in end
    assert "0 given up" in end


@pytest.mark.parametrize("status", SUCCESS)
def test_success(spells, status):
    case = spells.cases["success-%d" % status]
    assert case.uids() == [1, 2]
    assert len(case.endpoint.attempts) == 2
    assert case.lines(spells.dovecot) == []


@pytest.mark.parametrize("name", STATUS_ALONE)
def test_a_status_is_all_that_counts(spells, name):
    """Whatever becomes of the rest: it is not sent again, nor is anything
    wrong."""
    case = spells.cases[name]
    assert [r.uid for r in case.endpoint.attempts] == [1, 2]
    assert case.lines(spells.dovecot) == []


@pytest.mark.parametrize("status", [422, 404, 500])
def test_what_one_notification_gets_is_its_own(other_endpoint, status):
    """While others are accepted it is given up after a few attempts, and the
    user's next one does not wait for that."""
    endpoint = other_endpoint
    endpoint.status = lambda r: (
        status if r.body["user"] == "3@1" and r.uid == 1 else None)
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.register({"bob": "user=3@1", "alice": "user=4@1"})
        dovecot.deliver("alice", message())
        dovecot.deliver("bob", message())
        dovecot.deliver("bob", message())
        endpoint.wait_attempts(2)

        def taken():
            dovecot.deliver("alice", message())
            time.sleep(0.5)
            return [r for r in endpoint.delivered
                    if r.body["user"] == "3@1" and r.uid == 2]
        wait_for(taken, what="the user's next one")
        if status != 422:
            return
        line, = dovecot.wait_log("Error: Notification lost: user=bob "
                                 "folder=INBOX uid=1 ")
        assert "endpoint=" + endpoint.authority in line
        assert "refused: 422" in line
        attempts = [r for r in endpoint.attempts if r.uid == 1 and
                    r.body["user"] == "3@1"]
        assert 3 <= len(attempts) <= 4 and len({r.key for r in attempts}) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_a_standby_gets_what_the_first_server_refuses(other_endpoint, endpoint,
                                                      status):
    other_endpoint.status = status
    with running_dovecot(driver(other_endpoint,
                                standby_url=endpoint.url)) as dovecot:
        users = ["user%d" % n for n in range(20)]
        dovecot.register({user: "user=%d@1" % n
                          for n, user in enumerate(users, 3)})
        dovecot.deliver(users, message())
        assert {r.body["user"] for r in endpoint.wait(20)} == {
            "%d@1" % n for n in range(3, 23)}
        assert not dovecot.log_lines("Notification lost")


@pytest.mark.parametrize("status", BUSY)
def test_busy_is_tried_again(spells, status):
    check_spell(spells, "busy-%d" % status, "is down")


@pytest.mark.parametrize("name", [
    "connection-refused", "not-accepting", "no-such-name", *FAULTY])
def test_no_answer_is_tried_again(spells, name):
    check_spell(spells, name, "is down")


@pytest.mark.parametrize("name", TLS)
def test_no_tls_is_tried_again(spells, name):
    check_spell(spells, "tls-" + name, "is down")
    # nothing was said to who did not prove to be the endpoint
    endpoint = spells.cases["tls-" + name].endpoint
    assert len(endpoint.attempts) == 2


@pytest.mark.parametrize("name", RETRY_AFTER)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(spells, status, name):
    case = spells.cases["retry-after-%d-%s" % (status, name)]
    assert case.uids() == [1, 2]
    first, second = (r.time for r in case.endpoint.attempts[:2])
    # it may also last longer, on a busy machine
    # the service counts in milliseconds
    assert second - first >= case.wait - 0.01


def test_endless_body_is_not_read(other_endpoint):
    """Its status is all that counts."""
    endpoint = other_endpoint
    endpoint.fault = says_forever(
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n",
        b"x" * 4000)
    with running_dovecot(driver(endpoint, timeout_msecs=600000)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message())
            wait_for(lambda: len(endpoint.attempts) == count and
                     dovecot.queued() == 0, what="the notification to be taken")
        assert dovecot.log_lines("http-notify: ") == []


def test_a_reason_is_not_the_one_before(certificates):
    """The same server is refused, goes silent, and speaks no TLS. Dovecot does
    not name the reason of another attempt, or of another of its addresses."""
    endpoint = Endpoint(tls=certificates["good"])
    with contextlib.ExitStack() as stack:
        stack.callback(endpoint.stop)
        dovecot = stack.enter_context(running_dovecot(
            driver(endpoint, timeout_msecs=500), extra="%s\n%s" % (
                config.DEBUG, "ssl_client_ca_file = " + certificates["ca"])))
        endpoint.stop()

        def reason(word):
            dovecot.clear_log()
            return dovecot.wait_log("Debug: Attempt ", word)[0]
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        assert "Connection refused" in dovecot.wait_log("is down")[0]
        deaf = Deaf(endpoint.port)
        stack.callback(deaf.close)
        assert "refused" not in reason("time")
        deaf.close()
        good, endpoint.tls = endpoint.tls, None
        endpoint.start()
        assert "refused" not in reason("SSL")
        endpoint.stop()
        endpoint.tls = good
        endpoint.start()
        endpoint.wait(1)


def check_black_hole(dovecot, endpoint, heal):
    pid = dovecot.service_pid()
    for _ in range(2):
        assert dovecot.deliver("bob", message()) < 10
    line, = dovecot.wait_log("Error: Endpoint %s is down" % endpoint.authority)
    assert "time" in line.lower()
    time.sleep(1.5)
    heal()
    assert [r.uid for r in endpoint.wait(2)] == [1, 2]
    dovecot.wait_log("Info: Endpoint %s is up again" % endpoint.authority)
    assert len(dovecot.wait_log(endpoint.authority, count=2)) == 2
    assert len(endpoint.attempts) == 2
    assert dovecot.service_pid() == pid


def test_connections_that_get_no_room_are_tried_again(other_endpoint):
    """The endpoint's backlog is full, so that its kernel drops what comes."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint, timeout_msecs=500)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        deaf = Deaf(endpoint.port, full=True)

        def heal():
            deaf.close()
            endpoint.start()
        try:
            check_black_hole(dovecot, endpoint, heal)
        finally:
            deaf.close()


def test_connections_into_a_black_hole_are_tried_again():
    """Packets to the endpoint's port vanish, those of kept connections,
    too."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(network_namespace())
        endpoint = Endpoint(namespace=network)
        stack.callback(endpoint.stop)
        rule = ["INPUT", "-p", "tcp", "--dport", str(endpoint.port),
                "-j", "DROP"]
        network.iptables("-A", *rule)
        dovecot = stack.enter_context(running_dovecot(
            driver(endpoint, timeout_msecs=500), start=False))
        dovecot.wrap_service(network.prefix)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        check_black_hole(dovecot, endpoint,
                         lambda: network.iptables("-D", *rule))

        # A connection that was good until then.
        endpoint.clear()
        dovecot.clear_log()
        network.iptables("-A", *rule)
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint %s is down" % endpoint.authority)
        network.iptables("-D", *rule)
        # what the network had dropped may come after all
        assert {r.uid for r in endpoint.wait(1, 20)} == {3}
        dovecot.wait_log("Info: Endpoint %s is up again" % endpoint.authority)
        assert len({r.key for r in endpoint.attempts}) == 1


@pytest.mark.parametrize("value", [
    "31536000", "4294967297", "Wed, 01 Jan 2098 00:00:00 GMT"])
def test_retry_after_is_believed_up_to_ten_minutes(other_endpoint, value):
    """Seen in time lapse, with a clock of the service's that goes faster."""
    endpoint = other_endpoint
    speed = 200
    endpoint.status = lambda request: (
        503 if len(endpoint.attempts) == 1 else None)
    endpoint.answer_headers = [("Retry-After", value)]
    with faketime() as environment, running_dovecot(
            driver(endpoint, timeout_msecs=600000, max_age="1d"),
            start=False) as dovecot:
        dovecot.wrap_service(FAKETIME="+0 x%d" % speed, **environment)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        first, second = (r.time for r in endpoint.attempts)
        minutes = (second - first) * speed / 60
        # the upper bound leaves 10 s of real time to a busy machine
        assert 9 < minutes < 45


# These last: it takes a while until such an endpoint is tried again.

@pytest.mark.parametrize("status", MISCONFIGURED + REFUSED + REDIRECTS)
def test_misconfigured_is_tried_again(spells, status):
    case = spells.cases["misconfigured-%d" % status]
    wait_for(case.all_delivered, what="the next attempt")
    check_spell(spells, case.name, "rejects all notifications")
    if status in REDIRECTS:
        assert case.other.attempts == []
