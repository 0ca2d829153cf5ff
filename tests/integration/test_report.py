# SPDX-License-Identifier: LGPL-2.1-or-later
"""doveadm http-notify report: a page, and what a browser makes of it."""

import collections
import contextlib
import html
import html.parser
import json
import os
import re
import sqlite3
import types

from PIL import Image
import pytest

from conftest import driver, running_dovecot
from harness.browser import browse
from harness.doveadm import EX_TEMPFAIL, doveadm, rows
from harness.dovecot import TOP, wait_for
from harness.endpoint import Endpoint
from harness.faults import WallClock, faketime
from test_doveadm import connect, enqueue
from test_lost import has_queue, lose

INTERVAL = 5 * 60
MARKUP = "<script>document.title='owned'</script><img src=http://evil.test/x>"
USER = "mallory'\"&" + MARKUP
ANSWER = MARKUP + "]]>--><!--'\"&"
# a URL that is taken as it is
PATH = "/a'&b/c;d"


class Clock(WallClock):
    """All clocks of the service."""

    def __init__(self, path):
        self.ahead = 0
        super().__init__(path)

    def environment(self, faketime_environment):
        environment = super().environment(faketime_environment)
        del environment["FAKETIME_DONT_FAKE_MONOTONIC"]
        return environment

    def advance(self, seconds):
        self.ahead += seconds
        self.set(self.ahead)


def notify(dovecot, url, user, *options):
    """Hands off one notification, as a mail process of a hostile user could."""
    body = json.dumps({"user": "3@1", "event": "messageNew", "folder": "INBOX",
                       "imap-uid": 1, "from": "a@b", "subject": user})
    fields = ["NOTIFY", "1", user, "INBOX", "1", body, "url=" + url, *options]
    with connect(dovecot, "http-notify") as sock:
        sock.sendall((
            "VERSION\thttp-notify-handoff\t1\t0\nSESSION\t%s\n%s\n" % (
                os.urandom(16).hex(), "\t".join(fields))).encode())
        with sock.makefile("rb") as replies:
            assert replies.readline().startswith(b"VERSION")
            assert replies.readline().startswith(b"OK")


def go_on(site, count):
    """To the next interval, with some that are delivered in this one."""
    site.sent += count
    enqueue(site.dovecot, site.good.url, count)
    site.good.wait(site.sent)
    # with their answers: a request would time out
    wait_for(lambda: site.dovecot.queued() == site.waiting, what="answers")
    site.clock.advance(INTERVAL)
    # which begins when the service looks at the time
    doveadm(site.dovecot, "report")


def make_history(site):
    """Of three hours, in which endpoints come and go."""
    dovecot = site.dovecot
    for hour, count in enumerate((40, 70, 50)):
        for step in range(12):
            go_on(site, count + step % 5)
        if hour == 0:
            notify(dovecot, site.forbidden.url, "carol", "max_age=1d")
            dovecot.wait_log("rejects all notifications")
            notify(dovecot, site.refusing.url, "bob", "max_retries=0")
            site.refusing.wait(1)
            notify(dovecot, site.refusing.url, USER, "max_retries=0")
            dovecot.wait_log("Notification lost")
            site.dead.stop()
            for number in range(5):
                notify(dovecot, site.dead.url, "u%d" % number, "max_age=1d")
            dovecot.wait_log("is down")
            site.waiting = 1 + 5
        elif hour == 1:
            site.dead.start()
            dovecot.doveadm("http-notify", "flush")
            site.dead.wait(5)
            site.waiting = 1
    site.dead.stop()
    for number in range(3):
        notify(dovecot, site.dead.url, "u%d" % number, "max_age=1d")
    dovecot.wait_log("is down", count=2)
    site.waiting += 3
    go_on(site, 12)


@pytest.fixture(scope="module")
def site():
    """A service that has run for hours, with endpoints in several states."""
    with contextlib.ExitStack() as stack:
        def endpoint(status=None):
            made = Endpoint()
            stack.callback(made.stop)
            made.status = status
            return made
        good, dead, forbidden, refusing = map(endpoint, (
            None, None, 401, lambda request:
            422 if request.body["subject"] == USER else 200))
        forbidden.path = PATH
        refusing.answer_body = lambda request: ANSWER.encode()
        environment = stack.enter_context(faketime())
        dovecot = stack.enter_context(running_dovecot(
            driver(good), start=False))
        clock = Clock(dovecot.dir / "clock")
        dovecot.wrap_service(**clock.environment(environment))
        dovecot.start()
        wait_for(lambda: has_queue(dovecot), what="the service")
        site = types.SimpleNamespace(
            dovecot=dovecot, clock=clock, good=good, dead=dead,
            forbidden=forbidden, refusing=refusing, sent=0,
            waiting=0)
        make_history(site)
        site.page = doveadm(dovecot, "report")
        yield site


