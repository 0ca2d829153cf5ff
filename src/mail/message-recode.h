/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MESSAGE_RECODE_H
#define HTTP_NOTIFY_MESSAGE_RECODE_H

/* Append a message to a JSON string (json-text.h) so that a MIME parser finds
   in it what it would find in the message, although not all of that is UTF-8:

   - Content that is UTF-8 is appended as it is, whatever else there is.
   - Other content gets Content-Transfer-Encoding: base64 in place of 7bit,
     8bit, binary, none or an unknown one. In quoted-printable, the bytes in
     question are encoded.
   - Headers: see header-recode.h.
   - U+FFFD takes the place of bytes that say nothing: outside of the parts of a
     multipart, in base64, in a part that is neither content nor parts.

   A signature that covers what is changed becomes invalid. RFC 1847 does not
   allow such content in a multipart/signed, but DKIM may have signed it.

   Parts are told apart as by JavaMail, OX's parser: line ends are CRLF, LF and
   CR; a boundary is a line of its own; the outermost one counts. */
void http_notify_message_recode(string_t *dest, const unsigned char *data,
				size_t size);

#endif
