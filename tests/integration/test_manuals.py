# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manuals: what they show is what happens, and what they list is what there
is."""

import contextlib
import grp
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

import pytest

from conftest import STAGE, driver, running_dovecot
from harness import manuals
from harness.config import VERSION, block, config
from harness.dovecot import Dovecot, message, wait_for
from harness.endpoint import PATH, Endpoint
from harness.faults import (network_namespace, run, service_stopped,
                            skip_unless)
from harness.install import MS_REC, mount
from harness.listener import executable, listener
from harness.manuals import MAN, TOP

LINE = "2.3" if VERSION < (2, 4) else "2.4"
OVERVIEW = MAN / "dovecot-http-notify.7"
DOVEADM = MAN / "doveadm-http-notify.1"
LISTENER = MAN / "http-notify-listener.1"
BUILT_IN = TOP / "doc/built-in-driver.md"
README = TOP / "README"
PAGES = sorted(MAN.iterdir())
MS_BIND = 0x1000
MNT_DETACH = 2


# -- as they are written --

@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_well_formed(page):
    skip_unless("sh", "-c", "command -v mandoc")
    done = run("mandoc", "-Tlint", "-Wwarning", str(page), check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_shown_without_warnings(page):
    skip_unless("sh", "-c", "command -v man && command -v groff")
    done = subprocess.run(["man", "--warnings", "-l", str(page)],
                          env=dict(os.environ, MANPAGER="cat", LC_ALL="C"),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_page_is_installed_and_named_by_the_others():
    for page in PAGES:
        name, number = page.name.rsplit(".", 1)
        assert list(pathlib.Path(STAGE).rglob("%s/%s" % (
            "man" + number, page.name)))
        for other in set(PAGES) - {page}:
            text = other.read_text().replace("\\-", "-")
            assert (".Xr %s %s" % (name, number) in text or
                    ".BR %s (%s)" % (name, number) in text), other


# -- settings --

def c_value(expression, name=""):
    """Of a constant in C, in the manual's words."""
    names = {"SET_UINT_UNLIMITED": "unlimited", "UINT_MAX": "unlimited",
             "TRUE": "yes", "FALSE": "no", "NULL": "none", '""': "none",
             "HTTP_NOTIFY_FORMAT_OX": "ox"}
    if expression in names:
        return names[expression]
    if expression.startswith('"'):
        # the first word of an enumeration is its default
        return expression.strip('"').split(":")[0]
    defines = dict(re.findall(r"#define (\w+) (.+)", (
        TOP / "src/lib/options.h").read_text() + (
            TOP / "src/lib/queue-limits.h").read_text()))
    if expression in defines:
        return c_value(defines[expression], name)
    value = 1
    for factor in re.findall(r"\d+", expression):
        value *= int(factor)
    return "%d%s" % (value, " ms" if "msecs" in name else
                     "s" if "secs" in name else "")


def milliseconds(value):
    """... of a time, so that 1h is 3600s."""
    found = re.fullmatch(r"(\d+) ?(ms|s|min|h|days|weeks)", value)
    units = {"ms": 1, "s": 1000, "min": 60000, "h": 3600000,
             "days": 86400000, "weeks": 7 * 86400000}
    return int(found.group(1)) * units[found.group(2)] if found else value


def documented_settings():
    """{2.3's name or None: default}, {2.4's: default}"""
    old, new = {}, {}
    for title in "endpoint", "service":
        text = manuals.section(OVERVIEW, "Settings of an endpoint"
                               if title == "endpoint" else
                               "Settings of the service")
        for head, body in manuals.items(text, "settings"):
            default = milliseconds(
                re.match(r"Default: (.*)\.\n", body).group(1))
            found = re.fullmatch(r"Cm (\w+)(?: No = , Cm (\w+))?", head)
            old[found.group(1)] = default
            new[found.group(2) or found.group(1)] = default
    return old, new


