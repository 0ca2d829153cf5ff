# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver "webhook": methods, tokens and signatures."""

import base64
import json
import os
import pathlib
import pwd
import subprocess
import tempfile

import pytest

from conftest import driver, running_dovecot
from harness.config import Webhook, config
from harness.doveadm import EX_DATAERR, check, failed_check
from harness.dovecot import message
from harness.endpoint import Endpoint
from harness.npm import install, run
from harness.standard_webhooks import is_signed, new_key
from test_handoff_socket import notify_line
from test_trust import DEFAULTS, REFUSED, connect_as, hand_off

TOKEN = "t0ken.of-the/receiver="
SERVICE = pwd.getpwnam("dovecot")


class Files:
    """Credentials of the service's user."""

    def __init__(self, directory):
        self.directory = directory

    def write(self, name, text):
        """Anew, as an admin should."""
        path = self.directory / name
        new = self.directory / (name + ".new")
        new.write_text(text)
        new.chmod(0o600)
        os.chown(new, SERVICE.pw_uid, SERVICE.pw_gid)
        new.rename(path)
        return path


@pytest.fixture
def files():
    with tempfile.TemporaryDirectory(prefix="hn-keys-") as directory:
        os.chmod(directory, 0o755)
        yield Files(pathlib.Path(directory))


@pytest.fixture
def receiver():
    receiver = Endpoint()
    receiver.methods = ["POST", "PUT"]
    receiver.status = 200
    yield receiver
    receiver.stop()


def webhook(receiver, **options):
    return Webhook(receiver.url_without, **options)


def test_put_is_the_default(receiver):
    with running_dovecot(webhook(receiver)) as dovecot:
        dovecot.setmetadata("bob", "user=bob@example.org")
        dovecot.deliver("bob", message())
        request, = receiver.wait(1)
        assert request.method == "PUT"
        assert request.body["user"] == "bob@example.org"
        for name in "Authorization", "Webhook-Id", "Webhook-Signature":
            assert name not in request.headers


def test_post_with_token_and_signature(receiver, files):
    key = new_key()
    with running_dovecot(
            webhook(receiver, method="POST",
                    token_file=files.write("token", TOKEN + "\n"),
                    sign_file=files.write("keys", key + "\n")),
            extra=config.DEBUG) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for subject in "first", "Zweite ü":
            dovecot.deliver("bob", message(subject))
        first, second = receiver.wait(2)
        for request in first, second:
            assert request.method == "POST"
            assert request.headers["Content-Type"] == "application/json"
            assert request.headers["Authorization"] == "Bearer " + TOKEN
            assert request.key == '"%s"' % request.headers["Webhook-Id"]
            assert is_signed(request, key)
            assert not is_signed(request, new_key())
        assert first.headers["Webhook-Id"] != second.headers["Webhook-Id"]
        log = dovecot.log()
        assert TOKEN not in log and key not in log
        assert key[6:] not in log


# What is there to be verified by it, as JSON; prints whether it is.
VERIFY = """
const { Webhook } = require("standardwebhooks");
for (const [key, headers, body] of JSON.parse(require("fs").readFileSync(0))) {
    let result = true;
    try {
        new Webhook(key).verify(Buffer.from(body, "base64"), headers);
    } catch (error) {
        if (error.name != "WebhookVerificationError")
            throw error;
        result = false;
    }
    console.log(result);
}
"""


