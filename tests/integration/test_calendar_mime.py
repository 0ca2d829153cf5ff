# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an endpoint for calendar mail gets says what the message says. MIME
parsers that are not ours compare both: Python's, and JavaMail, which OX's
server uses."""

import email
import email.header
import email.message
import email.utils
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BUILD
from harness.invitations import AWKWARD, CHARSETS, invitations

MIME = BUILD / "tests/mime"
SOURCE = pathlib.Path(__file__).resolve().parent.parent / "mime"
JARS = "/usr/share/java/javax.mail.jar", "/usr/share/java/javax.activation.jar"


def java_is_complete():
    return all(map(shutil.which, ("java", "ecj"))) and \
        all(map(os.path.exists, JARS))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The folder of the messages, that of what an endpoint gets for them, and
    the names of both files."""
    folders = [tmp_path_factory.mktemp(name) for name in ("sent", "got")]
    names = []
    for name, message in itertools.chain(invitations(), AWKWARD.items()):
        (folders[0] / name).write_bytes(message)
        names.append(name)
    subprocess.run(["make", "-s", "-C", MIME, "check"], check=True)
    output = subprocess.run(
        [MIME / "message-to-json", *names], cwd=folders[0], check=True,
        capture_output=True).stdout
    for name, line in zip(names, output.splitlines(), strict=True):
        is_calendar, body = json.loads(line)
        assert is_calendar, name
        (folders[1] / name).write_bytes(body.encode("utf-8"))
    return (*folders, names)


def raw(value):
    """A header's value without folds, its raw bytes as Latin-1."""
    return re.sub("\r?\n", "", value.encode(
        "ascii", "surrogateescape").decode("latin-1"))


def words(value):
    text = ""
    for part, charset in email.header.decode_header(value):
        text += part if isinstance(part, str) else part.decode(
            charset or "latin-1")
    return text


def addresses(value):
    return [(words(name), address) for name, address in
            email.utils.getaddresses([raw(value)])]


def parameter(fields, header, name):
    message = email.message.Message()
    message[header] = raw(fields.get(header, ""))
    value = message.get_param(name, header=header)
    if isinstance(value, tuple):
        return email.utils.collapse_rfc2231_value(value)
    return value and words(value)


def parsed(part):
    fields = {name.title(): value for name, value in part.raw_items()}
    result = [
        part.get_content_type(), part.get_content_charset(),
        parameter(fields, "Content-Type", "name"),
        parameter(fields, "Content-Type", "method"),
        parameter(fields, "Content-Disposition", "filename"),
        part.get_content_disposition(),
        {name: addresses(value) if name in ("From", "To") else
               words(raw(value)) for name, value in fields.items()
         if not name.startswith("Content-")}]
    if part.is_multipart():
        return result + [parsed(child) for child in part.get_payload()]
    return result + [part.get_payload(decode=True)]


def test_corpus_is_what_is_asked_for(corpus):
    assert len(CHARSETS) == 20
    assert len(corpus[2]) == 720 + len(AWKWARD)


def test_utf8_is_byte_for_byte(corpus):
    sent, got, names = corpus
    same = [name for name in names
            if (sent / name).read_bytes() == (got / name).read_bytes()]
    assert same == [name for name in names if "-utf-8-" in name]


def assert_python_finds_the_same(corpus, name):
    messages = [email.message_from_bytes((folder / name).read_bytes())
                for folder in corpus[:2]]
    assert parsed(messages[0]) == parsed(messages[1])


@pytest.mark.parametrize("charset", CHARSETS)
def test_python_finds_the_same(corpus, charset):
    for name in corpus[2]:
        if "-%s-" % charset in name:
            assert_python_finds_the_same(corpus, name)


@pytest.mark.parametrize("name", AWKWARD)
def test_python_finds_the_same_in_what_is_unusual(corpus, name):
    assert_python_finds_the_same(corpus, name)


@pytest.mark.skipif(not java_is_complete(),
                    reason="needs ecj, a JRE and libmail-java")
def test_javamail_finds_the_same(corpus, tmp_path):
    sent, got, names = corpus
    jars = ":".join(JARS)
    subprocess.run(["ecj", "-proc:none", "-17", "-cp", jars, "-d", tmp_path,
                    SOURCE / "ParseMail.java"], check=True)
    lines = [subprocess.run(
        ["java", "-cp", f"{jars}:{tmp_path}", "ParseMail", *names],
        cwd=folder, check=True, capture_output=True,
        text=True).stdout.splitlines() for folder in (sent, got)]
    for name, *both in zip(names, *lines, strict=True):
        assert both[0] == both[1], name
