# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options of a driver, and what else has to be set."""

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.dovecot import message


def test_all_options_are_taken(endpoint):
    with running_dovecot(driver(
            endpoint, standby_url="http://127.0.0.1:1/", timeout_msecs=1000,
            max_age="1h", max_retries=5, user_from_metadata=True,
            cache_lifetime="60s"), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        assert not dovecot.log_lines("Error:")


def test_endpoint_gets_no_more_than_it_can_stand(endpoint, other_endpoint):
    """And no delivery and no other endpoint waits for it."""
    users = ["user%d" % number for number in range(16)]
    with running_dovecot(
            driver(endpoint, max_per_second=4, registration="optional"),
            driver(other_endpoint, registration="optional"),
            PATIENT) as dovecot:
        assert dovecot.deliver(users, message()) < 10
        other_endpoint.wait(len(users))
        requests = endpoint.wait(len(users))
        # 3.75 s from the first to the last, if none was held up on its way
        assert requests[-1].time - requests[0].time > 2
        assert {r.body["user"] for r in requests} == set(users)
        assert not dovecot.log_lines("Error:")


def test_nothing_configured_changes_nothing(endpoint):
    """Installed, but the endpoint line not added yet."""
    with running_dovecot() as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        assert not dovecot.log_lines("Error:")
        assert not dovecot.log_lines("Warning:")


def test_missing_attribute_dictionary_says_what_to_set(endpoint):
    with running_dovecot(driver(endpoint), dictionary="") as dovecot:
        dovecot.deliver("bob", message())
        error, = dovecot.wait_log("Error:")
        assert "METADATA" in error and config.DICTIONARY in error
