# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service: nothing is lost, and no delivery waits for it."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import smtplib
import stat
import subprocess
import threading
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.dovecot import free_port, message, wait_for
from harness.faults import faketime

# A delivery of this long has waited for something. Far above what it takes on a
# busy machine, far below what it would be held up for.
LONG = 10


def test_runs_as_the_internal_user_from_the_start(dovecot):
    pid = dovecot.service_pid()
    with open("/proc/%d/status" % pid) as status:
        uids = next(line for line in status if line.startswith("Uid:"))
    assert set(uids.split()[1:]) == {str(pwd.getpwnam("dovecot").pw_uid)}


def test_sockets_and_queue_are_private(dovecot, endpoint):
    def mode(path):
        return stat.S_IMODE(os.stat(path).st_mode)

    dovecot.deliver("bob", message())
    endpoint.wait(1)
    assert mode(dovecot.dir / "run/http-notify") == 0o660
    assert mode(dovecot.dir / "run/http-notify-admin") == 0o600
    assert mode(dovecot.queue_path.parent) == 0o700
    for path in dovecot.queue_path.parent.iterdir():
        assert mode(path) == 0o600, path


def test_delivered_notifications_leave_the_queue(dovecot, endpoint):
    for _ in range(5):
        dovecot.deliver("bob", message())
    endpoint.wait(5)
    dovecot.wait_queue_empty()
    assert len(endpoint.attempts) == 5


def test_connections_are_kept_alive_and_shared(dovecot, endpoint):
    for _ in range(10):
        dovecot.deliver("bob", message())
        dovecot.wait_queue_empty()
    assert len({r.connection for r in endpoint.wait(10)}) == 1


