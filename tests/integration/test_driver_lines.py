# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dovecot 2.3: mistakes in a driver's line, and in other settings of plugins,
are said clearly and cost nothing else."""

import json
import urllib.parse

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import message
from harness.endpoint import PASSWORD


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
     "max_retrys=: is not an option of this driver"),
    ("ox:url=http://host/ user_from_metadata=maybe",
     "user_from_metadata=maybe: must be yes or no"),
    ("ox:url=http://host/ folders=INBOX,,Sent",
     "folders=INBOX,,Sent: has an empty pattern"),
    ("ox:url=http://host/ folders=!Trash",
     "folders=!Trash: includes no folder"),
    ("webhook:url=http://host/ method=GET", "method=GET: must be PUT or POST"),
    ("webhook:url=http://login:s3cret@host/ token_file=/t",
     "token_file=/t: the URL has credentials as well"),
    ("webhook:url=http://host/ token_file=s3cret", "token_file=***: must be"),
    ("webhook:url=http://host/ token=s3cret", "token=: is not an option"),
    ("webhook:url=http://host:0/?key=s3cret", "url=http://host:0/?***: is not"),
    ("webhook:method=POST", "url= is missing"),
    ("ox:url=http://host/ max_per_second=0",
     "max_per_second=0: must be a number from 1"),
    ("ox:url=http://host/ proxy=http://login:s3cret@proxy:3128",
     "proxy=http://***@proxy:3128: must have no credentials"),
    ("ox:url=http://host/ registration=no",
     "registration=no: must be required or optional"),
    ("ox:url=http://host/ omit=subject,uid",
     "omit=subject,uid: may only have from, subject, snippet, unseen"),
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
        error, = dovecot.wait_log("Error:")
        assert said in error
        assert "lmtp(bob)" in error
        assert "s3cret" not in dovecot.log()


def test_bad_options_are_said_once_by_a_process(endpoint):
    with running_dovecot(driver(endpoint, timeout_msec=5), driver(endpoint),
                         driver(endpoint, max_age="never"),
                         extra="log_debug = category=http-notify"
                         ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        with dovecot.lmtp() as lmtp:
            for user in ["bob", "carol"] * 3:
                lmtp.sendmail("sender@example.org", [user], message())
        endpoint.wait(3)
        for user in ("bob", "carol"):
            lines = dovecot.wait_log("lmtp(%s)" % user, "is invalid;", count=2)
            assert len(lines) == 2
            assert "timeout_msec" in lines[0] and "max_age" in lines[1]
            # two by each message, and by a mailbox that is created
            dovecot.wait_log("lmtp(%s)" % user, "Debug:", "No notification: "
                             "push_notification_driver is invalid", count=6)


def test_bad_queue_limit_says_so(endpoint):
    with running_dovecot(driver(endpoint),
                         "http_notify_queue_limit = many") as dovecot:
        dovecot.wait_log("Fatal", "http_notify_queue_limit=many", "number",
                         "size")


def test_bad_sync_setting_says_so(endpoint):
    with running_dovecot(driver(endpoint), "http_notify_sync = fulll",
                         "http_notify_sink = 1") as dovecot:
        dovecot.wait_log("http-notify: Fatal:", "http_notify_sync=fulll",
                         "must be normal or full")


GOOD_URL = "http://login:s3cret@127.0.0.1/"
BAD_URLS = [
    "http://login:s3/cret@127.0.0.1/", "https://login:s3 cret@127.0.0.1/",
    "ftp://login:s3cret@127.0.0.1/", "login:s3cret@127.0.0.1",
    "http://login:s3@cret@127.0.0.1/", "http://login:s3cret@127.0.0.1:99999/",
    # the beginning of these passwords looks like a port
    "http://login:12/s3cret@127.0.0.1/", "http://login:12?s3cret@127.0.0.1/",
]


@pytest.mark.parametrize("line", [
    template.replace("{}", GOOD_URL) for template in (
        "url={} max_age=soon", "url={} standby_url=http://",
        "url=http://127.0.0.1/ standby_url={}x timeout_msecs=0",
        "url=http://127.0.0.1/ standby_url={} verbose=yes",
        "url={} netrc_file=/etc/netrc", "{}", "ur1={}", "url= {}",
        "netrc_file={}", "url=%s max_age={}" % GOOD_URL)
] + [
    name + url for name in (
        "url=", "", "url=http://127.0.0.1/ standby_url=") for url in BAD_URLS
])
def test_a_refused_line_says_why_without_the_credentials(dovecot, endpoint,
                                                         line):
    dovecot.main.write_text(dovecot.main.read_text() + """
        protocol lda {
          plugin {
            push_notification_driver = ox:%s
          }
        }""" % line)
    try:
        dovecot.lda("bob", message())
    finally:
        dovecot.configure(driver(endpoint))
    error, = dovecot.wait_log("Error:")
    _, _, said = error.partition("push_notification_driver is ")
    assert said.startswith("invalid")
    for word in ("s3", "cret@", "12/", "12?"):
        assert word not in said


def test_check_names_an_invalid_line_without_its_credentials(endpoint):
    lines = [driver(endpoint, timeout_msec=5),
             driver(endpoint, max_age="never"),
             driver(endpoint),
             driver("ftp://login:%s@host/" %
                    urllib.parse.quote(PASSWORD, safe="")),
             "push_notification_driver5 = dlog"]
    with running_dovecot(*lines) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        said = dovecot.doveadm("-f", "json", "http-notify", "check", "-u",
                               "bob", status=65)
        # errors that Dovecot logs come after it
        rows, _ = json.JSONDecoder().raw_decode(said)
        details = {row["link"]: row["detail"] for row in rows}
        assert "timeout_msec" in details["push_notification_driver"]
        assert "max_age=never" in details["push_notification_driver2"]
        assert details["push_notification_driver3"] == ""
        assert details["endpoint " + endpoint.authority].startswith(
            "answers")
        assert "ftp://" in details["push_notification_driver4"]
        assert "push_notification_driver5" not in details
        for secret in (PASSWORD, urllib.parse.quote(PASSWORD, safe="")):
            assert secret not in said
