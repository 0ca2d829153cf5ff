/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_ADDRESS_H
#define HTTP_NOTIFY_SENDER_ADDRESS_H

/* Choose what to name as "from": the first of the From header, the Sender
   header and the envelope sender that a mail address can be had from, else
   MAILER-DAEMON at the domain. OX's server fails a notification whose
   "from" has none, and shows on the phone what it takes for one. So:
   - A value that is as RFC 5322 wants it is kept as it is, but for
     http_notify_header_text().
   - Of one that is not (an unquoted colon in the name, a quote that does not
     end, "mailto:"), the address is kept, and the name if there is one.
   - An address without a domain gets this one.
   - One longer than max_size is reduced to its address.
   The headers and the envelope sender may be NULL. The result has an address,
   and max_size bytes of UTF-8 at most; it lives on the data stack or is one of
   the arguments. */
const char *
http_notify_sender_address_choose(const char *from, const char *sender,
				  const char *envelope_sender,
				  const char *domain, size_t max_size);

#endif
