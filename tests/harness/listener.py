# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the http-notify-listener under test."""

import os
import pathlib
import subprocess


def executable():
    stage = pathlib.Path(os.environ["HTTP_NOTIFY_STAGE"])
    for prefix in ("usr/local", "usr"):
        path = stage / prefix / "bin/http-notify-listener"
        if path.exists():
            return path
    raise AssertionError("http-notify-listener is not in %s" % stage)


def environment(password="secret"):
    env = dict(os.environ, LC_ALL="C.UTF-8")
    env.pop("HTTP_NOTIFY_PASSWORD", None)
    if password is not None:
        env["HTTP_NOTIFY_PASSWORD"] = password
    return env


def listener(*args, password="secret", env=None, **kwargs):
    """Returns the completed process, with what it printed as text. For a run
    under valgrind or the like, HTTP_NOTIFY_WRAPPER is put before it."""
    wrapper = os.environ.get("HTTP_NOTIFY_WRAPPER", "").split()
    kwargs.setdefault("timeout", 120)
    if "input" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    done = subprocess.run(
        [*wrapper, executable(), *map(str, args)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8",
        env=dict(environment(password), **(env or {})), **kwargs)
    # whatever happens
    for secret in (password or "secret", "s3cret"):
        assert len(secret) < 5 or secret not in done.stdout + done.stderr
    assert done.returncode in (0, 1, 2), done
    return done


def register_users(count):
    """A file for sync."""
    return "login,user,context\n" + "".join(
        "user%d@example.org,%d,1\n" % (i, i) for i in range(1, count + 1))
