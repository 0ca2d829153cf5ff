# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify check: each link of the chain is broken, and named."""

import contextlib
import grp
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import VERSION, OtherDriver, block, config
from harness.doveadm import (EX_DATAERR, EX_NOUSER, EX_TEMPFAIL, check,
                             doveadm, failed_check, rows, users)
from harness.dovecot import (MAIL_UID, METADATA_ENTRY, free_port, message,
                             wait_for)
from harness.endpoint import Endpoint
from harness.postgresql import postgresql

ACCESS = config.handoff_access()


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    """bob is registered, and dovecot-lda has access."""
    with running_dovecot(driver(shared_endpoint), extra=ACCESS) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not dovecot.log_lines("Panic:")


ALL_LINKS = ["configuration", "plugins of lmtp", "plugins of lda", "METADATA dictionary",
             "IMAP METADATA", "METADATA readable", "METADATA writable",
             "registration", "service", "hand-off by lda", config.name(1)]


def test_check_of_a_chain_that_is_well(dovecot, endpoint):
    """OX ignores the event that it is tried with."""
    details = check(dovecot)
    assert list(details) == ALL_LINKS + ["endpoint " + endpoint.authority]
    request, = endpoint.attempts
    assert request.body["event"] == "test"
    assert request.body["user"] == "3@1"
    assert not request.pushed
    # it leaves nothing behind
    attributes = dovecot.dir / "home/bob/dovecot-attributes"
    assert "http-notify-check" not in attributes.read_text()
    wait_for(lambda: dovecot.queued() == 0, what="an empty queue")


@contextlib.contextmanager
def registered(endpoint, *lines, extra="", **kwargs):
    """A Dovecot with one trouble; bob is registered."""
    lines = lines or [driver(endpoint)]
    with running_dovecot(*lines, extra=ACCESS + extra, **kwargs) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        yield dovecot


@pytest.mark.parametrize("protocol", ["lmtp", "lda"])
def test_check_plugin_missing(endpoint, protocol):
    with registered(endpoint, extra=config.plugins(
            "notify", "push_notification", protocol=protocol)) as dovecot:
        assert failed_check(dovecot) == {
            "plugins of " + protocol: "mail_plugins lacks http_notify: add it "
            "in protocol %s { }" % protocol}


def test_check_all_plugins_missing(endpoint):
    with registered(endpoint, extra=config.plugins("quota", protocol="lmtp")
                    ) as dovecot:
        assert failed_check(dovecot) == {
            "plugins of lmtp": "mail_plugins lacks notify push_notification "
            "http_notify: add it in protocol lmtp { }"}


def notes(dovecot, user="bob", status=0):
    """What is known about links that are well."""
    return {row["link"]: row["detail"]
            for row in rows(dovecot, "check", "-u", user, status=status)
            if row["result"] == "ok" and row["detail"]}


def test_check_says_that_lda_is_left_out(endpoint):
    """By a site that delivers by LMTP only."""
    with running_dovecot(driver(endpoint), extra=config.plugins(
            "quota", protocol="lda")) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        note = notes(dovecot)["plugins of lda"]
        assert "what dovecot-lda delivers is not announced" in note
        # which it then does not have to connect to
        assert "hand-off by lda" not in check(dovecot)


def test_check_plugin_not_installed(endpoint):
    with registered(endpoint) as dovecot:
        (dovecot.dir / "modules/lib22_http_notify_plugin.so").unlink()
        failed = failed_check(dovecot)
        assert list(failed) == ["plugins of lmtp", "plugins of lda"]
        assert failed["plugins of lmtp"] == (
            "%s/modules/lib22_http_notify_plugin.so can't be read: No such "
            "file or directory (is it installed for this Dovecot?)" %
            dovecot.dir)


