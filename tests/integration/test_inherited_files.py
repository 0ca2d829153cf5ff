# SPDX-License-Identifier: LGPL-2.1-or-later
"""No program that a process runs gets a connection or a file of it."""

import os
import socket
import time

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import message, wait_for

O_CLOEXEC = 0o2000000
SIEVE = 'require ["vnd.dovecot.pipe", "copy"];\r\npipe :copy "list";\r\n'
# what it is connected to
LIST = """#!/usr/bin/python3
import os, socket, sys
sys.stdin.buffer.read()
with open("%(path)s.new", "w") as file:
    for fd in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(fd))) as sock:
                print(fd, sock.getpeername(), file=file)
        except OSError:
            print(fd, file=file)
os.rename("%(path)s.new", "%(path)s")
"""


def connections(dovecot):
    """How many the service has with mail processes."""
    with open("/proc/net/unix") as file:
        # 3 = connected
        return sum(line.split()[5] == "03" for line in file if
                   line.rstrip().endswith("%s/run/http-notify" % dovecot.dir))


def test_sieve_program_has_no_hand_off_socket(endpoint):
    with running_dovecot(driver(endpoint), start=False) as dovecot:
        listed = dovecot.dir / "home/listed"
        programs = dovecot.dir / "programs"
        programs.mkdir()
        (programs / "list").write_text(LIST % {"path": listed})
        (programs / "list").chmod(0o755)
        dovecot.configure(
            driver(endpoint), extra=config.sieve("~/.dovecot.sieve") +
            config.more_plugins("sieve", protocol="lmtp") +
            config.sieve_pipe(programs))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        (dovecot.dir / "home/bob/.dovecot.sieve").write_text(SIEVE)
        with dovecot.lmtp() as lmtp:
            lmtp.ehlo()
            # the first has the process connect to the service
            for count in (1, 2):
                listed.unlink(missing_ok=True)
                lmtp.sendmail("a@example.org", ["bob"], message())
                endpoint.wait(count)
                wait_for(listed.exists, what="the program's list")
            assert connections(dovecot) == 1
            files = listed.read_text()
            # its standard input and output at least
            assert len(files.splitlines()) >= 3
            assert "/run/http-notify" not in files


def inherited(pid):
    """What a program that the process runs would have."""
    found = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as info:
                flags, = (line.split()[1] for line in info
                          if line.startswith("flags:"))
            if not int(flags, 8) & O_CLOEXEC:
                found.add((fd, os.readlink("/proc/%d/fd/%s" % (pid, fd))))
        except FileNotFoundError:
            pass
    return found


def test_what_the_service_opens_is_its_own(endpoint):
    """As it is when it begins: what it got from Dovecot."""
    with running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        pid = dovecot.service_pid()
        before = inherited(pid)
        assert not any("http-notify/" in name for _, name in before)
        endpoint.hang = True
        try:
            dovecot.deliver("bob", message())
            endpoint.wait_attempts(1)
            with socket.socket(socket.AF_UNIX) as admin:
                admin.connect(str(dovecot.dir / "run/http-notify-admin"))
                dovecot.deliver("bob", message())
                time.sleep(0.1)
                assert inherited(pid) == before
        finally:
            endpoint.hang = False
