# SPDX-License-Identifier: LGPL-2.1-or-later
"""settings-elsewhere: what has to be removed from other files before the
package can be. That Dovecot does not work otherwise, and does then, is tried in
tests/packages."""

import subprocess

import pytest

from harness.manuals import TOP

SHIPPED = "\n".join((TOP / "conf.d" / ("dovecot-" + line) /
                     "90-http-notify.conf").read_text()
                    for line in ("2.3", "2.4"))


@pytest.fixture
def dovecot(tmp_path):
    """A function that gets dovecot.conf's text and returns what is found."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/90-http-notify.conf").write_text(SHIPPED)
    (tmp_path / "conf.d/http-notify-metrics.conf.ext").write_text("")
    main = tmp_path / "dovecot.conf"

    def found(text):
        main.write_text(text)
        done = subprocess.run(
            ["sh", str(TOP / "conf.d/settings-elsewhere"), str(main)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
        assert done.stdout == ""
        assert "secret" not in done.stderr
        lines = [line.replace(str(tmp_path) + "/", "")
                 for line in done.stderr.splitlines()
                 if line.startswith(str(tmp_path))]
        assert done.returncode == (1 if lines else 0), done.stderr
        assert bool(lines) == bool(done.stderr), done.stderr
        return lines
    found.dir = tmp_path
    return found


@pytest.mark.parametrize("text, name", (
    ("mail_plugins = $mail_plugins http_notify", "mail_plugins"),
    ("mail_plugins=notify http_notify quota", "mail_plugins"),
    ('mail_plugins = "notify http_notify"  # and more', "mail_plugins"),
    ("mail_plugins = notify \\\n\tpush_notification \\\n\thttp_notify",
     "mail_plugins"),
    ("mail_plugins/http_notify = yes", "mail_plugins/http_notify"),
    ("http_notify = yes", "http_notify"),
    ("\thttp_notify_sync = full\r", "http_notify_sync"),
    ("http_notify_standby_url = http://login:secret@node2/",
     "http_notify_standby_url"),
    ("push_notification/ox/http_notify_max_age=1h",
     "push_notification/ox/http_notify_max_age"),
    ("plugin {\n}\nhttp_notify_sync = full", "http_notify_sync"),
    ("executable = http-notify", "executable"),
    ("executable = /usr/lib/dovecot/http-notify -L", "executable"),
))
def test_what_dovecot_does_not_work_with(dovecot, text, name):
    # a line that goes on in the next ones is named by its first
    before = "\n" * 3 + ("" if "\\\n" in text else "# \\\n")
    number = (before + text.partition("\\\n")[0]).count("\n") + 1
    assert dovecot(before + text + "\n") == [
        "dovecot.conf:%d: %s" % (number, name)]


@pytest.mark.parametrize("text", (
    "#mail_plugins = http_notify",
    "mail_plugins = notify # http_notify",
    "mail_plugins = not_http_notify http_notify_too",
    "mail_plugins {\n  http_notify = no\n}",
    "plugin {\n  push_notification_driver = ox:url=http://login:pass@node1/"
    "preliminary/http-notify/v1/notify\n}",
    # any name is allowed there, and none on 2.4
    "plugin {\n  http_notify_sync = full\n}",
    "metric http_notify_queued {\n  filter = event=http_notify_queued\n}",
    "log_debug = event=http_notify_*",
    "service http-notify {\n  user = games\n}",
    "executable = http-notify-listener",
    "!include conf.d/missing.conf",
))
def test_what_it_does_work_with(dovecot, text):
    assert dovecot(text + "\n") == []


def test_included_files_are_looked_at(dovecot):
    for name in "conf.d/10-mail.conf", "with blanks.conf", "elsewhere/x.ext":
        file = dovecot.dir / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\nhttp_notify_sync = full\n!include %s\n" %
                        (dovecot.dir / "dovecot.conf"))
    (dovecot.dir / "not-included.conf").write_text("http_notify_sync = full\n")
    assert dovecot("!include conf.d/*.conf\n!include_try with blanks.conf\n"
                   "!include %s/elsewhere/?.ext\n" % dovecot.dir) == [
        "conf.d/10-mail.conf:2: http_notify_sync",
        "elsewhere/x.ext:2: http_notify_sync",
        "with blanks.conf:2: http_notify_sync"]


def test_a_file_that_is_gone_then_can_only_be_tried_to_include(dovecot):
    for pattern in ("conf.d/90-http-notify.conf", "conf.d/*.conf",
                    "conf.d/http-notify-metrics.conf.ext"):
        assert dovecot("\n!include %s\n" % pattern) == [
            "dovecot.conf:2: !include (write !include_try)"]
        assert dovecot("!include_try %s\n" % pattern) == []
    (dovecot.dir / "conf.d/10-mail.conf").write_text("")
    assert dovecot("!include conf.d/*.conf\n") == []


def test_what_only_the_shipped_file_includes_goes_with_it(dovecot):
    (dovecot.dir / "conf.d/90-http-notify.conf").write_text(
        "!include more.ext\n")
    (dovecot.dir / "conf.d/more.ext").write_text("http_notify_sync = full\n")
    assert dovecot("!include_try conf.d/*.conf\n") == []
