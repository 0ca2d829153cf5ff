# SPDX-License-Identifier: LGPL-2.1-or-later
"""An endpoint that accepts everything, and as much of it as two cores leave to
it: a process of its own, which notes what has come in a file.

    python3 recorder.py ADDRESS PORT FILE
"""

import asyncio
import collections
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import time

from harness.dovecot import wait_for

# time: when it came, by the monotonic clock of all processes. host: the
# address of who has sent it. number: its subject, which is the test's.
Record = collections.namedtuple("Record", "time host key user uid number")

ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
          b"Content-Length: 16\r\n\r\n{\"success\":true}")


class Recorder:
    """Runs it, and reads what it has noted."""

    def __init__(self, directory, address, port=8080, namespace=None):
        self.path = pathlib.Path(directory, "record")
        self.path.touch()
        self.url = "http://login:secret@%s:%d/notify" % (address, port)
        self.records, self.read_to = [], 0
        with namespace or contextlib.nullcontext():
            self.process = subprocess.Popen(
                [sys.executable, "-B", "-m", "harness.recorder", address,
                 str(port), str(self.path)],
                cwd=pathlib.Path(__file__).parents[1],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def read(self):
        """All that has come, in order."""
        with open(self.path) as file:
            file.seek(self.read_to)
            text = file.read()
        end = text.rfind("\n") + 1
        for line in text[:end].splitlines():
            came, host, key, user, uid, number = line.split(" ")
            self.records.append(Record(float(came), host, key, user,
                                       int(uid), int(number)))
        self.read_to += end
        return self.records

    def wait(self, numbers, timeout=60):
        """Until all of these have come."""
        missing = set(numbers)

        def all_came():
            missing.difference_update(r.number for r in self.read())
            return not missing
        wait_for(all_came, timeout, "%d notifications, such as %s" % (
            len(missing), sorted(missing)[:5]))

    def slow(self, slow=True):
        """It answers after a second and a half."""
        self.process.send_signal(signal.SIGUSR1 if slow else signal.SIGUSR2)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Connection(asyncio.Protocol):
    delay = 0

    def __init__(self, file):
        self.file = file
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport
        self.host = transport.get_extra_info("peername")[0]

    def data_received(self, data):
        self.data += data
        while True:
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            headers = dict(line.lower().split(b": ", 1) for line in
                           head.split(b"\r\n")[1:])
            length = int(headers[b"content-length"])
            if len(rest) < length:
                return
            self.note(headers, json.loads(rest[:length]))
            self.data = rest[length:]

    def note(self, headers, body):
        # noted before it is answered: who has the answer can count on it
        self.file.write("%.6f %s %s %s %d %s\n" % (
            time.monotonic(), self.host,
            headers[b"idempotency-key"].decode().strip('"'), body["user"],
            body["imap-uid"], body.get("subject", 0)))
        self.file.flush()
        asyncio.get_running_loop().call_later(
            self.delay, self.transport.write, ANSWER)


async def main(address, port, path):
    loop = asyncio.get_running_loop()
    for number, delay in (signal.SIGUSR1, 1.5), (signal.SIGUSR2, 0):
        loop.add_signal_handler(number, setattr, Connection, "delay", delay)
    with open(path, "a") as file:
        server = await loop.create_server(
            lambda: Connection(file), address, int(port), backlog=512)
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
