# SPDX-License-Identifier: LGPL-2.1-or-later
"""Endpoints over TLS, verified as Dovecot's ssl_client_* settings say."""

import contextlib
import pathlib
import shutil
import subprocess

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, VERSION
from harness.dovecot import free_port, message, wait_for
from harness.endpoint import Endpoint
from harness.faults import skip_unless
from harness.http2 import HastyServer
from harness.nginx import nginx


@contextlib.contextmanager
def tls_endpoint(files):
    endpoint = Endpoint(tls=files)
    try:
        yield endpoint
    finally:
        endpoint.stop()


def ssl_settings(certificates):
    return "ssl_client_ca_file = %s\n" % certificates["ca"]


def test_good_certificate(certificates):
    with tls_endpoint(certificates["good"]) as endpoint, running_dovecot(
            driver(endpoint), PATIENT,
            extra=ssl_settings(certificates)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        request, = endpoint.wait(1)
        assert request.pushed
        assert not dovecot.log_lines("Error:")


@pytest.mark.parametrize("name, reason", [
    ("expired", "certificate has expired"),
    ("foreign", "certificate"),
])
def test_certificate_that_does_not_verify(certificates, name, reason):
    with tls_endpoint(certificates[name]) as endpoint, running_dovecot(
            driver(endpoint), extra=ssl_settings(certificates)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.deliver("bob", message()) < 10
        line, = dovecot.wait_log("Error:", "Endpoint localhost:%d is down" %
                                 endpoint.port)
        assert reason in line
        assert endpoint.attempts == []


def test_certificate_of_another_name(certificates):
    with tls_endpoint(certificates["good"]) as endpoint, running_dovecot(
            driver(endpoint.url.replace("localhost", "127.0.0.1")),
            extra=ssl_settings(certificates)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error:", "Endpoint 127.0.0.1", "is down")
        assert endpoint.attempts == []


def test_verification_is_off_if_dovecot_says_so(certificates):
    with tls_endpoint(certificates["foreign"]) as endpoint, running_dovecot(
            driver(endpoint),
            extra="ssl_client_require_valid_cert = no") as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        endpoint.wait(1)


def ca_directory(path, ca):
    """As the system's: with a bundle, and a link by hash for each."""
    path.mkdir(mode=0o755)
    for name in ("ca.pem", "ca-certificates.crt"):
        shutil.copy(ca, path / name)
    subprocess.run(["openssl", "rehash", str(path)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def trust(certificates):
    """Places where CAs are: ours is that of certificates["good"], theirs that
    of certificates["foreign"]. nobodys has none."""
    ca = pathlib.Path(certificates["ca"])
    directory = ca.with_name("trust")
    directory.mkdir(mode=0o755)
    (directory / "nobodys").mkdir(mode=0o755)
    return {
        "our_file": ca, "our_dir": ca_directory(directory / "ours", ca),
        "their_dir": ca_directory(directory / "theirs",
                                  ca.with_name("stranger.pem")),
        "nobodys_dir": directory / "nobodys",
    }


@contextlib.contextmanager
def both_endpoints(certificates, trust, settings, **environment):
    """The system's CA is theirs. Yields Dovecot, our endpoint and theirs."""
    system = "/etc/ssl/certs"
    mount = "mount --bind %s %s" % (trust["their_dir"], system)
    skip_unless("unshare", "--mount", "sh", "-c", mount)
    script = trust["our_dir"].with_name("with-system-ca")
    script.write_text(mount + ' || exit 1\nexec "$@"\n')
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(tls_endpoint(certificates["good"]))
        theirs = stack.enter_context(tls_endpoint(certificates["foreign"]))
        dovecot = stack.enter_context(running_dovecot(
            driver(ours), driver(theirs), PATIENT, extra=settings,
            start=False))
        dovecot.wrap_service("unshare --mount sh %s" % script, **environment)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        yield dovecot, ours, theirs


def check_refused(dovecot, endpoint):
    line, = dovecot.wait_log("Error: Endpoint localhost:%d is down" %
                             endpoint.port)
    assert "certificate" in line or "trust anchors" in line
    assert endpoint.attempts == []


@pytest.mark.parametrize("settings", [
    "ssl_client_ca_file = {our_file}",
    "ssl_client_ca_dir = {our_dir}",
    "ssl_client_ca_file = {our_file}\nssl_client_ca_dir = {nobodys_dir}",
    "ssl_client_ca_file = {our_file}\nssl_client_ca_dir = {our_dir}",
])
def test_a_ca_that_is_set_replaces_the_systems(certificates, trust, settings):
    with both_endpoints(certificates, trust, settings.format(**trust),
                        SSL_CERT_FILE=trust["their_dir"] / "ca.pem",
                        SSL_CERT_DIR=trust["their_dir"]) as (
                            dovecot, ours, theirs):
        ours.wait(1)
        check_refused(dovecot, theirs)


def test_file_and_directory_are_added_to_each_other(certificates, trust):
    with both_endpoints(
            certificates, trust, "ssl_client_ca_file = {our_file}\n"
            "ssl_client_ca_dir = {their_dir}".format(**trust)) as (
                dovecot, ours, theirs):
        ours.wait(1)
        theirs.wait(1)
        assert not dovecot.log_lines("Error:")


@pytest.mark.parametrize("environment", [{}, {"SSL_CERT_FILE": "our_file",
                                              "SSL_CERT_DIR": "our_dir"}],
                         ids=["", "environment"])
def test_the_systems_cas_are_trusted_if_none_is_set(certificates, trust,
                                                    environment):
    with both_endpoints(certificates, trust, "", **{
            name: trust[value] for name, value in environment.items()}) as (
                dovecot, ours, theirs):
        theirs.wait(1)
        check_refused(dovecot, ours)


def test_an_empty_directory_trusts_nobody(certificates, trust):
    with both_endpoints(certificates, trust,
                        "ssl_client_ca_dir = {nobodys_dir}".format(**trust)
                        ) as (dovecot, ours, theirs):
        check_refused(dovecot, ours)
        check_refused(dovecot, theirs)


@pytest.mark.skipif(VERSION < (2, 4), reason="Dovecot does not read it")
def test_a_ca_that_the_service_cannot_read_itself(certificates, trust):
    """Dovecot has read it."""
    secret = trust["our_file"].with_name("unreadable.pem")
    shutil.copy(trust["our_file"], secret)
    secret.chmod(0o600)
    settings = "ssl_client_ca_file = %s" % secret
    with both_endpoints(certificates, trust, settings) as (
            dovecot, ours, theirs):
        ours.wait(1)
        check_refused(dovecot, theirs)


HTTP2 = """
  log_format seen '$request_method $server_protocol $status $connection';
  server {
    listen 127.0.0.1:%d ssl http2;
    ssl_certificate %s;
    ssl_certificate_key %s;
    access_log {dir}/seen.log seen;
    location / {
      return 200 '{"success":true}';
    }
  }
"""


HTTP2_204 = HTTP2.replace("200 '{\"success\":true}'", "204")


def test_http2_answer_without_a_body_before_the_request_is_read(certificates):
    """Then nginx resets the stream after the headers."""
    port = free_port()
    with nginx(HTTP2_204 % (port, *certificates["good"])) as directory, \
            running_dovecot(driver("https://localhost:%d/" % port), PATIENT,
                            extra=ssl_settings(certificates)) as dovecot:
        seen = directory / "seen.log"
        users = ["user%d" % n for n in range(20)]
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        for _ in range(20):
            dovecot.deliver(users, message())
        dovecot.wait_queue_empty()
        assert len(seen.read_text().splitlines()) == 20 * len(users)
        assert not dovecot.log_lines("Error:")


def test_http2_answer_and_its_reset_at_once(certificates):
    """With the refusal of the request's body in the same TLS record."""
    server = HastyServer(certificates["good"])
    with contextlib.closing(server), running_dovecot(
            driver("https://localhost:%d/" % server.port), PATIENT,
            extra=ssl_settings(certificates)) as dovecot:
        users = ["user%d" % n for n in range(5)]
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        for count in range(1, 11):
            server.status = 204 if count % 2 else 200
            dovecot.deliver(users, message())
            dovecot.wait_queue_empty()
            assert server.requests == count * len(users)
        assert not dovecot.log_lines("Error:")

        server.status = 500
        dovecot.deliver(users, message())
        line, = dovecot.wait_log("Error: Endpoint localhost")
        assert "trying again: 500" in line
        server.status = 204
        dovecot.wait_queue_empty()


def test_http2_where_the_server_offers_it(certificates):
    port = free_port()
    with nginx(HTTP2 % (port, *certificates["good"])) as directory, \
            running_dovecot(
                driver("https://localhost:%d/" % port), PATIENT,
                extra=ssl_settings(certificates)) as dovecot:
        def seen():
            return (directory / "seen.log").read_text().splitlines()

        users = ["bob", "carol", "dave", "erin"]
        for user in users:
            dovecot.setmetadata(user, "user=3@1")
        dovecot.deliver(users, message())
        wait_for(lambda: len(seen()) == 4, what="4 requests")
        assert {line.rsplit(" ", 1)[0] for line in seen()} == {
            "PUT HTTP/2.0 200"}
        # as streams of one connection
        assert len({line.rsplit(" ", 1)[1] for line in seen()}) == 1
        assert not dovecot.log_lines("Error:")
