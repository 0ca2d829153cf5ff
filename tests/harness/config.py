# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one place that knows how dovecot.conf is written, for Dovecot 2.3 and
2.4: tests say what they mean, by config's methods, and get it in the words of
the Dovecot that is installed."""

import re
import subprocess

# such as (2, 4, 1)
VERSION = tuple(map(int, re.match(r"(\d+)\.(\d+)\.(\d+)", subprocess.run(
    ["dovecot", "--version"], stdout=subprocess.PIPE, check=True,
    encoding="ascii").stdout).groups()))

# How long a delivery waits, in both lines: for tests of what is stored, since a
# busy machine is slow; and the default, for what is about how soon.
PATIENT = "http_notify_handoff_timeout = 30s"
IN_TIME = "http_notify_handoff_timeout = 500ms"

# what both have in the same words
COMMON = """
base_dir = {dir}/run
state_dir = {dir}/state
libexec_dir = {dir}/libexec
mail_plugin_dir = {dir}/modules
log_path = {dir}/dovecot.log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{{usecs}} "
instance_name = {name}
hostname = mail.example
ssl = no
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = {uid}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
{imap}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
protocol lda {{
  log_path = {dir}/lda.log
}}
"""


class Driver:
    """A push_notification driver of ours for a URL, which is written as it is.
    Options: standby_url, timeout_msecs, max_age, max_retries, netrc_file,
    cache_lifetime, user_from_metadata, folders, registration,
    omit, max_per_second, method, token_file, sign_file, proxy,
    proxy_netrc_file, ca_file, cert_file, key_file, format, events."""

    name = "ox"

    def __init__(self, url, **options):
        self.url = url
        self.options = options


class Webhook(Driver):
    name = "webhook"


class Chronos(Driver):
    """For calendar mail. Further options: timeout, msg_max_size."""

    name = "chronos"


class OtherDriver(Driver):
    """One of Dovecot's, for a script if there is one."""

    def __init__(self, name, script=None):
        super().__init__(None)
        self.name = name
        self.script = script


def block(head, *lines):
    return "%s {\n%s\n}\n" % (head, "\n".join(lines))


def yes_or_no(value):
    return ("no", "yes")[value] if isinstance(value, bool) else value


class Config:
    # everything that Dovecot can be told to log
    DEBUG = """
mail_debug = yes
auth_debug = yes
auth_debug_passwords = yes
auth_verbose = yes
log_debug = event=* OR category=push-notification OR category=service:lmtp \
OR category=connection OR category=storage OR category=mail-index \
OR category=ssl
"""

    def main(self, imap_port, **values):
        return self.MAIN.format(
            version="%d.%d.%d" % VERSION,
            imap=self.tcp_listener("imap", imap_port), **values)

    def imap_metadata(self):
        return block("protocol imap", "imap_metadata = yes")

    def handoff_access(self):
        """To the hand-off socket, for dovecot-lda as any mail user."""
        return block("service http-notify", block(
            "unix_listener http-notify", "mode = 0666"))

    def user_plugins(self, plugins):
        """In extra fields of a passwd-file."""
        return "userdb_mail_plugins=%s" % plugins

    def plugins(self, *names, protocol=None):
        """mail_plugins: these and no others."""
        line = "mail_plugins = " + " ".join(names)
        return block("protocol " + protocol, line) if protocol else line


