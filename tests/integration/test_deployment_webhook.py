# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/webhook: any receiver, all users; and the JSON Schema of what
it gets."""

import json
import os
import pwd
import subprocess

import jsonschema
import pytest

from conftest import driver, running_dovecot
from harness.config import Webhook, config
from harness.dovecot import message
from harness.endpoint import Endpoint
from harness.example import EXAMPLES, LINE, deploy
from harness.standard_webhooks import is_signed

SCHEMA = json.loads((EXAMPLES / "webhook/notification.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SERVICE = pwd.getpwnam("dovecot")


@pytest.fixture
def receiver():
    receiver = Endpoint()
    receiver.methods = ["POST"]
    receiver.status = lambda request: (
        200 if request.headers.get("Authorization") == "Bearer t0ken" else 401)
    yield receiver
    receiver.stop()


@pytest.fixture
def deployed(receiver):
    with running_dovecot(start=False) as dovecot:
        token, keys = (dovecot.dir / name for name in ("token", "keys"))
        token.write_text("t0ken\n")
        # as the page has it
        subprocess.run(["sh", "-c",
                        'echo "whsec_$(openssl rand -base64 32)" >"$0"',
                        keys], check=True)
        for path in token, keys:
            path.chmod(0o600)
            os.chown(path, SERVICE.pw_uid, SERVICE.pw_gid)
        deploy(dovecot, "webhook/dovecot-%s.conf" % LINE, {
            "https://hooks.example.com/mail":
                "http://%s/mail" % receiver.authority,
            "/etc/dovecot/http-notify.token": token,
            "/etc/dovecot/http-notify.keys": keys})
        dovecot.key = keys.read_text().strip()
        yield dovecot


def test_all_users_are_announced(deployed, receiver):
    deployed.deliver(["alice", "bob"], message("for all"))
    requests = receiver.wait(2)
    assert {r.body["user"] for r in requests} == {"alice", "bob"}
    for request in requests:
        assert (request.method, request.path) == ("POST", "/mail")
        assert is_signed(request, deployed.key)
        VALIDATOR.validate(request.body)
    assert not deployed.log_lines("Error:")
    deployed.doveadm("http-notify", "test", "-u", "alice")
    VALIDATOR.validate(receiver.wait(3)[2].body)


def test_a_new_key_beside_the_old_one(deployed, receiver):
    keys = deployed.dir / "keys"
    new = "whsec_" + "A" * 43 + "="
    with open(keys, "a") as file:
        file.write(new + "\n")
    deployed.deliver("alice", message())
    request, = receiver.wait(1)
    assert is_signed(request, deployed.key) and is_signed(request, new)


# -- the schema --

def test_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


BODY = {"user": "bob", "event": "messageNew", "folder": "INBOX",
        "imap-uidvalidity": 1, "imap-uid": 2, "from": "a@b", "subject": "",
        "snippet": "x", "unseen": 1, "unread": 1}


def test_schema_takes_nothing_else():
    VALIDATOR.validate(BODY)
    for name in "from", "subject", "snippet":
        VALIDATOR.validate({key: value for key, value in BODY.items()
                            if key != name})
    for name in "user", "event", "folder", "imap-uid", "unseen", "unread":
        assert not VALIDATOR.is_valid({
            key: value for key, value in BODY.items() if key != name})
    VALIDATOR.validate({**BODY, "event": "messageAppend", "imap-uid": [2, 3]})
    for wrong in ({"imap-uid": "2"}, {"imap-uid": [2]}, {"imap-uid": [2, 2]},
                  {"event": "MessageNew"}, {"event": "flagsSet"},
                  {"event": "mailboxCreate"}, {"imap-uid": -1}, {"unseen": 1.5},
                  {"imap-uid": 2 ** 32}, {"user": ""}, {"event": "other"},
                  {"from": None}, {"snippet": "x" * 1025}):
        assert not VALIDATOR.is_valid({**BODY, **wrong})


def test_everything_that_is_sent_is_valid(endpoint):
    """Also what ox sends, of any message."""
    messages = [
        "", "Subject:\n\n", "From: @\nSubject: =?utf-8?q?=C3=BC?=\n\nbody\n",
        "From: %s <a@b>\nSubject: %s\n\n%s\n" % (
            "n" * 5000, "s" * 5000, "ü" * 5000),
        "Subject: \x01\x7f\n\n\x02", message("an ordinary one")]
    endpoint.status = 200
    with running_dovecot(
            driver(endpoint, registration="optional"),
            driver(endpoint, registration="optional",
                   omit="from,subject,snippet,unseen")) as dovecot:
        for text in messages:
            dovecot.deliver("bob", text)
        for request in endpoint.wait(2 * len(messages)):
            VALIDATOR.validate(request.body)
        assert all(name in SCHEMA["properties"] for request in
                   endpoint.delivered for name in request.body)
        dovecot.doveadm("http-notify", "check", "-u", "bob", status=65)
        probe = [r.body for r in endpoint.delivered
                 if r.body["event"] == "test"]
        assert probe
        for body in probe:
            VALIDATOR.validate(body)


# what the events other than MessageNew have, beside their folder
OF_MESSAGES = ["imap-uid", "imap-uidvalidity", "unread", "unseen"]
FLAGS = [*OF_MESSAGES, "flags", "keywords"]
OTHER_EVENTS = {
    "MessageAppend": [*OF_MESSAGES, "from", "subject", "snippet"],
    "MessageExpunge": OF_MESSAGES, "MessageRead": OF_MESSAGES,
    "MessageTrash": OF_MESSAGES, "FlagsSet": FLAGS,
    "FlagsClear": [*FLAGS, "flags-old", "keywords-old"],
    "MailboxRename": ["folder-old"],
    **{"Mailbox" + event: [] for event in (
        "Create", "Delete", "Subscribe", "Unsubscribe")},
}


def test_other_events_are_valid(receiver):
    """As doveadm http-notify test sends them."""
    receiver.methods, receiver.status = ["PUT"], 200
    with running_dovecot(Webhook(
            receiver.url_without, registration="optional",
            events=",".join(OTHER_EVENTS))) as dovecot:
        dovecot.deliver("bob", message())
        for count, (event, fields) in enumerate(OTHER_EVENTS.items(), 1):
            dovecot.doveadm("http-notify", "test", "-u", "bob", "-e", event)
            body = receiver.wait(count)[-1].body
            VALIDATOR.validate(body)
            assert body.keys() == {"user", "event", "folder", *fields}


def test_several_messages_and_flags_of_clients_are_valid(receiver):
    receiver.methods, receiver.status = ["PUT"], 200
    with running_dovecot(
            Webhook(receiver.url_without, registration="optional",
                    events=",".join(OTHER_EVENTS), folders="*"),
            extra=config.more_plugins("notify", "push_notification",
                                      "http_notify", protocol="imap") +
            config.handoff_access()) as dovecot:
        for _ in range(2):
            dovecot.deliver("bob", message())
        with dovecot.imap("bob") as imap:
            imap.create("Old")
            imap.rename("Old", "New")
            imap.select()
            for sign in "+-":
                imap.store("1:2", sign + "FLAGS", r"(\Seen \Deleted $Junk)")
            imap.copy("1:2", "New")
            imap.store("1:2", "+FLAGS", r"(\Deleted)")
            imap.expunge()
        receiver.wait(9)
        for request in receiver.delivered:
            VALIDATOR.validate(request.body)
            assert all(name in SCHEMA["properties"] for name in request.body)
        assert any(isinstance(request.body.get("imap-uid"), list)
                   for request in receiver.delivered)
