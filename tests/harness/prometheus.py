# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Prometheus, and the node_exporter whose textfile collector it reads, each
in a temporary directory and on the loopback interface."""

import contextlib
import json
import pathlib
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from harness.dovecot import TIMEOUT, free_port, wait_for


def http_get(port, path):
    with urllib.request.urlopen(
            "http://127.0.0.1:%d%s" % (port, path), timeout=TIMEOUT) as answer:
        return answer.read().decode()


def answers(port, path):
    try:
        return http_get(port, path) is not None
    except (OSError, urllib.error.HTTPError):
        return False


@contextlib.contextmanager
def running(command, directory, port, path):
    """A server that is ready when it answers for a path."""
    log = pathlib.Path(directory) / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output,
                                   cwd=directory)
    try:
        wait_for(lambda: answers(port, path) or process.poll() is not None,
                 60, command[0])
        assert process.poll() is None, log.read_text()
        yield
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.terminate()
        process.wait(30)


class Prometheus:
    def __init__(self, port):
        self.port = port

    def api(self, path, **parameters):
        """Its answer's data. It gives a reason for what it does not take."""
        try:
            answer = json.loads(http_get(self.port, "/api/v1/%s?%s" % (
                path, urllib.parse.urlencode(parameters))))
        except urllib.error.HTTPError as error:
            raise AssertionError("%s: %s" % (
                parameters, error.read().decode())) from error
        assert answer["status"] == "success", answer
        # such as samples that were left out
        assert not answer.get("warnings"), answer
        return answer["data"]

    def query(self, expr):
        """The present values by their labels: [(labels, value)]."""
        data = self.api("query", query=expr)
        assert data["resultType"] == "vector", data
        return [(row["metric"], float(row["value"][1]))
                for row in data["result"]]

    def value(self, expr):
        """The only one; None if there is none."""
        rows = self.query(expr)
        assert len(rows) <= 1, rows
        return rows[0][1] if rows else None

    def wait_value(self, expr, value, timeout=TIMEOUT):
        wait_for(lambda: self.value(expr) == value, timeout,
                 "%s to be %s, not %s" % (expr, value, self.query(expr)))

    def firing(self):
        """The names of the alerts that do."""
        return {alert["labels"]["alertname"]
                for alert in self.api("alerts")["alerts"]
                if alert["state"] == "firing"}


@contextlib.contextmanager
def prometheus(config):
    """Runs with a configuration file."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hn-prometheus-") as directory:
        with running(["prometheus", "--config.file=%s" % config,
                      "--storage.tsdb.path=%s/data" % directory,
                      "--log.level=warn",
                      "--web.listen-address=127.0.0.1:%d" % port],
                     directory, port, "/-/ready"):
            yield Prometheus(port)


@contextlib.contextmanager
def node_exporter():
    """Only with its textfile collector. Yields that one's directory, and the
    port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hn-textfile-") as directory:
        textfiles = pathlib.Path(directory) / "collector"
        textfiles.mkdir()
        with running(["prometheus-node-exporter",
                      "--log.level=warn", "--collector.disable-defaults",
                      "--collector.textfile",
                      "--collector.textfile.directory=%s" % textfiles,
                      "--web.listen-address=127.0.0.1:%d" % port],
                     directory, port, "/metrics"):
            yield textfiles, port


def promtool(*args, cwd):
    """Returns what it printed."""
    done = subprocess.run(["promtool", *map(str, args)], cwd=cwd,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    return done.stdout
