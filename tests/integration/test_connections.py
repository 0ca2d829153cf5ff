# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which connection a request takes: none that is dead, none to where the
endpoint no longer is, none by a proxy."""

import contextlib
import time

import pytest

from conftest import driver, running_dovecot
from harness.config import PATIENT, config
from harness.dovecot import free_port, message, wait_for
from harness.endpoint import PATH, Endpoint
from harness.faults import Deaf, faketime, network_namespace
from harness.nginx import nginx

# In front of an endpoint, which gets to know the client's port.
FRONT = """
  server {
    listen 127.0.0.1:%(port)d %(listen)s;
    %(certificate)s
    location / {
      proxy_pass http://127.0.0.1:%(behind)d;
      proxy_set_header Authorization $http_authorization;
      proxy_set_header Connection-From $remote_port;
      proxy_set_header Protocol $server_protocol;
    }
    location /silent {
      proxy_pass http://127.0.0.1:%(silent)d;
    }
  }
"""
PROTOCOLS = {
    "HTTP/1.1": "",
    "HTTP/1.1 over TLS": "ssl",
    "HTTP/2 over TLS": "ssl http2",
}
USERS = ["user%d" % n for n in range(5)]


@contextlib.contextmanager
def fronted_endpoint(certificates, protocol, *lines):
    """An endpoint behind nginx in a network namespace, and Dovecot, with
    drivers made of lines of options. Yields all four."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(network_namespace())
        endpoint = Endpoint(namespace=network)
        stack.callback(endpoint.stop)
        with network:
            silent = Deaf(free_port())
        stack.callback(silent.close)
        port, listen = free_port(), PROTOCOLS[protocol]
        stack.enter_context(nginx(FRONT % {
            "port": port, "listen": listen, "behind": endpoint.port,
            "silent": silent.port,
            "certificate": "ssl_certificate %s; ssl_certificate_key %s;" %
            certificates["good"] if listen else "",
        }, prefix=network.prefix))
        url = endpoint.url.replace(":%d/" % endpoint.port, ":%d/" % port)
        if listen:
            url = url.replace("http:", "https:").replace(
                "127.0.0.1", "localhost")
        dovecot = stack.enter_context(running_dovecot(
            *(driver(url.replace(PATH, options.pop("path", PATH)), **options)
              for options in lines or [{}]),
            extra="ssl_client_ca_file = %s" % certificates["ca"],
            start=False))
        dovecot.wrap_service(network.prefix)
        dovecot.start()
        for user in USERS:
            dovecot.setmetadata(user, "user=3@1")
        yield network, endpoint, dovecot


def ports(requests):
    return {int(r.headers["Connection-From"]) for r in requests}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dead_connections_are_left_for_new_ones(certificates, protocol):
    """A firewall has forgotten all that there are, and lets new ones pass."""
    with fronted_endpoint(certificates, protocol) as (
            network, endpoint, dovecot):
        endpoint.delay = 0.3  # so that users get connections of their own
        # more at a time only once some have been taken
        for count in (1, 2, 3):
            dovecot.deliver(USERS, message())
            requests = endpoint.wait(count * len(USERS))
            dovecot.wait_queue_empty()
        dead = ports(requests)
        assert (len(dead) == 1) == (protocol == "HTTP/2 over TLS")
        endpoint.clear()
        with network.silence(dead):
            began = time.monotonic()
            dovecot.deliver(USERS[:1], message())
            endpoint.wait(1)
            first = time.monotonic() - began
            dovecot.wait_queue_empty()
            print("%s: %.1f s" % (protocol, first))
            # the time limit, a probe's wait, the endpoint's delay, the load
            assert first < 20
            assert not ports(endpoint.attempts) & dead
            # nor later
            for _ in range(3):
                dovecot.deliver(USERS, message())
                dovecot.wait_queue_empty()
            dovecot.wait_log("is up again")
            assert len(dovecot.wait_log("is down")) == 1


def test_a_dead_connection_that_several_endpoints_share(certificates):
    """Some attempt of theirs is always waiting on it."""
    with fronted_endpoint(
            certificates, "HTTP/2 over TLS",
            *({"timeout_msecs": 2000 + n} for n in range(8))) as (
                network, endpoint, dovecot):
        dovecot.deliver(USERS[:1], message())
        dead = ports(endpoint.wait(8))
        dovecot.wait_queue_empty()
        assert len(dead) == 1
        endpoint.clear()
        with network.silence(dead):
            for _ in range(8):
                dovecot.deliver(USERS, message())
                time.sleep(0.1)
            endpoint.wait(8 * 8 * len(USERS))
            assert not ports(endpoint.attempts) & dead


