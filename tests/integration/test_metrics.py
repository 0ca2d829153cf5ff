# SPDX-License-Identifier: LGPL-2.1-or-later
"""What operators see: Dovecot's events, the metrics made of them, and what
Prometheus makes of those. It is a real one, with the shipped files."""

import contextlib
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import types

import pytest

from conftest import STAGE, driver, running_dovecot
from harness.config import block, config
from harness.dovecot import TOP, free_port, message, wait_for
from harness.endpoint import PASSWORD, Endpoint
from harness.prometheus import node_exporter, prometheus, promtool

MONITORING = TOP / "monitoring"
CONF_D = pathlib.Path(STAGE) / "etc/dovecot/conf.d"
DOWN = "dovecot_http_notify:endpoint_down"
# A minute of the rules is so many seconds here.
MINUTE = 3


def include_line():
    """The one that an admin uncomments."""
    name, = re.findall("^#!include (.*)$",
                       (CONF_D / "90-http-notify.conf").read_text(),
                       re.MULTILINE)
    return "!include %s\n" % (CONF_D / name)


def run_textfile_line(dovecot, directory):
    """What http-notify.prom.jq says for cron.d, with other paths."""
    script = MONITORING / "http-notify.prom.jq"
    line, = re.findall(r"^# \* \* \* \* \* root (.*)$", script.read_text(),
                       re.MULTILINE)
    for old, new in (
            ("/var/lib/prometheus/node-exporter", directory),
            ("doveadm", "doveadm -c %s" % dovecot.main),
            (script.name, script)):
        assert line.count(old) == 1
        line = line.replace(old, str(new))
    # http-notify.prom.jq has the name of its result in it
    subprocess.run(["sh", "-c", line], check=True)


def write_prometheus_yml(directory, dovecot_port, node_port):
    """The shipped configuration, for one host and in a hurry."""
    text = (MONITORING / "prometheus.yml").read_text()
    for name, port in (("9900", dovecot_port), ("9100", node_port)):
        text, count = re.subn(r'targets: \["mail1\.example\.org:%s".*\]' % name,
                              'targets: ["127.0.0.1:%d"]' % port, text)
        assert count == 1
    text, count = re.subn(r"(_interval): 30s", r"\1: 250ms", text)
    assert count == 2
    (directory / "prometheus.yml").write_text(text)
    rules = MONITORING / "http-notify.rules.yml"
    text, count = re.subn(
        r"\b(\d+)m\b", lambda match: "%ds" % (int(match[1]) * MINUTE),
        rules.read_text())
    assert count > 0
    (directory / rules.name).write_text(text)
    return directory / "prometheus.yml"


@contextlib.contextmanager
def monitored(*drivers, extra="", directory):
    """A Dovecot with the shipped metrics, and a Prometheus that scrapes it.
    Also update(), which brings status up to date."""
    port = free_port()
    extra += include_line() + block("service stats",
                                    config.tcp_listener("http", port))
    with running_dovecot(*drivers, extra=extra) as dovecot, \
            node_exporter() as (textfiles, node_port), \
            prometheus(write_prometheus_yml(
                directory, port, node_port)) as scraper:
        def update():
            run_textfile_line(dovecot, textfiles)
        update()
        # whatever happens from now on is an increase
        scraper.wait_value("dovecot_http_notify_handoff_failed_total", 0)
        scraper.wait_value("http_notify_service_up", 1)
        yield types.SimpleNamespace(dovecot=dovecot, prometheus=scraper,
                                    update=update, textfiles=textfiles)


# -- one of each --

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """On which each event has happened, and been counted."""
    with contextlib.ExitStack() as stack:
        def endpoint(status=None):
            endpoint = Endpoint()
            stack.callback(endpoint.stop)
            endpoint.status = status
            return endpoint
        good, standby, dead = endpoint(), endpoint(), endpoint()
        refusing, failing = endpoint(400), endpoint(500)
        dead.stop()
        site = stack.enter_context(monitored(
            driver(good, standby_url=standby.url),
            driver(dead, max_age="8s"),
            driver(refusing, max_retries=0),
            driver(failing, max_retries=1),
            extra=config.event_exporter("log") + block(
                "metric every", "filter = event=http_notify_*",
                "exporter = log") + "log_debug = category=http-notify\n",
            directory=tmp_path_factory.mktemp("prometheus")))
        site.__dict__.update(good=good, standby=standby, dead=dead,
                             refusing=refusing, failing=failing)
        go_through_everything(site)
        yield site


