# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of npm's registry. They are fetched without Debian's npm, which is
360 packages more than node, and are what they were when this was written."""

import base64
import hashlib
import io
import shutil
import tarfile
import time
import urllib.request

import pytest

REGISTRY = "https://registry.npmjs.org"
# SHA-512 in base64, as in npm's own package-lock.json
PACKAGES = {
    "standardwebhooks-1.1.1":
        "bCbX9ZEyFkWPsRz7Bl3NuQUJohmwGSev/yhr7vhaGPlc4AfIrspIRa6cPTBuI1ItmrTD"
        "J4d/S2hCsfe4+vQGnQ==",
    "@stablelib/base64-1.0.1":
        "1bnPQqSxSuc3Ii6MhBysoWCg58j97aUjuCSZrGSmDxNqtytIi0k8utUenAwTZN4V5mXX"
        "YGsVUI9zeBqy+jBOSQ==",
    "fast-sha256-1.3.0":
        "n11RGP/lrWEFI/bWdygLxhI+pVeo1ZYIVwvvPkW7azl/rOy+F3HYRZ2K5zeE9mmkhQpp"
        "yv9sQFx0JM9UabnpPQ==",
}


def fetch(name, version):
    url = "%s/%s/-/%s-%s.tgz" % (REGISTRY, name, name.split("/")[-1], version)
    for pause in (1, 5, None):
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read()
        except OSError as error:
            if pause is None:
                pytest.skip("%s can't be fetched: %s" % (url, error))
            time.sleep(pause)


def install(directory):
    """All of them, so that node finds them from there."""
    if shutil.which("node") is None:
        pytest.skip("needs nodejs")
    for package, digest in PACKAGES.items():
        name, version = package.rsplit("-", 1)
        data = fetch(name, version)
        assert base64.b64encode(
            hashlib.sha512(data).digest()).decode() == digest, package
        target = directory / "node_modules" / name
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive.getmembers():
                # each is in "package/"
                path = target / member.name.split("/", 1)[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
