/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "istream-crlf.h"
#include "str.h"

#include "json-text.h"
#include "message-json.h"
#include "message-recode.h"

/* bytes of the longest character */
#define CHAR_MAX_BYTES 4

/* Returns FALSE if the message is not UTF-8. */
static bool
append_utf8(struct istream *input, size_t max_len, string_t *dest)
{
	const unsigned char *data;
	size_t size, used;

	while (i_stream_read_bytes(input, &data, &size, CHAR_MAX_BYTES) > 0) {
		used = http_notify_json_append(dest, data, size);
		i_stream_skip(input, used);
		/* less may be the beginning of a character */
		if (size - used >= CHAR_MAX_BYTES)
			return FALSE;
		if (str_len(dest) > max_len)
			return TRUE;
	}
	return http_notify_json_append(dest, data, size) == size;
}

/* Returns FALSE if the message alone is larger than max_size. */
static bool
append_recoded(struct istream *input, size_t max_size, string_t *dest)
{
	string_t *message = str_new(default_pool, 64*1024);
	const unsigned char *data;
	size_t size;
	bool fits;

	while (str_len(message) <= max_size &&
	       i_stream_read_more(input, &data, &size) > 0) {
		str_append_data(message, data, size);
		i_stream_skip(input, size);
	}
	fits = str_len(message) <= max_size;
	if (fits && input->stream_errno == 0) {
		http_notify_message_recode(dest, str_data(message),
					   str_len(message));
	}
	str_free(&message);
	return fits;
}

int http_notify_message_append_json(struct istream *input, size_t max_size,
				    string_t *dest)
{
	size_t begin = str_len(dest);
	struct istream *crlf;
	bool fits = TRUE;
	int ret;

	i_stream_seek(input, 0);
	crlf = i_stream_create_crlf(input);
	if (!append_utf8(crlf, begin + max_size, dest)) {
		str_truncate(dest, begin);
		i_stream_unref(&crlf);
		i_stream_seek(input, 0);
		crlf = i_stream_create_crlf(input);
		fits = append_recoded(crlf, max_size, dest);
	}
	if (crlf->stream_errno != 0)
		ret = -1;
	else if (!fits || str_len(dest) - begin > max_size)
		ret = 0;
	else
		ret = crlf->eof ? 1 : -1;
	if (ret <= 0)
		str_truncate(dest, begin);
	i_stream_unref(&crlf);
	return ret;
}
