/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_IMAP_ANSWER_H
#define LISTENER_IMAP_ANSWER_H

#include "buffer.h"

/* What an IMAP server sends (RFC 3501, RFC 5464), as far as the METADATA of
   one entry needs it. */

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

/* One response, without its line end. Points into the reader. */
struct imap_response {
	enum imap_kind kind;
	enum imap_status status;
	const char *tag; /* of a tagged one */
	size_t tag_size;
	/* after "* " or the tag; of a status response, after the status. May
	   have literals in it, i.e. any bytes. */
	const char *text;
	size_t size;
};

/* Takes the stream apart into responses. {} is one at the start. */
struct imap_reader {
	struct buffer input;
	size_t begin;     /* of the response that comes next */
	size_t line;      /* of its last line so far, literals are before it */
	size_t scanned;   /* no line end before this */
};

/* A response may have this many bytes, literals included: the longest that
   makes sense is a METADATA value, of a few dozen bytes as a rule. */
#define IMAP_RESPONSE_MAX (1024 * 1024)

void imap_reader_feed(struct imap_reader *reader, const void *data,
		      size_t size);
/* Returns 1 and response_r, which lasts until the next call or feed; 0 if more
   input is needed; -1 and error_r if it can't go on. */
int imap_reader_next(struct imap_reader *reader,
		     struct imap_response *response_r, const char **error_r);
void imap_reader_free(struct imap_reader *reader);

/* One line, without its line end. Returns 0, or -1 if it is not IMAP. */
int imap_response_parse(const char *line, size_t size,
			struct imap_response *response_r);

/* Is this word among the words of the text, in any case? */
bool imap_response_has_word(const struct imap_response *response,
			    const char *word);
/* Does the text begin with this, in any case? For [CODE]s and names. */
bool imap_response_begins(const struct imap_response *response,
			  const char *prefix);

/* Make text what the response says, for a message: escaped, and cut if it is
   long. */
void imap_response_describe(const struct imap_response *response,
			    struct buffer *text);

/* The value of a server-level entry in a METADATA response. Names of entries
   compare in any case. Returns 1 and value (any bytes) or nil_r, 0 if the
   response is another one or has nothing on the entry, -1 if it can't be
   parsed. */
int imap_metadata_find(const struct imap_response *response, const char *entry,
		       struct buffer *value, bool *nil_r);

/* The server's name in an ID response (RFC 2971). Returns 1 and name, else as
   above. */
int imap_id_name(const struct imap_response *response, struct buffer *name);

#endif
