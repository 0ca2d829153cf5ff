/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "report.h"
#include "report-text.h"

#include <time.h>

#define DELAY_LONGER (HTTP_NOTIFY_ADMIN_HISTORY_COUNT - \
		      HTTP_NOTIFY_ADMIN_HISTORY_DELAYS - 1)

void report_append(string_t *dest, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			str_append(dest, "&amp;");
			break;
		case '<':
			str_append(dest, "&lt;");
			break;
		case '>':
			str_append(dest, "&gt;");
			break;
		case '"':
			str_append(dest, "&quot;");
			break;
		case '\'':
			str_append(dest, "&#39;");
			break;
		default:
			str_append_c(dest, *text);
		}
	}
}

const char *report_count(uint64_t count)
{
	const char *digits = t_strdup_printf("%"PRIu64, count);
	string_t *str = t_str_new(32);
	size_t left;

	for (left = strlen(digits); left > 0; left--) {
		str_append_c(str, *digits++);
		if (left > 1 && left % 3 == 1)
			str_append_c(str, ',');
	}
	return str_c(str);
}

static const char *two_units(uint64_t value, unsigned int base,
			     const char *large, const char *small)
{
	if (value % base == 0)
		return t_strdup_printf("%"PRIu64" %s", value / base, large);
	return t_strdup_printf("%"PRIu64" %s %"PRIu64" %s", value / base,
			       large, value % base, small);
}

const char *report_duration(uint64_t secs)
{
	if (secs < 60)
		return t_strdup_printf("%"PRIu64" s", secs);
	if (secs < 60*60)
		return t_strdup_printf("%"PRIu64" min", secs / 60);
	if (secs < 24*60*60)
		return two_units(secs / 60, 60, "h", "min");
	return two_units(secs / (60*60), 24, "d", "h");
}

const char *report_time(time_t time, const char *format)
{
	char text[64];

	if (strftime(text, sizeof(text), format, localtime(&time)) == 0)
		i_unreached();
	return t_strdup(text);
}

const char *report_delay_text(int delay)
{
	if (delay < 0)
		return "–";
	if (delay == DELAY_LONGER) {
		return t_strconcat("over ",
				   report_duration(1U << (delay - 1)), NULL);
	}
	return report_duration(1U << delay);
}
