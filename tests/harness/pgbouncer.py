# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PgBouncer in a temporary directory, before a shared queue's database."""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile

from harness.dovecot import wait_for
from harness.haproxy import listens
from harness.postgresql import USER
from harness.shared_queue import NAME, PASSWORD, ROLE

CONFIG = """
[databases]
{name} = host={server.address} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users
pool_mode = {mode}
"""


@contextlib.contextmanager
def pgbouncer(database, port, mode):
    """It listens at this port. mode: its pool_mode."""
    with tempfile.TemporaryDirectory(prefix="hn-pgbouncer-") as directory:
        config = pathlib.Path(directory, "pgbouncer.ini")
        config.write_text(CONFIG.format(
            name=NAME, server=database.server, port=port, directory=directory,
            mode=mode))
        users = pathlib.Path(directory, "users")
        users.write_text('"%s" "%s"\n' % (ROLE, PASSWORD))
        for path in (directory, config, users):
            shutil.chown(path, USER, USER)
        with open(config.parent / "said", "w+") as said:
            process = subprocess.Popen(
                ["pgbouncer", config], cwd=directory, user=USER, group=USER,
                extra_groups=[], stdin=subprocess.DEVNULL, stdout=said,
                stderr=said)
            try:
                wait_for(lambda: listens(port) or process.poll() is not None,
                         what="pgbouncer")
                said.seek(0)
                assert process.poll() is None, said.read()
                yield
            finally:
                # versions differ in which signal makes it wait for clients
                process.kill()
                process.wait()