def documented_calendar_settings():
    text = manuals.section(OVERVIEW, "Calendar mail")
    return [name for head, _ in manuals.items(text, "calendar settings")
            for name in re.findall(r"Cm (\w+)", head)]


def test_calendar_settings_of_2_3():
    text = (TOP / "src/lib/calendar-options.c").read_text()
    names = re.findall(r'str_begins_with\(word, "(\w+)="\)', text)
    assert len(names) == 2
    assert set(names) <= set(documented_calendar_settings())


def test_settings_of_2_3():
    options = (TOP / "src/lib/options.c").read_text()
    names = re.findall(r'strcmp\(name, "(\w+)"\) == 0', options)
    initial = dict(re.findall(r"options_r->(\w+) =\s+(\w+);", options))
    for name in "timeout_msecs", "max_age_secs", "cache_lifetime_secs":
        assert name in initial
    source = {}
    for name in names:
        member = next((m for m in initial
                       if re.sub("_m?secs$", "", m) ==
                       re.sub("_m?secs$", "", name)), name)
        source[name] = milliseconds(
            c_value(initial.get(member, "NULL"), member))
    compat = TOP / "src/settings/dovecot-2.3"
    service = (compat / "service-settings.c").read_text()
    for name in re.findall(r'strcmp\(name, "(http_notify_\w+)"', service):
        source[name] = None
    # the other word is looked for
    assert 'registration_optional = strcmp(value, "optional") == 0' in options
    source["registration"] = "required"
    source["http_notify_queue"] = "sqlite"
    source["http_notify_pgsql"] = "none"
    source["http_notify_pgsql_password_file"] = "none"
    source["http_notify_sync"] = "normal"
    source["http_notify_queue_limit"] = c_value(
        "HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT")
    source["http_notify_lost_keep"] = milliseconds(
        c_value("HTTP_NOTIFY_DEFAULT_LOST_KEEP_SECS", "secs"))
    source["http_notify_lost_limit"] = c_value(
        "HTTP_NOTIFY_DEFAULT_LOST_LIMIT")
    source["http_notify_handoff_timeout"] = int(re.search(
        r"#define DEFAULT_HANDOFF_TIMEOUT_MSECS (\d+)",
        (compat / "driver-settings.c").read_text()).group(1))
    assert "sync_full = TRUE" in service  # which is not the default
    assert documented_settings()[0] == source


def test_settings_of_2_4():
    text = (TOP / "src/settings/dovecot-2.4/http-notify-settings.c").read_text()
    text = text.split("http_notify_foreign_setting_defines")[0]
    source = {}
    for name, suffix, expression in re.findall(
            r"\.((?:http|push)_\w+?)(_m?secs)? = (.*?),\n", text):
        source[name] = milliseconds(c_value(expression, suffix))
    # those of the filter of our own
    for name, value in re.findall(
            r'SETTINGS_FILTER_NAME\s*"/(\w+)",\s*"(\w+)" }', text):
        source[name] = milliseconds(value)
    # what the filter's driver is called is Dovecot's
    del source["push_notification_driver"]
    # these have a list of their own
    documented = documented_calendar_settings()
    for name in [name for name in source if "_chronos_" in name]:
        del source[name]
        assert name in documented
    assert documented_settings()[1] == source


@pytest.mark.skipif(LINE == "2.3", reason="Dovecot 2.3 does not know them")
def test_doveconf_tells_the_same_defaults(tmp_path):
    for name, default in documented_settings()[1].items():
        if name.startswith("http_notify_"):
            # such as 1 hours
            value = run("doveconf", "-d", "-h", name).stdout.strip()
            value = re.sub(r"(\d+) (m?s|min|h)\w*", r"\1\2", value) or "none"
            assert milliseconds(value) == default, name


