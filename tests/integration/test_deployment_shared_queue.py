# SPDX-License-Identifier: LGPL-2.1-or-later
"""conf.d/examples/shared-queue: a PostgreSQL of two hosts, by TLS."""

import re
import shutil

import pytest

from conftest import driver, running_dovecot
from harness.doveadm import rows
from harness.dovecot import free_port, message, wait_for
from harness.example import EXAMPLES, LINE, example
from harness.shared_queue import shared_queue

HERE = "shared-queue/"


@pytest.fixture(scope="module")
def database(certificates):
    with shared_queue() as database:
        server = database.server
        # the server's user has to have its key to itself
        for source, name in zip(certificates["good"], ("cert.pem", "key.pem")):
            target = shutil.copy(source, server.dir / name)
            shutil.chown(target, "postgres", "postgres")
            target.chmod(0o600)
        database.execute(
            "-c", "ALTER SYSTEM SET ssl = on",
            "-c", "ALTER SYSTEM SET ssl_cert_file = '%s'" % (
                server.dir / "cert.pem"),
            "-c", "ALTER SYSTEM SET ssl_key_file = '%s'" % (
                server.dir / "key.pem"))
        (server.dir / "data/pg_hba.conf").write_text(
            "local all all trust\n" + re.search(
                r"^\t(hostssl .*)$", (EXAMPLES / HERE / "README").read_text(),
                re.M).group(1).replace("192.0.2.0/24", "127.0.0.1/32") + "\n")
        server.stop()
        server.start()
        yield database


def deployed(directory, database, ca):
    """The example's settings, for a cluster whose first host is down."""
    return example(directory, HERE + "dovecot-%s.conf" % LINE, {
        "db1.example.com,db2.example.com": "localhost,localhost port=%d,%d" % (
            free_port(), database.server.port),
        "/etc/ssl/certs/ca-certificates.crt": ca,
        "/etc/dovecot/http-notify.password": database.password_file,
    }, mode=0o644)


def test_shared_queue(database, certificates, other_endpoint):
    endpoint = other_endpoint
    with running_dovecot(start=False) as dovecot:
        file = deployed(dovecot.dir, database, certificates["ca"])
        dovecot.configure(driver(endpoint), extra="!include %s" % file)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        endpoint.stop()
        dovecot.deliver("bob", message())
        wait_for(lambda: database.count() == 1, what="it to be stored there")
        assert dovecot.queued() == 0
        assert database.execute("-c", (
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity "
            "USING (pid) WHERE usename = 'mailhost'")) == "t\n"
        wait_for(lambda: database.slots() == [256], 20,
                 "the only host to have all")
        found = {row["link"]: (row["result"], row["detail"]) for row in rows(
            dovecot, "check", "-u", "bob", status=None)}
        for link in ("", " password", " TLS", " tables", " hosts"):
            assert found["PostgreSQL" + link][0] == "ok"
        assert found["PostgreSQL TLS"][1] == ""
        assert found["PostgreSQL hosts"][1].endswith(" 256")
        endpoint.start()
        assert endpoint.wait(1)[0].uid == 1


def test_server_with_another_certificate_is_not_used(database, certificates,
                                                     endpoint):
    with running_dovecot(start=False) as dovecot:
        # a CA that has not made it
        file = deployed(dovecot.dir, database, certificates["foreign"][0])
        dovecot.configure(driver(endpoint), extra="!include %s" % file)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("PostgreSQL can't be used", "certificate")
        assert dovecot.queued() == 1
        assert not endpoint.delivered
