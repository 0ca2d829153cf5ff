# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/calendar: notifications and calendar mail to one OX node."""

import pytest

from conftest import running_dovecot
from harness.calendar_endpoint import CalendarEndpoint
from harness.dovecot import message
from harness.endpoint import PATH
from harness.example import LINE, deploy, endpoint
from harness.invitations import Shape


@pytest.fixture
def node():
    node = endpoint()
    yield node
    node.stop()


@pytest.fixture
def calendar():
    calendar = CalendarEndpoint(credentials=("login", "secret"))
    yield calendar
    calendar.stop()


def test_both_get_theirs(node, calendar):
    with running_dovecot(start=False) as dovecot:
        deploy(dovecot, "calendar/dovecot-%s.conf" % LINE, {
            "node1.example.com:8009" + PATH: node.authority + PATH,
            "node1.example.com:8009" + calendar.path:
                calendar.authority + calendar.path,
            "192.0.2.11": "127.0.0.1"})
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("no invitation"))
        dovecot.deliver("bob", Shape("utf-8", "8bit").google())
        assert [request.pushed for request in node.wait(2)] == [True] * 2
        invitation, = calendar.wait_processed(1)
        assert invitation.user == "bob"
        # dovecot-lda has no access
        dovecot.doveadm("http-notify", "check", "-u", "bob",
                        "-r", "127.0.0.1", status=65)
        assert [attempt.status for attempt in calendar.attempts] == [200, 400]
        dovecot.doveadm("http-notify", "test", "-u", "bob")
        assert len(calendar.wait_processed(2)) == 2
