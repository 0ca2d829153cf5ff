/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_IMAP_ANSWER_H
#define LISTENER_IMAP_ANSWER_H

#include "buffer.h"

/* What an IMAP server sends (RFC 3501, RFC 5464), as far as that is needed to
   read and write one METADATA entry. */

enum imap_kind {
	IMAP_UNTAGGED,
	IMAP_TAGGED,
	IMAP_CONTINUATION,
};

enum imap_status {
	IMAP_STATUS_NONE, /* not a status response, i.e. data */
	IMAP_STATUS_OK,
	IMAP_STATUS_NO,
	IMAP_STATUS_BAD,
	IMAP_STATUS_BYE,
	IMAP_STATUS_PREAUTH,
};

/* One response, without its line end. Points into the input. */
struct imap_response {
	enum imap_kind kind;
	enum imap_status status;
	const char *tag; /* of a tagged response */
	size_t tag_size;
	/* What follows "* " or the tag, and the status if there is one. May
	   contain literals, i.e. any bytes. */
	const char *text;
	size_t size;
};

/* Splits the input into responses. {} is a new reader. */
struct imap_reader {
	struct buffer input;
	size_t begin;     /* where the next response begins */
	size_t line;      /* where its last line so far begins */
	size_t scanned;   /* from where to look for the end of that line */
};

/* Longest response, literals included, in bytes. The longest that makes sense
   is one with a METADATA value, which usually has a few dozen bytes. */
#define IMAP_RESPONSE_MAX (1024 * 1024)

void imap_reader_feed(struct imap_reader *reader, const void *data,
		      size_t size);
/* Returns 1 and response_r, which is valid until the next call or feed; 0 if
   more input is needed; -1 and error_r if the input is not IMAP or a response
   is too long. */
int imap_reader_next(struct imap_reader *reader,
		     struct imap_response *response_r, const char **error_r);
void imap_reader_free(struct imap_reader *reader);

/* Parse one line, without its line end, into which response_r will point.
   Returns 0, or -1 if it is not IMAP. */
int imap_response_parse(const char *line, size_t size,
			struct imap_response *response_r);

/* Is this one of the words of the text? Upper and lower case are the same. */
bool imap_response_has_word(const struct imap_response *response,
			    const char *word);
/* Does the text begin with this [CODE] or name? Upper and lower case are the
   same. */
bool imap_response_begins(const struct imap_response *response,
			  const char *prefix);

/* Set text to what the response says, for a message: escaped, and cut if it is
   long. */
void imap_response_describe(const struct imap_response *response,
			    struct buffer *text);

/* Find the value of a server-level entry in a METADATA response. In names of
   entries, upper and lower case are the same. Returns 1 and either value (any
   bytes) or nil_r = true; 0 if it is another response or lacks the entry; -1 if
   it can't be parsed. */
int imap_metadata_find(const struct imap_response *response, const char *entry,
		       struct buffer *value, bool *nil_r);

/* Find the server's name in an ID response (RFC 2971). Returns 1 and name, 0 if
   it is another response or lacks the name, -1 if it can't be parsed. */
int imap_id_name(const struct imap_response *response, struct buffer *name);

#endif
