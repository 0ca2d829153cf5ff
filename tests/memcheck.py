# SPDX-License-Identifier: LGPL-2.1-or-later
"""One lmtp process makes 5,000 deliveries under valgrind's memcheck, each of
which hands off a notification: nothing is found, nothing leaks, and the memory
in use does not grow from one message to the next.

    python3 memcheck.py STAGE

run.sh knows what STAGE is. It takes some minutes.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

from harness.config import Driver, block, config
from harness.dovecot import Dovecot, message
from harness.endpoint import Endpoint
from harness.install import install

TESTS = pathlib.Path(__file__).resolve().parent
USERS = ["user%d" % n for n in range(50)]
# after the first ones all is there that is made once
WARM_UP, DELIVERIES = 1000, 5000

# GDB: Dovecot leaves its plugins loaded at exit, so that valgrind knows the
# names of their functions.
WRAPPER = """#!/bin/sh
GDB=1 exec valgrind --log-file={findings} --suppressions={suppressions} \\
    --gen-suppressions=all --leak-check=full --num-callers=40 \\
    --vgdb-prefix={findings}.vgdb /usr/lib/dovecot/lmtp "$@"
"""

CONFIG = block("service lmtp", "process_limit = 1",
               config.clients_of_a_process(0))


def lmtp_pid(dovecot):
    pid, = [pid for pid in dovecot.pids() if b"/lmtp\0" in
            pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()]
    return pid


def heap_now(pid, findings):
    said = subprocess.run(
        ["vgdb", "--vgdb-prefix=%s.vgdb" % findings, "--pid=%d" % pid,
         "leak_check", "summary", "reachable", "any"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    kinds = re.findall(r"(?:lost|reachable): ([\d,]+) bytes", said)
    assert len(kinds) == 4, said
    return sum(int(kind.replace(",", "")) for kind in kinds)


def heap_in_use(pid, findings):
    """In bytes: what valgrind counts as reachable and what as lost, once all
    that a connection needed has been freed."""
    readings = [heap_now(pid, findings)]
    # on a busy machine nothing may happen for a while
    while readings[-6:] != 6 * readings[-1:]:
        time.sleep(0.5)
        readings.append(heap_now(pid, findings))
    return readings[-1]


def deliver(dovecot, endpoint, count):
    """To the users in turn, until so many have been delivered at all."""
    while len(endpoint.delivered) < count:
        done = len(endpoint.delivered)
        dovecot.deliver(USERS, message("message %d" % done))
        endpoint.wait(done + len(USERS), 60)


def run(directory, stage, endpoint):
    wrappers, findings = directory / "wrappers", directory / "findings"
    wrappers.mkdir()
    wrapper = wrappers / "lmtp"
    wrapper.write_text(WRAPPER.format(
        findings=findings, suppressions=TESTS / "memcheck.supp"))
    wrapper.chmod(0o755)
    (directory / "dovecot").mkdir()
    dovecot = Dovecot(directory / "dovecot", stage, wrappers=wrappers)
    dovecot.configure(Driver(endpoint.url), extra=CONFIG)
    dovecot.start()
    try:
        for number, user in enumerate(USERS):
            dovecot.setmetadata(user, "user=%d@1" % number)
        deliver(dovecot, endpoint, WARM_UP)
        pid = lmtp_pid(dovecot)
        before = heap_in_use(pid, findings)
        deliver(dovecot, endpoint, DELIVERIES)
        after = heap_in_use(pid, findings)
        assert lmtp_pid(dovecot) == pid
    finally:
        dovecot.stop()

    found = findings.read_text()
    print("%d bytes in use after %d messages, %d after %d" % (
        before, WARM_UP, after, DELIVERIES))
    assert "ERROR SUMMARY: 0 errors" in found, found
    assert len(endpoint.attempts) == DELIVERIES
    # Half a pointer per message. Dovecot's data stack keeps a block of the
    # size that some message once needed, with the plugin and without it: 8 kB
    # more on a quiet machine, 24 kB on a busy one.
    assert after - before < 4 * (DELIVERIES - WARM_UP)


def main():
    install(sys.argv[1])
    endpoint = Endpoint()
    with tempfile.TemporaryDirectory(prefix="hn-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        run(directory, sys.argv[1], endpoint)
    endpoint.stop()


if __name__ == "__main__":
    main()