def test_a_connection_that_answers_others_is_kept(certificates):
    """Another endpoint's attempts on it take too long."""
    with fronted_endpoint(certificates, "HTTP/2 over TLS",
                          {"timeout_msecs": 20000},
                          {"path": "/silent", "timeout_msecs": 2000}) as (
                              network, endpoint, dovecot):
        endpoint.delay = 1

        deliveries = []

        def deliver():
            # before the ones before are answered: some is under way
            deliveries.append(dovecot.deliver(USERS, message()))
            return dovecot.log_lines("is down")

        wait_for(deliver, what="attempts that take too long")
        for _ in range(20):
            deliver()
        endpoint.delay = 0
        requests = endpoint.wait(len(deliveries) * len(USERS))
        assert len(ports(requests)) == 1
        assert len(endpoint.attempts) == len({r.key for r in requests})


@contextlib.contextmanager
def named_endpoint(port, addresses, options, prefix="", **environment):
    """Dovecot with an endpoint at endpoint.example, which has these addresses.
    Yields it with the file that says so."""
    with running_dovecot(
            driver("http://login:pass@endpoint.example:%d%s" % (port, PATH),
                   **options),
            start=False) as dovecot:
        hosts = dovecot.dir / "hosts"
        set_addresses(hosts, addresses)
        dovecot.wrap_service(prefix, hosts=hosts, **environment)
        dovecot.start()
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot, hosts


def set_addresses(hosts, addresses):
    hosts.write_text("".join(
        "%s endpoint.example\n" % address for address in addresses))


def test_an_endpoint_whose_name_moves_is_followed():
    """Seen in time lapse, with a clock of the service's that goes faster."""
    speed = 20
    with contextlib.ExitStack() as stack:
        old = Endpoint(credentials=("login", "pass"))
        stack.callback(old.stop)
        new = Endpoint(port=old.port, address="127.0.0.2",
                       credentials=("login", "pass"))
        stack.callback(new.stop)
        environment = stack.enter_context(faketime())
        dovecot, hosts = stack.enter_context(named_endpoint(
            old.port, [old.address], {"timeout_msecs": 60000},
            FAKETIME="+0 x%d" % speed, **environment))
        dovecot.deliver("bob", message())
        old.wait(1)
        dovecot.wait_queue_empty()

        # always in use
        set_addresses(hosts, [new.address])
        began = time.monotonic()
        while not new.delivered:
            assert (time.monotonic() - began) * speed < 600
            dovecot.deliver("bob", message())
            dovecot.wait_queue_empty()
            time.sleep(0.05)
        print("%.0f s" % ((time.monotonic() - began) * speed))

        # in trouble
        new.status = 503
        set_addresses(hosts, [old.address])
        old.clear()
        began = time.monotonic()
        for _ in range(6):
            dovecot.deliver("bob", message())
        old.wait(1)
        print("%.0f s" % ((time.monotonic() - began) * speed))


def test_an_address_that_is_a_black_hole():
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(network_namespace())
        endpoint = Endpoint(namespace=network, credentials=("login", "pass"))
        stack.callback(endpoint.stop)
        network.iptables("-A", "INPUT", "-p", "tcp", "-d", "127.0.1.0/24",
                         "-j", "DROP")
        for _ in range(4):
            # by another order each time
            with named_endpoint(
                    endpoint.port, ["127.0.1.1", "127.0.0.1"],
                    {"timeout_msecs": 2000},
                    prefix=network.prefix) as (dovecot, _):
                dovecot.deliver("bob", message())
                endpoint.wait(1)
                dovecot.wait_queue_empty()
                assert not dovecot.log_lines("Error:")
            endpoint.clear()


def test_no_proxy_is_taken_from_the_environment(certificates):
    """Admins import these for other programs of theirs."""
    proxy = "http://127.0.0.1:%d" % free_port()
    with contextlib.ExitStack() as stack:
        plain, tls = Endpoint(), Endpoint(tls=certificates["good"])
        stack.callback(plain.stop)
        stack.callback(tls.stop)
        dovecot = stack.enter_context(running_dovecot(
            driver(plain), driver(tls), PATIENT,
            extra="ssl_client_ca_file = %s\n" % certificates["ca"] +
            config.environment(**dict.fromkeys([
                "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                "ALL_PROXY"], proxy))))
        dovecot.setmetadata("bob", "user=3@1")
        dovecot.deliver("bob", message())
        plain.wait(1)
        tls.wait(1)
        assert not dovecot.log_lines("Error:")