def test_check_dictionary_not_set(endpoint):
    with running_dovecot(driver(endpoint), dictionary="") as dovecot:
        dovecot.deliver("bob", message())
        failed = failed_check(dovecot)
        assert failed["METADATA dictionary"].startswith(
            config.DICTIONARY + " is not set: set it, for example to ")
        assert config.HOME + "/dovecot-attributes" in failed[
            "METADATA dictionary"]
        for link in ("METADATA readable", "METADATA writable"):
            assert config.DICTIONARY + " must be set" in failed[link]
        # what it can't be told from
        assert "registration" not in failed


def test_check_of_a_dictionary_whose_process_dies(endpoint):
    with running_dovecot(driver(endpoint), start=False) as dovecot:
        executable = dovecot.dir / "libexec/dict"
        executable.unlink()
        executable.write_text("#!/bin/sh\nkill -SEGV $$\n")
        executable.chmod(0o755)
        dovecot.configure(driver(endpoint), extra=ACCESS + block(
            "service dict", block("unix_listener dict", "mode = 0666")),
            dictionary=config.dictionary_of_a_process())
        dovecot.start()
        dovecot.deliver("bob", message())
        # Dovecot starts it ever later, until which connections may wait
        assert "ook for service(dict) in the log" in failed_check(dovecot)[
            "METADATA readable"]
        dovecot.wait_log("service(dict)", "signal 11")


@contextlib.contextmanager
def in_postgresql(endpoint):
    with postgresql() as server, running_dovecot(start=False) as dovecot:
        server.dir.chmod(0o755)
        server.execute("-c", "CREATE TABLE metadata (username text, name text,"
                       " value text, PRIMARY KEY (username, name))",
                       database="postgres")
        dovecot.configure(
            driver(endpoint), dictionary=config.dictionary_in_postgresql(
                dovecot, server.dir, server.port),
            extra=ACCESS + block("service dict", block(
                "unix_listener dict", "mode = 0666")))
        dovecot.start()
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        check(dovecot)
        yield server, dovecot


def test_check_of_a_dictionary_that_hangs(endpoint):
    with in_postgresql(endpoint) as (server, dovecot):
        server.hang()
        begin = time.monotonic()
        failed = failed_check(dovecot)
        # 5 of these for the dictionary
        assert time.monotonic() - begin < 20
        assert failed["METADATA readable"].startswith(
            "no answer within 5 seconds (by the dictionary of " +
            config.DICTIONARY)
        assert list(failed) == ["METADATA readable"]
        server.hang(False)
        wait_for(lambda: dovecot.doveadm_start(
            "http-notify", "check", "-u", "bob").wait(60) == 0, 60,
            "the dictionary")


def test_check_of_a_dictionary_that_hangs_when_it_is_written(endpoint):
    with in_postgresql(endpoint) as (server, dovecot):
        with server.session("BEGIN; LOCK TABLE metadata IN EXCLUSIVE MODE;",
                            database="postgres") as session:
            failed = failed_check(dovecot)
            assert list(failed) == ["METADATA writable"]
            assert failed["METADATA writable"].startswith("no answer within")
            session.stdin.close()


def test_check_not_readable(endpoint):
    with registered(endpoint) as dovecot:
        path = dovecot.dir / "home/bob/dovecot-attributes"
        os.chown(path, 0, 0)
        path.chmod(0o600)
        failed = failed_check(dovecot)
        assert "Permission denied" in failed["METADATA readable"]
        assert "that this process can read" in failed["METADATA readable"]
        assert "registration" not in failed


def test_check_not_writable(endpoint):
    with registered(endpoint) as dovecot:
        home = dovecot.dir / "home/bob"
        os.chown(home, 0, 0)
        home.chmod(0o755)
        path = home / "dovecot-attributes"
        os.chown(path, 0, 0)
        path.chmod(0o644)
        failed = failed_check(dovecot)
        assert list(failed) == ["METADATA writable"]
        assert "Permission denied" in failed["METADATA writable"]
        assert "that this process can write" in failed["METADATA writable"]


