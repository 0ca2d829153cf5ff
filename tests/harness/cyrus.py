# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway Cyrus IMAP: a METADATA of another make.

Debian's cyrus-imapd and dovecot-imapd can't be installed side by side, and to
install it would remove the latter. So the packages are only downloaded and
unpacked into a temporary directory, together with what they need.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from harness import DOWNLOAD_ENVIRONMENT
from harness.dovecot import free_port, wait_for

PACKAGES = ["cyrus-imapd", "sasl2-bin", "libsasl2-modules",
            "libsasl2-modules-db"]
# not a user of its own: there is none without the package
USER = "nobody"

IMAPD_CONF = """
configdirectory: {dir}/lib
partition-default: {dir}/spool
defaultpartition: default
cyrus_user: {user}
admins: admin
allowplaintext: yes
unixhierarchysep: yes
autocreate_quota: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
sasl_sasldb_path: {dir}/sasldb2
servername: cyrus.test
syslog_prefix: test
proxyservers: admin
{extra}
"""

CYRUS_CONF = """
START {{
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {dir}/imapd.conf" listen="127.0.0.1:{port}" prefork=0
}}
EVENTS {{
}}
"""


def unpack(directory):
    """Returns None, or why it can't be had."""
    directory = pathlib.Path(directory)
    if shutil.which("apt-get") is None:
        return "no apt-get"
    # as if neither Cyrus nor what is in its way were installed
    installed = pathlib.Path("/var/lib/dpkg/status").read_text()
    (directory / "status").write_text("\n\n".join(
        package for package in installed.split("\n\n")
        if not re.match("Package: (cyrus|dovecot)-", package)))
    (directory / "partial").mkdir()
    done = subprocess.run(
        ["apt-get", "-y", "--download-only", "--no-install-recommends",
         "--reinstall", "-o", "APT::Sandbox::User=root",
         "-o", "Debug::NoLocking=1",
         "-o", "Dir::State::status=%s/status" % directory,
         "-o", "Dir::Cache::archives=%s" % directory, "install", *PACKAGES],
        env=dict(os.environ, **DOWNLOAD_ENVIRONMENT),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8")
    if done.returncode != 0:
        return "can't be downloaded: " + done.stdout[-300:]
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, directory / "root"],
                       check=True)
        package.unlink()
    return None


def library_directories(root):
    """Where the loader would look if root were /. Packages that are unpacked
    and not installed do not know that /lib may be a link to /usr/lib."""
    # its name is another one for each architecture
    loader = subprocess.run(
        ["ld.so", "--help"], stdout=subprocess.PIPE, encoding="utf-8",
        check=True).stdout
    return ["%s%s" % (root, path) for path in re.findall(
        r"^  (/\S+) \(system search path\)$", loader, re.MULTILINE)]


class Cyrus:
    def __init__(self, directory, root,
                 extra="annotation_allow_undefined: yes"):
        """root: where it was unpacked. By default Cyrus refuses entries
        that it does not know."""
        self.dir = pathlib.Path(directory)
        self.root = pathlib.Path(root)
        self.port = free_port()
        libraries = library_directories(self.root)
        self.env = dict(
            os.environ, LD_LIBRARY_PATH=":".join(libraries),
            SASL_PATH=":".join(path + "/sasl2" for path in libraries),
            CYRUS_USER=USER)
        self.process = None
        self.bin = self.root / "usr/lib/cyrus/bin"
        self.dir.chmod(0o755)
        self._lay_out(extra)

    def _lay_out(self, extra):
        values = {"dir": self.dir, "user": USER, "port": self.port,
                  "bin": self.bin, "extra": extra}
        (self.dir / "imapd.conf").write_text(IMAPD_CONF.format(**values))
        (self.dir / "cyrus.conf").write_text(CYRUS_CONF.format(**values))
        for name in ("lib", "lib/db", "lib/proc", "lib/socket", "lib/user",
                     "lib/quota", "lib/log", "lib/msg", "lib/sieve",
                     "lib/lock", "lib/ptclient", "spool", "spool/stage."):
            path = self.dir / name
            path.mkdir(mode=0o700)
            shutil.chown(path, USER)

    def add_user(self, name, password):
        subprocess.run(
            [self.root / "usr/sbin/saslpasswd2", "-f", self.dir / "sasldb2",
             "-p", "-c", "-u", "cyrus.test", name],
            input=password.encode(), env=self.env, check=True)
        shutil.chown(self.dir / "sasldb2", USER)

    def start(self):
        for program in ("master", "imapd"):
            self._assert_loads(self.bin / program)
        self.process = subprocess.Popen(
            [self.bin / "master",
             "-C", self.dir / "imapd.conf", "-M", self.dir / "cyrus.conf",
             "-p", self.dir / "pid", "-D"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=self.env, start_new_session=True)

        def answers():
            try:
                with socket.create_connection(("127.0.0.1", self.port),
                                              5) as sock:
                    return sock.recv(100).startswith(b"* OK")
            except OSError:
                return False
        wait_for(lambda: answers() or self.process.poll() is not None,
                 what="Cyrus's start")
        assert self.process.poll() is None, "Cyrus ends with status %d" % (
            self.process.returncode)

    def _assert_loads(self, program):
        """An executable that lacks a library says so on standard error, which
        is not read."""
        lines = subprocess.run(
            ["ldd", program], stdout=subprocess.PIPE, env=self.env,
            encoding="utf-8").stdout.splitlines()
        missing = [line.strip() for line in lines if "not found" in line]
        assert not missing, "%s: %s" % (program, missing)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            # its processes are those of its own session
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None