def test_hung_endpoint_delays_no_delivery(other_endpoint):
    endpoint = other_endpoint
    endpoint.hang = True
    with running_dovecot(driver(endpoint, timeout_msecs=20000)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(5):
            assert dovecot.deliver("bob", message()) < LONG
        # what has failed is tried again
        endpoint.heal()
        endpoint.wait(5)


def test_outage_holds_and_resends_in_order(endpoint, other_endpoint):
    """Connection refused: none is lost, the log has one line at each end."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        endpoint.stop()
        for _ in range(20):
            assert dovecot.deliver("bob", message()) < LONG
        assert dovecot.queued() == 20
        endpoint.start()
        requests = endpoint.wait(21)
        assert [r.uid for r in requests] == list(range(1, 22))
        dovecot.wait_queue_empty()
        lines = [line for line in dovecot.log().splitlines()
                 if "http-notify: " in line]
        assert len(lines) == 2, lines
        assert "Error: Endpoint %s is down" % endpoint.authority in lines[0]
        assert "refused" in lines[0]
        assert "Info: Endpoint %s is up again" % endpoint.authority in lines[1]
        assert "20 notifications queued, 0 given up" in lines[1]


def test_failed_attempt_is_retried_with_the_same_key(dovecot, endpoint):
    answers = [503, 500, None]
    endpoint.status = lambda request: answers.pop(0)
    dovecot.deliver("bob", message())
    endpoint.wait(1)
    assert len({r.key for r in endpoint.attempts}) == 1
    assert [r.status for r in endpoint.attempts] == [503, 500, 200]
    # the longer wait is the second one, whatever the jitter
    first, second, third = (r.time for r in endpoint.attempts)
    assert third - second > (second - first) * 1.1


def test_one_users_trouble_delays_no_other_user(dovecot, endpoint):
    dovecot.setmetadata("poison", "user=666@1")
    endpoint.status = lambda request: (
        500 if request.body["user"] == "666@1" else None)
    dovecot.deliver("poison", message())
    endpoint.wait_attempts(1)
    for count in range(1, 11):
        dovecot.deliver("bob", message())
        endpoint.wait(count)
    endpoint.status = None
    assert endpoint.wait(11)[-1].body["user"] == "666@1"


@pytest.mark.parametrize("status, users", [(403, 1), (500, 5)])
def test_refused_users_do_not_make_the_endpoint_unusable(other_endpoint,
                                                         status, users):
    """It looks misconfigured or down at first, but takes all others."""
    endpoint = other_endpoint
    endpoint.status = lambda request: (
        status if request.body["user"].startswith("666") else None)
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for n in range(users):
            dovecot.setmetadata("bad%d" % n, "user=666%d@1" % n)
            dovecot.deliver("bad%d" % n, message())
        endpoint.wait_attempts(users)
        dovecot.wait_log("Error: Endpoint")
        for _ in range(5):
            dovecot.deliver("bob", message())
        # the first probe of a misconfigured one comes after half a minute
        assert [r.uid for r in endpoint.wait(5)] == [1, 2, 3, 4, 5]


def test_next_one_is_sent_when_the_one_before_is_too_old(endpoint):
    endpoint.status = lambda request: 500 if request.uid == 1 else None
    with running_dovecot(driver(endpoint, max_age="4s")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        time.sleep(3.5)
        dovecot.deliver("bob", message())
        assert endpoint.wait(1)[0].uid == 2
        assert len(dovecot.wait_log("Notification lost")) == 1


def test_max_age_ends_it_and_says_what_was_lost(endpoint):
    endpoint.status = 503
    with running_dovecot(driver(endpoint, max_age="2s")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Notification lost")
        for words in ("user=bob", "folder=INBOX", "uid=1",
                      "endpoint=" + endpoint.authority, "max_age"):
            assert words in line
        dovecot.wait_queue_empty()
        endpoint.clear()
        dovecot.deliver("bob", message())
        assert endpoint.wait(1)[0].uid == 2


def test_max_age_also_ends_what_is_never_tried(endpoint):
    endpoint.stop()
    try:
        with running_dovecot(driver(endpoint, max_age="2s")) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            for _ in range(3):
                dovecot.deliver("bob", message())
            lines = dovecot.wait_log("Notification lost", count=3)
            assert ["uid=%d " % uid in line for uid, line in
                    enumerate(lines, 1)] == [True] * 3
            dovecot.wait_queue_empty()
    finally:
        endpoint.start()


def test_max_retries(endpoint):
    endpoint.status = 503
    with running_dovecot(driver(endpoint, max_retries=1)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost", "max_retries=1", "503")
        assert len(endpoint.attempts) == 2


def test_refused_notification_is_tried_again(dovecot, endpoint):
    """The endpoint may refuse all, for a moment."""
    endpoint.status = lambda request: 422 if len(
        endpoint.attempts) == 1 else None
    dovecot.deliver("bob", message("refused"))
    dovecot.deliver("bob", message("behind"))
    assert [r.body["subject"] for r in endpoint.wait(2)] == [
        "refused", "behind"]
    assert len(endpoint.attempts) == 3
    assert not dovecot.log_lines("Notification lost")


def test_wrong_password_keeps_and_the_right_one_sends(endpoint):
    with running_dovecot(driver(endpoint.url.replace(
            "login:", "login:wr0ng"))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Error:", "credentials", "401")
        assert endpoint.authority in line
        dovecot.configure(driver(endpoint))
        dovecot.wait_reload("http-notify", "lmtp")
        dovecot.deliver("bob", message())
        # with the new password for what was queued with the old one
        assert [r.uid for r in endpoint.wait(2)] == [1, 2]


def test_redirects_are_not_followed(dovecot, endpoint, other_endpoint):
    endpoint.status = 307
    endpoint.answer_headers = [("Location", other_endpoint.url)]
    dovecot.setmetadata("bob", "user=3@1")
    dovecot.deliver("bob", message())
    dovecot.wait_log("Error:", "Endpoint", "307")
    assert other_endpoint.attempts == []
    # gone before the next test, which shares the Dovecot
    endpoint.clear()
    os.kill(dovecot.service_pid(), signal.SIGKILL)
    endpoint.wait(1)


def test_killed_service_loses_nothing(endpoint, other_endpoint):
    endpoint = other_endpoint
    endpoint.stop()
    with running_dovecot(driver(endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(3):
            for _ in range(5):
                dovecot.deliver("bob", message())
            os.kill(dovecot.service_pid(), signal.SIGKILL)
        endpoint.start()
        assert [r.uid for r in endpoint.wait(15)] == list(range(1, 16))
        dovecot.wait_queue_empty()
        assert len(endpoint.delivered) == 15
        assert not dovecot.log_lines("Notification lost")


def test_mail_process_reconnects_after_a_restart_of_the_service(dovecot,
                                                                endpoint):
    """Its kept connection is gone, the delivery after that goes through."""
    lmtp = dovecot.lmtp()
    lmtp.ehlo()
    for subject in ("before", "after"):
        lmtp.sendmail("a@example.org", ["bob"], message(subject))
        if subject == "before":
            endpoint.wait(1)
            dovecot.wait_queue_empty()
            os.kill(dovecot.service_pid(), signal.SIGKILL)
    lmtp.quit()
    assert [r.body["subject"] for r in endpoint.wait(2)] == ["before", "after"]
    assert not dovecot.log_lines("Notification lost")


def test_restart_of_dovecot_sends_what_was_queued(other_endpoint):
    """... without waiting for a new message."""
    endpoint = other_endpoint
    endpoint.stop()
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(3):
            dovecot.deliver("bob", message())
        dovecot.stop()
        endpoint.start()
        dovecot.start()
        assert [r.uid for r in endpoint.wait(3)] == [1, 2, 3]


def test_stopping_waits_for_nothing_and_loses_nothing(other_endpoint):
    endpoint = other_endpoint
    endpoint.hang = True
    with running_dovecot(driver(endpoint, timeout_msecs=600000)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait_attempts(1)
        begin = time.monotonic()
        dovecot.stop()
        assert time.monotonic() - begin < 60
        assert dovecot.queued() == 1
        endpoint.hang = False
        endpoint.unhang.set()
        dovecot.start()
        request, = endpoint.wait(1)
        assert {r.key for r in endpoint.attempts} == {request.key}


def delivered(dovecot, subject):
    try:
        return dovecot.deliver("bob", message(subject))
    except (OSError, smtplib.SMTPException, AssertionError):
        return False  # lmtp was told to go: the MTA tries again


def test_reload_loses_nothing(dovecot, endpoint):
    endpoint.delay = 0.02
    for number in range(20):
        if number % 5 == 0:
            dovecot.reload()
        wait_for(lambda: delivered(dovecot, "%d" % number), what="delivery")
    wait_for(lambda: len({r.body["subject"] for r in endpoint.delivered}) == 20,
             what="20 notifications")
    uids = list(dict.fromkeys(r.uid for r in endpoint.delivered))
    assert uids == sorted(uids)
    assert len({r.key for r in endpoint.delivered}) == len(uids)
    assert not dovecot.log_lines("Notification lost")


def new_service(dovecot, pid):
    wait_for(lambda: dovecot.pids("http-notify") not in ([pid], []),
             what="a new service")
    return dovecot.service_pid()


def failed_handoffs(dovecot):
    """But for those that found no socket: a reload makes a new one, and on a
    busy host Dovecot may take its time for that."""
    return [line for line in dovecot.log_lines("Notification")
            if "No such file or directory" not in line]


@contextlib.contextmanager
def load(dovecot, users):
    """Mail for these users, delivered all the time until this is left."""
    done = threading.Event()

    def deliver(user):
        while not done.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException,
                                     AssertionError):
                dovecot.deliver(user, message())
    threads = [threading.Thread(target=deliver, args=[user])
               for user in users]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_reloads_send_nothing_twice(endpoint):
    """All that is in flight is answered before the service ends."""
    users = ["user%d" % number for number in range(4)]
    with faketime() as environment, running_dovecot(
            driver(endpoint), PATIENT, start=False) as dovecot:
        # It gives them a fraction of a second. With a clock that goes slower,
        # a busy machine has ten times as long.
        dovecot.wrap_service(FAKETIME="+0 x0.1", **environment)
        dovecot.start()
        dovecot.register({user: "user=3@1" for user in users})
        endpoint.delay = 0.1
        with load(dovecot, users):
            for _ in range(20):
                pid = dovecot.service_pid()
                endpoint.wait_attempts(len(endpoint.attempts) + 8)
                dovecot.reload()
                new_service(dovecot, pid)
        endpoint.delay = 0
        dovecot.wait_queue_empty()
        keys = [request.key for request in endpoint.attempts]
        assert len(keys) > 20 * 8
        assert len(keys) == len(set(keys))
        assert failed_handoffs(dovecot) == []


def test_reload_does_not_wait_for_a_hanging_endpoint(other_endpoint):
    """Mail is handed over meanwhile, to the old service and the new one. What
    hangs is sent again, and is recognisable."""
    endpoint = other_endpoint
    with running_dovecot(driver(endpoint, timeout_msecs=600000),
                         PATIENT) as dovecot:
        users = ["user%d" % number for number in range(4)]
        dovecot.register({user: "user=3@1" for user in users})
        endpoint.hang = True
        for user in users:
            dovecot.deliver(user, message())
        endpoint.wait_attempts(4)
        hanging = {request.key for request in endpoint.attempts}
        with load(dovecot, users):
            for _ in range(3):
                pid = dovecot.service_pid()
                dovecot.reload()
                new_service(dovecot, pid)
        assert failed_handoffs(dovecot) == []
        endpoint.heal()
        dovecot.wait_queue_empty()
        assert hanging <= {request.key for request in endpoint.delivered}


def test_socket_that_has_no_owner_yet_is_waited_for(endpoint):
    """As it is for a moment when Dovecot is reloaded."""
    with running_dovecot(driver(endpoint), extra="""
            service lmtp {
              %s
            }""" % config.clients_of_a_process(1)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        path = dovecot.dir / "run/http-notify"
        uid, gid = path.stat().st_uid, path.stat().st_gid
        done = threading.Event()

        def flip():
            while not done.is_set():
                os.chown(path, 0, 0)
                time.sleep(0.005)
                os.chown(path, uid, gid)
                time.sleep(0.005)
        thread = threading.Thread(target=flip)
        thread.start()
        try:
            for _ in range(20):
                dovecot.deliver("bob", message())
        finally:
            done.set()
            thread.join()
        assert len(endpoint.wait(20)) == 20
        assert not dovecot.log_lines("Notification lost")


def test_stopped_service_costs_the_deadline_and_names_what_waits(endpoint):
    with running_dovecot(driver(endpoint),
                         "http_notify_handoff_timeout = 300ms") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        pid = dovecot.service_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            seconds = dovecot.deliver("bob", message())
        finally:
            os.kill(pid, signal.SIGCONT)
        assert 0.3 <= seconds < LONG
        line, = dovecot.wait_log("Error:",
                                 "Notification not confirmed: user=bob")
        assert "folder=INBOX uid=1" in line
        # of which the look-up may have taken some
        assert int(re.search(r"within (\d+) ms", line)[1]) <= 300
        # it was in the service's hands, which went on
        assert endpoint.wait(1)[0].uid == 1
        assert not dovecot.log_lines("Notification lost")
        # until then the service is given little time
        time.sleep(1)
        dovecot.deliver("bob", message())
        # behind the other one, which may have been stored late
        wait_for(lambda: 2 in [r.uid for r in endpoint.delivered],
                 what="the second notification")


def test_many_recipients_wait_for_a_stopped_service_once(endpoint):
    users = ["user%d" % n for n in range(10)]
    with running_dovecot(driver(endpoint),
                         "http_notify_handoff_timeout = 3s") as dovecot:
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        pid = dovecot.service_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            assert dovecot.deliver(users, message()) < LONG
        finally:
            os.kill(pid, signal.SIGCONT)
        assert len(dovecot.wait_log("Notification not confirmed",
                                    count=10)) == 10


def test_no_service_costs_nothing_and_names_what_is_lost(endpoint):
    with running_dovecot(driver(endpoint), "http_notify_handoff_timeout = 30s",
                         extra="""
            service http-notify {
              process_min_avail = 0
              unix_listener http-notify {
                mode = 0
              }
            }""") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.deliver("bob", message()) < 10
        line, = dovecot.wait_log("Error:", "Notification lost: user=bob")
        for words in ("folder=INBOX uid=1", "No such file",
                      "is service http-notify configured"):
            assert words in line
        with dovecot.imap("bob") as imap:
            assert imap.select("INBOX") == ("OK", [b"1"])


@pytest.mark.parametrize("trouble", ["missing", "not writable"])
def test_queue_directory_trouble_says_what_to_do(endpoint, trouble):
    with running_dovecot(driver(endpoint), start=False) as dovecot:
        directory = dovecot.queue_path.parent
        if trouble == "missing":
            directory.rmdir()
        else:
            os.chown(directory, 0, 0)
        dovecot.start()
        line, = dovecot.wait_log("http-notify: Error: Queue can't be opened")
        assert str(directory) in line
        assert "must exist, with mode 0700, and belong to the user" in line
        # it does without being told once that is mended
        directory.mkdir(exist_ok=True)
        shutil.chown(directory, "dovecot")
        dovecot.wait_log("http-notify: Info: Queue can be opened again")
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)


@contextlib.contextmanager
def flushes_traced(dovecot, *options):
    """Those of the service. Yields the path of what strace says of them."""
    trace = dovecot.dir / "trace"
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", *options, "-o",
         str(trace), "-p", str(dovecot.service_pid())],
        stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: "TracerPid:\t0" not in open(
            "/proc/%d/status" % dovecot.service_pid()).read())
        yield trace
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()


def flushes_of_deliveries(dovecot, count, *options, at_least=0):
    """How many, when there are at_least so many, and how long each delivery
    took."""
    # it has made its queue
    dovecot.deliver("bob", message())
    dovecot.wait_queue_empty()
    with flushes_traced(dovecot, *options) as trace:
        seconds = [dovecot.deliver("bob", message()) for _ in range(count)]
        dovecot.wait_queue_empty()
        wait_for(lambda: trace.read_text().count("sync(") >= at_least,
                 what="%d flushes" % at_least)
    return trace.read_text().count("sync("), seconds


def test_slow_flushes_of_the_disk_hold_up_nobody(other_endpoint):
    """SQLite's log is written back to its file, which takes flushes, and not
    waited for."""
    with running_dovecot(driver(other_endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        count = 600
        _, seconds = flushes_of_deliveries(
            dovecot, count, "-e",
            "inject=fsync,fdatasync:delay_enter=1500000", at_least=2)
        # but for the few while SQLite begins its log anew
        assert sum(each > 1.5 for each in seconds) <= count / 50
        other_endpoint.wait(count + 1)
        assert not dovecot.log_lines("not confirmed")


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_sync_full_flushes_each_delivery_and_normal_does_not(endpoint, sync):
    with running_dovecot(driver(endpoint),
                         "http_notify_sync = " + sync) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        flushes, _ = flushes_of_deliveries(dovecot, 5)
        assert flushes >= 5 if sync == "full" else flushes == 0
        endpoint.wait(5)


def test_endpoint_on_another_port_is_another_endpoint(endpoint):
    """A dead one does not hold up the other."""
    dead = driver("http://127.0.0.1:%d/" % free_port())
    with running_dovecot(driver(endpoint), dead) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(10):
            dovecot.deliver("bob", message())
        endpoint.wait(10)
        wait_for(lambda: dovecot.queued() == 10, what="the dead one's queue")
        assert len(dovecot.wait_log("Error:")) == 1
