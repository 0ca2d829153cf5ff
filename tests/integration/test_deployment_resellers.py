# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/resellers: each tenant its own endpoint and credentials."""

import base64
import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from conftest import running_dovecot
from harness.config import VERSION, config
from harness.dovecot import message
from harness.endpoint import Endpoint
from harness.example import LINE, deploy, example

# with the uid of their mail; the last one has no endpoint
TENANTS = {"a": 20001, "b": 20002, "c": 20003, "d": 20004}
WITH_PUSH = ["a", "b", "c"]
USERS = ["alice", "bob"]
MESSAGES = 10


def credentials(tenant):
    return "tenant-" + tenant, "secret-" + tenant


def mailboxes(tenant):
    return ["%s@%s.example" % (user, tenant) for user in USERS]


@pytest.fixture
def endpoints():
    """{tenant: its own}"""
    endpoints = {tenant: Endpoint(credentials=credentials(tenant))
                 for tenant in WITH_PUSH}
    yield endpoints
    for endpoint in endpoints.values():
        endpoint.stop()


def for_auth(path):
    """What Dovecot's auth process reads, and no other user."""
    shutil.chown(path, "root", "dovecot")
    path.chmod(0o640)
    return path


def endpoints_in_example(endpoints):
    return {"ox.%s.example:8009" % tenant: endpoint.authority
            for tenant, endpoint in endpoints.items()}


def passwd_file(dovecot, endpoints, **more):
    return {"/etc/dovecot/tenants.passwd": for_auth(example(
        dovecot.dir, "resellers/tenants-%s.passwd" % LINE, dict(
            endpoints_in_example(endpoints),
            **{"/var/vmail": dovecot.dir / "vmail"}, **more)))}


def sql(dovecot, endpoints):
    netrc = dovecot.dir / "netrc.d"
    netrc.mkdir()
    sample = example(dovecot.dir, "resellers/netrc",
                     {"ox.a.example": "127.0.0.1"})
    for tenant in WITH_PUSH:
        file = netrc / (tenant + ".example")
        file.write_text(sample.read_text()
                        .replace("tenant-a", "tenant-" + tenant)
                        .replace("secret-a", "secret-" + tenant))
        file.chmod(0o600)
        shutil.chown(file, "dovecot")
    sample.unlink()

    schema = example(dovecot.dir, "resellers/tenants.sql",
                     endpoints_in_example(endpoints))
    database = dovecot.dir / "tenants.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.executescript(schema.read_text())
    for_auth(database)

    in_query = {"/var/vmail": dovecot.dir / "vmail",
                "/etc/dovecot/netrc": netrc}
    if VERSION < (2, 4):
        return {"/etc/dovecot/tenants-sql.conf.ext": for_auth(example(
            dovecot.dir, "resellers/tenants-sql.conf.ext", dict(
                in_query, **{"/etc/dovecot/tenants.sqlite": database})))}
    return dict(in_query, **{"/etc/dovecot/tenants.sqlite": database})


USERDBS = {"passwd-file": passwd_file, "sql": sql}


@contextlib.contextmanager
def deployed(endpoints, userdb, more={}, **configuration):
    """more: replacements in the passwd-file."""
    with running_dovecot(start=False) as dovecot:
        vmail = dovecot.dir / "vmail"
        vmail.mkdir()
        for tenant, uid in TENANTS.items():
            directory = vmail / (tenant + ".example")
            directory.mkdir(mode=0o700)
            os.chown(directory, uid, uid)
        replacements = USERDBS[userdb](dovecot, endpoints, **more)
        # there is no secret in it
        deploy(dovecot, "resellers/%s-%s.conf" % (userdb, LINE),
               dict(replacements, **{"192.0.2.0/24": "127.0.0.1"}),
               mode=0o644, any_login=False, any_user=False, **configuration)
        # each OX counts from 1
        dovecot.register({address: "user=%d@1" % number
                          for tenant in TENANTS
                          for number, address in enumerate(mailboxes(tenant))})
        yield dovecot


def every_mailbox():
    return [address for tenant in TENANTS for address in mailboxes(tenant)]


def check_all_arrived(endpoint, tenant, count):
    requests = endpoint.wait(count * len(USERS))
    assert len(requests) == count * len(USERS)
    for number, address in enumerate(mailboxes(tenant)):
        own = [r for r in requests if r.body["user"] == "%d@1" % number]
        assert {r.body["subject"] for r in own} == {address}
        assert [r.uid for r in own] == list(range(1, count + 1))


def deliver_to_all(dovecot, count):
    for _ in range(count):
        # the one that is in trouble, if one is, comes first
        for address in reversed(every_mailbox()):
            assert dovecot.deliver(address, message(subject=address)) < 15


@pytest.mark.parametrize("userdb", USERDBS)
def test_each_tenant_has_its_own_endpoint(endpoints, userdb):
    with deployed(endpoints, userdb) as dovecot:
        deliver_to_all(dovecot, 3)
        for tenant, endpoint in endpoints.items():
            check_all_arrived(endpoint, tenant, 3)
            assert len(endpoint.attempts) == 3 * len(USERS)
            expected = base64.b64encode(
                ":".join(credentials(tenant)).encode()).decode()
            assert {r.headers["Authorization"] for r in endpoint.attempts} == {
                "Basic " + expected}
        # one without an endpoint is no error
        assert not dovecot.log_lines("Error:")
        assert not dovecot.log_lines("Warning:")


