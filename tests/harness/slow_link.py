# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is between a client and a server of TCP: it may be slow, or break so
that the server knows, and the client does not.

By a relay, since not every kernel can delay packets."""

import asyncio
import contextlib
import socket
import threading


class SlowLink:
    """Listens on the server's host. Used as one more server."""

    def __init__(self, host, server):
        """host: whose namespace both are in."""
        self.address, self.server = server.address, server
        # seconds, each way
        self.delay = 0
        self.clients, self.servers = set(), set()
        # clients whose connections are to a former server
        self.stale = set()
        self.broken = False
        self.loop = asyncio.new_event_loop()
        with host:
            sock = socket.create_server((self.address, 0), backlog=64)
            self.port = sock.getsockname()[1]
            self.thread = threading.Thread(target=self._run, args=(sock,),
                                           daemon=True)
            self.thread.start()

    def _run(self, sock):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(
            self._connected, sock=sock))
        self.loop.run_forever()

    async def _connected(self, reader, writer):
        self.clients.add(writer)
        if self.broken:
            return
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection(self.server.address,
                                                  self.server.port)
            self.servers.add(there[1])
            await asyncio.gather(self._forward(reader, there[1]),
                                 self._forward(there[0], writer))
        if not self.broken and writer not in self.stale:
            writer.close()

    async def _forward(self, reader, writer):
        data, queue = None, asyncio.Queue()
        sender = self.loop.create_task(self._send(queue, writer))
        while data != b"":
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            queue.put_nowait((self.loop.time() + self.delay, data))
        await sender

    async def _send(self, queue, writer):
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(due - self.loop.time(), 0))
            if writer in self.stale or \
                    self.broken and writer in self.clients:
                return
            if data == b"":
                writer.close()
                return
            writer.write(data)

    def snap(self):
        """The server sees its connections end. To the client, they and new ones
        are open, and nothing comes."""
        def change():
            self.broken = True
            for writer in self.servers:
                writer.transport.abort()
            self.servers.clear()
        self.loop.call_soon_threadsafe(change)

    def move(self, server):
        """New connections are to this one. To the client, those that there are
        are open, and nothing comes."""
        def change():
            self.server = server
            self.stale |= self.clients
        self.loop.call_soon_threadsafe(change)

    def heal(self):
        """All connections end, and new ones are good."""
        def change():
            self.broken = False
            for writer in self.clients:
                writer.transport.abort()
            self.clients.clear()
            self.stale.clear()
        self.loop.call_soon_threadsafe(change)

    def close(self):
        self.heal()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
