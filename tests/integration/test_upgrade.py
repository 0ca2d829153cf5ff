# SPDX-License-Identifier: LGPL-2.1-or-later
"""A queue that an older version has left, as a site that goes from Dovecot 2.3
to 2.4 has one."""

import contextlib
import pathlib
import shutil
import sqlite3
import urllib.parse

import pytest

from conftest import driver, running_dovecot
from harness.doveadm import rows
from harness.dovecot import message


def leave_queue(dovecot, version, url, key=None, more_options=""):
    """key: the endpoint's, as that version had it"""
    script = pathlib.Path(__file__).with_name("queue-%d.sql" % version)
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        db.executescript(script.read_text().replace(
            "@ENDPOINT", "@ENDPOINT" if key is None else key).replace(
                "ENDPOINT", url))
        db.execute("UPDATE endpoint SET options = options || ?",
                   (more_options,))
        db.commit()
    shutil.chown(dovecot.queue_path, "dovecot")
    dovecot.queue_path.chmod(0o600)


def test_queue_of_version_1_is_taken_over(other_endpoint):
    with running_dovecot(driver(other_endpoint), start=False) as dovecot:
        leave_queue(dovecot, 1, other_endpoint.url)
        dovecot.start()
        requests = other_endpoint.wait(3)
        assert sorted(request.body["subject"] for request in requests) == [
            "For Alice", "Message 0", "Message 1"]
        assert [request.body["subject"] for request in requests
                if request.body["user"] == "3@1"] == [
            "Message 0", "Message 1"]
        assert sorted(request.headers["Idempotency-Key"]
                      for request in requests) == [
            '"28258c350ba7026bc444000083ecc375-%d"' % seq
            for seq in (1, 2, 3)]
        dovecot.wait_queue_empty()

        # and it goes on
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("The next one"))
        assert other_endpoint.wait(4)[3].body["subject"] == "The next one"
        assert not dovecot.log_lines("http-notify", "Error:")


def endpoints(dovecot):
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        return db.execute("SELECT count(*) FROM endpoint").fetchone()[0]


@pytest.mark.parametrize("options", [{}, {"cache_lifetime": "1s"}],
                         ids=["same options", "an option of the driver's"])
@pytest.mark.parametrize("netrc", [False, True])
def test_endpoints_of_version_1_are_the_same_ones(other_endpoint, options,
                                                  netrc):
    """Though their keys have another form: what comes for a user does not
    overtake what the former version has left, and no endpoint is new."""
    endpoint = other_endpoint
    endpoint.status = 503
    with running_dovecot(start=False) as dovecot:
        url, login = endpoint.url, urllib.parse.urlsplit(endpoint.url).username
        bare = url.replace(url.split("//")[1].split("@")[0] + "@", "")
        more_options = ""
        if netrc:
            path = dovecot.queue_path.parent / "netrc"
            path.write_text('machine 127.0.0.1 login %s password "%s"\n' %
                            endpoint.credentials)
            path.chmod(0o600)
            shutil.chown(path, "dovecot")
            url, login = bare, ""
            options = dict(options, netrc_file=str(path))
            more_options = "\tnetrc_file=%s" % path
        dovecot.configure(driver(url, **options))
        leave_queue(dovecot, 1, url, "%s@%s" % (login, bare), more_options)
        dovecot.start()
        endpoint.wait_attempts(1)
        assert [row["mail_event"] for row in rows(dovecot, "queue")] == [
            "MessageNew"] * 3
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("Message 2"))
        assert endpoints(dovecot) == 1
        endpoint.status = 200
        requests = endpoint.wait(4)
        assert [request.body["subject"] for request in requests
                if request.body["user"] == "3@1"] == [
            "Message 0", "Message 1", "Message 2"]
        dovecot.wait_queue_empty()
        assert not dovecot.log_lines("Panic:")