def go_through_everything(site):
    dovecot, prometheus = site.dovecot, site.prometheus
    dovecot.setmetadata("bob", "user=3@1")
    for count in (1, 2):
        dovecot.deliver("bob", message())
        for lost, by in (("refused", site.refusing), ("dropped", site.failing),
                         ("expired", site.dead)):
            prometheus.wait_value('dovecot_http_notify_%s_total{endpoint="%s"}'
                                  % (lost, by.authority), count, 60)
    site.update()
    site.dead.start()
    dovecot.deliver("bob", message())
    site.good.wait(3)
    # not when its next probe is due
    dovecot.doveadm("http-notify", "flush")
    site.dead.wait(1)
    wait_for(lambda: len(site.failing.attempts) == 6, what="the last attempt")
    dovecot.wait_queue_empty()

    pid = dovecot.service_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        dovecot.deliver("bob", message())
    finally:
        os.kill(pid, signal.SIGCONT)
    prometheus.wait_value("dovecot_http_notify_handoff_failed_total", 4)
    # It was handed over nevertheless, once the service went on.
    site.good.wait(4)
    wait_for(lambda: len(site.failing.attempts) == 8, what="the last attempt")
    dovecot.wait_queue_empty()


def name_of(metric, **labels):
    return "dovecot_http_notify_%s{%s}" % (metric, ",".join(
        '%s="%s"' % label for label in labels.items()))


def test_what_arrived_is_counted(site):
    endpoint = site.good.authority

    def value(metric, number, **labels):
        site.prometheus.wait_value(
            name_of(metric, endpoint=endpoint, **labels), number)
    value("queued_total", 4)
    value("attempts_count", 4, status_code="200")
    value("delivered_count", 4)
    value("delivered_bucket", 4, le="+Inf")
    for metric in ("retried", "refused", "expired", "dropped", "endpoint_down",
                   "endpoint_up"):
        assert site.prometheus.value(
            name_of(metric + "_total", endpoint=endpoint)) is None


def test_what_was_lost_is_counted(site):
    for lost, by, status, attempts in (
            ("refused", site.refusing, 400, 4),
            ("dropped", site.failing, 500, 8)):
        for metric, labels, number in (
                (lost + "_total", {"endpoint": by.authority}, 4),
                # an alert has to see the first one
                (lost + "_count", {"endpoint": ""}, 4),
                ("attempts_count", {"endpoint": by.authority,
                                    "status_code": status}, attempts)):
            site.prometheus.wait_value(name_of(metric, **labels), number)
    site.prometheus.wait_value(
        name_of("retried_total", endpoint=site.failing.authority), 4)
    site.prometheus.wait_value(
        name_of("expired_total", endpoint=site.dead.authority), 2)
    site.prometheus.wait_value(name_of("expired_count", endpoint=""), 2)


def test_events_are_counted(site):
    for metric, by, number in (("queued", site.good, 4),
                               ("delivered", site.good, 4),
                               ("lost", site.refusing, 4),
                               ("lost", site.failing, 4),
                               ("lost", site.dead, 2)):
        site.prometheus.wait_value(
            name_of(metric + "_by_event_total", endpoint=by.authority,
                    mail_event="MessageNew"), number)


def test_an_outage_is_counted(site):
    endpoint = site.dead.authority
    assert site.prometheus.value(name_of(
        "attempts_count", endpoint=endpoint, status_code=0)) >= 2
    site.prometheus.wait_value(name_of(
        "attempts_count", endpoint=endpoint, status_code=200), 2)
    site.prometheus.wait_value(name_of(
        "endpoint_down_total", endpoint=endpoint, state="down"), 1)
    site.prometheus.wait_value(
        name_of("endpoint_up_total", endpoint=endpoint), 1)


def test_duration_and_lag_are_histograms(site):
    attempts = name_of("attempts_bucket", endpoint=site.good.authority)
    lag = name_of("delivered_bucket", endpoint=site.good.authority)
    for buckets, limits in (
            (attempts, [2**n / 1e6 for n in range(10, 23)]),
            (lag, [2**n for n in range(13)])):
        found = sorted(float(labels["le"])
                       for labels, _ in site.prometheus.query(buckets))
        assert found == pytest.approx([*limits, math.inf])
    # in seconds
    duration = "histogram_quantile(%%s, sum by (le) (%s))"
    assert 0 < site.prometheus.value(duration % attempts % 0.5) < 1