class Config23(Config):
    HOME = "%h"
    # the size of a process's memory
    UNLIMITED = "0"
    # its name in messages
    DICTIONARY = "mail_attribute_dict"
    # doveadm's arguments for the user whose process it is
    THIS_USER = []

    DEBUG = Config.DEBUG + "verbose_ssl = yes\n"

    MAIN = """
protocols = imap lmtp
disable_plaintext_auth = no
auth_mechanisms = plain
""" + COMMON

    def name(self, number):
        """Of a driver in messages; the first is number 1."""
        return "push_notification_driver%s" % (number if number > 1 else "")

    def drivers(self, *drivers):
        return self.plugin_settings(*(
            "%s = %s" % (self.name(number), self.line(driver))
            for number, driver in enumerate(drivers, 1)))

    def line(self, driver):
        if isinstance(driver, OtherDriver):
            return driver.name + (":file=%s" % driver.script
                                  if driver.script else "")
        return "%s:url=%s %s" % (driver.name, self._quote(driver.url), " ".join(
            "%s=%s" % (option, self._quote(yes_or_no(value)))
            for option, value in driver.options.items()))

    def in_capitals(self, driver):
        """A driver's name in another spelling."""
        return "%s = %s" % (self.name(1), self.line(driver).replace(
            "ox:", "OX:", 1))

    def dlog_and(self, driver):
        """Dovecot's own driver dlog before another one."""
        return self.plugin_settings(
            "%s = dlog" % self.name(1),
            "%s = ox:url=%s" % (self.name(2), self._quote(driver.url)))

    @staticmethod
    def _quote(value):
        # but for a variable
        return re.sub("%(?!{)", "%%", str(value))

    def option(self, name):
        """Of a driver, in messages."""
        return name + "="

    def drivers_of_users(self, users):
        """Each its own, from the userdb: users has their Drivers, all with the
        same credentials and options. Returns a Driver and the fields."""
        def parts(driver):
            return re.fullmatch("(https?)(://.*@)(.*)", driver.url).groups()

        first = next(iter(users.values()))
        # Dovecot expands what is in a field once more
        every = Driver(
            "%%{userdb:scheme}%s%%{userdb:rest}" % parts(first)[1],
            **{name: "%%{userdb:%s}" % name for name in first.options})
        return every, {
            user: dict(driver.options, scheme=parts(driver)[0],
                       rest=parts(driver)[2])
            for user, driver in users.items()}

    def plugin_settings(self, *lines):
        return block("plugin", *lines)

    def mail_location(self, driver, path, inbox=None):
        return "mail_location = %s:%s%s\n" % (
            driver, path, ":INBOX=" + inbox if inbox else "")

    def public_folders(self, prefix, path):
        """A namespace of type public, in Maildir."""
        return block("namespace public", "type = public", "separator = /",
                     "prefix = " + prefix, "location = maildir:%s" % path,
                     "subscriptions = no")

    def dictionary_in_file(self, path):
        return "mail_attribute_dict = file:%s\n" % path

    def dictionary_in_postgresql(self, dovecot, directory, port):
        """As in Dovecot's documentation of METADATA in SQL."""
        file = dovecot.dir / "dict.conf"
        connect = "host=%s port=%d dbname=postgres user=postgres"
        file.write_text("connect = %s\n" % (
            connect % (directory, port)) + block(
            "map", "pattern = priv/$key", "table = metadata",
            "username_field = username", "value_field = value",
            block("fields", "name = $key")))
        return "mail_attribute_dict = proxy::metadata\n" + block(
            "dict", "metadata = pgsql:%s" % file)

    def dictionary_in_redis(self, port, password):
        """Not by the dict service."""
        return "mail_attribute_dict = redis:host=127.0.0.1:port=%d:" \
            "password=%s\n" % (port, password)

    def dictionary_of_a_process(self):
        """That the dict service has, which is told of no such one."""
        return "mail_attribute_dict = proxy::metadata\n"

    def process_with_a_file(self, path):
        """Which has that one, in a file for all users."""
        return block("dict", "metadata = file:%s" % path)

    def dictionary_for_doveadm_in_redis(self, port, password):
        # behind a process: doveadm itself would die of it, signal 11
        return self.dictionary_of_a_process() + block(
            "dict", "metadata = redis:host=127.0.0.1:port=%d:password=%s" % (
                port, password))

    def any_login(self, password):
        """A passdb."""
        return block("passdb", "driver = static", "args = password=" + password)

    def any_user(self, uid, home):
        """A userdb; homes are below one directory."""
        return block("userdb", "driver = static",
                     "args = uid=%d gid=%d home=%s/%%u" % (uid, uid, home))

    def users_of(self, path):
        """A userdb from a passwd-file."""
        return block("userdb", "driver = passwd-file", "args = %s" % path)

    def logins_of(self, path):
        """A passdb from a passwd-file."""
        return block("passdb", "driver = passwd-file", "args = %s" % path)

    def proxied_by(self, path):
        """A proxy, as path.imap and path.lmtp say, passwd-files."""
        return self.logins_of("%s.%%s" % path) + "lmtp_proxy = yes\n"

    def clients_of_a_process(self, number):
        """For service { }: when its process ends. 0: never."""
        return "service_count = %d" % number

    def masters_of(self, path):
        """A passdb of master users, who log in as user*master."""
        return "auth_master_user_separator = *\n" + block(
            "passdb", "driver = passwd-file", "args = %s" % path,
            "master = yes", "pass = yes")

    def tls(self, certificate, key):
        """Nobody logs in without."""
        return ("ssl = required\nssl_cert = <%s\nssl_key = <%s\n"
                "disable_plaintext_auth = yes\n" % (certificate, key))

    def more_plugins(self, *names, protocol):
        return self.plugins("$mail_plugins", *names, protocol=protocol)

    def shipped_plugins(self, *names, protocol):
        """Of those that the shipped file adds, these only, in this order."""
        return self.plugins(*names, protocol=protocol)

    def encrypted_mail(self, public_key):
        """By the plugin mail_crypt; nobody can read it."""
        return self.plugin_settings(
            "mail_crypt_global_public_key = <%s" % public_key,
            "mail_crypt_save_version = 2")

    def sieve(self, path):
        return self.plugin_settings("sieve = " + path)

    def sieve_pipe(self, programs):
        """Users' scripts may run the programs of a directory."""
        return self.plugin_settings(
            "sieve_plugins = sieve_extprograms",
            "sieve_extensions = +vnd.dovecot.pipe",
            "sieve_pipe_bin_dir = %s" % programs)

    def sieve_in_imap(self, folder, path):
        """A script that imap runs for each message that a client copies to the
        folder."""
        return self.more_plugins("imap_sieve", protocol="imap") + \
            self.plugin_settings(
                "sieve_plugins = sieve_imapsieve",
                "imapsieve_mailbox1_name = " + folder,
                "imapsieve_mailbox1_causes = COPY",
                "imapsieve_mailbox1_before = file:%s" % path)

    def environment(self, *names, **values):
        """Of all processes: what is in the master's, and more."""
        return "import_environment = $import_environment %s\n" % " ".join(
            [*names, *("%s=%s" % item for item in values.items())])

    def event_exporter(self, name):
        """Into the log, as JSON."""
        return block("event_exporter " + name, "format = json",
                     "format_args = time-rfc3339", "transport = log")

    def tcp_listener(self, name, port):
        """On the loopback interface; for service { }."""
        return block("inet_listener " + name, "address = 127.0.0.1",
                     "port = %d" % port)


