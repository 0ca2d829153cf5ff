# SPDX-License-Identifier: LGPL-2.1-or-later
"""Endpoints behind an HTTP proxy, a real one."""

import base64
import os
import pathlib
import pwd
import tempfile

import pytest

from conftest import driver, running_dovecot
from harness.config import config
from harness.dovecot import free_port, message
from harness.endpoint import PASSWORD, Endpoint
from harness.tinyproxy import tinyproxy

SERVICE = pwd.getpwnam("dovecot")
LOGIN, SECRET = "proxyuser", "pr0xyS3cret"
BASIC = base64.b64encode(("%s:%s" % (LOGIN, SECRET)).encode()).decode()


@pytest.fixture
def netrc():
    """Writes a file for the proxy's credentials."""
    with tempfile.TemporaryDirectory(prefix="hn-netrc-") as directory:
        os.chmod(directory, 0o755)
        path = pathlib.Path(directory, "proxy.netrc")

        def write(password=SECRET, machine="127.0.0.1"):
            new = path.with_suffix(".new")
            new.write_text("machine %s login %s password %s\n" % (
                machine, LOGIN, password))
            new.chmod(0o600)
            os.chown(new, SERVICE.pw_uid, SERVICE.pw_gid)
            new.rename(path)
            return path
        yield write


def assert_no_secrets(text):
    for secret in SECRET, BASIC, PASSWORD:
        assert secret not in text


def test_http_endpoint(endpoint):
    with tinyproxy() as proxy, running_dovecot(
            driver(endpoint, proxy=proxy.url)) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for _ in range(3):
            dovecot.deliver("bob", message())
        for request in endpoint.wait(3):
            assert request.pushed
            assert "tinyproxy" in request.headers["Via"]
        assert not dovecot.log_lines("Error:")


def test_https_endpoint_by_a_tunnel(certificates):
    endpoint = Endpoint(tls=certificates["good"])
    try:
        with tinyproxy("ConnectPort %d" % endpoint.port) as proxy, \
                running_dovecot(
                    driver(endpoint, proxy=proxy.url),
                    extra="ssl_client_ca_file = %s\n" % certificates["ca"]
                ) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            for _ in range(3):
                dovecot.deliver("bob", message())
            for request in endpoint.wait(3):
                assert request.pushed
                assert "Via" not in request.headers
            assert "CONNECT localhost:%d" % endpoint.port in proxy.log()
            assert not dovecot.log_lines("Error:")
    finally:
        endpoint.stop()


def test_tunnel_that_is_refused_is_no_delivery(certificates):
    """The proxy's answers are not the endpoint's."""
    endpoint = Endpoint(tls=certificates["good"])
    try:
        with tinyproxy("ConnectPort %d" % free_port()) as proxy, \
                running_dovecot(
                    driver(endpoint, proxy=proxy.url),
                    extra="ssl_client_ca_file = %s\n" % certificates["ca"]
                ) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            line, = dovecot.wait_log("Error: Endpoint", "is down")
            assert "403" in line
            assert dovecot.queued() == 1
            assert not endpoint.attempts
    finally:
        endpoint.stop()


@pytest.mark.parametrize("tunnel", [False, True], ids=["http", "https"])
def test_credentials_for_the_proxy(certificates, netrc, tunnel):
    endpoint = Endpoint(tls=certificates["good"] if tunnel else None)
    extra = config.DEBUG + "ssl_client_ca_file = %s\n" % certificates["ca"]
    try:
        with tinyproxy("BasicAuth %s %s" % (LOGIN, SECRET),
                       "ConnectPort %d" % endpoint.port) as proxy, \
                running_dovecot(
                    driver(endpoint, proxy=proxy.url,
                           proxy_netrc_file=netrc("wrong")),
                    extra=extra) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            line, = dovecot.wait_log("Error: Endpoint", "keeping")
            assert "407" in line or "401" in line
            assert not endpoint.attempts

            netrc()
            dovecot.doveadm("http-notify", "flush")
            request, = endpoint.wait(1, timeout=60)
            assert request.pushed
            assert "Proxy-Authorization" not in request.headers
            dovecot.wait_log("is up again")
            assert_no_secrets(dovecot.log())
            assert "wrong" not in dovecot.log()
    finally:
        endpoint.stop()


@pytest.mark.parametrize("machine, said", [
    (None, "No such file or directory"),
    ("proxy.example", "has no login and password for machine 127.0.0.1"),
    ("127.0.0.1 password", "is not a netrc file"),
])
def test_file_of_no_use_is_named_and_nothing_is_sent(endpoint, netrc, machine,
                                                     said):
    path = netrc(machine=machine)
    if machine is None:
        path.unlink()
    with tinyproxy() as proxy, running_dovecot(
            driver(endpoint, proxy=proxy.url, proxy_netrc_file=path)
            ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        line, = dovecot.wait_log("Error: Endpoint", "keeping")
        assert "proxy_netrc_file=%s: %s" % (path, said) in line or (
            machine is None and said in line)
        assert_no_secrets(dovecot.log())
        assert not endpoint.attempts
        netrc()
        endpoint.wait(1, timeout=30)


def test_proxy_that_is_down_and_up(endpoint):
    with running_dovecot(driver(
            endpoint, proxy="http://127.0.0.1:%d" % free_port())) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.deliver("bob", message()) < 1.5
        dovecot.wait_log("Error: Endpoint %s is down" % endpoint.authority)
        assert dovecot.queued() == 1
        assert not endpoint.attempts


def test_each_endpoint_has_its_own(endpoint, other_endpoint):
    """And the environment's are not used, nor its exceptions."""
    with tinyproxy() as proxy, tinyproxy() as environments, running_dovecot(
            driver(endpoint, proxy=proxy.url), driver(other_endpoint),
            extra=config.environment(
                http_proxy=environments.url, no_proxy="127.0.0.1")
            ) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        for count in (1, 2):
            dovecot.deliver("bob", message())
            assert "Via" in endpoint.wait(count)[-1].headers
            assert "Via" not in other_endpoint.wait(count)[-1].headers
        assert "): PUT " in proxy.log()
        assert "): PUT " not in environments.log()