def test_check_imap_metadata_off(endpoint):
    with registered(endpoint, extra="protocol imap {\n imap_metadata = no\n}"
                    ) as dovecot:
        assert failed_check(dovecot)["IMAP METADATA"] == (
            "imap_metadata is off: set it to yes in protocol imap { } (if "
            "that is in remote <address> { }, give the OX node's address "
            "with -r)")
        assert failed_check(dovecot, "-r", "10.1.2.3")["IMAP METADATA"] == (
            "imap_metadata is off for this address: set it to yes in "
            "protocol imap { }, or in remote <address> { }")


def test_check_imap_metadata_on_for_ox_only(endpoint):
    with running_dovecot(driver(endpoint), extra=ACCESS, imap_metadata="""
            remote 10.1.2.0/24 {
              protocol imap {
                imap_metadata = yes
              }
            }""") as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        assert "IMAP METADATA" in failed_check(dovecot)
        assert "IMAP METADATA" in failed_check(dovecot, "-r", "10.1.3.3")
        check(dovecot, "-r", "10.1.2.3")


def test_check_not_registered(dovecot):
    assert failed_check(dovecot, user="nobody") == {
        "registration": "not registered: the OX node has not, or: doveadm "
        "http-notify register -u nobody <OX user>@<OX context>"}


@pytest.mark.parametrize("value, detail", [
    ("user=alice@example.org", "OX takes <OX user>@<OX context>, two numbers "
     "from 1 to 2147483647 without leading zeros"),
    ("user=3", "OX takes"),
    ("user=3@1@2", "OX takes"),
    # others that OX takes for somebody, or finds not to be registered
    ("user=03@1", "OX takes"),
    ("user=3@01", "OX takes"),
    ("user=0@1", "OX takes"),
    ("user=+3@1", "OX takes"),
    ("user=2147483648@1", "OX takes"),
    ("user=3@1\tmore=1", "OX takes"),
    ("user=", "its user= is empty"),
    ("3@1", "it has no user="),
])
def test_check_registration_that_ox_would_drop(dovecot, value, detail):
    dovecot.setmetadata("odd", value)
    failed = failed_check(dovecot, user="odd")
    assert list(failed) == ["registration"]
    shown = value.replace("\t", "?")
    assert failed["registration"].startswith(shown + ": " + detail)


@pytest.mark.parametrize("value", ["user=3@1 ", " user=3@1", "user= 3@1",
                                   "user=3@1\u00a0"])
def test_blanks_in_a_registration_are_seen(dovecot, value):
    dovecot.doveadm("mailbox", "metadata", "set", "-s", "-u", "blank", "",
                    METADATA_ENTRY, value)
    quoted = '"%s"' % value if value.strip(" ") != value else value
    assert "registration" in failed_check(dovecot, user="blank")
    assert failed_check(dovecot, user="blank")["registration"].startswith(
        quoted + ": ")
    row, = rows(dovecot, "list", "-u", "blank")
    assert (row["user"], row["other"]) == ("", quoted)


def test_check_of_a_long_registration_keeps_the_advice(dovecot):
    dovecot.setmetadata("long", "user=" + "x" * 900)
    detail = failed_check(dovecot, user="long")["registration"]
    assert "xxx...: OX takes" in detail
    assert detail.endswith("or takes them for somebody else's")


def test_check_sees_what_ox_has_registered(dovecot):
    dovecot.setmetadata("oxed", "user=5@7")
    check(dovecot, user="oxed")


def test_check_no_driver_line():
    with running_dovecot(extra=ACCESS) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        (link, detail), = failed_check(dovecot).items()
        assert link.startswith("push_notification")
        assert detail.startswith("not set for this driver: ")
        assert "<endpoint>" in detail


