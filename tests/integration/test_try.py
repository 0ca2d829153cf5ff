# SPDX-License-Identifier: LGPL-2.1-or-later
"""try.sh, as somebody uses it who does not know the software yet."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from conftest import STAGE
from harness.dovecot import TOP, free_port, wait_for

TRY_SH = TOP / "tests/try.sh"
EXAMPLE = "/preliminary/http-notify/v1/notify 3@1\n"
# a program in place of one that a build runs
FOREVER = "#!/bin/sh\necho $$ >%s\nexec sleep 1000\n"
MAKES_CONFIGURE = ("#!/bin/sh\nprintf '#!/bin/sh\\n' >configure\n"
                   "chmod +x configure\n")


@pytest.fixture
def temporary(tmp_path_factory):
    """Where it can put its files, which are all gone at the end."""
    # mail users have to get at it
    directory = pathlib.Path("/tmp/hn-try-%d" % os.getpid())
    directory.mkdir(mode=0o755)
    yield directory
    assert list(directory.iterdir()) == []
    directory.rmdir()


def run(*command, temporary, env=None, **kwargs):
    return subprocess.Popen(
        command, env=dict(os.environ, TMPDIR=str(temporary), **(env or {})),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", **kwargs)


def ended(process):
    """Returns what it said."""
    said, _ = process.communicate(timeout=120)
    assert "Traceback" not in said
    return said


def try_py(temporary, url, registration="3@1"):
    """What try.sh does once all is built: the status and what it says."""
    process = run(sys.executable, str(TOP / "tests/try.py"), STAGE, url,
                  registration, temporary=temporary)
    said = ended(process)
    assert ("accepted it\n" in said) == (process.returncode == 0), said
    return process.returncode, said


def test_accepted(temporary, endpoint):
    status, _ = try_py(temporary, endpoint.url)
    assert status == 0
    assert [request.body["user"] for request in endpoint.delivered] == ["3@1"]


def test_attempts_that_fail_are_shown_as_they_are_answered(
        temporary, endpoint):
    endpoint.status = 503
    status, said = try_py(temporary, endpoint.url)
    assert status == 1
    # it looks now and then
    assert re.search(r"\* Attempt \d+ failed: 503", said)
    assert "FAILED: the endpoint has not accepted it in" in said


def test_accepted_at_the_second_attempt(temporary, endpoint):
    endpoint.status = lambda _: 503 if len(endpoint.attempts) == 1 else 200
    status, said = try_py(temporary, endpoint.url)
    assert status == 0
    assert "accepted it" in said
    assert len(endpoint.attempts) == 2


def test_refused_credentials(temporary, endpoint):
    status, said = try_py(temporary, endpoint.url_with("login", "s3cret"))
    assert status == 1
    assert "FAILED: the endpoint has not accepted it in 1 attempt: 401" in said
    assert "s3cret" not in said


def test_no_endpoint(temporary):
    status, said = try_py(temporary, "http://127.0.0.1:%d/x" % free_port())
    assert status == 1
    assert "efused" in said


def test_no_answer(temporary, endpoint):
    endpoint.hang = True
    status, said = try_py(temporary, endpoint.url)
    assert status == 1
    assert "FAILED: the endpoint has not a" in said


@pytest.mark.parametrize("url", [
    "127.0.0.1:9/x", "http://login:s3cr@t@127.0.0.1:9/x",
    "http://login:s3cr/t@127.0.0.1:9/x", "http://127.0.0.1:port/", "3@1",
])
def test_url_that_dovecot_does_not_take(temporary, url):
    """try.sh has not found it wrong."""
    status, said = try_py(temporary, url)
    assert status == 1
    assert "FAILED: " in said
    assert "s3cr" not in said


@pytest.mark.parametrize("arguments, words", [
    (["http://host/"], "There are two arguments, or none."),
    (["http://host/", "3@1", "more"], "There are two arguments, or none."),
    (["3@1", "http://host/"], "The URL comes first."),
    (["127.0.0.1:9/x", "3@1"], "must begin with http:// or https://"),
    (["ftp://host/", "3@1"], "must begin with http:// or https://"),
    (["http://", "3@1"], "must begin with http:// or https://"),
    (["http:///path", "3@1"], "names no host"),
    (["http://login:pass@/path", "3@1"], "names no host"),
    (["http://login:p@ss@host/", "3@1"], "write %40"),
    (["http://login:p/ss@host/", "3@1"], "write %2F"),
    (["http://login:p ss@host/", "3@1"], "no blanks"),
    (["http://host/", "user=3@1"], 'Leave out "user="'),
    (["http://host/", ""], "Not a USER@CONTEXT"),
    (["http://host/", '3"@1'], "Not a USER@CONTEXT"),
    (["http://host/", "3@1\n"], "Not a USER@CONTEXT"),
])
def test_wrong_arguments_get_an_example(temporary, arguments, words):
    process = run("sh", str(TRY_SH), *arguments, temporary=temporary)
    said = ended(process)
    assert process.returncode == 2
    assert words in said.splitlines()[0]
    assert said.endswith(EXAMPLE)


@pytest.mark.parametrize("signum", [
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_an_endpoint_hangs(temporary, endpoint, signum):
    endpoint.hang = True
    process = run(sys.executable, str(TOP / "tests/try.py"), STAGE,
                  endpoint.url, "3@1", temporary=temporary)
    endpoint.wait_attempts(1)
    directory, = temporary.iterdir()
    process.send_signal(signum)
    ended(process)
    assert process.returncode == 128 + signum
    assert not directory.exists()


def try_with(temporary, tmp_path, programs, *arguments):
    """try.sh with programs before those of the system, in a session."""
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return run("sh", str(TRY_SH), *arguments, temporary=temporary,
               env={"PATH": "%s:%s" % (tmp_path, os.environ["PATH"])},
               start_new_session=True)


@pytest.mark.parametrize("signum, status", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("program", ["libtoolize", "autoreconf", "make"])
def test_interrupted_while_it_builds(temporary, tmp_path, program, signum,
                                     status):
    """As by Ctrl-C, which all processes of the terminal get. The fixture sees
    that nothing is left, so that the next one begins anew."""
    if (TOP / "configure").exists() and program != "make":
        pytest.skip("the tree has a configure")
    pid = tmp_path / "pid"
    programs = {"autoreconf": MAKES_CONFIGURE, program: FOREVER % pid}
    process = try_with(temporary, tmp_path, programs)
    wait_for(lambda: pid.exists() and pid.read_text(), 60, program)
    os.killpg(process.pid, signum)
    said = ended(process)
    assert process.returncode == status
    assert "failed" not in said
    # who was killed may still be there for its last status
    is_there = pathlib.Path("/proc", pid.read_text().strip()).exists
    wait_for(lambda: not is_there(), what="the end of " + program)


@pytest.mark.parametrize("registration", [
    "bob", "03@1", "0@1", "3@1@x", "3@2147483648", "99999999999@1", "@1"])
def test_user_that_ox_drops_is_named(temporary, tmp_path, registration):
    process = try_with(
        temporary, tmp_path,
        {"autoreconf": MAKES_CONFIGURE, "make": "#!/bin/sh\nexit 1\n"},
        "http://host/", registration)
    said = ended(process)
    assert 'notification for "%s" with success and drops it' % (
        registration) in said
    assert process.returncode == 1
    # a tree that has a real configure gets no further than that
    assert re.search("(make|configure) failed\n$", said)
