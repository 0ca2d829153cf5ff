"""Driver options: mistakes are said clearly and cost nothing else."""

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import message


@pytest.mark.parametrize("line, said", [
    ("ox:", "url= is missing"),
    ("ox", "url= is missing"),
    ("ox:url=gopher://login:s3cret@host/", "url=gopher://***@host/: "),
    ("ox:url=login:s3cret@host", "url=***@host: "),
    ("ox:url=http://host/ max_age=soon", "max_age=soon: "),
    ("ox:url=http://host/ timeout_msecs=0", "timeout_msecs=0: must be"),
    ("ox:url=http://host/ standby_url=x", "standby_url=x: "),
    ("ox:url=http://login:my s3cret@host/", "url=***: is not a valid URL"),
    ("ox:url=http://host/ verbose", "verbose: is not an option"),
    ("ox:url=http://host/ max_retrys=3",
     "max_retrys=3: is not an option of this driver"),
    ("ox:url=http://host/ user_from_metadata=maybe",
     "user_from_metadata=maybe: must be yes or no"),
    ("ox:url=http://host/ netrc_file=relative",
     "netrc_file=relative: must be an absolute path"),
])
def test_bad_option_is_named_and_disables_that_driver_only(endpoint, line,
                                                           said):
    with running_dovecot(driver(endpoint),
                         "push_notification_driver2 = " + line) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
        error, = dovecot.log_lines("Error:")
        assert said in error
        assert "lmtp(bob)" in error
        assert "s3cret" not in dovecot.log()


def test_bad_option_is_said_once_per_delivery():
    with running_dovecot("push_notification_driver = ox:url=x") as dovecot:
        for count in (1, 2, 3):
            dovecot.deliver("bob", message())
            # the log process writes it when it comes to it
            dovecot.wait_log("saved mail", count=count)
            assert len(dovecot.log_lines("Error:")) == count
        dovecot.lda("bob", message())
        assert len(dovecot.log_lines("Error:")) == 4


def test_all_options_are_taken(endpoint):
    with running_dovecot(driver(
            endpoint, standby_url="http://127.0.0.1:1/", timeout_msecs=1000,
            max_age="1h", max_retries=5, user_from_metadata=True,
            cache_lifetime="60s")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)
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
        assert "METADATA" in error and "mail_attribute_dict" in error