def test_check_service_not_configured(endpoint):
    with registered(endpoint, extra="""
            service http-notify {
              process_min_avail = 0
              unix_listener http-notify {
                mode = 0
              }
              unix_listener http-notify-admin {
                mode = 0
              }
            }""") as dovecot:
        failed = failed_check(dovecot)
        assert failed == {
            "service": "connect(%s/run/http-notify) failed: No such file or "
            "directory (is the service http-notify configured, and Dovecot "
            "running?)" % dovecot.dir}
        for command in (("status",), ("queue",), ("flush",),
                        ("purge", "-u", "*")):
            output = doveadm(dovecot, *command, status=EX_TEMPFAIL)
            assert "is the service http-notify configured" in output
        dovecot.deliver("bob", message())
        output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
        assert "http-notify-admin) failed: No such file" in output


def test_check_admin_socket_missing(endpoint):
    with registered(endpoint, extra="""
            service http-notify {
              unix_listener http-notify-admin {
                mode = 0
              }
            }""") as dovecot:
        assert "http-notify-admin) failed: No such file" in failed_check(
            dovecot)["service"]


def test_check_service_that_does_not_answer(dovecot, endpoint):
    pid = dovecot.service_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert failed_check(dovecot) == {
            "service": "%s/run/http-notify-admin: the service does not "
            "answer" % dovecot.dir}
        assert time.monotonic() - begin < 20
    finally:
        os.kill(pid, signal.SIGCONT)


def endpoint_failure(line, **kwargs):
    """The row of the endpoint, which alone fails."""
    with registered(None, line, **kwargs) as dovecot:
        failed = failed_check(dovecot)
        (link, detail), = failed.items()
        assert link.startswith("endpoint ")
        return detail


def test_check_endpoint_name_does_not_resolve():
    assert "esolv" in endpoint_failure(driver("http://host.invalid/"))


def test_check_endpoint_refuses():
    assert "Connection refused" in endpoint_failure(
        driver("http://127.0.0.1:%d/" % free_port()))


def test_check_endpoint_hangs(other_endpoint):
    other_endpoint.hang = True
    begin = time.monotonic()
    assert "timed out after 5" in endpoint_failure(
        driver(other_endpoint, timeout_msecs=500))
    assert time.monotonic() - begin < 60


def test_check_endpoint_certificate_does_not_verify(certificates):
    endpoint = Endpoint(tls=certificates["foreign"])
    try:
        detail = endpoint_failure(driver(endpoint), extra=(
            "ssl_client_ca_file = %s\n" % certificates["ca"]))
    finally:
        endpoint.stop()
    assert "certificate" in detail
    assert detail.endswith("(fix the certificate, or set ssl_client_ca_file "
                           "to what it is signed by)")


def test_check_endpoint_refuses_credentials(endpoint):
    detail = endpoint_failure(driver(
        endpoint.url.replace("login:", "other:")))
    assert detail.startswith("credentials refused: 401")
    assert detail.endswith("(fix login and password in %s)" %
                           config.option("url"))


def test_check_endpoint_knows_no_such_path(endpoint):
    detail = endpoint_failure(driver(
        endpoint.url.replace("/v1/notify", "/v1/else")))
    assert detail.startswith("no such path: 404")
    assert detail.endswith("(fix %s)" % config.option("url"))


def test_check_endpoint_fails(endpoint):
    endpoint.status = 500
    assert endpoint_failure(driver(endpoint)).startswith("500 ")


def test_check_of_the_standby_too(endpoint, other_endpoint):
    standby = other_endpoint.url
    other_endpoint.stop()
    with registered(endpoint, driver(
            endpoint, standby_url=standby)) as dovecot:
        details = check(dovecot, status=EX_DATAERR)
        assert details["endpoint " + endpoint.authority] == ""
        assert "refused" in details["endpoint " + other_endpoint.authority]
        other_endpoint.start()
        check(dovecot)


