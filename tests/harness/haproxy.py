# SPDX-License-Identifier: LGPL-2.1-or-later
"""An haproxy in a temporary directory."""

import contextlib
import pathlib
import socket
import subprocess
import tempfile

from harness.dovecot import wait_for

# As in the haproxy.cfg that a distribution ships, next to which a test's
# sections are.
CONFIG = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
"""


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextlib.contextmanager
def haproxy(sections, port):
    """Runs with a file of these sections, which listen at this port."""
    with tempfile.TemporaryDirectory(prefix="hn-haproxy-") as directory:
        directory = pathlib.Path(directory)
        main = directory / "haproxy.cfg"
        main.write_text(CONFIG)
        with open(directory / "said", "w+") as said:
            process = subprocess.Popen(
                ["haproxy", "-db", "-f", str(main), "-f", str(sections)],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            try:
                wait_for(lambda: listens(port) or process.poll() is not None,
                         what="haproxy")
                said.seek(0)
                assert process.poll() is None, said.read()
                yield process
            finally:
                process.terminate()
                process.wait()
