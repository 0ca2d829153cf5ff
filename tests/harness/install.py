# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs what is under test for this process and its children only.

Where doveadm and doveconf look for their modules is compiled into them. So
Dovecot's directory gets a copy of itself mounted over it, with what is under
test in it, in a mount namespace of this process's own: nobody else sees it,
and it is gone with the last of the processes.
"""

import ctypes
import os
import shutil

DOVECOT = "/usr/lib/dovecot"
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (
            what, os.strerror(ctypes.get_errno())))


def mount(source, target, type_=None, flags=0, data=None):
    check(libc.mount(source, target.encode(), type_, ctypes.c_ulong(flags),
                     data), "mount " + target)


def install(stage):
    """stage: what "make install DESTDIR=stage" made. Before the first thread
    is started."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    original = os.open(DOVECOT, os.O_RDONLY | os.O_DIRECTORY)
    mount(b"tmpfs", DOVECOT, b"tmpfs", data=b"mode=755")
    for source in ("/proc/self/fd/%d" % original,
                   os.path.join(os.fspath(stage), DOVECOT[1:])):
        shutil.copytree(source, DOVECOT, symlinks=True, dirs_exist_ok=True)
    os.close(original)
