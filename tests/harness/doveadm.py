# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify, as tests of its commands call it."""

import base64
import json
import urllib.parse

from harness.config import config
from harness.endpoint import LOGIN, PASSWORD

SECRETS = [PASSWORD, urllib.parse.quote(PASSWORD, safe=""),
           base64.b64encode(("%s:%s" % (LOGIN, PASSWORD)).encode()).decode()]
EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOTFOUND, EX_TEMPFAIL = 64, 65, 67, 68, 75


def doveadm(dovecot, *args, status=0, options=()):
    """doveadm http-notify ..., none of whose output has a secret in it."""
    output = dovecot.doveadm(*options, "http-notify", *args, status=status)
    for secret in SECRETS:
        assert secret not in output
    return output


def rows(dovecot, *args, status=0):
    """... as JSON, and nothing else."""
    return json.loads(doveadm(dovecot, *args, status=status,
                              options=("-f", "json")))


def check(dovecot, *args, user="bob", status=0):
    """What check says is wrong: its rows' details by their links, "" = ok."""
    output = doveadm(dovecot, "check", "-u", user, *args, status=status,
                     options=("-f", "json"))
    # errors that Dovecot logs come after it
    found, _ = json.JSONDecoder().raw_decode(output)
    for row in found:
        assert row["username"] == user
        assert row["result"] == "ok" or row["detail"], row
    return {row["link"]: row["detail"] if row["result"] == "fail" else ""
            for row in found}


def failed_check(dovecot, *args, user="bob"):
    """Only what fails."""
    details = check(dovecot, *args, user=user, status=EX_DATAERR)
    return {link: detail for link, detail in details.items() if detail}


def users(dovecot, *names):
    """A userdb that can be iterated, for configure()."""
    path = dovecot.dir / "users"
    path.write_text("".join("%s:::::%s/home/%s\n" % (
        name, dovecot.dir, name) for name in names))
    path.chmod(0o644)
    return config.users_of(path)
