# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests run on.

A test comes out alike whoever starts it: from a terminal or in the background,
by nohup, by CI, behind a proxy, with any umask and any environment. So this
process and those that it starts get rid of what they have inherited, by the
first import of the harness.
"""

import os
import re
import signal
import threading

PROXIES = re.compile("(http|https|ftp|all|no)_proxy", re.IGNORECASE)
KEPT = re.compile("HOME|TMPDIR|PYTHONDONTWRITEBYTECODE|(HTTP_NOTIFY|PYTEST)_.*")

# for what is downloaded, and for nothing else
DOWNLOAD_ENVIRONMENT = {name: value for name, value in os.environ.items()
                        if PROXIES.fullmatch(name)}


def forget_environment():
    for name in list(os.environ):
        if not KEPT.fullmatch(name):
            del os.environ[name]
    os.environ.update(
        LC_ALL="C.UTF-8",
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    os.environ.setdefault("HOME", "/root")
    os.umask(0o022)


def forget_signals():
    """A signal that is ignored or blocked stays so in every program that is
    executed; one with a handler does not. Who started this process may have
    had a reason to have it ignore one, so that it goes on doing so."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Python itself has these ignored, and not in processes that it starts
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


forget_environment()
if threading.current_thread() is threading.main_thread():
    forget_signals()
