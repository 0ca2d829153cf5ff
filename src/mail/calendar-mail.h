/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CALENDAR_MAIL_H
#define HTTP_NOTIFY_CALENDAR_MAIL_H

struct istream;
struct message_part;

/* Does the message have a part of type text/calendar, or one whose file name
   ends in ".ics"? Any part counts, also of an attached message, and a name in
   Content-Type as well as in Content-Disposition, in whichever encoding (RFC
   2231, RFC 2047, none) and case. Better one too many than one too few: whoever
   gets the message looks into it.

   The message must begin at the stream's offset 0; parts are its MIME parts.
   Only the headers of parts are read. Returns FALSE also if the stream failed,
   unless a part was found before. */
bool http_notify_message_has_calendar(struct istream *input,
				      const struct message_part *parts);

#endif
