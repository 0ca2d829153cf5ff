# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stand-in for the OX middleware's endpoint for calendar mail.

It answers as OX does: PUT only, Basic authentication; 400 for JSON that is
broken, for another event than messageNew (in any case, or none), without body
or folder, and for a body that is no message; otherwise 200 without content.
What it makes of the message comes later, by itself: the body's UTF-8 is parsed
as MIME, and a message without "To" is ignored.
"""

import email
import email.policy
import queue
import threading
import time

from harness.dovecot import TIMEOUT
from harness.endpoint import Endpoint, Handler


class Invitation:
    """A message that has been processed."""

    def __init__(self, body):
        self.user, self.folder = body.get("user"), body["folder"]
        self.raw = body["body"].encode("utf-8", "replace")
        self.message = email.message_from_bytes(
            self.raw, policy=email.policy.default)
        self.to = self.message["To"]

    @property
    def calendars(self):
        """The text of its text/calendar and .ics parts, decoded."""
        return [part.get_payload(decode=True).decode(
                    part.get_content_charset("utf-8"), "replace")
                for part in self.message.walk()
                if part.get_content_type() == "text/calendar" or
                (part.get_filename() or "").lower().endswith(".ics")]


class CalendarHandler(Handler):
    success = b""

    def ox_status(self, request):
        refusal = self.access_status(request)
        if refusal:
            return refusal
        body = request.body
        if not isinstance(body, dict) or \
                body.get("event", "messageNew").lower() != "messagenew" or \
                not isinstance(body.get("body"), str) or \
                not isinstance(body.get("folder"), str):
            return 400
        invitation = Invitation(body)
        if not invitation.message.keys():
            return 400
        self.server.endpoint.accepted.put(invitation)
        return 200


class CalendarEndpoint(Endpoint):
    handler = CalendarHandler
    path = "/chronos/v1/itip/pushmail"

    def __init__(self, **kwargs):
        self.accepted = queue.Queue()
        self.processed = []
        super().__init__(**kwargs)
        threading.Thread(target=self.process, daemon=True).start()

    def process(self):
        while True:
            invitation = self.accepted.get()
            if invitation.to is not None:
                self.processed.append(invitation)

    def wait_processed(self, count, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while len(self.processed) < count:
            assert time.monotonic() < deadline, "%d of %d were processed" % (
                len(self.processed), count)
            time.sleep(0.005)
        return list(self.processed)

    def clear(self):
        super().clear()
        self.processed.clear()
