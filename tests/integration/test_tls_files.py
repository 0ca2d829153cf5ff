# SPDX-License-Identifier: LGPL-2.1-or-later
"""CAs and client certificates of an endpoint's own."""

import contextlib
import os
import pathlib
import pwd
import shutil
import ssl
import subprocess
import tempfile

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, VERSION, config
from harness.doveadm import check, failed_check
from harness.dovecot import message
from harness.endpoint import Endpoint

SERVICE = pwd.getpwnam("dovecot")


@contextlib.contextmanager
def tls_endpoint(tls):
    endpoint = Endpoint(tls=tls)
    try:
        yield endpoint
    finally:
        endpoint.stop()


@pytest.fixture
def ours(certificates):
    with tls_endpoint(certificates["good"]) as endpoint:
        yield endpoint


@pytest.fixture
def theirs(certificates):
    with tls_endpoint(certificates["foreign"]) as endpoint:
        yield endpoint


def asking(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates["good"])
    context.load_verify_locations(certificates["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def asks(certificates):
    """An endpoint that wants a certificate, by our CA."""
    with tls_endpoint(asking(certificates)) as endpoint:
        yield endpoint


@pytest.fixture
def asks_early(certificates):
    """In TLS 1.2 it is part of the handshake, so that a refusal is read before
    the request breaks off."""
    context = asking(certificates)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls_endpoint(context) as endpoint:
        yield endpoint


@pytest.fixture
def client(certificates):
    """Certificates and keys that the service's user can read: a certificate by
    our CA, its key, both in one file; and a certificate by another CA."""
    with tempfile.TemporaryDirectory(prefix="hn-client-") as directory:
        os.chmod(directory, 0o755)
        good, foreign = ([pathlib.Path(path).read_text() for path in
                          certificates[name]] for name in ("good", "foreign"))
        files = {}
        for name, text in (("cert", good[0]), ("key", good[1]),
                           ("both", "".join(good)),
                           ("foreign", "".join(foreign))):
            files[name] = pathlib.Path(directory, name + ".pem")
            files[name].write_text(text)
            files[name].chmod(0o600)
            os.chown(files[name], SERVICE.pw_uid, SERVICE.pw_gid)
        yield files


def ca_files(certificates):
    ca = pathlib.Path(certificates["ca"])
    return ca, ca.with_name("stranger.pem")


def test_each_endpoint_has_its_ca(certificates, ours, theirs, other_endpoint):
    our_ca, their_ca = ca_files(certificates)
    with running_dovecot(driver(ours, ca_file=our_ca),
                         driver(theirs, ca_file=their_ca),
                         driver(other_endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2, 3):
            dovecot.deliver("bob", message())
            for endpoint in ours, theirs, other_endpoint:
                endpoint.wait(count)
        assert not dovecot.log_lines("Error:")


def test_a_ca_of_its_own_replaces_the_others(certificates, ours, theirs):
    our_ca, their_ca = ca_files(certificates)
    with running_dovecot(driver(ours), driver(theirs),
                         driver(ours, ca_file=their_ca, max_age="2h"),
                         extra="ssl_client_ca_file = %s\n" % our_ca
                         ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        ours.wait(1)
        dovecot.wait_log("Error: Endpoint localhost:%d is down" % ours.port)
        dovecot.wait_log("Error: Endpoint localhost:%d is down" % theirs.port)
        assert dovecot.queued() == 2
        # its requests change nothing for others
        dovecot.deliver("bob", message())
        ours.wait(2)
        assert not theirs.attempts


def test_client_certificate(certificates, asks, ours, client):
    ca, _ = ca_files(certificates)
    with running_dovecot(
            driver(asks, cert_file=client["cert"], key_file=client["key"]),
            driver(asks, cert_file=client["both"]), driver(ours), PATIENT,
            extra="ssl_client_ca_file = %s\n" % ca) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message())
            asks.wait(2 * count)
            ours.wait(count)
        assert not dovecot.log_lines("Error:")


FILTER = "push_notification %s {\n%s\n}\n"


@pytest.mark.skipif(VERSION < (2, 4), reason="2.3 has no filters")
def test_settings_of_dovecots_in_the_filter(certificates, asks, ours, theirs,
                                            client):
    """Each has its own; others have what is set outside."""
    our_ca, their_ca = ca_files(certificates)
    with running_dovecot(
            driver(theirs), driver(asks), driver(ours), PATIENT,
            extra=config.handoff_access() +
            "ssl_client_ca_file = %s\n" % our_ca +
            FILTER % ("ox", "ssl_client_ca_file = %s" % their_ca) +
            FILTER % ("ox2", "ssl_client_cert_file = %s\n"
                      "ssl_client_key_file = %s" % (
                          client["cert"], client["key"]))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for path in client.values():
            path.chmod(0o644)
        for deliver in dovecot.deliver, dovecot.lda:
            deliver("bob", message())
            for endpoint in theirs, asks, ours:
                endpoint.wait(1)
                endpoint.clear()
        assert not dovecot.log_lines("Error:")
        assert not any(check(dovecot).values())


@pytest.mark.skipif(VERSION < (2, 4), reason="2.3 has no filters")
def test_lda_need_not_read_the_services_key(certificates, asks, client):
    ca, _ = ca_files(certificates)
    with running_dovecot(
            driver(asks), PATIENT, extra=config.handoff_access() +
            "ssl_client_ca_file = %s\nssl_client_cert_file = %s\n"
            "ssl_client_key_file = %s\n" % (
                ca, client["cert"], client["key"])) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.lda("bob", message())
        asks.wait(1)
        assert not dovecot.log_lines("Error:")


@pytest.mark.skipif(VERSION < (2, 4), reason="2.3 has no filters")
def test_what_is_in_the_filter_must_be_a_file(ours):
    with running_dovecot(driver(ours), extra=FILTER % (
            "ox", "ssl_client_cert_file = inline:x")) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("lmtp(bob)", "is invalid", "must be files")


@pytest.mark.parametrize("name", [None, "foreign"])
def test_without_the_right_certificate(certificates, asks, client, name):
    ca, _ = ca_files(certificates)
    options = {"cert_file": client[name]} if name else {}
    with running_dovecot(driver(asks, **options),
                         extra="ssl_client_ca_file = %s\n" % ca) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint localhost:%d is down" % asks.port)
        assert not asks.attempts and dovecot.queued() == 1


@pytest.mark.parametrize("option", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_missing_is_named(asks, client, option):
    path = client["cert"].with_name("missing.pem")
    with running_dovecot(driver(asks, **{
            "cert_file": client["cert"], option: path})) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint", "%s=%s: can't be read by the "
                         "service's user: No such file" % (option, path))
        assert not asks.attempts


def test_a_key_without_a_certificate(asks, client):
    with running_dovecot(driver(asks, key_file=client["key"])) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint",
                         "key_file=%s: cert_file is not set" % client["key"])


def test_check_says_what_to_fix(certificates, asks, asks_early, theirs,
                                client):
    ca, _ = ca_files(certificates)
    garbage = client["cert"].with_name("garbage.pem")
    garbage.write_text("no certificate\n")
    cert, foreign = client["cert"], client["foreign"]

    def option(name, path):
        return config.option(name) + (
            " = " if config.option(name)[-1] != "=" else "") + str(path)

    for endpoint, options, advice in [
            (theirs, {"ca_file": ca}, "fix the certificate, or have what it is "
             "signed by in " + option("ca_file", ca)),
            (theirs, {"ca_file": garbage},
             "fix " + option("ca_file", garbage)),
            (asks, {"cert_file": garbage},
             "fix " + option("cert_file", garbage)),
            (asks, {"cert_file": cert}, "fix " + option("cert_file", cert)),
            (asks_early, {"cert_file": foreign},
             "the endpoint does not accept " + option("cert_file", foreign)),
            (asks, {"cert_file": cert, "key_file": foreign}, "fix %s, the key "
             "of %s" % (option("key_file", foreign),
                        option("cert_file", cert)))]:
        with running_dovecot(driver(endpoint, **options),
                             extra="ssl_client_ca_file = %s\n" % ca
                             ) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            detail = failed_check(dovecot)[
                "endpoint localhost:%d" % endpoint.port]
            assert detail.endswith(" (%s)" % advice), detail


@contextlib.contextmanager
def terminal():
    """Yields the path of one at which nobody is."""
    master, slave = os.openpty()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)


def test_nobody_is_asked_for_a_password_of_a_key(certificates, asks, client,
                                                 other_endpoint):
    """At the terminal in which Dovecot runs in the foreground."""
    ca, _ = ca_files(certificates)
    locked = client["key"].with_name("locked.pem")
    subprocess.run(["openssl", "rsa", "-aes256", "-passout", "pass:s3cret",
                    "-in", client["key"], "-out", locked], check=True)
    shutil.chown(locked, SERVICE.pw_uid, SERVICE.pw_gid)

    with running_dovecot(
            driver(asks, cert_file=client["cert"], key_file=locked),
            driver(other_endpoint), start=False,
            extra="ssl_client_ca_file = %s\n" % ca
            ) as dovecot, terminal() as path:
        dovecot.wrap_service("<%s setsid --ctty " % path)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint localhost:%d is down" % asks.port,
                         "unable to set private key file: '%s'" % locked)
        other_endpoint.wait(1)
        assert not asks.attempts