def test_library_of_standard_webhooks_verifies_it(receiver, files, tmp_path):
    """That of npm, by its authors."""
    install(tmp_path, {"standardwebhooks": "1.1.1"})
    old, new = new_key(24), new_key(64)
    with running_dovecot(webhook(receiver, method="POST", sign_file=files.write(
            "keys", "%s\n%s\n" % (old, new)))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for subject in "first", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=":
            dovecot.deliver("bob", message(subject, body="Grüße \U0001f600"))
        requests = receiver.wait(2)
    tries = [(key, dict(request.headers), base64.b64encode(
        request.raw + more).decode())
        for request in requests for key, more in (
            (old, b""), (new, b""), (new_key(), b""), (new, b" "))]
    done = run(tmp_path, "node", "-e", VERIFY, input=json.dumps(tries))
    assert done.stdout.split() == ["true", "true", "false", "false"] * 2


def test_each_attempt_is_signed_with_the_same_id(receiver, files):
    key = new_key()
    receiver.status = lambda request: (
        503 if len(receiver.attempts) < 3 else 200)
    with running_dovecot(webhook(
            receiver, sign_file=files.write("keys", key))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        receiver.wait(1)
        assert len({r.headers["Webhook-Id"] for r in receiver.attempts}) == 1
        assert all(is_signed(r, key) for r in receiver.attempts)
        times = [int(r.headers["Webhook-Timestamp"])
                 for r in receiver.attempts]
        assert times == sorted(times) and times[-1] > times[0]


def test_token_and_keys_are_changed_while_it_runs(receiver, files):
    old, new = new_key(24), new_key(64)
    with running_dovecot(webhook(
            receiver, token_file=files.write("token", "old"),
            sign_file=files.write("keys", old))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")

        def signed_by(count):
            dovecot.deliver("bob", message())
            request = receiver.wait(count)[-1]
            return (request.headers["Authorization"],
                    is_signed(request, old), is_signed(request, new))

        assert signed_by(1) == ("Bearer old", True, False)
        files.write("keys", "%s\n%s\n" % (old, new))
        assert signed_by(2) == ("Bearer old", True, True)
        files.write("token", "new")
        files.write("keys", new + "\n")
        assert signed_by(3) == ("Bearer new", False, True)


@pytest.mark.parametrize("option, text, said", [
    ("token_file", None, "No such file or directory"),
    ("token_file", "", "is empty"),
    ("token_file", "two words", "must have one word"),
    ("token_file", "\ufefftoken", "begins with a byte order mark"),
    ("sign_file", None, "No such file or directory"),
    ("sign_file", "s3cret", "the key in line 1 must begin with whsec_"),
    ("sign_file", "whsec_c2hvcnQ=", "the key in line 1 must have 24 to 64"),
    ("sign_file", "\n", "has no key"),
])
def test_a_file_of_no_use_is_named_and_nothing_is_sent(receiver, files, option,
                                                       text, said):
    path = files.directory / option
    if text is not None:
        files.write(option, text)
    with running_dovecot(webhook(receiver, **{option: path})) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(2):
            dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Error: Endpoint", "keeping")
        assert "%s=%s: " % (option, path) in line and said in line
        assert "s3cret" not in dovecot.log()
        assert dovecot.queued() == 2
        assert not receiver.attempts
        # fixed: what was kept goes out
        files.write(option, new_key())
        assert [r.uid for r in receiver.wait(2)] == [1, 2]


def test_a_netrc_file_that_takes_long_holds_nobody_up(receiver, files,
                                                      endpoint):
    netrc = files.write("netrc", "# much of this\n")
    os.truncate(netrc, 1 << 32)
    with running_dovecot(driver(endpoint),
                         webhook(receiver, netrc_file=netrc)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint %s is down" % receiver.authority,
                         "netrc_file=%s: is longer than" % netrc)
        endpoint.wait(1)
        assert not dovecot.log_lines("Error: Endpoint", endpoint.authority)
        files.write("netrc", "default login a password b\n")
        receiver.wait(1)


def test_only_the_service_can_read_it(receiver, files):
    """The mail user's process does not open it."""
    token = files.write("token", TOKEN)
    with running_dovecot(webhook(receiver, token_file=token),
                         extra=config.handoff_access()) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.lda("bob", message()).returncode == 0
        request, = receiver.wait(1)
        assert request.headers["Authorization"] == "Bearer " + TOKEN
    assert subprocess.run(["cat", token], user=65534, group=65534,
                          stderr=subprocess.DEVNULL).returncode != 0


def test_an_answer_that_repeats_the_token_is_not_logged(receiver, files):
    receiver.status = 400
    receiver.answer_body = lambda request: b"who is %s?" % TOKEN.encode()
    with running_dovecot(webhook(
            receiver, token_file=files.write("token", TOKEN),
            max_retries=0)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Notification lost")
        assert "may hold credentials" in line
        assert TOKEN not in dovecot.log()
        # others are
        receiver.answer_body = lambda request: b"no such user"
        dovecot.deliver("bob", message())
        dovecot.wait_log("Notification lost", "no such user")


def test_strangers_get_no_credentials_that_are_not_configured(receiver, files,
                                                              endpoint):
    """Processes that have access to the socket as anybody."""
    token = files.write("token", TOKEN)
    with running_dovecot(driver(endpoint),
                         webhook(receiver, token_file=token),
                         extra=config.handoff_access()) as dovecot:
        dovecot.service_pid()
        tries = [
            (endpoint, [*DEFAULTS, "token_file=%s" % token]),
            (endpoint.url_without, [*DEFAULTS, "token_file=%s" % token]),
            (receiver.url_without, [*DEFAULTS, "sign_file=%s" % token]),
            (receiver.url_without, [*DEFAULTS, "method=POST",
                                    "token_file=%s" % token]),
            (receiver.url_without, DEFAULTS),
        ]
        with connect_as(dovecot) as sock:
            for reply in hand_off(sock, *(
                    notify_line(n + 1, to, uid=n + 1, options=options)
                    for n, (to, options) in enumerate(tries))):
                assert reply.startswith("FAIL") and REFUSED in reply
            sock.sendall(notify_line(
                100, receiver.url_without, uid=100,
                options=[*DEFAULTS, "token_file=%s" % token]))
            assert sock.recv(100) == b"OK\t100\n"
        request, = receiver.wait(1)
        assert request.headers["Authorization"] == "Bearer " + TOKEN
        assert not endpoint.attempts


def test_webhook_beside_ox(receiver, endpoint):
    with running_dovecot(driver(endpoint),
                         webhook(receiver, method="POST")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        assert endpoint.wait(1)[0].body == receiver.wait(1)[0].body
        dovecot.doveadm("http-notify", "test", "-u", "bob")
        assert receiver.wait(2)[1].method == "POST"


def test_check_says_nothing_of_ox(receiver, endpoint):
    """Of other endpoints, though the user is one as of OX."""
    with running_dovecot(driver(endpoint), webhook(receiver), webhook(
            receiver, format="egroupware", max_age="2h")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        rows = [line for line in dovecot.doveadm(
            "-f", "tab", "http-notify", "check", "-u", "bob",
            status=None).splitlines() if "\tendpoint " in line]
        assert len(rows) == 3
        row, = (row for row in rows if "user 3 in context 1" in row)
        assert endpoint.authority in row


def test_check_wants_no_ox_registration(receiver, endpoint):
    with running_dovecot(webhook(receiver)) as dovecot:
        dovecot.setmetadata("bob", "user=alice@example.org")
        assert check(dovecot, status=EX_DATAERR)["registration"] == ""
    with running_dovecot(webhook(receiver), driver(endpoint)) as dovecot:
        dovecot.setmetadata("bob", "user=alice@example.org")
        assert "OX takes" in check(dovecot, status=EX_DATAERR)["registration"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("options, hint", [
    (["token_file"], "fix the token in {token_file}"),
    (["netrc_file"], "fix login and password in {netrc_file}"),
    (["sign_file"], "fix the keys in {sign_file}"),
    (["token_file", "sign_file"],
     "fix the token in {token_file} and the keys in {sign_file}"),
])
def test_check_names_the_refused_credentials(receiver, files, status, options,
                                             hint):
    texts = {"token_file": TOKEN, "sign_file": new_key(), "netrc_file":
             "machine 127.0.0.1 login login password %s" % TOKEN}
    paths = {name: files.write(name, texts[name]) for name in options}
    receiver.status = status
    with running_dovecot(webhook(receiver, **paths)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        detail = failed_check(dovecot)["endpoint " + receiver.authority]
    assert detail.startswith("credentials refused: %d" % status)
    names = {name: config.option(name) + str(path)
             for name, path in paths.items()}
    assert detail.replace(" = ", "").endswith(
        "(%s)" % hint.format(**names)), detail
    assert TOKEN not in detail