def test_check_needs_root_for_the_configuration(endpoint):
    """The mail user is told so."""
    with registered(endpoint) as dovecot:
        result = subprocess.run(
            ["doveadm", "-c", str(dovecot.main), "-f", "json", "-o",
             "mail_home=%s/home/bob" % dovecot.dir, "http-notify", "check",
             *config.THIS_USER], user=20000, group=20000,
            extra_groups=[], cwd=dovecot.dir, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, env=dict(
                os.environ, USER="bob", HOME=str(dovecot.dir / "home/bob")))
        assert result.returncode == EX_DATAERR, result
        failed = {row["link"]: row["detail"]
                  for row in json.loads(result.stdout)
                  if row["result"] == "fail"}
        # 2.3 asks a process for it; 2.4 has it, but does not get any further
        link = "configuration" if VERSION < (2, 4) else "service"
        assert "Permission denied" in failed[link], failed


# -- what is well in each of its parts, and still nothing arrives --

def test_check_lda_has_no_access(endpoint):
    """To the hand-off socket as shipped: LMTP has, dovecot-lda has not."""
    with running_dovecot(driver(endpoint)) as dovecot:
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        assert dovecot.lda("bob", message("lost")).returncode == 0
        dovecot.wait_log("lda(bob)", "Permission denied")
        (link, detail), = failed_check(dovecot).items()
        assert link == "hand-off by lda"
        for words in ("connect(%s/run/http-notify) failed: Permission denied" %
                      dovecot.dir, "uid %d" % MAIL_UID, "dovecot-lda",
                      "unix_listener http-notify { user = <mail user> }",
                      "LMTP is not affected"):
            assert words in detail
        # what it does as somebody else, it does not as itself
        assert failed_check(dovecot).keys() == {link}


# a user of the system's with another group than its own
MEMBER, GROUP = "postgres", "ssl-cert"


@contextlib.contextmanager
def group_has_access(endpoint, user, extra=""):
    """To the hand-off socket; bob has the groups that a user of the system's
    has."""
    with running_dovecot(start=False) as dovecot:
        path = dovecot.dir / "users"
        path.write_text(
            "bob::%d:%d::%s/home/bob::userdb_system_groups_user=%s\n" % (
                MAIL_UID, MAIL_UID, dovecot.dir, user))
        path.chmod(0o644)
        dovecot.configure(
            driver(endpoint), auth=config.users_of(path), extra=extra +
            block("service http-notify", block("unix_listener http-notify",
                                               "group = " + GROUP)))
        dovecot.start()
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        yield dovecot


def test_check_lda_is_started_with_the_users_groups(endpoint):
    """By some MTAs, which it says."""
    assert MEMBER in grp.getgrnam(GROUP).gr_mem
    with group_has_access(endpoint, MEMBER) as dovecot:
        note, = [row["detail"] for row in rows(dovecot, "check", "-u", "bob")
                 if row["link"] == "hand-off by lda"]
        assert "initgroups" in note


def test_check_groups_that_only_root_gets(endpoint):
    """mail_access_groups are none of dovecot-lda's unless it is setuid root."""
    with group_has_access(endpoint, "games", "mail_access_groups = %s\n" %
                          GROUP) as dovecot:
        assert failed_check(dovecot).keys() == {"hand-off by lda"}
        lda = dovecot.dir / "libexec/dovecot-lda"
        original = lda.resolve()
        lda.unlink()
        shutil.copy(original, lda)
        lda.chmod(0o4750)
        check(dovecot)


LUA = ("mail_lua", "push_notification_lua")