def test_password_with_a_special_character_in_passwd_file(endpoints):
    """As the page says how to write it."""
    endpoints["a"].credentials = "tenant-a", "p@ss"
    with deployed(endpoints, "passwd-file", {
            "secret-a": "p%%%%40ss" if VERSION < (2, 4) else "p%40ss",
            }) as dovecot:
        dovecot.deliver("alice@a.example", message())
        endpoints["a"].wait(1)


@pytest.mark.parametrize("userdb, trouble", [
    ("passwd-file", "hangs"), ("sql", "hangs"), ("passwd-file", "refuses"),
    ("sql", "500"), ("sql", "401")])
def test_an_outage_is_one_tenants_own(endpoints, userdb, trouble):
    bad = endpoints["c"]
    if trouble == "hangs":
        bad.hang = True
    elif trouble == "refuses":
        bad.stop()
    else:
        bad.status = int(trouble)
    with deployed(endpoints, userdb) as dovecot:
        deliver_to_all(dovecot, MESSAGES)
        for tenant in "a", "b":
            check_all_arrived(endpoints[tenant], tenant, MESSAGES)
            assert len(endpoints[tenant].attempts) == MESSAGES * len(USERS)
        # all of the others' while it has taken none
        assert bad.delivered == []
        dovecot.wait_log("Error: Endpoint " + bad.authority)
        assert len(dovecot.wait_log("Endpoint 127.0.0.1:")) == 1
        if trouble == "refuses":
            bad.start()
        bad.heal()
        if trouble != "401":
            # which is asked about again after half a minute
            check_all_arrived(bad, "c", MESSAGES)
        assert not dovecot.log_lines("Notification lost")


def assert_not_in(text, tenant):
    login, password = credentials(tenant)
    for form in (password, base64.b64encode(
            ("%s:%s" % (login, password)).encode()).decode()):
        assert form not in text


def run_as(dovecot, uid, *command):
    """As somebody with a shell on the mail server; returns the exit status,
    and what it said."""
    result = subprocess.run(
        command, user=uid, group=uid, extra_groups=[], cwd=dovecot.dir,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    return result.returncode, result.stdout.decode(errors="replace")


def seen_by(dovecot, tenant):
    """All that a tenant's user of the system gets to see of this Dovecot."""
    uid = TENANTS[tenant]
    doveadm = ["doveadm", "-c", str(dovecot.main)]

    _, files = run_as(dovecot, uid, "find", str(dovecot.dir), "-type", "f",
                      "-exec", "cat", "{}", "+")
    assert "Subject: alice@" + tenant in files

    _, processes = run_as(dovecot, uid, "cat", *(
        "/proc/%d/%s" % (pid, name) for pid in dovecot.pids()
        for name in ("cmdline", "environ", "mem")))
    assert "http-notify" in processes

    said = []
    for address in every_mailbox():
        status, fields = run_as(dovecot, uid, *doveadm, "user", address)
        # Dovecot tells a user of the system its own mailboxes
        assert (status == 0) == (address in mailboxes(tenant)), fields
        said.append(fields)
    for command in (["status"], ["queue"], ["check", "-u", address]):
        status, text = run_as(dovecot, uid, *doveadm, "http-notify", *command)
        assert status != 0
        said.append(text)
    return "\n".join([files, processes, *said])


@pytest.mark.parametrize("userdb", USERDBS)
def test_no_tenant_sees_anothers_credentials(endpoints, userdb):
    for endpoint in endpoints.values():
        endpoint.hang = True
    with deployed(endpoints, userdb) as dovecot:
        deliver_to_all(dovecot, 2)
        for endpoint in endpoints.values():
            endpoint.wait_attempts(1)
        for tenant in TENANTS:
            seen = seen_by(dovecot, tenant)
            for other in WITH_PUSH:
                if other != tenant:
                    assert_not_in(seen, other)


@pytest.mark.parametrize("userdb, debug", [
    ("passwd-file", ""), ("sql", ""), ("sql", config.DEBUG)],
    ids=["passwd-file", "sql", "sql, debug"])
def test_neither_log_nor_doveadm_has_credentials(endpoints, userdb, debug):
    endpoints["c"].status = 401
    with deployed(endpoints, userdb, before=debug) as dovecot:
        deliver_to_all(dovecot, 2)
        dovecot.wait_log("Error: Endpoint " + endpoints["c"].authority)
        said = [dovecot.doveadm("http-notify", "status"),
                dovecot.doveadm("http-notify", "queue")]
        for address in every_mailbox():
            # some link is broken for most of them
            with dovecot.doveadm_start("http-notify", "check", "-u",
                                       address) as process:
                said += process.communicate(timeout=60)
        said.append(dovecot.log())
        for tenant in WITH_PUSH:
            assert_not_in("\n".join(said), tenant)
