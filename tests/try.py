# SPDX-License-Identifier: LGPL-2.1-or-later
"""What try.sh shows, once everything is built: STAGE [URL USER@CONTEXT]"""

import contextlib
import json
import re
import signal
import sys
import tempfile
import time

from harness.config import Driver
from harness.dovecot import METADATA_ENTRY, Dovecot, message
from harness.endpoint import Endpoint
from harness.install import install

TIMEOUT = 20  # seconds to wait for a real endpoint to accept it


class Failure(Exception):
    """It did not arrive."""


def step(text):
    print("* " + text, flush=True)


def after(seconds):
    """... the reply: the service does not wait for that."""
    return "%.1f ms %s" % (1000 * abs(seconds),
                           "before" if seconds < 0 else "after")


def secret_free(text, url):
    """Dovecot logs a URL that it does not understand as it is."""
    match = re.match(".*://(.*)@", url)
    return text.replace(match.group(1), "...") if match else text


def show_failure(dovecot, url, reason):
    print("FAILED: %s" % secret_free(str(reason), url))
    lines = (dovecot.log_lines("Error:") + dovecot.log_lines("Fatal:") +
             dovecot.log_lines("Panic:")) or dovecot.log().splitlines()
    print("What Dovecot logged:")
    for line in lines:
        print("  " + secret_free(line, url))


def wait_for_stand_in(endpoint, replied):
    request, = endpoint.wait(1)
    step("%s that reply this arrived at %s:" % (
        after(request.time - replied), endpoint.authority))
    print(json.dumps(request.body, indent=2, ensure_ascii=False))


def status(dovecot):
    """Of the endpoint, as the service counts; None if it knows of none."""
    rows = json.loads(dovecot.doveadm("-f", "json", "http-notify", "status"))
    counts = [row for row in rows if row["endpoint"] != "total"]
    return counts[0] if counts else None


class Attempts:
    """Those that failed, as they do."""

    def __init__(self):
        self.failed = 0
        self.reason = None

    def look(self, row):
        failed = sum(int(row[name]) for name in
                     ("retried", "refused", "dropped", "expired"))
        if failed > self.failed:
            self.failed, self.reason = failed, row["last_error"]
            step("Attempt %d failed: %s" % (failed, self.reason))

    def __str__(self):
        if self.failed == 0:
            return "the endpoint has not answered within %d s" % TIMEOUT
        return "the endpoint has not accepted it in %d attempt%s: %s" % (
            self.failed, "s" if self.failed > 1 else "", self.reason)


def wait_for_real_one(dovecot, replied):
    """It is gone from the queue when the endpoint has accepted it, or when it
    is given up."""
    attempts = Attempts()
    deadline = replied + TIMEOUT
    while True:
        ended = time.monotonic()
        waiting = dovecot.queued() > 0
        row = status(dovecot)
        if row is None:
            raise Failure("no notification was made")
        attempts.look(row)
        if int(row["delivered"]) > 0:
            step("At most %s that reply the endpoint had accepted it" %
                 after(ended - replied))
            return
        if (row["state"] == "misconfigured" or not waiting or
                time.monotonic() > deadline):
            raise Failure(attempts)
        poll_queue(dovecot, 0.2)


def poll_queue(dovecot, seconds):
    """It is quicker to ask than the service."""
    deadline = time.monotonic() + seconds
    while dovecot.queued() > 0 and time.monotonic() < deadline:
        time.sleep(0.001)


def show(dovecot, endpoint, url, registration):
    dovecot.configure(Driver(url))
    dovecot.start()
    step("Dovecot runs in %s, with conf.d/90-http-notify.conf and the "
         "endpoint" % dovecot.dir)

    value = "user=" + registration
    dovecot.setmetadata("bob", value)
    step('Registered bob by IMAP, as an OX node does: SETMETADATA "" '
         '(%s "%s")' % (METADATA_ENTRY, value))

    seconds = dovecot.deliver("bob", message("Hello from try.sh"))
    replied = time.monotonic()
    step("Delivered a message for bob by LMTP: the reply to the end of DATA "
         "came after %.1f ms" % (1000 * seconds))

    if endpoint is not None:
        wait_for_stand_in(endpoint, replied)
    else:
        wait_for_real_one(dovecot, replied)


@contextlib.contextmanager
def stopped_at_the_end(thing):
    try:
        yield thing
    finally:
        # not half-way
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        thing.stop()


SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def interrupted(number, _):
    sys.exit(128 + number)


def main(stage, url=None, registration="3@1"):
    for number in SIGNALS:
        signal.signal(number, interrupted)
    install(stage)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dovecot-"))
        endpoint = None
        if url is None:
            endpoint = stack.enter_context(stopped_at_the_end(Endpoint()))
            url = endpoint.url
            step("A stand-in for an OX node listens on %s" %
                 endpoint.authority)
        dovecot = stack.enter_context(
            stopped_at_the_end(Dovecot(directory, stage)))
        try:
            show(dovecot, endpoint, url, registration)
        except (AssertionError, OSError, Failure) as error:
            show_failure(dovecot, url, error)
            return 1
    return 0


sys.exit(main(*sys.argv[1:]))