@pytest.mark.parametrize("content, plugins, why", [
    ("", (), "driver"),  # is none without its plugin
    pytest.param(None, LUA, "push.lua", marks=pytest.mark.skipif(
        VERSION >= (2, 4), reason="2.4 does not start then")),
    ("this is no Lua", LUA, "push.lua"),
    ("function script_init() error('no table') end", LUA, "no table"),
    pytest.param("function script_init() return 1 end", LUA, "init",
                 marks=pytest.mark.skipif(VERSION >= (2, 4),
                                          reason="2.4 goes on")),
    ("while true do end", LUA, "it takes more than 5 seconds"),
])
def test_check_of_a_line_behind_a_script_that_fails(endpoint, script, content,
                                                    plugins, why):
    """Dovecot does not get to it."""
    if content is not None:
        script.write_text(content)
    with registered(None, OtherDriver("lua", script), driver(endpoint),
                    extra="".join(
                        config.more_plugins(*plugins, protocol=protocol)
                        for protocol in ("lmtp", "lda") if plugins)
                    ) as dovecot:
        if "while" not in (content or ""):
            dovecot.deliver("bob", message())
            dovecot.wait_log("lmtp(bob)", "Error:")
        (link, detail), = failed_check(dovecot).items()
        assert link == config.name(2)
        assert detail.startswith(
            "Dovecot never reads it, since it stops at %s, which fails: " %
            config.name(1))
        assert why in detail and "fix or remove that" in detail
        assert not endpoint.delivered
        output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
        assert "Dovecot never reads it" in output or "INBOX is" in output


def test_check_of_a_line_behind_an_unknown_driver(endpoint):
    with registered(None, OtherDriver("nosuch"), driver(endpoint),
                    driver(endpoint)) as dovecot:
        dovecot.deliver("bob", message())
        dovecot.wait_log("lmtp(bob)", "Error:")
        failed = failed_check(dovecot)
        assert list(failed) == [config.name(2), config.name(3)]
        assert all("Dovecot never reads it" in detail
                   for detail in failed.values())


def test_check_of_a_line_before_one_that_fails(endpoint):
    with registered(None, driver(endpoint), OtherDriver("nosuch")) as dovecot:
        check(dovecot)
        dovecot.deliver("bob", message())
        endpoint.wait(2)


def test_check_of_a_line_behind_others_that_work(endpoint, script):
    script.write_text("function script_init() return 0 end")
    with registered(None, OtherDriver("dlog"), OtherDriver("lua", script),
                    driver(endpoint), extra="".join(
                        config.more_plugins(*LUA, protocol=protocol)
                        for protocol in ("lmtp", "lda"))) as dovecot:
        check(dovecot)
        dovecot.deliver("bob", message())
        endpoint.wait(2)


def test_check_of_a_driver_in_capitals(endpoint):
    with registered(endpoint, config.in_capitals(driver(endpoint))
                    ) as dovecot:
        check(dovecot)
        dovecot.deliver("bob", message())
        endpoint.wait(2)


@pytest.mark.skipif(VERSION >= (2, 4), reason="lines of 2.3")
@pytest.mark.parametrize("names, row, words", [
    (["push_notification_driver2"], "push_notification_driver2",
     "there is no push_notification_driver:"),
    (["push_notification_driver", "push_notification_driver3"],
     "push_notification_driver3", "there is no push_notification_driver2"),
    (["push_notification_driver", "push_notification_driver2",
      "push_notification_driver4"], "push_notification_driver4",
     "there is no push_notification_driver3"),
    (["push_notification_driver1"], "push_notification_driver1",
     "there is no push_notification_driver:"),
    (["push_notification_driver", "push_notification_driver02"],
     "push_notification_driver02", "there is no push_notification_driver2"),
    (["push_notification_driver", "push_notification_backend"],
     "push_notification_backend", "number it among these"),
])
def test_check_of_gaps_in_the_numbers(endpoint, names, row, words):
    with registered(None, *("%s = ox:url=%s" % (
            name, endpoint.url.replace("%", "%%")) for name in names)
            ) as dovecot:
        (link, detail), = failed_check(dovecot).items()
        assert link == row
        assert detail.startswith("Dovecot never reads") and words in detail
        dovecot.deliver("bob", message())
        # check has sent one for each line that is read
        count = 2 * (len(names) - 1)
        endpoint.wait(count) if count else time.sleep(0.5)
        assert len(endpoint.delivered) == count