def test_bounds_that_are_documented(other_endpoint):
    """What is refused, and what just is not."""
    def accepted(**options):
        if LINE == "2.4":
            with tempfile.TemporaryDirectory(prefix="hn-") as directory:
                dovecot = Dovecot(directory, STAGE)
                dovecot.configure(driver(other_endpoint, **options))
                return run("doveconf", "-c", str(dovecot.main), "-n",
                           check=False).returncode == 0
        with running_dovecot(driver(other_endpoint, **options)) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            return not dovecot.log_lines("is invalid")

    infinite = LINE == "2.4"
    for value, good in ((0, False), (1, True), (600000, True),
                        (600001, LINE == "2.4")):
        assert accepted(timeout_msecs=value) == good, value
    for value, good in (("0", False), ("90", False), ("2weeks", True),
                        ("infinite", infinite)):
        assert accepted(max_age=value) == good, value
    for value, good in ((0, True), ("unlimited", infinite)):
        assert accepted(max_retries=value) == good, value
    assert accepted(cache_lifetime="0") == (LINE == "2.3")
    assert not accepted(netrc_file="netrc")
    # the endpoint's URL has credentials
    assert not accepted(netrc_file="/netrc")


# -- configurations --

def replaced(text, endpoint):
    """The example's endpoint is the test's."""
    url = "http://login:pass@node1.example.com:8009" + PATH
    assert url in text
    quoted = endpoint.url
    return text.replace(url, quoted.replace("%", "%%")
                        if LINE == "2.3" else quoted)


def assert_works(configuration, endpoint, **kwargs):
    """What it takes to notify is there, and nothing else but 90-http-notify.conf
    and the users."""
    with running_dovecot(dictionary="", imap_metadata="",
                         extra=replaced(configuration, endpoint),
                         **kwargs) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        request, = endpoint.wait(1)
        assert request.body["user"] == "3@1"
        return request


@pytest.mark.parametrize("page", [README, OVERVIEW],
                         ids=lambda page: page.name)
def test_configuration_in(page, other_endpoint):
    request = assert_works(manuals.configuration(page, LINE), other_endpoint)
    # and the notification has the form that is shown
    shown = next(block for _, block in manuals.blocks(OVERVIEW)
                 if block.startswith("PUT"))
    body = json.loads(shown[shown.index("{"):].replace("\n", ""))
    assert list(body) == list(request.body)
    assert {name: type(value) for name, value in body.items()} == {
        name: type(value) for name, value in request.body.items()}
    for header in re.findall(r"^([A-Z][-a-zA-Z]+):", shown, re.M):
        assert header in request.headers


def test_from_the_built_in_driver_and_back(other_endpoint):
    """What the page says: nothing but the file makes the difference."""
    configuration = manuals.configuration(BUILT_IN, LINE)
    plugins = "".join(config.more_plugins(
        "notify", "push_notification", protocol=protocol)
        for protocol in ("lmtp", "lda"))
    request = assert_works(configuration + plugins, other_endpoint,
                           builtin=True)
    assert "unread" not in request.body and request.key is None
    other_endpoint.clear()
    request = assert_works(configuration + plugins, other_endpoint)
    assert "unread" in request.body and request.key is not None
    # what is left without the package
    other_endpoint.clear()
    request = assert_works(
        manuals.configuration(BUILT_IN, LINE + " without the package"),
        other_endpoint, builtin=True)
    assert "unread" not in request.body and request.key is None


def test_delivery_by_dovecot_lda_to_members_of_a_group(other_endpoint):
    """And lmtp keeps its access."""
    group = "games"
    with running_dovecot(driver(other_endpoint), extra=manuals.block_of(
            OVERVIEW, "delivery by a group").replace(
                "pushmail", group)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message("by lmtp"))
        other_endpoint.wait(1)
        done = dovecot.lda("bob", message("by lda"),
                           groups=[grp.getgrnam(group).gr_gid])
        assert done.returncode == 0, done.stdout
        assert [request.body["subject"] for request in
                other_endpoint.wait(2)] == ["by lmtp", "by lda"]
        assert not dovecot.log_lines("Notification lost")


