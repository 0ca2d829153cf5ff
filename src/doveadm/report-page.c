/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hostpid.h"
#include "str.h"

#include "report.h"
#include "report-page.h"
#include "report-plot.h"
#include "report-template.h"
#include "report-text.h"

/* How many rows of a table to show. */
#define ROWS_MAX 50

static uint64_t total_num(const struct report *report,
			  enum http_notify_admin_status field)
{
	return report_status_num(report->total, field);
}

/* How many are kept, and how many were given up since the service was started:
   of an endpoint, or by the row of totals. */
static uint64_t kept_num(const char *const *row)
{
	return report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_KEPT_REFUSED) +
		report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED) +
		report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED);
}

static uint64_t lost_num(const char *const *row)
{
	return report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_REFUSED) +
		report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_DROPPED) +
		report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_EXPIRED);
}

static const char *ago(uint64_t secs)
{
	return t_strconcat(report_duration(secs), " ago", NULL);
}

/* Head */

static void page_host(string_t *dest, const struct report *report ATTR_UNUSED)
{
	report_append(dest, my_hostname);
}

static void page_made(string_t *dest, const struct report *report)
{
	str_append(dest, report_time(report->now, "%Y-%m-%d %H:%M %z"));
}

static void page_uptime(string_t *dest, const struct report *report)
{
	str_append(dest, report_duration(
		total_num(report, HTTP_NOTIFY_ADMIN_STATUS_SINCE)));
}

/* Figures */

static void
figure_append(string_t *dest, const char *label, const char *value,
	      const char *detail, bool bad)
{
	str_printfa(dest, "<div%s><dt>%s</dt><dd>%s</dd><dd>%s</dd></div>\n",
		    bad ? " class=\"bad\"" : "", label, value, detail);
}

static void figure_endpoints(string_t *dest, const struct report *report)
{
	unsigned int count = array_count(&report->endpoints);
	unsigned int down = 0, misconfigured = 0;
	const char *const *row;

	array_foreach_elem(&report->endpoints, row) {
		const char *state = row[HTTP_NOTIFY_ADMIN_STATUS_STATE];

		if (strcmp(state, "down") == 0)
			down++;
		else if (strcmp(state, "up") != 0)
			misconfigured++;
	}
	figure_append(dest, "Endpoints up", t_strdup_printf("%s of %s",
			report_count(count - down - misconfigured),
			report_count(count)),
		t_strdup_printf("%s down, %s misconfigured",
			report_count(down), report_count(misconfigured)),
		down + misconfigured > 0);
}

static void page_figures(string_t *dest, const struct report *report)
{
	struct report_interval sum = report_sum(report);
	const char *since = t_strdup_printf("in the last %s", report_duration(
		I_MAX(sum.fields[HTTP_NOTIFY_ADMIN_HISTORY_AGO], 1)));
	uint64_t queued = total_num(report, HTTP_NOTIFY_ADMIN_STATUS_QUEUED);
	uint64_t spooled = total_num(report, HTTP_NOTIFY_ADMIN_STATUS_SPOOLED);
	uint64_t kept = kept_num(report->total);

	figure_endpoints(dest, report);
	figure_append(dest, "Queued now", report_count(queued), queued == 0 ?
		"nothing waits" : spooled > 0 ?
		t_strdup_printf("%s of them on this host only",
				report_count(spooled)) :
		t_strdup_printf("the oldest for %s",
			report_duration(total_num(report,
				HTTP_NOTIFY_ADMIN_STATUS_OLDEST))),
		spooled > 0);
	figure_append(dest, "Delivered", report_count(
		sum.fields[HTTP_NOTIFY_ADMIN_HISTORY_DELIVERED]), since, FALSE);
	figure_append(dest, "95 % delivered within",
		report_delay_text(report_delay(&sum, 0.95)), since, FALSE);
	figure_append(dest, "Given up and kept", report_count(kept),
		kept == 0 ? "nothing to look at" :
		t_strdup_printf("the oldest %s", ago(total_num(report,
			HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST))), kept > 0);
}

/* Tables */

static void cell_value(string_t *dest, const char *label, const char *value)
{
	str_printfa(dest, "<td data-label=\"%s\">%s</td>", label, value);
}

/* Hostile text, and more of it in a line of its own, unless that is "". */
static void
cell_text(string_t *dest, const char *class, const char *label,
	  const char *text, const char *more_label, const char *more)
{
	str_printfa(dest, "<td class=\"%s\" data-label=\"%s\">", class, label);
	report_append(dest, text);
	if (*more != '\0') {
		str_printfa(dest, "<br><small>%s", more_label);
		report_append(dest, more);
		str_append(dest, "</small>");
	}
	str_append(dest, "</td>");
}

static void endpoint_row(string_t *dest, const char *const *row)
{
#define FIELD(name) row[HTTP_NOTIFY_ADMIN_STATUS_##name]
#define NUM(name) report_status_num(row, HTTP_NOTIFY_ADMIN_STATUS_##name)
	str_append(dest, "<tr class=\"");
	report_append(dest, FIELD(STATE));
	str_append(dest, "\">");
	cell_text(dest, "state", "State", FIELD(STATE),
		  "standby: ", FIELD(STANDBY_STATE));
	cell_text(dest, "text", "Endpoint", FIELD(ENDPOINT),
		  "last error: ", FIELD(LAST_ERROR));
	cell_value(dest, "For", report_duration(NUM(SINCE)));
	cell_value(dest, "Queued", report_count(NUM(QUEUED)));
	cell_value(dest, "Oldest", NUM(QUEUED) == 0 ? "–" :
		   report_duration(NUM(OLDEST)));
	cell_value(dest, "Delivered", report_count(NUM(DELIVERED)));
	cell_value(dest, "Retried", report_count(NUM(RETRIED)));
	cell_value(dest, "Given up", report_count(lost_num(row)));
	cell_value(dest, "Kept", report_count(kept_num(row)));
	str_append(dest, "</tr>\n");
#undef FIELD
#undef NUM
}

