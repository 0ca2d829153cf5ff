# SPDX-License-Identifier: LGPL-2.1-or-later
"""Invitations in the shapes in which calendar programs write them, with raw
bytes of any charset in headers, file names and content."""

import base64
import quopri

# each with a text that only some charsets have
CHARSETS = {
    "utf-8": "Größe €5 会議 📅",
    "iso-8859-1": "Grüße aus Ångström",
    "iso-8859-2": "Schůzka Łódź",
    "iso-8859-5": "Встреча",
    "iso-8859-7": "Συνάντηση",
    "iso-8859-8": "פגישה",
    "iso-8859-9": "Toplantı İğşç",
    "iso-8859-15": "Réunion à 5 €",
    "windows-1250": "Schůzka – Łódź",
    "windows-1251": "Встреча № 5",
    "windows-1252": "Grüße – “5 €”",
    "windows-1256": "اجتماع",
    "koi8-r": "Встреча",
    "gb2312": "会议",
    "gbk": "會議一",
    "gb18030": "会议 📅",
    "big5": "會議功",
    "shift_jis": "会議ソ表",
    "euc-jp": "会議",
    "euc-kr": "회의",
}

ENCODINGS = "8bit", "binary", "quoted-printable", "base64"


def calendar(text, method="REQUEST"):
    return (
        "BEGIN:VCALENDAR\r\nPRODID:-//Test//EN\r\nVERSION:2.0\r\n"
        "METHOD:%s\r\nBEGIN:VEVENT\r\nUID:%s@example.org\r\n"
        "DTSTART:20260301T100000Z\r\nDTSTAMP:20260201T100000Z\r\n"
        "ORGANIZER;CN=\"%s\":mailto:boss@example.org\r\n"
        "ATTENDEE;RSVP=TRUE:mailto:bob@example.com\r\n"
        "SUMMARY:%s\r\nDESCRIPTION:%s\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n") % (
            method, method.lower(), text, text, (text + " ") * 200)