@pytest.mark.parametrize("page", [README, OVERVIEW],
                         ids=lambda page: page.name)
def test_only_ox_nodes_write_metadata(page):
    for network, allowed in (("192.0.2.0/24", False), ("127.0.0.0/8", True)):
        remote = manuals.block_of(page, "only OX nodes", "remote ").replace(
            "192.0.2.0/24", network)
        with running_dovecot(imap_metadata=remote) as dovecot:
            with dovecot.imap("bob") as imap:
                assert ("METADATA" in imap.capability()[1][0].decode()
                        .split()) == allowed
            if allowed:
                dovecot.setmetadata("bob", "user=3@1")
            else:
                with pytest.raises(AssertionError):
                    dovecot.setmetadata("bob", "user=3@1")


# -- examples --

class Host:
    """One where commands are run as they are documented: Dovecot is in
    /etc/dovecot, and node1.example.com answers at port 8009. It has an /etc
    and a network of its own."""

    def __init__(self, stack):
        self.stack = stack
        self.network = stack.enter_context(network_namespace())
        # mail users and the service get at it
        self.dir = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="hn-host-")))
        self.dir.chmod(0o755)
        stack.enter_context(self.network)
        self.certificate = self.make_certificate()
        self.mount_etc()
        self.endpoint = self.make_endpoint()
        self.environment = dict(
            os.environ, key="apikey", LC_ALL="C.UTF-8",
            PATH="%s:%s" % (executable().parent, os.environ["PATH"]))
        self.dovecot = self.start("alice@example.org", "bob@example.org",
                                  "carol@example.org")

    def make_endpoint(self):
        endpoint = Endpoint(port=8009)
        self.stack.callback(endpoint.stop)
        # the credentials of the examples
        endpoint.status = lambda request: 200 if request.headers.get(
            "Authorization") == "Basic bG9naW46cGFzcw==" else 401
        return endpoint

    def make_certificate(self):
        files = [str(self.dir / name) for name in ("mail.pem", "mail.key")]
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
            "-days", "2", "-subj", "/CN=mail.example.org", "-addext",
            "subjectAltName=DNS:mail.example.org", "-out", files[0],
            "-keyout", files[1])
        return files

    def mount_etc(self):
        etc = self.dir / "etc"
        shutil.copytree("/etc", etc, symlinks=True)
        (etc / "hosts").write_text(
            "127.0.0.1 localhost node1.example.com mail.example.org mail1\n")
        trusted = etc / "ssl/certs/ca-certificates.crt"
        trusted.parent.mkdir(parents=True, exist_ok=True)
        trusted.write_text(pathlib.Path(self.certificate[0]).read_text())
        password = etc / "http-notify.pw"
        password.write_text("secret\n")
        password.chmod(0o600)
        mount(str(etc).encode(), "/etc", flags=MS_BIND | MS_REC)
        self.stack.callback(run, "umount", "--lazy", "/etc")

    def start(self, *users):
        (self.dir / "dovecot").mkdir()
        dovecot = Dovecot(self.dir / "dovecot", STAGE)
        file = dovecot.dir / "users"
        # one of the system's users owns all mail
        owner = pwd.getpwnam("nobody")
        file.write_text("".join("%s::%d:%d::%s/home/%s\n" % (
            user, owner.pw_uid, owner.pw_gid, dovecot.dir, user)
            for user in users))
        (dovecot.dir / "home").chmod(0o777)
        masters = dovecot.dir / "masters"
        masters.write_text("provisioning:{PLAIN}secret\n")
        dovecot.configure(
            auth=config.users_of(file) + config.masters_of(masters),
            dictionary="", imap_metadata="",
            extra=manuals.configuration(OVERVIEW, LINE) + block(
                "service doveadm", config.tcp_listener("http", 8080)) + block(
                "service imap-login", config.tcp_listener("imaps", 993)) +
            block("service http-notify", block("unix_listener http-notify",
                                               "user = nobody")) +
            "doveadm_api_key = apikey\n" + config.tls(
                *self.certificate).replace("required", "yes"))
        shutil.copy(dovecot.main, "/etc/dovecot/dovecot.conf")
        self.stack.callback(dovecot.stop)
        dovecot.start()
        return dovecot

    def run(self, command):
        """As a shell does; what it prints."""
        done = subprocess.run(
            command, shell=True, cwd=self.dir, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", timeout=60)
        return done.stdout



@pytest.fixture
def host():
    skip_unless("sh", "-c", "command -v curl && command -v jq")
    with contextlib.ExitStack() as stack:
        yield Host(stack)


def walk(page, host, before):
    """Run a page's examples, in their order. before: {command's beginning: what
    has happened before it}"""
    before = dict(before)
    for command, expected in manuals.examples(page):
        for beginning in list(before):
            if command.startswith(beginning):
                before.pop(beginning)()
        output = host.run(command)
        assert manuals.matches(expected, output), (
            "%s: %s\n%s" % (page.name, command, output))
    assert not before


def test_examples_of_doveadm(host):
    def outage():
        host.endpoint.stop()
        host.dovecot.deliver("bob@example.org", message())
        host.dovecot.wait_log("Endpoint node1.example.com:8009 is down")

    def lose():
        with contextlib.closing(host.dovecot.imap("bob@example.org")) as client:
            client.select("INBOX")
            # from before the registration
            client.store("1", "+FLAGS", "\\Seen")
        with service_stopped(host.dovecot):
            host.dovecot.deliver("bob@example.org", message())

    walk(DOVEADM, host, {
        "doveadm http-notify register": lambda: host.dovecot.deliver(
            "bob@example.org", message()),
        "doveadm http-notify list": lambda: host.dovecot.setmetadata(
            "carol@example.org", "user=7::account;token@host"),
        "doveadm http-notify check": host.endpoint.stop,
        "doveadm http-notify test": host.endpoint.start,
        "doveadm http-notify queue": outage,
        "doveadm http-notify flush": host.endpoint.start,
        "doveadm -f json http-notify catch-up": lose,
        "doveadm -f json http-notify status":
            host.dovecot.wait_queue_empty})


def test_examples_of_readme(host):
    host.dovecot.deliver("bob@example.org", message())
    walk(README, host, {})
    # check has sent one of its own
    assert host.endpoint.wait(2)[1].body["user"] == "3@1"


def test_examples_of_listener(host):
    users = "alice@example.org", "bob@example.org", "carol@example.org"

    def lists():
        (host.dir / "users.csv").write_text(
            "login,user,context\nalice@example.org,3,1\n"
            "bob@example.org,4,1\n")
        (host.dir / "all.txt").write_text("\n".join(users) + "\n")
        host.dovecot.setmetadata("carol@example.org", "user=5@1")

    walk(LISTENER, host, {"cat users.csv": lists})
    registered = json.loads(host.run("doveadm -f json http-notify list -A"))
    assert [(row["username"], row["user"]) for row in registered] == [
        ("alice@example.org", "3"), ("bob@example.org", "4")]


def test_examples_of_the_way_from_the_built_in_driver(host):
    host.dovecot.setmetadata("bob@example.org", "user=3@1")
    walk(BUILT_IN, host, {})


def test_try_shows_what_readme_promises():
    assert "\tsh tests/try.sh\n" in README.read_text()
    # what that does once all is built
    said = run(sys.executable, str(TOP / "tests/try.py"), str(STAGE)).stdout
    assert '"event": "messageNew"' in said and "FAILED" not in said


def test_programs_that_readme_names_are_there():
    for name in re.findall(r"^\tsh (\S+)", README.read_text(), re.M):
        assert os.access(TOP / name, os.R_OK), name


# -- commands and options --

def synopsis():
    """{command of doveadm: its options and arguments}"""
    text = manuals.section(DOVEADM, "SYNOPSIS")
    found = {}
    for usage in text.split(".Nm doveadm\n")[1:]:
        name, = re.findall(r"^\.Cm http-notify ([\w -]+)", usage, re.M)
        options = set(re.findall(r"Fl (\w)\b", usage.split(name, 1)[1]))
        if "OX_user" in usage:
            options.add("OX user")
        found[name] = options
    return found


def test_commands_of_doveadm(dovecot):
    usage = subprocess.run(
        ["doveadm", "-c", str(dovecot.main), "http-notify"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8").stdout
    commands = {}
    for name, arguments in re.findall(r"^(?:doveadm.* http-notify|  ) *([\w-]+)"
                                      r" +(.*)$", usage, re.M):
        if re.fullmatch(r"[\w|]+", arguments):
            # commands below it, which have the same filters, or none
            commands.update(("%s %s" % (name, below),
                             set() if below == "move" else commands[name])
                            for below in arguments.split("|"))
            continue
        commands[name] = set(re.findall(r"-(\w)\b", arguments))
        if "<OX user>" in arguments:
            commands[name].add("OX user")
        if "-A" in arguments:
            # all commands for users have it, and Dovecot does not tell
            commands[name].add("F")
    documented = synopsis()
    assert "check" in commands
    assert documented == commands
    for name in documented:
        assert ".Ss %s\n" % name in DOVEADM.read_text()


def test_columns_of_doveadm():
    """By their machine-readable names, under the command that has them."""
    for part, commands in (("http-notify-queue", ("status", "queue")),
                           ("http-notify-lost", ("lost",)),
                           ("http-notify-watch", ("watch",)),
                           ("http-notify-report", ("report",)),
                           ("command", ("queue", "flush", "lost drop")),
                           ("http-notify-registration", (
                               "register", "reregister", "list")),
                           ("http-notify-check", ("check",)),
                           ("http-notify-test", ("test",)),
                           ("http-notify-catch-up", ("catch-up",))):
        source = (TOP / "src/doveadm" / ("%s-%s.c" % (
            "admin" if part == "command" else "doveadm",
            part))).read_text()
        columns = re.findall(
            r'\{ "(\w+)", "[^"]+", \w+ \}|print_header(?:_simple)?\("(\w+)"',
            source)
        described = " ".join(
            line for command in commands for line in re.findall(
                r"^\.It Cm (.*)$", manuals.section(DOVEADM, command), re.M))
        assert columns
        for column in columns:
            assert re.search(r"\b%s\b" % "".join(column), described), column


def test_options_of_the_listener():
    said = listener("--help").stdout
    offered = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*|-V)(?=[ =,\n])",
                             said.split("\n\n", 1)[1]))
    options = manuals.section(LISTENER, "OPTIONS")
    heads = " ".join(re.findall(r"^\.It (.*)", options, re.M))
    assert offered == {
        "-" + option for option in re.findall(r"\bFl (\S+)", heads)}
    commands = set(re.findall(r"\.\.\. (\w+)", said.replace("\n", " ")))
    assert commands == set(re.findall(
        r"^\.Cm (\w+)$", manuals.section(LISTENER, "SYNOPSIS"), re.M))
    for number, name in ((8, "jobs"), (30, "timeout")):
        assert "(default: %d)" % number in said
        assert "%d by default" % number in options