# -- what it says --

class Page(html.parser.HTMLParser):
    """Its elements, as a parser that knows no script sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags = collections.Counter()
        self.attributes = set()
        self.texts = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data)


def test_page_needs_nothing_and_runs_nothing(site):
    page = Page(site.page)
    assert {"svg", "path", "table"} <= set(page.tags)
    assert not {"script", "img", "link", "iframe", "object", "embed", "base",
                "form", "a", "image", "use", "foreignobject",
                "animate"} & set(page.tags)
    assert not {name for name in page.attributes
                if name.startswith("on") or name in ("src", "href",
                                                     "xlink:href", "data")}
    assert not re.search(r"@import|url\(", site.page)
    assert site.page.startswith("<!DOCTYPE html>\n")
    assert "{{" not in site.page


def test_page_has_hostile_texts_as_texts(site):
    texts = Page(site.page).texts
    assert USER in texts
    # doveadm has an answer's beginning
    answers = [text for text in texts if MARKUP in text and text != USER]
    assert len(answers) == 2
    assert any(text.endswith(PATH) for text in texts)


def test_page_says_what_status_and_lost_say(site):
    text = re.sub(r"\s+", " ", " ".join(Page(site.page).texts))
    total = rows(site.dovecot, "status")[-1]
    assert "Endpoints up 2 of 4 1 down, 1 misconfigured" in text
    assert "Queued now %d the oldest for 2 h" % total["queued"] in text
    assert "Delivered {:,} in the last 3 h 5 min".format(
        total["delivered"]) in text
    assert "95 % delivered within 1 s" in text
    assert "Given up and kept 1 the oldest 2 h" in text
    words = [word for word in Page(site.page).texts
             if word in ("down", "misconfigured", "up")]
    assert words == ["misconfigured", "down", "up", "up"] or \
        words == ["down", "misconfigured", "up", "up"]


def test_page_has_no_secrets(site):
    for endpoint in (site.good, site.dead, site.forbidden, site.refusing):
        for secret in endpoint.credentials:
            assert secret not in site.page


def test_no_service_no_page(site):
    with running_dovecot(driver(site.good)) as dovecot:
        dovecot.stop()
        output = dovecot.doveadm("http-notify", "report", status=EX_TEMPFAIL)
        assert "<html" not in output


def test_service_that_has_just_started(other_endpoint):
    """... has nothing to show, which makes a page as well."""
    with running_dovecot(driver(other_endpoint)) as dovecot:
        wait_for(lambda: has_queue(dovecot), what="the service")
        page = doveadm(dovecot, "report")
    texts = Page(page).texts
    assert texts.count("none") == 5
    assert "nothing waits" in texts and "0 of 0" in texts
    assert not browse(page, "--dump-dom").console


def test_many_endpoints_are_a_number(other_endpoint):
    """... behind those in trouble."""
    other_endpoint.status = lambda request: (
        401 if request.path.endswith("?51") else 200)
    with running_dovecot(driver(other_endpoint)) as dovecot:
        wait_for(lambda: has_queue(dovecot), what="the service")
        for number in range(53):
            notify(dovecot, "%s?%d" % (other_endpoint.url, number), "bob")
        dovecot.wait_log("rejects all notifications")
        other_endpoint.wait(52)
        page = doveadm(dovecot, "report")
    texts = Page(page).texts
    states = [text for text in texts if text in ("up", "misconfigured")]
    assert states == ["misconfigured"] + 49 * ["up"]
    assert "and 3 others, with less in the queue" in texts
    assert "52 of 53" in texts


def test_losses_are_grouped(other_endpoint):
    """... by what the endpoint answered, however long that took."""
    with running_dovecot(driver(other_endpoint)) as dovecot:
        lose(dovecot, other_endpoint, 4, user_count=9)
        dovecot.stop()
        with contextlib.closing(sqlite3.connect(dovecot.queue_path)) as db:
            db.executemany("UPDATE lost SET answer = ? WHERE uid = ?", [
                ("no after 1 ms: x", 1), ("no after 234 ms: x", 2),
                ("no after 234 ms: y", 3), ("no after 2 ms: x", 4)])
            db.commit()
        dovecot.start()
        wait_for(lambda: has_queue(dovecot), what="the service")
        page = doveadm(dovecot, "report")
    found = re.findall(r'<tr><td data-label="Kept">(\d+)</td>.*?<small>'
                       r'(.*?)</small>.*?"Last user">(.*?)</td>', page)
    assert found == [("3", "no after 1 ms: x", "user4"),
                     ("1", "no after 234 ms: y", "user3")]


def test_page_as_a_column(site):
    page, = rows(site.dovecot, "report")
    assert page["page"].startswith("<!DOCTYPE html>")
    assert page["page"].endswith("</html>\n")


# -- in a browser --

def test_browser_finds_nothing_wrong(site):
    seen = browse(site.page, "--dump-dom")
    assert (seen.console, seen.others) == ([], [])
    dom = Page(seen.output)
    assert "Push notifications of" in "".join(dom.texts)
    assert dom.tags["svg"] == 5
    assert dom.tags == Page(site.page).tags + collections.Counter()
    assert USER in dom.texts


def test_browser_would_notice(site):
    """... a page that loads something, or has a script that fails."""
    broken = re.sub("<meta http-equiv.*>", "", site.page).replace(
        "</main>", MARKUP + "<script>nonsense()</script></main>")
    seen = browse(broken, "--dump-dom")
    assert "http://evil.test/x" in seen.others
    assert any("nonsense" in line for line in seen.console)
    # and the page's own policy keeps it from that
    seen = browse(site.page.replace("</main>", MARKUP + "</main>"),
                  "--dump-dom")
    assert seen.others == []
    assert "<title>owned" not in seen.output


# What a script of the test's finds out about the page's layout, in a frame: a
# browser's window is not as narrow as a phone.
MEASURE = """<script>
const boxes = Array.from(document.querySelectorAll(SELECTOR), element => {
	const box = element.getBoundingClientRect();
	return [element.textContent, box.left, box.top, box.right, box.bottom];
});
parent.document.body.textContent = JSON.stringify(
	[document.documentElement.scrollWidth, boxes]);
