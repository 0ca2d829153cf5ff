# SPDX-License-Identifier: LGPL-2.1-or-later
"""Endpoints behind an HTTP proxy, a real one."""

import base64
import contextlib
import itertools
import os
import pathlib
import pwd
import socket
import tempfile

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.doveadm import failed_check
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
            driver(endpoint, proxy=proxy.url), PATIENT) as dovecot:
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
                    driver(endpoint, proxy=proxy.url), PATIENT,
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
            request, = endpoint.wait(1)
            assert request.pushed
            assert "Proxy-Authorization" not in request.headers
            dovecot.wait_log("is up again")

            # what was opened with the former ones is of no use
            netrc("wrong")
            dovecot.deliver("bob", message())
            dovecot.wait_log("Error: Endpoint", "keeping", count=2)
            assert len(endpoint.attempts) == 1
            assert_no_secrets(dovecot.log())
            assert "wrong" not in dovecot.log()
    finally:
        endpoint.stop()


def test_credentials_are_as_in_the_file(endpoint, netrc):
    """Nothing in them is percent-encoded."""
    endpoint.status = 200
    with running_dovecot(
            driver(endpoint, proxy="http://" + endpoint.authority,
                   proxy_netrc_file=netrc("100%25:p%41ss"))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        request, = endpoint.wait(1)
        assert base64.b64decode(
            request.headers["Proxy-Authorization"].split()[1]
            ) == b"proxyuser:100%25:p%41ss"


@pytest.mark.parametrize("tunnel", [False, True], ids=["http", "https"])
def test_check_says_that_it_was_the_proxy(certificates, tunnel):
    endpoint = Endpoint(tls=certificates["good"] if tunnel else None)
    try:
        with tinyproxy("BasicAuth %s %s" % (LOGIN, SECRET)) as proxy, \
                running_dovecot(driver(endpoint, proxy=proxy.url)) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            said, = (text for link, text in failed_check(dovecot).items()
                     if link.endswith(":%d" % endpoint.port))
            assert said.startswith("credentials refused by the proxy: ")
            assert config.option("proxy_netrc_file") in said
    finally:
        endpoint.stop()


def test_check_takes_no_port_for_an_answer(endpoint):
    with socket.socket() as down:
        # bound, but not listening
        for port in itertools.count(40100):
            with contextlib.suppress(OSError):
                down.bind(("127.0.0.1", port))
                break
        assert port < 40200
        with running_dovecot(driver(
                endpoint, proxy="http://127.0.0.1:%d" % port)) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            said, = (text for link, text in failed_check(dovecot).items()
                     if link.endswith(":%d" % endpoint.port))
            assert "401" in said
            assert "credentials" not in said


@pytest.mark.parametrize("machine, said", [
    (None, "No such file or directory"),
    ("proxy.example", "has no login and password for machine 127.0.0.1"),
    ("127.0.0.1 password", "can't be understood as a netrc file"),
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
        endpoint.wait(1)


def test_an_address_is_named_without_brackets(endpoint, netrc):
    """As in the endpoint's own file."""
    with running_dovecot(driver(
            endpoint, proxy="http://[::1]:%d" % free_port(),
            proxy_netrc_file=netrc(machine="::1"))) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        dovecot.wait_log("Error: Endpoint", "is down", "connect")
        assert "has no login" not in dovecot.log()


def test_proxy_that_is_down_and_up(endpoint):
    with running_dovecot(driver(
            endpoint, proxy="http://127.0.0.1:%d" % free_port())) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        assert dovecot.deliver("bob", message()) < 10
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


def test_one_that_hangs_holds_up_nobody_else_of_the_host(certificates):
    endpoint = Endpoint(tls=certificates["good"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as hangs, \
                tinyproxy("ConnectPort %d" % endpoint.port) as proxy, \
                running_dovecot(
                    driver(endpoint, timeout_msecs=600000, proxy="http://%s:%d"
                           % hangs.getsockname()),
                    driver(endpoint), driver(endpoint, proxy=proxy.url),
                    extra="ssl_client_ca_file = %s\n" % certificates["ca"]
                ) as dovecot:
            dovecot.setmetadata("bob", "user=3@1")
            dovecot.deliver("bob", message())
            endpoint.wait(2)
            assert not dovecot.log_lines("Error:")
    finally:
        endpoint.stop()
