# SPDX-License-Identifier: LGPL-2.1-or-later
"""The deployments in conf.d/examples: the files as they are, but for the names
and addresses that an admin replaces in them, too."""

import re
import subprocess

from harness.config import PATIENT, VERSION
from harness.dovecot import TOP
from harness.endpoint import Endpoint

EXAMPLES = TOP / "conf.d/examples"
# what a file for the Dovecot that is installed has in its name
LINE = "%d.%d" % VERSION[:2]


def endpoint():
    """With the credentials that are in the examples."""
    return Endpoint(credentials=("login", "secret"))


def example(directory, source, replacements, mode=0o600):
    """Writes conf.d/examples/<source> into a directory with replacements, each
    of which there has to be. Returns the new file."""
    source = EXAMPLES / source
    text = source.read_text()
    for name, value in replacements.items():
        assert name in text, (source, name)
        text = text.replace(name, str(value))
    # a test that is done in another place than it means
    left = re.search(
        r"^(?!\s*(#|--)).*(\.example\.com|192\.0\.2\.|/etc/dovecot)", text,
        re.M)
    assert left is None, (source, left)
    target = directory / source.name
    target.write_text(text)
    target.chmod(mode)
    return target


def deploy(dovecot, source, replacements, mode=0o600, **configuration):
    """Starts a Dovecot that is not started yet with an example, of which
    configure() has the rest."""
    file = example(dovecot.dir, source, replacements, mode)
    dovecot.configure(PATIENT, dictionary="", imap_metadata="",
                      extra="!include %s" % file, **configuration)
    doveconf = subprocess.run(
        ["doveconf", "-n", "-c", str(dovecot.main)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert (doveconf.returncode, doveconf.stderr) == (0, "")
    dovecot.start()
