# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail is delivered whatever of Dovecot's plugins is missing beside
http_notify, or loaded when; the log says once what is missing."""

import smtplib
import subprocess

import pytest

from conftest import STAGE, driver, running_dovecot
from harness.config import VERSION, block, config
from harness.dovecot import LIBEXEC, message, wait_for

ALL = ("notify", "push_notification", "http_notify")
NOTHING = "Mail is delivered without notifications: "
MISSING = ("mail_plugins has http_notify without Dovecot's %s "
           "(add to mail_plugins: %s)")
PUSH = "lib20_push_notification_plugin.so"
WITHOUT_OX = """
extern struct push_notification_driver {
	const char *name;
} push_notification_driver_ox;

void without_ox_plugin_init(void *module)
{
	(void)module;
	push_notification_driver_ox.name = "another";
}

void without_ox_plugin_deinit(void)
{
}
"""


def plugins(*names):
    """mail_plugins of processes that deliver."""
    return "".join(config.shipped_plugins(*names, protocol=protocol)
                   for protocol in ("lmtp", "lda"))


def one_process(clients=0):
    """All deliveries by one lmtp process, which ends after so many clients."""
    return block("service lmtp", "process_limit = 1",
                 "process_min_avail = 0",
                 config.clients_of_a_process(clients))


def users(dovecot, **plugins_of):
    """A userdb with the mail_plugins of users."""
    path = dovecot.dir / "users"
    path.write_text("".join(
        "%s:::::%s/home/%s::%s\n" % (
            user, dovecot.dir, user,
            config.user_plugins(",".join(names)))
        for user, names in plugins_of.items()))
    path.chmod(0o644)
    return config.users_of(path)


def mails(dovecot, user):
    return len(list((dovecot.dir / "home" / user / "Maildir").glob(
        "[nc]*/[0-9]*")))


def deliver(dovecot, user="bob", count=1):
    """Returns when the mails are there."""
    before = mails(dovecot, user)
    for _ in range(count):
        dovecot.deliver(user, message())
    assert mails(dovecot, user) == before + count


def assert_no_trouble(dovecot, expected=0):
    """No process has ended as it should not; there are so many errors, which
    the test knows."""
    bad = [line for kind in ("Panic: ", "Fatal: ", "Error: ")
           for line in dovecot.log_lines(kind)]
    assert len(bad) == expected, "\n".join(bad)


def end(dovecot, expected=0):
    """Of the lmtp process, by itself."""
    wait_for(lambda: not dovecot.pids("lmtp"), what="the end of lmtp")
    dovecot.stop()
    assert_no_trouble(dovecot, expected)


def missing(*names):
    return NOTHING + MISSING % ((" and ".join(names),) * 2)


@pytest.mark.parametrize("there,lacks", [
    (("http_notify",), ("notify", "push_notification")),
    (("http_notify", "notify"), ("push_notification",)),
])
def test_without_push_notification(endpoint, there, lacks):
    with running_dovecot(driver(endpoint),
                         extra=plugins(*there) + one_process(3)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        deliver(dovecot, "carol")
        line, = dovecot.wait_log(NOTHING)
        assert "lmtp(bob)" in line
        assert line.endswith(missing(*lacks))
        end(dovecot, expected=1)
        assert endpoint.attempts == []


def test_without_push_notification_by_lda(endpoint):
    with running_dovecot(driver(endpoint),
                         extra=plugins("http_notify")) as dovecot:
        done = dovecot.lda("bob", message())
        assert done.returncode == 0, done.stdout
        assert mails(dovecot, "bob") == 1
        line, = dovecot.wait_log(NOTHING)
        assert line.endswith(missing("notify", "push_notification"))
        assert_no_trouble(dovecot, expected=1)


@pytest.mark.parametrize("names", [
    ("push_notification",), ("push_notification", "http_notify")])
def test_push_notification_without_notify_is_refused_by_dovecot(
        endpoint, names):
    """With this project as without: it is Dovecot's plugin that needs the
    other one of Dovecot's."""
    with running_dovecot(driver(endpoint), extra=plugins(*names)) as dovecot:
        with pytest.raises((smtplib.SMTPException, AssertionError)):
            dovecot.deliver("bob", message())
        dovecot.wait_log("lmtp", "Fatal: ")
        assert mails(dovecot, "bob") == 0
        assert not dovecot.log_lines("Panic: ")


@pytest.mark.parametrize("names", [
    ALL[::-1], (ALL[2], ALL[0], ALL[1]), (ALL[1], ALL[2], ALL[0])])
def test_order_does_not_matter(endpoint, names):
    with running_dovecot(driver(endpoint),
                         extra=plugins(*names) + one_process(2)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        endpoint.wait(2)
        end(dovecot)


@pytest.mark.parametrize("everyone,of_user", [
    # push_notification is loaded after http_notify
    (("http_notify",), ALL),
    (("http_notify",), ALL[::-1]),
    # and http_notify after push_notification
    (("notify", "push_notification"), ALL),
    # all for the user only
    ((), ALL),
    ((), ALL[::-1]),
])
def test_plugins_from_the_userdb(endpoint, everyone, of_user):
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(endpoint), auth=users(dovecot, bob=of_user),
                          extra=plugins(*everyone) + one_process(2))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        endpoint.wait(2)
        end(dovecot)