</script>"""


def measure(page, selector, width):
    """The page's width, and where the elements are."""
    script = MEASURE.replace("SELECTOR", json.dumps(selector))
    framed = re.sub("<meta http-equiv.*>", "", page).replace(
        "</body>", script + "</body>")
    seen = browse('<!DOCTYPE html><meta charset="utf-8"><body>'
                  '<iframe width="%d" height="3000" srcdoc="%s"></iframe>' %
                  (width, html.escape(framed)), "--dump-dom")
    assert not seen.console
    return json.loads(html.unescape(re.search(
        "<body>(.*)</body>", seen.output, re.S)[1]))


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overlaps_or_sticks_out(site, width):
    page_width, boxes = measure(
        site.page, ".frame span, figcaption h2, figcaption p, figcaption li,"
        " dt, dd, h1", width)
    assert page_width == width
    assert len(boxes) > 5 * 10
    for text, left, top, right, bottom in boxes:
        assert 0 <= left < right <= width and top < bottom, text
    for number, (text, left, top, right, bottom) in enumerate(boxes):
        for other, left2, top2, right2, bottom2 in boxes[:number]:
            assert (right <= left2 or right2 <= left or
                    bottom <= top2 or bottom2 <= top), (text, other)


def pixels(page, path, **options):
    """The colours of the picture and how many pixels have them."""
    browse(page, "--screenshot=%s" % path, **options)
    with Image.open(path) as image:
        return image.size, collections.Counter({
            "#%02x%02x%02x" % colour: count for count, colour in
            image.convert("RGB").getcolors(image.width * image.height)})


def colours(dark):
    """Those of the style sheet, by their names."""
    light, _, others = (TOP / "monitoring/report.html").read_text().partition(
        "prefers-color-scheme: dark")
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});",
                           others if dark else light))


@pytest.mark.parametrize("width, height, dark", [
    (1280, 1900, False), (1280, 1900, True), (390, 3000, False)])
def test_picture_is_not_blank(site, tmp_path, width, height, dark):
    size, found = pixels(site.page, tmp_path / "page.png", width=width,
                         height=height, dark=dark)
    assert size == (width, height)
    named = colours(dark)
    for name, at_least in (("surface", width * height // 3), ("grid", 1000),
                           ("text", 200), ("blue", 500), ("aqua", 200),
                           ("dark", 200), ("bad", 500), ("orange", 20)):
        assert found[named[name]] >= at_least, (name, found[named[name]])