class Config24(Config):
    HOME = "%{home}"
    UNLIMITED = "unlimited"
    DICTIONARY = "mail_attribute { dict }"
    THIS_USER = ["--no-userdb-lookup"]

    MAIN = """
dovecot_config_version = {version}
dovecot_storage_version = {version}
protocols {{
  imap = yes
  lmtp = yes
}}
auth_allow_cleartext = yes
auth_mechanisms {{
  plain = yes
}}
""" + COMMON

    OPTIONS = {
        "url": "push_notification_ox_url",
        "timeout_msecs": "http_client_request_timeout",
        "cache_lifetime": "push_notification_ox_cache_ttl",
        "user_from_metadata": "push_notification_ox_user_from_metadata",
        "standby_url": "http_notify_standby_url",
        "max_age": "http_notify_max_age",
        "max_retries": "http_notify_max_retries",
        "netrc_file": "http_notify_netrc_file",
        "max_per_second": "http_notify_max_per_second",
        "proxy": "http_notify_proxy",
        "proxy_netrc_file": "http_notify_proxy_netrc_file",
        "ca_file": "http_notify_ca_file",
        "cert_file": "http_notify_cert_file",
        "key_file": "http_notify_key_file",
        "method": "http_notify_method",
        "token_file": "http_notify_token_file",
        "sign_file": "http_notify_sign_file",
        "folders": "http_notify_folders",
        "registration": "http_notify_registration",
        "omit": "http_notify_omit",
        "format": "http_notify_format",
        "events": "http_notify_events",
    }

    def name(self, number):
        return "push_notification ox%s" % (number if number > 1 else "")

    def drivers(self, *drivers):
        return "".join(
            self._other(self.name(number), driver)
            if isinstance(driver, OtherDriver) else
            block(self.name(number),
                  "push_notification_driver = " + driver.name,
                  *("%s = %s" % (self._option_of(driver, option),
                                 yes_or_no(value))
                    for option, value in self._values(driver).items()))
            for number, driver in enumerate(drivers, 1))

    def _option_of(self, driver, option):
        if driver.name == "chronos" and option in (
                "url", "msg_max_size", "user_from_metadata"):
            return "push_notification_chronos_" + option
        return self.OPTIONS[option]

    @staticmethod
    def _other(name, driver):
        return block(name, "push_notification_driver = " + driver.name,
                     *(["lua_file = %s" % driver.script]
                       if driver.script else []))

    @staticmethod
    def _values(driver):
        values = {"url": driver.url, **driver.options}
        if "timeout_msecs" in values:
            values["timeout_msecs"] = "%sms" % values["timeout_msecs"]
        return values

    def option(self, name):
        return self.OPTIONS[name]

    def field(self, option):
        """Of a userdb, for the first driver."""
        return self.name(1).replace(" ", "/") + "/" + self.OPTIONS[option]

    def drivers_of_users(self, users):
        return next(iter(users.values())), {
            user: {self.field(option): value
                   for option, value in self._values(driver).items()}
            for user, driver in users.items()}

    def in_capitals(self, driver):
        return self.drivers(driver).replace("driver = ox", "driver = OX")

    def dlog_and(self, driver):
        return block("push_notification dlog",
                     "push_notification_driver = dlog") + self.drivers(driver)

    def plugin_settings(self, *lines):
        return "\n".join(lines) + "\n"

    def mail_location(self, driver, path, inbox=None):
        return "mail_driver = %s\nmail_path = %s\n%s" % (
            driver, path, "mail_inbox_path = %s\n" % inbox if inbox else "")

    def public_folders(self, prefix, path):
        return block("namespace public", "type = public", "separator = /",
                     "prefix = " + prefix, "mail_driver = maildir",
                     "mail_path = %s" % path, "subscriptions = no")

    def dictionary_in_file(self, path):
        return block("mail_attribute", block("dict file", "path = " + path))

    def dictionary_in_postgresql(self, dovecot, directory, port):
        return block("mail_attribute", block(
            "dict proxy", "name = metadata")) + block(
            "dict_server", block(
                "dict metadata", "driver = sql", "sql_driver = pgsql", block(
                    "pgsql %s" % directory, block(
                        "parameters", "port = %d" % port,
                        "dbname = postgres", "user = postgres")), block(
                    "dict_map priv/$key", "sql_table = metadata",
                    "username_field = username",
                    block("value_field value"),
                    block("key_field name", "value = $key"))))

    def dictionary_in_redis(self, port, password):
        return block("mail_attribute", block(
            "dict redis", "redis_host = 127.0.0.1", "redis_port = %d" % port,
            "redis_password = " + password))

    def dictionary_of_a_process(self):
        return block("mail_attribute", block(
            "dict proxy", "name = metadata"))

    def process_with_a_file(self, path):
        return block("dict_server", block(
            "dict metadata", "driver = file",
            "dict_file_path = " + path))

    dictionary_for_doveadm_in_redis = dictionary_in_redis

    def any_login(self, password):
        return block("passdb static", "password = " + password)

    def any_user(self, uid, home):
        return block("userdb static", block(
            "fields", "uid = %d" % uid, "gid = %d" % uid,
            "home = %s/%%{user}" % home))

    def users_of(self, path):
        return block("userdb passwd-file", "passwd_file_path = %s" % path)

    def logins_of(self, path):
        return block("passdb passwd-file", "passwd_file_path = %s" % path)

    def proxied_by(self, path):
        return self.logins_of("%s.%%{protocol}" % path) + "lmtp_proxy = yes\n"

    def clients_of_a_process(self, number):
        return "restart_request_count = %s" % (number or "unlimited")

    def masters_of(self, path):
        return "auth_master_user_separator = *\n" + block(
            "passdb passwd-file", "passwd_file_path = %s" % path,
            "master = yes", "result_success = continue")

    def tls(self, certificate, key):
        return ("ssl = required\nssl_server_cert_file = %s\n"
                "ssl_server_key_file = %s\nauth_allow_cleartext = no\n" % (
                    certificate, key))

    def more_plugins(self, *names, protocol):
        return block("protocol " + protocol, block(
            "mail_plugins", *("%s = yes" % name for name in names)))

    def shipped_plugins(self, *names, protocol):
        # A list in place of all others would win over the userdb's.
        shipped = ("notify", "push_notification", "http_notify")
        return block("protocol " + protocol, block("mail_plugins", *(
            "%s = %s" % (name, yes_or_no(name in names))
            for name in sorted(shipped, key=lambda name:
                               name in names and names.index(name)))))

    def encrypted_mail(self, public_key):
        return "crypt_global_public_key_file = %s\n" % public_key

    def sieve(self, path):
        return block("sieve_script personal", "path = " + path)

    def sieve_pipe(self, programs):
        return "sieve_plugins = sieve_extprograms\n" + block(
            "sieve_extensions", "vnd.dovecot.pipe = yes") + \
            "sieve_pipe_bin_dir = %s\n" % programs

    def sieve_in_imap(self, folder, path):
        return self.more_plugins("imap_sieve", protocol="imap") + \
            "sieve_plugins = sieve_imapsieve\n" + block(
                "mailbox " + folder, block(
                    "sieve_script script", "sieve_script_type = before",
                    "sieve_script_cause = copy",
                    "sieve_script_path = %s" % path))

    def environment(self, *names, **values):
        return block(
            "import_environment",
            *("%s = %%{env:%s}" % (name, name) for name in names),
            *("%s = %s" % item for item in values.items()))

    def event_exporter(self, name):
        return block("event_exporter " + name, "format = json",
                     "driver = log")

    def tcp_listener(self, name, port):
        return block("inet_listener " + name, "listen = 127.0.0.1",
                     "port = %d" % port)


config = Config23() if VERSION < (2, 4) else Config24()