def promql(text):
    """A dashboard's, as Grafana sends it."""
    for variable, value in (("$instance", ".*"), ("$endpoint", ".*"),
                            ("$__rate_interval", "10m")):
        text = text.replace(variable, value)
    assert "$" not in text
    return text


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def test_dashboard_has_data_in_every_panel(site):
    dashboard = json.loads(
        (MONITORING / "http-notify.dashboard.json").read_text())
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(set(ids)) == len(ids)
    with_queries = [panel for panel in panels(dashboard)
                    if panel["type"] != "row"]
    assert len(with_queries) >= 10
    for panel in with_queries:
        for target in panel["targets"]:
            rows = site.prometheus.query(promql(target["expr"]))
            assert any(not math.isnan(value) for _, value in rows), target
            names = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert all(names <= set(labels) for labels, _ in rows), target


def test_dashboard_variables_have_values(site):
    dashboard = json.loads(
        (MONITORING / "http-notify.dashboard.json").read_text())
    endpoints = {endpoint.authority for endpoint in (
        site.good, site.dead, site.refusing, site.failing)}
    expected = {"instance": {"127.0.0.1"}, "endpoint": endpoints}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "datasource":
            continue
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)",
                                     variable["query"]["query"]).groups()
        found = site.prometheus.api("label/%s/values" % label,
                                    **{"match[]": promql(series)})
        assert set(found) == expected.pop(variable["name"])
    assert not expected


def test_gauges_are_those_of_status(site):
    site.update()
    output = (site.textfiles / "http-notify.prom").read_text()
    promtool_metrics(output)
    url = site.good.url.split("@")[1]
    labels = 'endpoint="%s",url="http://%s"' % (site.good.authority, url)
    lines = output.splitlines()
    assert "http_notify_endpoint_up{%s} 1" % labels in lines
    assert "http_notify_standby_up{%s} 1" % labels in lines
    assert "http_notify_queue_length{%s} 0" % labels in lines
    assert "http_notify_queue_bytes{%s} 0" % labels in lines
    assert "http_notify_queue_fill_ratio 0" in lines
    assert "http_notify_queue_up 1" in lines
    assert "http_notify_spooled 0" in lines
    assert not list(site.textfiles.glob("*.new"))
    for _, value in site.prometheus.query("node_textfile_scrape_error"):
        assert value == 0


def promtool_metrics(text):
    done = subprocess.run(["promtool", "check", "metrics"],
                          input=text.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, b"")


LOST = {"user", "endpoint", "folder", "uid", "mail_event", "age", "error"}
ATTEMPT = {"user", "endpoint", "mail_event", "attempt", "status_code"}


@pytest.mark.parametrize("name, fields", [
    ("http_notify_queued", {"user", "endpoint", "folder", "uid", "mail_event"}),
    ("http_notify_attempt_finished", ATTEMPT),
    ("http_notify_delivered", ATTEMPT | {"age"}),
    ("http_notify_retried", ATTEMPT | {"error"}),
    ("http_notify_refused", LOST),
    ("http_notify_expired", LOST),
    ("http_notify_dropped", LOST),
    ("http_notify_endpoint_down", {"endpoint", "state", "error"}),
    ("http_notify_endpoint_up", {"endpoint", "down_secs"}),
    ("http_notify_handoff_failed",
     {"user", "folder", "uid", "mail_event", "stored", "error"}),
])
def test_exported_event_has_its_fields(site, name, fields):
    found = exported(site, name)
    assert found
    for event in found:
        got = event["fields"]
        assert fields <= set(got), (fields - set(got), event)
        assert event["categories"].count("http-notify") == 1
        assert got.get("user", "bob") == "bob"
        assert got.get("folder", "INBOX") == "INBOX"
        assert got.get("mail_event", "MessageNew") == "MessageNew"
        for number in fields & {"uid", "attempt", "status_code", "age",
                                "down_secs"}:
            assert isinstance(got[number], int)
        assert PASSWORD not in json.dumps(event, ensure_ascii=False)


def exported(site, name, endpoint=None):
    """In the order of time."""
    events = [json.loads(line[line.index("{"):])
              for line in site.dovecot.log_lines("stats: Info: {")]
    return [event for event in events if event["event"] == name and (
        endpoint is None or
        event["fields"]["endpoint"] == endpoint.authority)]


