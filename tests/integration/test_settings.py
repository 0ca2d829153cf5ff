# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dovecot 2.4: settings that doveconf knows. Its mistakes are found before
anything is started; those in a user's own settings when the user is."""

import contextlib
import json
import pathlib
import shutil
import subprocess

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import TOP, message


def doveconf(dovecot, *args):
    return subprocess.run(
        ["doveconf", "-c", dovecot.main, *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def doveconf_of(extra):
    with running_dovecot(start=False, extra=extra) as dovecot:
        return doveconf(dovecot, "-n")


OX = """
push_notification ox {
  push_notification_ox_url = http://host/
  %s
}
"""


def test_doveconf_shows_what_is_set_and_the_defaults():
    with running_dovecot(start=False, extra=OX % "http_notify_max_age = 2h" +
                         "http_notify_sync = full\n") as dovecot:
        said = doveconf(dovecot, "-n")
        assert (said.returncode, said.stderr) == (0, "")
        assert "  http_notify_max_age = 2h\n" in said.stdout
        assert "http_notify_sync = full\n" in said.stdout
        assert "http_notify_queue_limit" not in said.stdout
        assert "http-notify version " in said.stdout
        said = doveconf(dovecot, "-h", "http_notify_queue_limit")
        assert said.stdout == "1000000 4G\n"


def test_doveconf_hides_credentials():
    said = doveconf_of("""
        push_notification ox {
          push_notification_ox_url = http://login:s3cret@host/
          http_notify_standby_url = http://login:s3cret@standby/
        }""")
    assert (said.returncode, said.stderr) == (0, "")
    assert "@host/" in said.stdout and "@standby/" in said.stdout
    assert "s3cret" not in said.stdout


def test_long_timeouts_of_other_http_clients_are_no_error():
    done = doveconf_of("http_client_request_timeout = 20 min")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("settings, said", [
    ("http_notify_max_age = soon", "http_notify_max_age: Invalid time"),
    ("http_notify_max_age = 0", "http_notify_max_age=0: must be longer"),
    ("http_notify_max_retries = -1", "http_notify_max_retries: Invalid"),
    ("http_client_request_timeout = 0",
     "http_client_request_timeout=0: must be longer than 0"),
    ("http_notify_standby_url = x",
     "http_notify_standby_url=x: must begin with http"),
    ("http_notify_netrc_file = relative",
     "http_notify_netrc_file=relative: must be an absolute path"),
    ("http_notify_folders = INBOX,",
     "http_notify_folders=INBOX,: has an empty pattern"),
    ("http_notify_method = GET", "http_notify_method: Invalid value"),
    ("http_notify_sign_file = keys",
     "http_notify_sign_file=***: must be an absolute path"),
    ("http_notify_max_per_second = 0",
     "http_notify_max_per_second=0: must be at least 1"),
    ("http_notify_proxy = proxy:3128",
     "http_notify_proxy=proxy:3128: must begin with http://"),
    ("http_notify_registration = no",
     "http_notify_registration: Invalid value"),
    ("http_notify_omit = folder",
     "http_notify_omit=folder: may only have from"),
    ("http_notify_max_retrys = 3",
     "Unknown setting: http_notify_max_retrys"),
    ("push_notification_ox_user_from_metadata = maybe",
     "push_notification_ox_user_from_metadata: Invalid boolean"),
])
def test_bad_setting_of_an_endpoint_is_named(settings, said):
    done = doveconf_of(OX % settings)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("setting, said", [
    ("http_notify_queue = mysql", "http_notify_queue: Invalid value: mysql"),
    ("http_notify_sync = fulll", "http_notify_sync: Invalid value: fulll"),
    ("http_notify_sink = 1", "Unknown setting: http_notify_sink"),
    ("http_notify_queue_limit = many",
     "http_notify_queue_limit must be a number of at least 1 and a size"),
    ("http_notify_queue_limit = 0", "http_notify_queue_limit must be"),
    ("http_notify_queue_limit = 1000 much", "http_notify_queue_limit must be"),
    ("http_notify_lost_keep = soon",
     "http_notify_lost_keep: Invalid time"),
    ("http_notify_lost_limit = 1000",
     "http_notify_lost_limit must be a number and a size"),
    ("http_notify_lost_limit = 1000 much",
     "http_notify_lost_limit must be a number and a size"),
    ("http_notify_handoff_timeout = soon",
     "http_notify_handoff_timeout: Invalid time"),
])
def test_bad_setting_is_named(setting, said):
    done = doveconf_of(setting)
    assert done.returncode != 0
    assert said in done.stderr


def test_dovecot_does_not_start_with_a_bad_setting():
    with running_dovecot(start=False, extra=OX %
                         "http_notify_max_age = soon") as dovecot:
        with pytest.raises(AssertionError, match="http_notify_max_age"):
            dovecot.start()


def test_no_url_is_said_once_per_delivery_and_concerns_that_driver_only(
        endpoint):
    with running_dovecot(driver(endpoint), extra="""
            push_notification empty {
              push_notification_driver = ox
            }""") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message())
            endpoint.wait(count)
            error = dovecot.wait_log("Error:", count=count)[-1]
            assert "lmtp(bob)" in error
            assert ("push_notification_ox_url is not set in "
                    "push_notification empty { }") in error
        assert len(dovecot.wait_log("Error:", count=2)) == 2


# -- in the userdb --

BAD_URLS = [
    "http://login:s3/cret@127.0.0.1/", "ftp://login:s3cret@127.0.0.1/",
    "login:s3cret@127.0.0.1", "http://login:s3@cret@127.0.0.1/",
    "http://login:s3cret@127.0.0.1:99999/",
    # the beginning of these passwords looks like a port
    "http://login:12/s3cret@127.0.0.1/", "http://login:12?s3cret@127.0.0.1/",
]
BAD_FIELDS = [(option, url) for option in ("url", "standby_url")
              for url in BAD_URLS]


@pytest.fixture(scope="module")
def dovecot_with_bad_fields(shared_endpoint):
    """Where user0, user1 ... each have one of them."""
    with running_dovecot(start=False) as dovecot:
        path = dovecot.dir / "users"
        path.write_text("".join(
            "user%d::20000:20000::%s/home/user%d::userdb_%s=%s\n" % (
                number, dovecot.dir, number, config.field(option), value)
            for number, (option, value) in enumerate(BAD_FIELDS)))
        path.chmod(0o644)
        dovecot.configure(driver(shared_endpoint), auth=config.users_of(path),
                          extra=config.handoff_access())
        dovecot.start()
        yield dovecot


@pytest.mark.parametrize("number", range(len(BAD_FIELDS)), ids=[
    "%s=%s" % field for field in BAD_FIELDS])
def test_a_refused_field_says_why_without_the_credentials(
        dovecot_with_bad_fields, number):
    dovecot = dovecot_with_bad_fields
    dovecot.clear_log()
    dovecot.setmetadata("user%d" % number, "user=3@1")
    dovecot.deliver("user%d" % number, message())
    error, = dovecot.wait_log("lmtp(user%d)" % number, "Error:")
    _, _, said = error.partition("push_notification { } is ")
    assert said.startswith("invalid")
    assert config.option(BAD_FIELDS[number][0]) in said
    output = dovecot.doveadm("-f", "json", "http-notify", "check", "-u",
                             "user%d" % number, status=65)
    row, = (row for row in json.JSONDecoder().raw_decode(output)[0]
            if row["result"] == "fail")
    assert row["link"] == config.name(1)
    assert config.option(BAD_FIELDS[number][0]) in row["detail"]
    for word in ("s3", "cret@", "12/", "12?"):
        assert word not in said
        assert word not in row["detail"]
    assert "s3cret" not in dovecot.log()


# Our definitions of settings that are Dovecot's own, as another version of
# Dovecot may have them: where they are, and how they differ.
OTHER_DEFINITIONS = {
    "a default": (".push_notification_ox_cache_ttl_msecs = 60*1000",
                  ".push_notification_ox_cache_ttl_msecs = 61*1000"),
    "a default that is off": (".imap_metadata = FALSE",
                              ".imap_metadata = TRUE"),
    "flags": ("DEF(BOOL, imap_metadata)", "DEF(BOOL_HIDDEN, imap_metadata)"),
    "a type": ("DEF_MSECS(http_client_request_timeout)",
               'SETTING_DEFINE_STRUCT_TIME("http_client_request_timeout", '
               "http_client_request_timeout_msecs, "
               "struct endpoint_settings)"),
}
MODULE = pathlib.Path(
    "/usr/lib/dovecot/modules/settings/libhttp_notify_settings.so")


def build_module(directory, *edits):
    """The settings module, with edits of its sources."""
    for folder in ("lib", "settings"):
        shutil.copytree(TOP / "src" / folder, directory / folder)
    sources = [directory / "settings/dovecot-2.4" / name for name in (
        "foreign-settings.c", "http-notify-settings.c", "settings-module.c")]
    for old, new in edits:
        source, = (path for path in sources if old in path.read_text())
        source.write_text(source.read_text().replace(old, new))
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-std=gnu99", "-o", directory / MODULE.name,
         "-DHAVE_CONFIG_H", '-DHTTP_NOTIFY_VERSION="test"',
         "-DHTTP_NOTIFY_HAVE_SETTINGS_ROOT",
         "-DHTTP_NOTIFY_HAVE_STR_BEGINS_WITH", "-DHTTP_NOTIFY_HAVE_STR_PARSE",
         "-I", directory / "lib", "-I", directory / "settings",
         "-I/usr/include/dovecot", *sources,
         *(directory / "lib" / name for name in (
             "folders.c", "mail-events.c", "options.c",
             "queue-limits.c"))],
        check=True)
    return directory / MODULE.name