@pytest.mark.skipif(VERSION >= (2, 4), reason="lines of 2.3")
@pytest.mark.parametrize("lines", [
    ["push_notification_backend = ox:url=%s"],
    ["push_notification_backend = ox:url=%s",
     "push_notification_backend2 = ox:url=%s"],
    # which leaves Dovecot without a driver
    ["push_notification_driver = nosuch",
     "push_notification_backend = ox:url=%s"],
])
def test_check_of_the_old_name(endpoint, lines):
    url = endpoint.url.replace("%", "%%")
    with registered(None, *(line.replace("%s", url) for line in lines)
                    ) as dovecot:
        check(dovecot)
        count = sum("ox:" in line for line in lines)
        assert len(endpoint.attempts) == count
        dovecot.deliver("bob", message())
        endpoint.wait(2 * count)


@pytest.mark.skipif(VERSION >= (2, 4), reason="lines of 2.3")
@pytest.mark.parametrize("protocol", ["lmtp", "lda"])
def test_check_of_a_line_of_one_protocol(endpoint, protocol):
    """It overrides that of all, which other processes of Dovecot see."""
    gone = "http://127.0.0.1:%d/" % free_port()
    with registered(endpoint, extra="""
            protocol %s {
              plugin {
                push_notification_driver = ox:url=%s
              }
            }""" % (protocol, gone)) as dovecot:
        details = check(dovecot, status=EX_DATAERR)
        failed = [link for link in details if details[link]]
        assert failed == ["endpoint " + gone.split("/")[2]]
        if protocol == "lda":
            assert details["endpoint " + endpoint.authority] == ""
            assert details["push_notification_driver of lda"] == ""
            return
        dovecot.deliver("bob", message())
        output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
        assert gone.split("/")[2] in output
        assert not [r for r in endpoint.delivered if r.pushed]


@pytest.mark.skipif(VERSION >= (2, 4), reason="lines of 2.3")
def test_check_of_the_users_own_line(endpoint, other_endpoint):
    """True fields of the userdb win over a protocol's settings."""
    other_endpoint.stop()
    with running_dovecot(start=False) as dovecot:
        path = dovecot.dir / "users"
        path.write_text("bob:::::%s/home/bob::userdb_push_notification_driver="
                        "ox:url=%s\n" % (dovecot.dir,
                                          endpoint.url.replace("%", "%%%%")))
        path.chmod(0o644)
        dovecot.configure(auth=config.users_of(path), extra=ACCESS + """
            protocol lmtp {
              plugin {
                push_notification_driver = ox:url=%s
              }
            }""" % other_endpoint.url.replace("%", "%%"))
        dovecot.start()
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        check(dovecot)
        dovecot.deliver("bob", message())
        assert endpoint.wait(2)[1].body["event"] == "messageNew"


@pytest.mark.parametrize("lacks, plugins", [
    (True, "quota"), (False, "notify,push_notification,http_notify,quota")])
def test_check_of_the_users_own_plugins(endpoint, lacks, plugins):
    with running_dovecot(start=False) as dovecot:
        path = dovecot.dir / "users"
        path.write_text("bob:::::%s/home/bob::%s\n" % (
            dovecot.dir, config.user_plugins(plugins)))
        path.chmod(0o644)
        dovecot.configure(driver(endpoint), auth=config.users_of(path),
                          extra=ACCESS)
        dovecot.start()
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        check(dovecot, user="carol", status=EX_DATAERR)
        if not lacks:
            check(dovecot)
            return
        failed = failed_check(dovecot)
        assert list(failed) == ["plugins of lmtp", "plugins of lda"]
        assert failed["plugins of lmtp"] == (
            "the user's own mail_plugins, from the userdb, lack notify "
            "push_notification http_notify: add it there, or let the userdb "
            "add to what the configuration has")
        dovecot.deliver("bob", message())
        time.sleep(0.5)
        assert not [r for r in endpoint.delivered if r.pushed]


