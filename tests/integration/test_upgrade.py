"""A queue that an older version has left, as a site that goes from Dovecot 2.3
to 2.4 has one."""

import contextlib
import pathlib
import shutil
import sqlite3

from conftest import driver, running_dovecot
from harness.dovecot import message


def leave_queue(dovecot, version, url):
    script = pathlib.Path(__file__).with_name("queue-%d.sql" % version)
    with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
        db.executescript(script.read_text().replace("ENDPOINT", url))
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