def test_exported_events_say_what_happened(site):
    assert [(event["fields"]["uid"], event["fields"]["folder"])
            for event in exported(site, "http_notify_queued", site.good)
            ] == [(uid, "INBOX") for uid in (1, 2, 3, 4)]
    finished = [event["fields"] for event in
                exported(site, "http_notify_attempt_finished", site.failing)]
    assert [fields["attempt"] for fields in finished] == [1, 2] * 4
    assert all(fields["status_code"] == 500 and
               fields["error"].startswith("500") and
               0 < fields["duration"] < 10e6 for fields in finished)
    for event in exported(site, "http_notify_attempt_finished", site.good):
        assert event["fields"]["status_code"] == 200
        assert "error" not in event["fields"]
    first = exported(site, "http_notify_attempt_finished", site.dead)[0]
    assert first["fields"]["status_code"] == 0
    expired = exported(site, "http_notify_expired", site.dead)
    assert [event["fields"]["uid"] for event in expired] == [1, 2]
    assert all(8 <= event["fields"]["age"] < 60 for event in expired)
    down, = exported(site, "http_notify_endpoint_down", site.dead)
    assert down["fields"]["state"] == "down"
    failed = exported(site, "http_notify_handoff_failed")
    assert [event["fields"]["uid"] for event in failed] == [4] * 4
    assert "did not store it" in failed[0]["fields"]["error"]


def test_log_debug_tells_of_each_notification(site):
    for count, text in (
            (4 * 4, "Queued for user=bob"),
            (4, "Attempt 1 at %s for user=bob: taken" % site.good.authority),
            (4, "Attempt 2 at %s for user=bob: 500" % site.failing.authority),
            (4 + 2, "Delivered for user=bob")):
        text = "http-notify: Debug: " + text
        assert len(site.dovecot.wait_log(text, count=count)) == count


# -- the rules --

def test_rules_and_configuration_are_valid():
    promtool("check", "rules", MONITORING / "http-notify.rules.yml",
             cwd=MONITORING)
    promtool("check", "config", MONITORING / "prometheus.yml", cwd=MONITORING)


def test_rules_take_the_time_they_should():
    directory = TOP / "tests/integration"
    promtool("test", "rules", "http-notify.rules.test.yml", cwd=directory)


def test_outage_fires_an_alert_that_clears(other_endpoint, tmp_path):
    endpoint = other_endpoint
    with monitored(driver(endpoint), directory=tmp_path) as site:
        dovecot, prometheus = site.dovecot, site.prometheus
        down = '%s{endpoint="%s"}' % (DOWN, endpoint.authority)
        dovecot.setmetadata("bob", "user=3@1")
        # the first one makes the counter that the second one increases
        for count in (1, 2):
            dovecot.deliver("bob", message())
            prometheus.wait_value("dovecot_http_notify_attempts_count", count)
        prometheus.wait_value(down, 0)

        endpoint.stop()
        dovecot.deliver("bob", message())

        def fires():
            # it is tried once a minute, so often here
            dovecot.doveadm("http-notify", "flush")
            return prometheus.firing() == {"HttpNotifyEndpointDown"}
        wait_for(fires, 20 * MINUTE, "the alert")
        assert prometheus.value(down) == 1
        site.update()
        prometheus.wait_value("http_notify_endpoint_up", 0)
        prometheus.wait_value("http_notify_queue_length", 1)
        # five minutes, but for a moment
        assert prometheus.value("http_notify_oldest_seconds") >= 4 * MINUTE

        endpoint.start()
        dovecot.doveadm("http-notify", "flush")
        endpoint.wait(3)
        wait_for(lambda: not prometheus.firing(), what="the alert's end")
        prometheus.wait_value(down, 0)
        # the one that has waited
        lag = "dovecot_http_notify_delivered_bucket"
        assert prometheus.value("histogram_quantile(0.95, %s)" % lag) > 8
        site.update()
        prometheus.wait_value("http_notify_endpoint_up", 1)
        prometheus.wait_value("http_notify_queue_length", 0)


def test_loss_fires_an_alert(other_endpoint, tmp_path):
    """The first one does."""
    with monitored(driver(other_endpoint, max_retries=0),
                   directory=tmp_path) as site:
        other_endpoint.status = 400
        site.dovecot.setmetadata("bob", "user=3@1")
        site.dovecot.deliver("bob", message())
        wait_for(lambda: site.prometheus.firing() == {"HttpNotifyLost"}, 20,
                 "the alert")
        row, = site.prometheus.query('ALERTS{alertname="HttpNotifyLost"}')
        assert row[0]["reason"] == "refused"


def test_service_that_does_not_answer_is_a_gauge(endpoint, tmp_path):
    with running_dovecot(driver(endpoint)) as dovecot:
        run_textfile_line(dovecot, tmp_path)
        up = (tmp_path / "http-notify.prom").read_text().splitlines()
        dovecot.stop()
        run_textfile_line(dovecot, tmp_path)
        down = (tmp_path / "http-notify.prom").read_text().splitlines()
    assert "http_notify_service_up 1" in up
    assert "http_notify_service_up 0" in down
    promtool_metrics("\n".join([*down, ""]))