@contextlib.contextmanager
def installed_module(path):
    """In place of the one under test, which only this process's children
    see (install.py)."""
    original = MODULE.read_bytes()
    MODULE.unlink()
    shutil.copy(path, MODULE)
    try:
        yield
    finally:
        MODULE.unlink()
        MODULE.write_bytes(original)


@pytest.mark.parametrize("what", OTHER_DEFINITIONS)
def test_dovecot_starts_though_its_own_settings_are_defined_otherwise(
        what, tmp_path, endpoint):
    module = build_module(tmp_path, OTHER_DEFINITIONS[what])
    with installed_module(module), \
            running_dovecot(driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("Hello"))
        request, = endpoint.wait(1)
        assert request.body["subject"] == "Hello"
        assert request.body["user"] == "3@1"
        said = doveconf(dovecot, "-n")
    assert said.returncode == 0
    if what == "a type":
        assert ("Warning: http-notify: http_client_request_timeout is of "
                "another type in this Dovecot" in said.stderr)
    else:
        assert said.stderr == ""


# 2.4.1 does not compare defaults
@pytest.mark.parametrize("what", ["flags", "a type"])
def test_dovecot_would_not_start_otherwise(what, tmp_path):
    """Without the adaptation: the above is not for nothing."""
    module = build_module(
        tmp_path, OTHER_DEFINITIONS[what],
        ("http_notify_foreign_settings_adapt(\n"
         "\t\t\t\thttp_notify_settings_set_infos[i], pool);",
         "http_notify_settings_set_infos[i];"))
    with installed_module(module), running_dovecot(start=False) as dovecot:
        assert doveconf(dovecot, "-n").returncode != 0
