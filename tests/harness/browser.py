# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's Chromium without a window. It gets one page, and whatever else it
asks for on the way is seen."""

import http.server
import re
import subprocess
import tempfile
import threading
import types

PAGE = "http://page.test/"
# What the browser asks for by itself, however it is told not to: whether there
# is a later one, and what time it is.
ITS_OWN = re.compile(r"(https?://)?[\w-]+\.(google|googleapis)\.com[:/]")


class Proxy(http.server.BaseHTTPRequestHandler):
    """All that the browser asks for comes here, by whatever name."""

    def do_GET(self):
        page = self.path == PAGE
        if not page and not ITS_OWN.match(self.path):
            self.server.others.append(self.path)
        body = self.server.page.encode() if page else b""
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_CONNECT = do_POST = do_HEAD = do_GET

    def log_message(self, *args):
        pass


def browse(page, *options, width=1280, height=2000, dark=False):
    """Loads a page. Returns what the browser printed, what went wrong in the
    page, and what it has asked for besides it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.page, server.others = page, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="hn-browser-") as directory:
            done = subprocess.run([
                "chromium", "--headless", "--no-sandbox", "--disable-gpu",
                "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--disable-default-apps",
                "--disable-dev-shm-usage", "--no-first-run",
                "--hide-scrollbars", "--enable-logging=stderr",
                "--user-data-dir=%s" % directory,
                "--proxy-server=127.0.0.1:%d" % server.server_port,
                "--proxy-bypass-list=<-loopback>",
                "--window-size=%d,%d" % (width, height),
                *(["--blink-settings=preferredColorScheme=0"] if dark else []),
                *options, PAGE],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, encoding="utf-8", timeout=120)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stderr
    return types.SimpleNamespace(
        output=done.stdout, others=server.others,
        console=[line for line in done.stderr.splitlines()
                 if "CONSOLE" in line])
