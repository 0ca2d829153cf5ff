/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "message-address.h"

#include "header-text.h"
#include "sender-address.h"

#include <ctype.h>

/* RFC 5322 section 3.2.3, and RFC 6532 section 3.2 for UTF-8 */
static bool is_local_char(char chr)
{
	return i_isalnum(chr) || (unsigned char)chr >= 0x80 ||
		(chr != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", chr) != NULL);
}

static bool is_domain_char(char chr)
{
	return i_isalnum(chr) || (unsigned char)chr >= 0x80 ||
		chr == '-' || chr == '.';
}

/* Dots alone are none, nor are the encoded words of a name. */
static bool is_local_part(const char *value)
{
	const char *p = value;

	while (is_local_char(*p))
		p++;
	return *p == '\0' && value[strspn(value, ".")] != '\0' &&
		strstr(value, "=?") == NULL;
}

/* The first address; its domain is "" if it has none. NULL: there is none, but
   possibly a group, of which the members do not count. */
static struct message_address *address_parse(const char *value)
{
	struct message_address *addr =
		message_address_parse(pool_datastack_create(),
				      (const unsigned char *)value,
				      strlen(value), 1, 0);

	return addr == NULL || addr->domain == NULL || addr->mailbox == NULL ||
		addr->mailbox[0] == '\0' ? NULL : addr;
}

/* What is read back may be something else: the name has words that can't be
   quoted, or control characters; "." is taken for the address in ".@". */
static bool reads_as(const char *value, const struct message_address *addr)
{
	const struct message_address *read = address_parse(value);

	return read != NULL && strcmp(read->mailbox, addr->mailbox) == 0 &&
		strcmp(read->domain, addr->domain) == 0;
}

/* With its name if that is possible. NULL = it is not, even without. */
static const char *address_write(struct message_address *addr, size_t max_size)
{
	string_t *value = t_str_new(128);

	addr->next = NULL;
	addr->route = NULL;
	message_address_write(value, addr);
	if (str_len(value) > max_size || !reads_as(str_c(value), addr)) {
		addr->name = NULL;
		str_truncate(value, 0);
		message_address_write(value, addr);
	}
	return str_len(value) <= max_size && reads_as(str_c(value), addr) ?
		str_c(value) : NULL;
}

/* What is before the address, without the quote that did not end. */
static const char *salvage_name(const char *begin, const char *end)
{
	static const char *const around = " \t\r\n\"<";

	while (begin < end && strchr(around, *begin) != NULL)
		begin++;
	while (begin < end && strchr(around, end[-1]) != NULL)
		end--;
	return begin == end ? NULL : t_strdup_until(begin, end);
}

/* The address around an @. Returns FALSE if there is none. */
static bool
salvage_at(const char *value, const char *at, struct message_address *addr_r,
	   bool *in_brackets_r)
{
	const char *begin = at, *end = at + 1;

	while (begin > value && is_local_char(begin[-1]))
		begin--;
	while (is_domain_char(*end))
		end++;
	i_zero(addr_r);
	*in_brackets_r = begin > value && begin[-1] == '<' && *end == '>';
	if (*in_brackets_r)
		addr_r->name = salvage_name(value, begin);
	/* the full stop of a sentence */
	while (end[-1] == '.')
		end--;
	while (*begin == '.')
		begin++;
	addr_r->mailbox = t_strdup_until(begin, at);
	addr_r->domain = t_strdup_until(at + 1, end);
	return begin < at && end > at + 1;
}

/* The address in a value that is not as RFC 5322 wants it: the first one in
   angle brackets, else the first one. */
static const char *salvage(const char *value, size_t max_size)
{
	struct message_address addr, found;
	bool in_brackets, have_any = FALSE;
	const char *at;

	value = http_notify_header_text_decode(value);
	for (at = strchr(value, '@'); at != NULL; at = strchr(at + 1, '@')) {
		if (!salvage_at(value, at, &addr, &in_brackets))
			continue;
		if (in_brackets)
			return address_write(&addr, max_size);
		if (!have_any)
			found = addr;
		have_any = TRUE;
	}
	return have_any ? address_write(&found, max_size) : NULL;
}

static const char *
sender_in(const char *value, const char *domain, size_t max_size)
{
	struct message_address *addr;
	const char *salvaged;

	if (value == NULL)
		return NULL;
	value = http_notify_header_text(value);
	addr = address_parse(value);
	if (addr != NULL && addr->domain[0] != '\0') {
		return strlen(value) <= max_size ?
			value : address_write(addr, max_size);
	}
	/* "Bob <bob@example.org> would be an address without a domain */
	if ((salvaged = salvage(value, max_size)) != NULL || addr == NULL ||
	    !is_local_part(addr->mailbox))
		return salvaged;
	addr->domain = domain;
	return address_write(addr, max_size);
}

const char *
http_notify_sender_address_choose(const char *from, const char *sender,
				  const char *envelope_sender,
				  const char *domain, size_t max_size)
{
	const char *value;

	if ((value = sender_in(from, domain, max_size)) != NULL ||
	    (value = sender_in(sender, domain, max_size)) != NULL ||
	    (value = sender_in(envelope_sender, domain, max_size)) != NULL)
		return value;
	return t_strconcat("MAILER-DAEMON@", domain, NULL);
}