def test_users_of_one_process_have_plugins_of_their_own(endpoint):
    """In one process what has been loaded for one user is there for all."""
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(
            driver(endpoint), extra=plugins() + one_process(8),
            auth=users(dovecot, bob=ALL, alone=("http_notify",),
                       half=("push_notification", "http_notify"),
                       carol=ALL[::-1]))
        dovecot.start()
        # Dovecot lets half have no IMAP
        for user in ("none", "alone", "bob", "carol"):
            dovecot.setmetadata(user, "user=%s@1" % user)
        deliver(dovecot, "none")
        deliver(dovecot, "bob")
        endpoint.wait(1)
        deliver(dovecot, "half")
        line, = dovecot.wait_log(NOTHING)
        assert "lmtp(half)" in line
        assert line.endswith(missing("notify"))
        deliver(dovecot, "alone")
        deliver(dovecot, "none")
        deliver(dovecot, "carol")
        deliver(dovecot, "half")
        deliver(dovecot, "bob")
        endpoint.wait(3)
        assert [request.body["user"] for request in endpoint.attempts] == [
            "bob@1", "carol@1", "bob@1"]
        end(dovecot, expected=1)


def patched(dovecot, old, new):
    """push_notification with another text in its file."""
    path = dovecot.dir / "modules" / PUSH
    path.unlink()
    content = (LIBEXEC / "modules" / PUSH).read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def test_built_in_driver_without_a_symbol(endpoint):
    """Dovecot has its driver, but not by the name in its source."""
    with running_dovecot(start=False) as dovecot:
        # the same hash in the table of symbols, so that the plugin itself
        # finds it
        patched(dovecot, b"\0push_notification_driver_ox\0",
                b"\0push_notification_driver_pW\0")
        dovecot.configure(driver(endpoint), extra=one_process(2))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        endpoint.wait(2)
        end(dovecot)


@pytest.mark.parametrize("late", [False, True])
def test_no_built_in_driver(endpoint, late):
    """Dovecot has no driver of that name."""
    names = ("without_ox", *ALL)
    with running_dovecot(start=False) as dovecot:
        source = dovecot.dir / "without_ox.c"
        source.write_text(WITHOUT_OX)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", dovecot.dir /
                        "modules/lib21_without_ox_plugin.so", source],
                       check=True)
        dovecot.configure(
            driver(endpoint), auth=users(dovecot, bob=names),
            extra=(plugins("http_notify") if late else
                   config.more_plugins("without_ox", protocol="lmtp")) +
            one_process(2))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        endpoint.wait(2)
        end(dovecot)


def test_function_that_is_not_there_any_more(endpoint):
    """As in a later Dovecot."""
    with running_dovecot(start=False) as dovecot:
        # the same hash, see above
        patched(dovecot, b"\0push_notification_get_event_category\0",
                b"\0push_notification_get_event_categosX\0")
        dovecot.configure(driver(endpoint), extra=one_process(2))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        deliver(dovecot, count=2)
        line, = dovecot.wait_log(NOTHING)
        assert "has no push_notification_get_event_category()" in line
        assert "later version of dovecot-http-notify" in line


def test_http_notify_for_all_processes(endpoint):
    """In imap and doveadm nothing is missing: there are no deliveries."""
    with running_dovecot(
            driver(endpoint), before=config.plugins("http_notify"),
            extra=one_process(1)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        with dovecot.imap("bob") as imap:
            assert imap.append("INBOX", None, None,
                               message().encode())[0] == "OK"
            assert imap.select("INBOX")[0] == "OK"
            assert imap.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
            assert imap.expunge()[0] == "OK"
        assert dovecot.doveadm("mailbox", "status", "-u", "bob", "messages",
                               "INBOX") == "INBOX messages=0\n"
        listed = dovecot.doveadm("http-notify", "list", "-u", "bob")
        assert {"bob", "3", "1"} <= set(listed.split())
        deliver(dovecot)
        endpoint.wait(1)
        wait_for(lambda: not dovecot.pids("imap"), what="the end of imap")
        end(dovecot)


@pytest.mark.parametrize("path,prefix", [
    ("lib22_http_notify_plugin.so", "http_notify_plugin_"),
    ("doveadm/lib22_doveadm_http_notify_plugin.so",
     "doveadm_http_notify_plugin_"),
    pytest.param("settings/libhttp_notify_settings.so",
                 "http_notify_settings_", marks=pytest.mark.skipif(
                     VERSION < (2, 4), reason="a module of Dovecot 2.4")),
])
def test_modules_export_what_dovecot_looks_for(path, prefix):
    """And nothing else, since Dovecot loads all of them into one namespace."""
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", "%s/usr/lib/dovecot/modules/%s" % (
            STAGE, path)], check=True, stdout=subprocess.PIPE,
        encoding="ascii").stdout
    names = {line.split()[2] for line in symbols.splitlines()}
    looked_for = {"version", "init", "deinit"}
    if "settings" in prefix:
        looked_for |= {"set_infos", "doveconf_banner"}
    assert names == {prefix + name for name in looked_for}