static void
row_of_others(string_t *dest, unsigned int columns, uint64_t count,
	      const char *what)
{
	if (count > 0) {
		str_printfa(dest, "<tr class=\"others\"><td colspan=\"%u\">"
			    "and %s %s</td></tr>\n", columns,
			    report_count(count), what);
	}
}

static void page_endpoints(string_t *dest, const struct report *report)
{
	unsigned int i, count = array_count(&report->endpoints);

	for (i = 0; i < count && i < ROWS_MAX; i++) T_BEGIN {
		endpoint_row(dest, array_idx_elem(&report->endpoints, i));
	} T_END;
	row_of_others(dest, 9, count - i, "others, with less in the queue");
}

static void loss_row(string_t *dest, const struct report_loss *loss)
{
	str_append(dest, "<tr>");
	cell_value(dest, "Kept", report_count(loss->count));
	cell_text(dest, "word", "Reason", loss->reason, "", "");
	cell_text(dest, "text", "Endpoint", loss->endpoint, "", loss->answer);
	cell_value(dest, "First", ago(loss->first));
	cell_value(dest, "Last", ago(loss->last));
	cell_text(dest, "text", "Last user", loss->username, "", "");
	str_append(dest, "</tr>\n");
}

static void page_losses(string_t *dest, const struct report *report)
{
	unsigned int i, count = array_count(&report->losses);
	uint64_t others = report->other_losses;

	if (report->losses_unknown) {
		str_append(dest, "<tr><td colspan=\"6\">What was given up "
			   "can't be read now.</td></tr>\n");
	} else if (count == 0) {
		str_append(dest, "<tr><td colspan=\"6\">Nothing is kept that "
			   "was given up.</td></tr>\n");
	}
	for (i = 0; i < count; i++) T_BEGIN {
		const struct report_loss *loss = array_idx(&report->losses, i);

		if (i < ROWS_MAX)
			loss_row(dest, loss);
		else
			others += loss->count;
	} T_END;
	row_of_others(dest, 6, others, "others, for more reasons");
}

/* Plots */

static double
value_count(const struct report_interval *interval, unsigned int field)
{
	return interval->fields[field];
}

/* field: of a hundred */
static double
value_delay(const struct report_interval *interval, unsigned int field)
{
	int delay = report_delay(interval, field / 100.0);

	return delay < 0 ? -1 : delay + 1;
}

#define COUNT(name, kind, field) \
	{ name, REPORT_SERIES_##kind, value_count, \
	  HTTP_NOTIFY_ADMIN_HISTORY_##field }
#define DELAY(name, share) { name, REPORT_SERIES_AREA, value_delay, share }

static const struct report_series traffic[] = {
	COUNT("stored in the queue", AREA, STORED),
	COUNT("delivered", LINE, DELIVERED),
	COUNT("attempts that failed and were repeated", AREA, RETRIED),
}, delays[] = {
	DELAY("99 % of them", 99), DELAY("95 %", 95), DELAY("50 %", 50),
}, queued[] = {
	COUNT("queued", AREA, QUEUED),
}, losses[] = {
	COUNT("refused", STACKED, REFUSED),
	COUNT("dropped, failed too often", STACKED, DROPPED),
	COUNT("expired, too old", STACKED, EXPIRED),
}, down[] = {
	COUNT("endpoints", AREA, DOWN),
};

static const struct report_plot plots[] = {
	{ "traffic", "Notifications", "in 5 minutes", FALSE,
	  traffic, N_ELEMENTS(traffic) },
	{ "delays", "Delay", "from being stored until so many were delivered",
	  TRUE, delays, N_ELEMENTS(delays) },
	{ "queued", "Queue", "notifications, the most in 5 minutes", FALSE,
	  queued, N_ELEMENTS(queued) },
	{ "down", "Endpoints that accept nothing", "the most in 5 minutes",
	  FALSE, down, N_ELEMENTS(down) },
	{ "losses", "Given up", "notifications in 5 minutes", FALSE,
	  losses, N_ELEMENTS(losses) },
};

static void page_plots(string_t *dest, const struct report *report)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(plots); i++) T_BEGIN {
		report_plot_append(dest, report, &plots[i]);
	} T_END;
}

static const struct {
	const char *name;
	void (*append)(string_t *dest, const struct report *report);
} parts[] = {
	{ "host", page_host },
	{ "made", page_made },
	{ "uptime", page_uptime },
	{ "figures", page_figures },
	{ "plots", page_plots },
	{ "endpoints", page_endpoints },
	{ "losses", page_losses },
};

void report_page_append(string_t *dest, const struct report *report)
{
	const char *rest = report_template, *begin;
	unsigned int i;

	while ((begin = strstr(rest, "{{")) != NULL) {
		str_append_data(dest, rest, begin - rest);
		rest = strstr(begin, "}}") + 2;
		for (i = 0; i < N_ELEMENTS(parts); i++) {
			size_t len = strlen(parts[i].name);

			if (strncmp(begin + 2, parts[i].name, len) == 0 &&
			    begin + 2 + len + 2 == rest)
				parts[i].append(dest, report);
		}
	}
	str_append(dest, rest);
}