# -- log lines --

SAY = (r"\b(?:e_(?:error|warning|info)\([^,]+?,|e_(?:error|warning|info)\("
       r"e->event\(\),|i_(?:error|warning|info)\()\s*")


def logged():
    """What the plugin and the service log, as errors, warnings and for
    information."""
    defined = manuals.macros()
    for path in manuals.sources("plugin", "service", "settings"):
        text = path.read_text()
        for found in re.finditer(SAY, text):
            literal = manuals.LITERAL.match(text, found.end())
            if literal is not None:
                line, = manuals.literals(literal.group(), defined)
                yield line


def documented_log_lines():
    text = OVERVIEW.read_text().split('.\\" log lines\n')[1].split("\n.Sh")[0]
    return [line.replace("\\", "")
            for line in re.findall(r'^\.It Li "(.*)"$', text, re.M)]


def test_every_line_that_is_logged_is_documented():
    documented = documented_log_lines()
    lines = {line for line in logged() if line != "..."}
    assert len(lines) > 15
    for line in lines:
        assert any(manuals.is_instance(pattern, line)
                   for pattern in documented), line


def test_every_documented_line_is_in_the_source():
    defined = manuals.macros()
    found = {literal for path in manuals.sources(
        "lib", "mail", "plugin", "service", "settings")
        for literal in manuals.literals(path.read_text(), defined)}
    for pattern in documented_log_lines():
        # a reason goes on, or is a part
        assert any(manuals.is_instance("..." + pattern + "...", literal) or
                   manuals.is_instance(pattern, literal + "...")
                   for literal in found), pattern


