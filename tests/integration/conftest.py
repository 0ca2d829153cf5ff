# SPDX-License-Identifier: LGPL-2.1-or-later
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.calendar_endpoint import CalendarEndpoint  # noqa: E402
from harness.config import PATIENT, VERSION, Driver  # noqa: E402
from harness.dovecot import FINDINGS, MAILDIR, Dovecot  # noqa: E402
from harness.endpoint import Endpoint  # noqa: E402
from harness.install import install  # noqa: E402

STAGE = os.environ.get("HTTP_NOTIFY_STAGE")
# Sanitizers take memory of their own.
SANITIZED = FINDINGS is not None
if not STAGE:
    pytest.exit("HTTP_NOTIFY_STAGE is not set: run tests/run.sh", 2)
# the build directory, in which the stage is unless run.sh says otherwise
BUILD = pathlib.Path(os.environ.get("HTTP_NOTIFY_BUILD") or
                     pathlib.Path(STAGE).parent)
install(STAGE)
# about the words that a line of Dovecot's does not have
collect_ignore = ["test_settings.py" if VERSION < (2, 4) else
                  "test_driver_lines.py"]
# so that at the end no worker is left alone with one
TAKE_LONGEST = ["test_crash.py", "test_clock.py", "test_try.py",
                "test_answers.py", "test_doveadm_check.py", "test_standby.py",
                "test_service.py", "test_metrics.py", "test_upgrade.py",
                "test_connections.py", "test_report.py",
                "test_shared_queue_campaign.py", "test_shared_queue_faults.py",
                "test_shared_queue_time.py", "test_shared_queue_standby.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in TAKE_LONGEST)


@contextlib.contextmanager
def running_dovecot(*lines, start=True, parent=None, mail=MAILDIR,
                    builtin=False, hostname=None, **kwargs):
    """As Dovecot's and configure()'s arguments say."""
    # not pytest's own directories: their path is too long for UNIX sockets,
    # and mail users can't get at them
    with tempfile.TemporaryDirectory(prefix="hn-",
                                     dir=parent) as directory:
        dovecot = Dovecot(directory, STAGE, mail=mail, builtin=builtin,
                          hostname=hostname)
        dovecot.configure(*lines, **kwargs)
        try:
            try:
                if start:
                    dovecot.start()
                yield dovecot
            finally:
                dovecot.stop()
        except BaseException:
            # with what its end says, such as a crash
            print(dovecot.log())
            raise
        finally:
            dovecot.assert_no_findings()


def driver(endpoint, **options):
    """A Driver for an endpoint, or for a URL."""
    return Driver(getattr(endpoint, "url", endpoint), **options)


@pytest.fixture(scope="module")
def shared_endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="module")
def shared_dovecot(shared_endpoint):
    """One Dovecot for a module, with one endpoint; bob is registered."""
    with running_dovecot(driver(shared_endpoint), PATIENT) as dovecot:
        dovecot.setmetadata("bob", "user=3@1")
        yield dovecot
        assert not [line for line in dovecot.log_lines("Panic:")]


@pytest.fixture
def endpoint(shared_endpoint):
    shared_endpoint.clear()
    return shared_endpoint


# OX's other endpoint
@pytest.fixture(scope="module")
def shared_calendar():
    calendar = CalendarEndpoint()
    yield calendar
    calendar.stop()


@pytest.fixture
def calendar(shared_calendar):
    shared_calendar.clear()
    return shared_calendar


@pytest.fixture
def dovecot(shared_dovecot, endpoint):
    shared_dovecot.clear_log()
    return shared_dovecot


@pytest.fixture
def other_endpoint():
    """One more, for one test."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def script():
    """Where to put one for Dovecot's driver "lua"."""
    with tempfile.TemporaryDirectory(prefix="hn-lua-") as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory, "push.lua")


@pytest.fixture(scope="session")
def certificates():
    """good (by ca), expired (by ca) and foreign (by another CA), each a pair
    of files, for localhost; and other_name (by ca)."""
    # where the service's user can read it
    with tempfile.TemporaryDirectory(prefix="hn-tls-") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        yield make_certificates(directory)


def make_certificates(directory):

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def ca(name):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", "/CN=" + name, "-keyout", name + ".key",
                "-out", name + ".pem")

    def certificate(name, issuer, dates, host="localhost"):
        (directory / "ext").write_text("subjectAltName=DNS:%s\n" % host)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj",
                "/CN=" + host, "-keyout", name + ".key",
                "-out", name + ".csr")
        (directory / "index").write_text("")
        (directory / "serial").write_text("01")
        (directory / "ca.cnf").write_text(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\n"
            "new_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
            "unique_subject=no\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", issuer + ".pem",
                "-keyfile", issuer + ".key", "-in", name + ".csr",
                "-out", name + ".pem", "-extfile", "ext", *dates)
        return (str(directory / (name + ".pem")),
                str(directory / (name + ".key")))

    ca("ca")
    ca("stranger")
    return {
        "ca": str(directory / "ca.pem"),
        "good": certificate("good", "ca", ("-days", "2")),
        "expired": certificate("expired", "ca", (
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")),
        "foreign": certificate("foreign", "stranger", ("-days", "2")),
        "other_name": certificate("other_name", "ca", ("-days", "2"),
                                  "elsewhere.example.org"),
    }
