"""Endpoints over TLS, verified as Dovecot's ssl_client_* settings say."""

import contextlib

import pytest

from conftest import driver, running_dovecot
from harness.dovecot import free_port, message, wait_for
from harness.endpoint import Endpoint
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
            driver(endpoint), extra=ssl_settings(certificates)) as dovecot:
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
        assert dovecot.deliver("bob", message()) < 1.5
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


def test_http2_where_the_server_offers_it(certificates):
    port = free_port()
    with nginx(HTTP2 % (port, *certificates["good"])) as directory, \
            running_dovecot(
                driver("https://localhost:%d/" % port),
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
