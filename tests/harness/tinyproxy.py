# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tinyproxy in a temporary directory."""

import contextlib
import pathlib
import subprocess
import tempfile

from harness.dovecot import free_port, wait_for
from harness.haproxy import listens


class Proxy:
    def __init__(self, port, said):
        self.port = port
        self.url = "http://127.0.0.1:%d" % port
        self._said = said

    def log(self):
        return self._said.read_text(errors="replace")


@contextlib.contextmanager
def tinyproxy(*lines):
    """Runs with these lines in its configuration."""
    with tempfile.TemporaryDirectory(prefix="hn-tinyproxy-") as directory:
        directory = pathlib.Path(directory)
        port = free_port()
        main = directory / "tinyproxy.conf"
        main.write_text("\n".join([
            "Port %d" % port, "Listen 127.0.0.1", "Timeout 60",
            "LogLevel Info", *lines]) + "\n")
        said = directory / "said"
        with open(said, "w") as output:
            process = subprocess.Popen(
                ["tinyproxy", "-d", "-c", str(main)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                wait_for(lambda: listens(port) or process.poll() is not None,
                         what="tinyproxy")
                assert process.poll() is None, said.read_text()
                yield Proxy(port, said)
            finally:
                process.terminate()
                process.wait()
