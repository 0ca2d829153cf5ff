/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_WEBHOOK_H
#define HTTP_NOTIFY_WEBHOOK_H

/* Signatures of the specification Standard Webhooks, by HMAC-SHA256. keys: one
   a line, each "whsec_" and the base64 of 24 to 64 bytes. Append the value of
   the header webhook-signature, which has one signature for each key.
   dest is empty; timestamp: Unix seconds. Returns 0, or -1 and error_r, which
   repeats nothing of the keys. */
int webhook_sign(string_t *dest, const char *keys, const char *id,
		 time_t timestamp, const char *body, const char **error_r);

#endif
