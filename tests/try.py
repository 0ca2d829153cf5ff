"""What try.sh shows, once everything is built: STAGE [URL USER@CONTEXT]"""

import json
import sys
import tempfile
import time

from harness.config import Driver
from harness.dovecot import METADATA_ENTRY, Dovecot, message
from harness.endpoint import Endpoint
from harness.install import install

TIMEOUT = 20  # seconds to wait for an endpoint's answer


def step(text):
    print("* " + text, flush=True)


def failed(dovecot, reason):
    print("FAILED: %s" % reason)
    print("What Dovecot logged:")
    for line in dovecot.log_lines("http-notify") or dovecot.log().splitlines():
        print("  " + line)
    return 1


def wait_for_stand_in(endpoint, replied):
    request, = endpoint.wait(1, TIMEOUT)
    step("%.1f ms after that reply this arrived at %s:" % (
        1000 * (request.time - replied), endpoint.authority))
    print(json.dumps(request.body, indent=2, ensure_ascii=False))


def wait_for_real_one(dovecot, url, replied):
    """It is gone from the queue if the endpoint took it."""
    deadline = time.monotonic() + TIMEOUT
    while dovecot.queued() > 0:
        trouble = dovecot.log_lines("http-notify: Error:")
        assert not trouble, trouble[0].split("Error: ")[1]
        assert time.monotonic() < deadline, "no answer from the endpoint"
        time.sleep(0.001)
    lost = dovecot.log_lines("Notification lost")
    assert not lost, lost[0].split("Error: ")[1]
    step("%.1f ms after that reply the endpoint had accepted it" % (
        1000 * (time.monotonic() - replied)))


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
        wait_for_real_one(dovecot, url, replied)


def main(stage, url=None, registration="3@1"):
    install(stage)
    endpoint = None
    if url is None:
        endpoint = Endpoint()
        url = endpoint.url
        step("A stand-in for an OX node listens on %s" % endpoint.authority)
    with tempfile.TemporaryDirectory(prefix="dovecot-") as directory:
        dovecot = Dovecot(directory, stage)
        try:
            show(dovecot, endpoint, url, registration)
        except (AssertionError, OSError) as error:
            return failed(dovecot, error)
        finally:
            dovecot.stop()
            if endpoint is not None:
                endpoint.stop()
    return 0


sys.exit(main(*sys.argv[1:]))