class Shape:
    """Makes messages of one charset and transfer encoding."""

    def __init__(self, charset, encoding):
        self.charset, self.encoding = charset, encoding
        self.text = CHARSETS[charset]
        self.raw = self.text.encode(charset)
        # some charsets have backslashes in characters
        self.quoted = self.raw.replace(b"\\", b"\\\\")

    def part(self, header, content, encoding=None):
        """header: CHARSET and RAWNAME stand for what they are here."""
        encoding = encoding or self.encoding
        content = content.encode(self.charset)
        if encoding == "base64":
            content = base64.encodebytes(content).replace(b"\n", b"\r\n")
        elif encoding == "quoted-printable":
            content = quopri.encodestring(
                content.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        header = header.encode().replace(b"CHARSET", self.charset.encode())
        header = header.replace(b"RAWNAME", self.quoted + b".ics")
        return (header + b"\r\nContent-Transfer-Encoding: " + encoding.encode() +
                b"\r\n\r\n" + content)

    def multipart(self, subtype, boundary, *parts):
        return (('Content-Type: multipart/%s;\r\n\tboundary="%s"\r\n\r\n' %
                 (subtype, boundary)).encode() +
                b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part)
                         for part in parts) +
                b"--%s--\r\n" % boundary.encode())

    def message(self, part, *fields):
        return (b'From: "%s, Boss" <boss@example.org>\r\n'
                b"To: %s <bob@example.com>,\r\n Al <al@example.com>\r\n"
                b"Subject: Invitation: %s @ %s\r\n"
                b"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n%s" % (
                    self.quoted, self.raw, self.raw, self.raw,
                    b"".join(field + b"\r\n" for field in fields))
                + part)

    def text_part(self):
        return self.part("Content-Type: text/plain; charset=CHARSET",
                         self.text + "\r\n\r\nMore: " + self.text + "\r\n")

    def html_part(self):
        return self.part("Content-Type: text/html; charset=\"CHARSET\"",
                         "<p>%s</p>\r\n" % self.text)

    def google(self):
        alternative = self.multipart(
            "alternative", "000000000000a1b2c3", self.text_part(),
            self.html_part(), self.part(
                'Content-Type: text/calendar; charset="CHARSET"; '
                "method=REQUEST", calendar(self.text)))
        return self.message(self.multipart(
            "mixed", "000000000000a1b2c4", alternative, self.part(
                'Content-Type: application/ics; name="invite.ics"\r\n'
                'Content-Disposition: attachment; filename="invite.ics"',
                calendar(self.text), "base64")), b"Sender: Google Calendar "
            b"<calendar-notification@google.com>")

    def exchange(self):
        return self.message(self.multipart(
            "alternative", "_000_1234ABCDEXCH01example_", self.text_part(),
            self.html_part(), self.part(
                'Content-Type: text/calendar; charset="CHARSET"; '
                "method=REQUEST", calendar(self.text))),
            b"Thread-Topic: " + self.raw,
            b"Content-Class: urn:content-classes:calendarmessage")

    def outlook(self):
        """No multipart."""
        return self.message(self.part(
            "Content-class: urn:content-classes:calendarmessage\r\n"
            "Content-Type: text/calendar;\r\n\tmethod=REQUEST;\r\n"
            '\tname="RAWNAME";\r\n\tcharset="CHARSET"',
            calendar(self.text)), b"X-MimeOLE: Produced By Microsoft")

    def apple(self):
        alternative = self.multipart(
            "alternative", "===============1234567890==", self.text_part(),
            self.part("Content-Type: text/calendar; charset=\"CHARSET\";\r\n"
                      " method=REQUEST", calendar(self.text)))
        return self.message(self.multipart(
            "mixed", "===============1234567890===", alternative, self.part(
                "Content-Type: application/ics;\r\n name=\"RAWNAME\"\r\n"
                "Content-Disposition: attachment; filename=\"RAWNAME\"",
                calendar(self.text))))

    def zimbra(self):
        return self.message(self.multipart(
            "alternative", "=_a1b2c3d4-5678", self.text_part(),
            self.html_part(), self.part(
                "Content-Type: text/calendar; charset=CHARSET; "
                "method=REQUEST; name=meeting.ics", calendar(self.text))))

    def ox(self):
        alternative = self.multipart(
            "alternative", "----=_Part_1_23.456", self.text_part(),
            self.html_part(), self.part(
                "Content-Type: text/calendar; method=REQUEST; "
                "charset=CHARSET", calendar(self.text)))
        return self.message(self.multipart(
            "mixed", "----=_Part_1_23.45", alternative, self.part(
                "Content-Type: application/ics; name=invite.ics\r\n"
                "Content-Disposition: attachment; filename=invite.ics",
                calendar(self.text))))

    def thunderbird(self):
        alternative = self.multipart(
            "alternative", "Boundary_(ID_ryU4ZdJoASiZ+Jo21dCbwA)",
            self.text_part(), self.part(
                "Content-type: text/calendar; method=REQUEST; "
                "charset=CHARSET", calendar(self.text)))
        return self.message(self.multipart(
            "mixed", "Boundary_(ID_qyG4ZdjoAsiZ+Jo19dCbWQ)", alternative,
            self.part(
                "Content-type: application/ics; name=invite.ics\r\n"
                "Content-disposition: attachment; filename=invite.ics",
                calendar(self.text))))

    def nextcloud(self):
        alternative = self.multipart(
            "alternative", "_=_swift_1234_alt_=_", self.text_part(),
            self.html_part())
        return self.message(self.multipart(
            "mixed", "_=_swift_1234_=_", alternative, self.part(
                "Content-Type: text/calendar; method=REQUEST; "
                'charset=CHARSET; name="event.ics"\r\n'
                "Content-Disposition: attachment; filename=event.ics",
                calendar(self.text))))

    def forwarded(self):
        """Within another message, and signed."""
        inner = self.exchange()
        return self.message(self.multipart(
            "signed", "----=_sig", self.multipart(
                "mixed", "----=_sig1", self.text_part(),
                b"Content-Type: message/rfc822\r\n"
                b"Content-Transfer-Encoding: 8bit\r\n\r\n" + inner),
            b"Content-Type: application/pkcs7-signature\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\nc2lnbmF0dXJl\r\n"))


