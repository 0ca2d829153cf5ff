# SPDX-License-Identifier: LGPL-2.1-or-later
"""A receiver's side of Standard Webhooks, written from the specification:
https://github.com/standard-webhooks/standard-webhooks"""

import base64
import hashlib
import hmac
import secrets
import time

TOLERANCE = 5 * 60


def new_key(size=32):
    return "whsec_" + base64.b64encode(secrets.token_bytes(size)).decode()


def is_signed(request, key):
    """By a key, and in the last minutes?"""
    identifier, timestamp = (request.headers[name] for name in (
        "Webhook-Id", "Webhook-Timestamp"))
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = b"%s.%s.%s" % (identifier.encode(), timestamp.encode(),
                            request.raw)
    digest = hmac.new(base64.b64decode(key[len("whsec_"):]), signed,
                      hashlib.sha256).digest()
    signatures = request.headers["Webhook-Signature"].split(" ")
    assert all(signature.startswith("v1,") for signature in signatures)
    return any(hmac.compare_digest(base64.b64decode(signature[3:]), digest)
               for signature in signatures)
