# SPDX-License-Identifier: LGPL-2.1-or-later
"""An nginx in a temporary directory."""

import contextlib
import pathlib
import subprocess
import tempfile

from harness.dovecot import wait_for

CONFIG = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
{main}
events {{
  worker_connections 4096;
}}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  default_type application/json;
  {http}
}}
"""


@contextlib.contextmanager
def nginx(http, main="", prefix=""):
    """Runs with these lines in http { } and in the main context, in which
    {dir} is a directory of its own, by another command if there is one before
    it. Yields that directory."""
    with tempfile.TemporaryDirectory(prefix="hn-nginx-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)  # its worker is somebody else
        (directory / "nginx.conf").write_text(CONFIG.format(
            dir=name, main=main, http=http.replace("{dir}", name)))
        process = subprocess.Popen(
            [*prefix.split(), "nginx", "-c", name + "/nginx.conf", "-p",
             "/usr/share/nginx"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for((directory / "nginx.pid").exists, what="nginx")
            yield directory
        finally:
            process.terminate()
            process.wait()