# -- events --

def documented_events():
    text = manuals.section(OVERVIEW, "EVENTS")
    return {name: set(fields.split(" , ")) for name, fields in re.findall(
        r"^\.It Cm (\w+) : Ar (.*)$", text, re.M)}


def test_events_are_those_of_the_source():
    names = set(re.findall(r"^   (http_notify_\w+)", (
        TOP / "src/lib/events.h").read_text(), re.M))
    used = {name for path in manuals.sources("plugin", "service")
            for name in re.findall(r'"(http_notify_\w+)"', path.read_text())
            if not name.endswith("_timeout")}
    assert set(documented_events()) == names == used


EXPORT = {
    "2.3": """
event_exporter log {
  format = json
  format_args = time-rfc3339
  transport = log
}
metric all {
  filter = event=http_notify_*
  exporter = log
}
""",
    "2.4": """
event_exporter log {
  driver = log
  format = json
  time_format = rfc3339
}
metric all {
  filter = event=http_notify_*
  exporter = log
}
"""}


def exported(dovecot):
    """{event: fields} of those that Dovecot has exported to its log."""
    found = {}
    for line in dovecot.log_lines("stats: ", '"event":'):
        event = json.loads(line[line.index("{"):])
        found.setdefault(event["event"], set()).update(event["fields"])
    return found


