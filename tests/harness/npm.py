# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of npm's registry, and node."""

import json
import os
import pathlib
import subprocess

import pytest

# a machine may have CAs of its own
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
OPTIONS = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1",
           "--fetch-timeout=60000"]


def run(directory, *command, **options):
    environment = dict(os.environ)
    if CERTIFICATES.exists():
        environment["NODE_EXTRA_CA_CERTS"] = str(CERTIFICATES)
    return subprocess.run(command, cwd=directory, env=environment,
                          stdin=None if "input" in options
                          else subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", **options)


def install(directory, packages):
    """What node finds from this directory: versions by packages' names."""
    (directory / "package.json").write_text(json.dumps(
        {"private": True, "dependencies": packages}))
    found = run(directory, "npm", "ping", *OPTIONS)
    if found.returncode != 0:
        pytest.skip("npm cannot be reached: %s" % found.stderr.strip()[-300:])
    done = run(directory, "npm", "install", *OPTIONS)
    assert done.returncode == 0, done.stderr
