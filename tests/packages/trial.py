# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs, upgrades, removes and purges dovecot-http-notify as an admin does
while mail comes in: trial.py PREVIOUS.deb CURRENT.deb

The host is thrown away afterwards; see run.sh.
"""

import pathlib
import smtplib
import sys
import threading
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import manuals  # noqa: E402
from harness.config import VERSION, block, config  # noqa: E402
from harness.endpoint import Endpoint  # noqa: E402
from packages import host  # noqa: E402
from packages.host import CONF, QUEUE, run, wait_for  # noqa: E402

NAME = "dovecot-http-notify"
ASIDE = CONF.with_name(CONF.name + ".dpkg-bak")
BUILT_IN = manuals.TOP / "doc/built-in-driver.md"
SITE = host.CONF_D / "95-trial.conf"
LINE = "2.3" if VERSION < (2, 4) else "2.4"
# mail users, and who they are in OX
USERS = {"alice": "3@1", "bob": "4@1"}
SIEVE = 'require "fileinto";\nif header "subject" "list" { fileinto "Lists"; }\n'


def apt(*arguments):
    run("apt-get", "--yes", "--no-install-recommends", *arguments)


def version(deb):
    return run("dpkg-deb", "--field", deb, "Version").strip()


def state():
    return run("dpkg-query", "--show", "--showformat",
               "${db:Status-Status} ${Version}", NAME)


class MailServer(threading.Thread):
    """Delivers messages, one after the other, and again what is not taken."""

    def __init__(self):
        super().__init__()
        self.taken = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.02):
            try:
                host.lmtp("bob", "a message")
                self.taken += 1
            except (OSError, smtplib.SMTPException):
                pass

    def __enter__(self):
        self.start()
        wait_for(lambda: self.taken > 5, what="deliveries")
        return self

    def __exit__(self, *exception):
        self.ending.set()
        self.join()


class Trial:
    """Its methods are checks, each of which goes on from the one before."""

    def __init__(self, previous, current):
        self.previous, self.current = previous, current
        self.log = host.Log("/var/log/dovecot.log")
        self.endpoint = Endpoint()

    def assert_works(self):
        """Mail is delivered, and sorted by Sieve, with no word about it."""
        wait_for(host.is_running, what="Dovecot")
        run("doveconf", "-n")
        for user in USERS:
            before = [len(host.messages(user, box))
                      for box in ("INBOX", "Lists")]
            host.lmtp(user, "a message")
            host.lmtp(user, "list")
            host.lda(user, "another message")
            assert [len(host.messages(user, box))
                    for box in ("INBOX", "Lists")] == [
                        before[0] + 2, before[1] + 1]
        self.log.assert_no_trouble()

    def assert_announced(self):
        """Each message in an INBOX since there is an endpoint: once, and in
        order."""
        for user, name in USERS.items():
            uids = [uid for uid in host.messages(user)
                    if uid > self.unannounced[user]]
            wait_for(lambda: self.announced(name) == uids,
                     what="notifications %s, have %s" % (
                         uids, self.announced(name)))
        wait_for(lambda: not host.queue(), what="an empty queue")

    def assert_queue_is_of(self, user):
        assert QUEUE.owner() == user
        assert QUEUE.stat().st_mode & 0o7777 == 0o700

    def announced(self, name):
        return [request.uid for request in list(self.endpoint.delivered)
                if request.body["user"] == name]

    def assert_announced_by_dovecots_own_driver(self):
        self.endpoint.clear()
        for user, name in USERS.items():
            host.lmtp(user, "from lmtp")
            host.lda(user, "from the LDA")
        requests = self.endpoint.wait(2 * len(USERS))
        assert sorted((request.body["user"], request.body["subject"])
                      for request in requests) == sorted(
            (name, "from " + by) for name in USERS.values()
            for by in ("lmtp", "the LDA"))
        # which ours have
        assert not [request for request in requests
                    if request.key is not None or "unread" in request.body]
        self.log.assert_no_trouble()
        self.begin_anew()

    def begin_anew(self):
        """What is announced from now on is looked at."""
        self.endpoint.clear()
        self.unannounced = {user: max(host.messages(user)) for user in USERS}

    def assert_removal_is_refused(self, *remove):
        """It names each line, and nothing has changed."""
        try:
            run(*remove)
        except AssertionError as error:
            for number, line in enumerate(SITE.read_text().splitlines(), 1):
                named = "%s:%d: " % (SITE, number) in str(error)
                assert named == ("http_notify" in line), error
            assert "secret" not in str(error)
        else:
            raise AssertionError("it was removed")
        assert state() == "installed " + version(self.current)
        assert CONF.read_bytes() == self.configured
        assert not ASIDE.exists()

    def queue_some(self):
        """The endpoint is down from now on."""
        self.endpoint.stop()
        before = len(host.queue())
        for number in range(5):
            host.lmtp("alice", "queued %d" % number)
        assert len(host.queue()) == before + 5

    def bring_endpoint_back(self):
        self.endpoint.start()
        run("doveadm", "http-notify", "flush")

    # The checks

    def a_host_with_dovecot_that_delivers_mail(self):
        (host.CONF_D / "20-trial.conf").write_text(
            "log_path = %s\n" % self.log.path + host.MAIL +
            config.more_plugins("sieve", protocol="lmtp") +
            config.more_plugins("sieve", protocol="lda"))
        run("service", "dovecot", "restart")
        for user in USERS:
            host.add_user(user)
            (pathlib.Path("/home") / user / ".dovecot.sieve").write_text(SIEVE)
            run("doveadm", "mailbox", "create", "-u", user, "Lists")
        self.assert_works()

    def install_changes_nothing_for_mail(self):
        apt("install", self.previous)
        assert state() == "installed " + version(self.previous)
        self.assert_works()

    def the_service_runs_and_owns_its_queue(self):
        wait_for(host.service_runs, what="the service")
        run("doveadm", "http-notify", "status")
        self.assert_queue_is_of("dovecot")
        assert not run("dpkg", "--verify", NAME)

    def an_admin_adds_an_endpoint(self):
        host.configure_endpoint(self.endpoint.url)
        # for dovecot-lda
        host.substitute("mode = 0660", "mode = 0666")
        host.uncomment("http_notify_sync = normal")
        # nothing here is about how soon, and the machine may be busy
        host.substitute("#http_notify_handoff_timeout = 500ms",
                        "http_notify_handoff_timeout = 30s")
        self.configured = CONF.read_bytes()
        self.unannounced = {user: max(host.messages(user)) for user in USERS}
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")
        for user, name in USERS.items():
            run("doveadm", "http-notify", "register", "-u", user, name)
        self.assert_works()
        self.assert_announced()

    def an_admin_gives_access_to_a_group_of_mail_users(self):
        """In place of all processes."""
        CONF.write_bytes(self.configured.replace(b"mode = 0666",
                                                 b"mode = 0660"))
        SITE.write_text(manuals.block_of(
            manuals.MAN / "dovecot-http-notify.7", "delivery by a group"))
        run("groupadd", "pushmail")
        for user in USERS:
            run("usermod", "--append", "--groups", "pushmail", user)
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")
        for user in USERS:
            host.lmtp(user, "by lmtp")
            host.lda(user, "by a member of the group", "--init-groups")
        self.assert_announced()
        self.log.assert_no_trouble()
        SITE.unlink()
        CONF.write_bytes(self.configured)
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")

    def upgrade_with_a_queue_while_mail_comes_in(self):
        self.queue_some()
        with MailServer() as mails:
            apt("install", self.current)
            after = mails.taken
            wait_for(lambda: mails.taken > after + 5, what="deliveries")
        assert state() == "installed " + version(self.current)
        assert CONF.read_bytes() == self.configured
        assert host.service_runs()
        waiting = host.queue()
        assert len(waiting) >= mails.taken + 5, len(waiting)
        self.log.assert_no_trouble()

    def all_that_was_queued_arrives_from_the_new_version(self):
        before = len(self.endpoint.delivered)
        self.bring_endpoint_back()
        self.assert_announced()
        agents = {request.headers["User-Agent"]
                  for request in self.endpoint.delivered[before:]}
        assert agents == {NAME + "/" + version(self.current).split("-")[0]}
        self.assert_works()
        self.assert_announced()

    def a_removal_that_is_given_up_leaves_it_working(self):
        # dpkg calls these two, whatever it was that failed
        scripts = "/var/lib/dpkg/info/" + NAME
        run(scripts + ".prerm", "remove")
        assert not CONF.exists()
        wait_for(lambda: not host.service_runs(), what="the service's end")
        run(scripts + ".postinst", "abort-remove")
        assert CONF.read_bytes() == self.configured
        wait_for(host.service_runs, what="the service")
        self.assert_works()
        self.assert_announced()

    def a_removal_is_refused_while_there_are_settings_elsewhere(self):
        elsewhere = config.more_plugins("http_notify", protocol="lmtp")
        if LINE == "2.4":
            elsewhere += "http_notify_sync = normal\n" + block(
                "push_notification ox",
                "http_notify_standby_url = http://login:secret@localhost:9/")
        SITE.write_text(elsewhere)
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")
        self.assert_removal_is_refused("apt-get", "--yes", "remove", NAME)
        self.assert_works()
        self.assert_announced()
        run("service", "dovecot", "stop")
        self.assert_removal_is_refused("dpkg", "--remove", NAME)
        run("service", "dovecot", "start")
        wait_for(host.service_runs, what="the service")
        self.assert_works()
        self.assert_announced()
        SITE.unlink()
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")

    def without_the_plugin_dovecots_own_driver_sends(self):
        """And what is in the queue is sent by the service."""
        self.queue_some()
        host.take_out_plugin()
        host.reload()
        self.bring_endpoint_back()
        wait_for(lambda: not host.queue(), what="an empty queue")
        self.assert_announced()
        self.assert_announced_by_dovecots_own_driver()
        CONF.write_bytes(self.configured)
        run("service", "dovecot", "restart")
        wait_for(host.service_runs, what="the service")
        self.assert_works()
        self.assert_announced()

    def what_is_kept_elsewhere_lets_dovecots_own_driver_send(self):
        SITE.write_text(host.with_url(manuals.configuration(
            BUILT_IN, LINE + " without the package"), self.endpoint.url))
        apt("remove", NAME)
        assert not CONF.exists()
        assert ASIDE.read_bytes() == self.configured
        wait_for(host.is_running, what="Dovecot")
        self.assert_announced_by_dovecots_own_driver()
        SITE.unlink()
        apt("install", self.current)
        wait_for(host.service_runs, what="the service")
        self.assert_works()
        self.assert_announced()

    def a_package_that_was_unpacked_only_can_be_removed(self):
        run("dpkg", "--unpack", self.current)
        assert state().startswith("unpacked ")
        # dpkg removes the files before it calls a script: a service that is
        # started in between does not find its settings
        self.log.expect("no settings struct named 'http_notify|"
                        r"service\(http-notify\): command startup failed")
        run("dpkg", "--remove", NAME)
        assert not CONF.exists()
        assert ASIDE.read_bytes() == self.configured
        run("service", "dovecot", "restart")
        self.assert_works()
        apt("install", self.current)
        wait_for(host.service_runs, what="the service")
        self.begin_anew()
        self.assert_works()
        self.assert_announced()

    def remove_leaves_dovecot_working(self):
        self.queue_some()
        with MailServer() as mails:
            apt("remove", NAME)
            after = mails.taken
            wait_for(lambda: mails.taken > after + 5, what="deliveries")
        assert state() == "config-files " + version(self.current)
        self.assert_works()
        run("service", "dovecot", "restart")
        self.assert_works()
        assert not host.service_runs()

    def remove_leaves_queue_and_configuration(self):
        assert (QUEUE / "queue.sqlite").stat().st_size > 0
        assert not CONF.exists()
        assert ASIDE.read_bytes() == self.configured

    def an_installation_that_fails_changes_nothing(self):
        other = pathlib.Path("/tmp/other")
        (other / "DEBIAN").mkdir(parents=True)
        (other / "DEBIAN/control").write_text(
            "Package: other\nVersion: 1\nArchitecture: all\n"
            "Maintainer: nobody\nDescription: has a file of ours\n")
        path = other / "usr/lib/dovecot/http-notify"
        path.parent.mkdir(parents=True)
        path.touch()
        run("dpkg-deb", "--build", str(other))
        run("dpkg", "--install", "/tmp/other.deb")
        try:
            run("dpkg", "--install", self.current)
        except AssertionError as error:
            assert "trying to overwrite" in str(error)
        else:
            raise AssertionError("it was installed")
        run("dpkg", "--purge", "other")
        assert not CONF.exists()
        assert ASIDE.read_bytes() == self.configured
        self.assert_works()

    def installed_again_it_sends_what_was_left(self):
        before = len(self.announced(USERS["alice"]))
        apt("install", self.current)
        assert CONF.read_bytes() == self.configured
        assert not ASIDE.exists()
        wait_for(host.service_runs, what="the service")
        self.bring_endpoint_back()
        wait_for(lambda: not host.queue(), what="an empty queue")
        assert len(self.announced(USERS["alice"])) == before + 5
        self.begin_anew()
        self.assert_works()
        self.assert_announced()

    def purge_leaves_nothing(self):
        apt("purge", NAME)
        self.assert_works()
        run("service", "dovecot", "restart")
        self.assert_works()
        left = run("find", "/", "-xdev", "(", "-path", "/tmp", "-o",
                   "-path", "/var/cache/apt", ")", "-prune", "-o",
                   "-name", "*http*notify*", "-print")
        assert not left, left
        assert NAME not in run("dpkg-query", "--show")

    def the_queue_belongs_to_whom_the_service_runs_as(self):
        SITE.write_text(
            "service http-notify {\n user = games\n}\n")
        apt("install", self.current)
        self.assert_queue_is_of("games")
        wait_for(host.service_runs, what="the service")
        run("doveadm", "http-notify", "status")
        self.log.assert_no_trouble()
        SITE.unlink()

    def it_goes_with_the_dovecot_that_it_was_built_for(self):
        apt("remove", "dovecot-core")
        assert state().startswith("config-files")
        run("dpkg", "--purge", "dovecot-core")
        run("dpkg", "--purge", NAME)
        assert not QUEUE.exists()
        assert not ASIDE.exists()


CHECKS = (
    Trial.a_host_with_dovecot_that_delivers_mail,
    Trial.install_changes_nothing_for_mail,
    Trial.the_service_runs_and_owns_its_queue,
    Trial.an_admin_adds_an_endpoint,
    Trial.an_admin_gives_access_to_a_group_of_mail_users,
    Trial.upgrade_with_a_queue_while_mail_comes_in,
    Trial.all_that_was_queued_arrives_from_the_new_version,
    Trial.a_removal_that_is_given_up_leaves_it_working,
    Trial.a_removal_is_refused_while_there_are_settings_elsewhere,
    Trial.without_the_plugin_dovecots_own_driver_sends,
    Trial.what_is_kept_elsewhere_lets_dovecots_own_driver_send,
    Trial.a_package_that_was_unpacked_only_can_be_removed,
    Trial.remove_leaves_dovecot_working,
    Trial.remove_leaves_queue_and_configuration,
    Trial.an_installation_that_fails_changes_nothing,
    Trial.installed_again_it_sends_what_was_left,
    Trial.purge_leaves_nothing,
    Trial.the_queue_belongs_to_whom_the_service_runs_as,
    Trial.it_goes_with_the_dovecot_that_it_was_built_for,
)


def main(previous, current):
    trial = Trial(previous, current)
    for check in CHECKS:
        what = check.__name__.replace("_", " ")
        try:
            check(trial)
        except Exception:
            print(trial.log.path.read_text()[-8000:])
            traceback.print_exc(file=sys.stdout)
            print("FAILED  %s; the rest goes on from there" % what)
            return 1
        print("ok      " + what, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