def test_events_have_the_fields_that_are_documented(other_endpoint):
    endpoint = other_endpoint
    with contextlib.ExitStack() as stack:
        refuses, fails, down = Endpoint(), Endpoint(), Endpoint()
        for other in refuses, fails, down:
            stack.callback(other.stop)
        refuses.status, fails.status = 400, 503
        down.stop()
        dovecot = stack.enter_context(running_dovecot(
            driver(endpoint), driver(refuses, max_retries=0),
            driver(fails, max_retries=0),
            driver(down, max_age="2s"), extra=EXPORT[LINE]))
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        dovecot.deliver("bob", message())
        dovecot.wait_log("Endpoint %s is down" % endpoint.authority)
        endpoint.start()
        endpoint.wait(1)
        dovecot.wait_log("max_age reached")
        # nobody takes what is handed over
        os.kill(dovecot.service_pid(), signal.SIGSTOP)
        dovecot.deliver("bob", message())
        os.kill(dovecot.service_pid(), signal.SIGCONT)
        with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            dovecot.deliver("bob", message())
            dovecot.wait_log("Queue can't be written")
        dovecot.deliver("bob", message())
        documented = documented_events()
        wait_for(lambda: set(exported(dovecot)) == set(documented),
                 timeout=20, what="all events: %s" % (
                     set(documented) - set(exported(dovecot))))
        for event, fields in exported(dovecot).items():
            # the mail process's event has those of its user, too
            more = fields if event.endswith("handoff_failed") else set()
            assert documented[event] | more | {"duration"} == \
                fields | {"duration"}, event