SHAPES = ("google", "exchange", "outlook", "apple", "zimbra", "ox",
          "thunderbird", "nextcloud", "forwarded")


def invitations():
    """Yields names and messages, with CRLF at the ends of lines."""
    for charset in CHARSETS:
        for encoding in ENCODINGS:
            for shape in SHAPES:
                message = getattr(Shape(charset, encoding), shape)()
                yield "%s-%s-%s" % (shape, charset, encoding), message


def multipart_lines(*lines):
    return b"\r\n".join(
        (b"Content-Type: multipart/mixed; boundary=b",) + lines)


TYPE = b"Content-Type: text/calendar; charset=iso-8859-1; method=REQUEST"

# what is unusual, each with bytes that are not UTF-8
AWKWARD = {
    "nul": TYPE + b"\r\n\r\nSUMMARY:\0\xfc\0\r\n",
    "nul in a header": b"Subject: a\0\xfc b\r\n" + TYPE + b"\r\n\r\nx\r\n",
    "controls": TYPE + b"\r\n\r\n" + bytes(range(14, 256)) + b"\r\n",
    "carriage returns": TYPE + b"\r\n\r\na\rb\xfc\r\r\r\nc\r\n",
    "long lines": TYPE + b"\r\n\r\n" + b"SUMMARY:\xfc" * 1000 + b"\r\n",
    "long header": b"Subject: " + b"\xfcber " * 1000 + b"\r\n" + TYPE +
                   b"\r\n\r\nx\r\n",
    "no line end": TYPE + b"\r\n\r\n\xfc",
    "boundary within a line": multipart_lines(
        b"", b"--b", TYPE, b"", b" --b", b"x--b", b"\xfc", b"--b--", b""),
    "boundary begins a line": multipart_lines(
        b"", b"--b", TYPE, b"", b"--b1", b"\xfc",
        b"--b -", b"--b-", b"--b--", b""),
    "boundary of base64": multipart_lines(
        b"", b"--b", TYPE, b"", b"\xfc" * 500, b"--b  ", TYPE, b"",
        b"\xfc", b"--b--", b"after\xfc"),
    "one boundary twice": multipart_lines(
        b"", b"--b", b"Content-Type: multipart/alternative; boundary=b", b"",
        b"--b", TYPE, b"", b"\xfc", b"--b--", b"--b", TYPE, b"", b"\xfc"),
    "no last boundary": multipart_lines(
        b"", b"before\xfc", b"--b", TYPE, b"", b"\xfc"),
    "empty parts": multipart_lines(
        b"", b"--b", b"--b", b"", b"--b", b"", b"", b"--b", TYPE, b"",
        b"\xfc", b"--b--", b""),
    "two encodings": b"Content-Transfer-Encoding: 8bit\r\n" + TYPE +
                     b"\r\nContent-Transfer-Encoding: base64\r\n\r\n\xfc\r\n",
    "folded encoding": TYPE + b"\r\nContent-Transfer-Encoding:\r\n 8bit\r\n"
                       b"\r\n\xfc\r\n",
    "quoted-printable": TYPE + b"\r\nContent-Transfer-Encoding: "
                        b"Quoted-Printable\r\n\r\na=FC\xfc=\r\nb\r\n",
    "base64": TYPE + b"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"
              b"YWJj\r\nYWJj\r\n\xfc",
    "encoded words": b"Subject: =?utf-8?Q?=C3=BC?= \xfc =?utf-8?Q?=C3=BC?= "
                     b"\xfc\r\n \xfc x\r\n" + TYPE + b"\r\n\r\nx\r\n",
    "addresses": b'From: "a\xfc\\" (b), c" <a@example.org>\r\nTo: \xfc'
                 b"<b@example.org>, c@example.org (\xfc), x \xfc y \xfc\r\n\t"
                 b"<d@example.org>\r\n" + TYPE + b"\r\n\r\nx\r\n",
    "parameters": b"Content-Type: text/calendar;\r\n x=\"\xfc;\"; NAME = "
                  b"\"a;\xfc.ics\" ;method=REQUEST\r\n\r\nx\r\n",
}