def test_check_of_a_configuration_that_is_not_loaded(endpoint):
    """The running Dovecot's is another one."""
    with registered(endpoint) as dovecot:
        check(dovecot)
        later = time.time() + 60
        os.utime(dovecot.main, (later, later))
        assert failed_check(dovecot) == {
            "configuration": "%s was changed after Dovecot had read it: "
            "doveadm reload" % dovecot.main}
        now = time.time() - 60
        os.utime(dovecot.main, (now, now))


def test_check_of_another_file_than_dovecot_runs_with(endpoint):
    with registered(endpoint) as dovecot:
        running, dovecot.main = dovecot.main, dovecot.dir / "other.conf"
        dovecot.main.write_text(running.read_text())
        check(dovecot)
        dovecot.main.write_text(running.read_text() + "# more\n")
        assert failed_check(dovecot) == {
            "configuration": "this doveadm has read %s, but Dovecot runs with "
            "%s: give that with -c" % (dovecot.main, running)}


def test_check_of_an_included_file_that_is_not_loaded(endpoint):
    with running_dovecot(start=False) as dovecot:
        included = dovecot.dir / "conf.d"
        included.mkdir()
        (included / "10-more.conf").write_text("# nothing\n")
        dovecot.configure(driver(endpoint), extra=ACCESS +
                          "!include conf.d/*.conf\n")
        dovecot.start()
        doveadm(dovecot, "register", "-u", "bob", "3@1")
        check(dovecot)
        later = time.time() + 60
        os.utime(included / "10-more.conf", (later, later))
        assert failed_check(dovecot)["configuration"].startswith(
            "%s/10-more.conf was changed" % included)


def test_check_says_that_only_test_shows_unknown_users(dovecot, endpoint):
    assert notes(dovecot)["endpoint " + endpoint.authority] == (
        "answers, as OX does for any user; to see whether it has user 3 in "
        "context 1: doveadm http-notify test -u bob")
    dovecot.deliver("bob", message())
    endpoint.wait_attempts(2)
    endpoint.status = lambda request: (
        500 if request.body["event"] == "messageNew" else None)
    check(dovecot)
    output = doveadm(dovecot, "test", "-u", "bob", status=EX_TEMPFAIL)
    assert " 500 " in output
    doveadm(dovecot, "purge", "-u", "*")


def test_check_says_nothing_of_ox_about_others(endpoint):
    """Whoever is registered in OX's form."""
    with registered(None, driver(endpoint, format="egroupware",
                                 events="MessageNew")) as dovecot:
        assert "endpoint " + endpoint.authority not in notes(dovecot)


@pytest.mark.skipif(VERSION >= (2, 4), reason="a string on 2.3 only")
def test_check_of_a_bad_handoff_timeout(endpoint):
    with registered(None, driver(endpoint),
                    "http_notify_handoff_timeout = soon") as dovecot:
        assert "http_notify_handoff_timeout=soon" in failed_check(dovecot)[
            "push_notification_driver"]


@pytest.mark.skipif(VERSION >= (2, 4), reason="names are the same on 2.4")
def test_check_of_a_dictionary_of_another_protocol(endpoint):
    """OX registers there, and deliveries look elsewhere."""
    with registered(endpoint, extra="""
            protocol imap {
              mail_attribute_dict = file:%h/other-attributes
            }""") as dovecot:
        assert "is not the same in protocol imap" in failed_check(dovecot)[
            "METADATA dictionary"]


@pytest.mark.parametrize("command", ["check", "test", "unregister"])
def test_a_mask_that_matches_nobody_is_no_success(endpoint, command):
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint), auth=users(dovecot, "alice"),
                          extra=ACCESS)
        dovecot.start()
        output = dovecot.doveadm("http-notify", command, "-u", "zz*",
                                 status=EX_NOUSER)
        assert "There is no such user" in output