# -- AppArmor and systemd --

PROFILES = pathlib.Path("/usr/share/apparmor/extra-profiles")


def apparmor(directory, *options):
    return run("apparmor_parser", "--skip-kernel-load", "--skip-cache",
               "--base", str(directory), *options, check=False)


@pytest.fixture
def profiles(tmp_path):
    """Debian's and ours, as dovecot-http-notify(7) has them installed."""
    skip_unless("apparmor_parser", "--version")
    if not (PROFILES / "usr.sbin.dovecot").exists():
        pytest.skip("apparmor-profiles is not installed")
    directory = tmp_path / "apparmor.d"
    shutil.copytree("/etc/apparmor.d", directory, symlinks=True)
    for path in PROFILES.glob("usr.*dovecot*"):
        shutil.copy(path, directory)
    shutil.copy(TOP / "apparmor/usr.lib.dovecot.http-notify", directory)
    for path in (TOP / "apparmor/local").iterdir():
        with open(directory / "local" / path.name, "a") as local:
            local.write(path.read_text())
    return directory


def test_apparmor_profiles_are_understood(profiles):
    changed = ["usr.lib.dovecot.http-notify",
               *(path.name for path in (TOP / "apparmor/local").iterdir())]
    for name in changed:
        done = apparmor(profiles, str(profiles / name))
        assert done.returncode == 0, done.stdout
    # and what they would not understand is looked at
    for path in (TOP / "apparmor/local").iterdir():
        with open(profiles / "local" / path.name, "a") as local:
            local.write("no rule\n")
        assert apparmor(profiles, str(profiles / path.name)).returncode != 0


def test_service_does_with_less(other_endpoint):
    """Without new privileges, with two capabilities, and where it can write to
    nothing but Dovecot's directories and those for temporary files."""
    shown = next(block for _, block in manuals.blocks(OVERVIEW)
                 if "[Service]" in block)
    capabilities = re.search(r"CapabilityBoundingSet=(.*)", shown).group(1)
    kept = ",".join("+" + name[4:].lower() for name in capabilities.split())
    with running_dovecot(start=False) as dovecot:
        dovecot.configure(driver(other_endpoint))
        readonly = dovecot.dir / "readonly"
        readonly.write_text(
            "#!/bin/sh -e\nfor dir in %s/run %s/state /tmp /var/tmp; do\n"
            "\tmount --bind $dir $dir\ndone\n"
            "mount -o remount,bind,ro / 2>/dev/null || "
            "mount --bind -o ro / /\n"
            "exec setpriv --no-new-privs --bounding-set=-all,%s \"$@\"\n" % (
                dovecot.dir, dovecot.dir, kept))
        readonly.chmod(0o755)
        skip_unless("setpriv", "--no-new-privs", "true")
        dovecot.wrap_service("unshare --mount %s " % readonly)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        other_endpoint.wait(1)
        # that was in force
        proc = pathlib.Path("/proc/%d" % dovecot.service_pid())
        status = (proc / "status").read_text()
        assert "NoNewPrivs:\t1\n" in status
        assert "CapBnd:\t00000000000000c0\n" in status
        mounts = [line.split() for line in
                  (proc / "mountinfo").read_text().splitlines()]
        options = [mount[5] for mount in mounts if mount[4] == "/"][-1]
        assert "ro" in options.split(",")


def test_queue_behind_a_symbolic_link(other_endpoint):
    with running_dovecot(start=False) as dovecot:
        directory = dovecot.dir / "state/http-notify"
        directory.rename(dovecot.dir / "moved")
        directory.symlink_to(dovecot.dir / "moved")
        dovecot.configure(driver(other_endpoint))
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        other_endpoint.stop()
        dovecot.deliver("bob", message())
        assert (dovecot.dir / "moved/queue.sqlite").exists()
        assert dovecot.queued() == 1
        other_endpoint.start()
        other_endpoint.wait(1)
