/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "strnum.h"

#include "admin-command.h"
#include "report.h"

#include <time.h>

/* More kinds of losses than anybody would read. */
#define LOSSES_MAX 200

static uint64_t num(const char *text)
{
	uint64_t value;

	return str_to_uint64(text, &value) < 0 ? 0 : value;
}

uint64_t report_status_num(const char *const *row,
			   enum http_notify_admin_status field)
{
	return num(row[field]);
}

/* STATUS */

static void
report_status_row(const char *const *row, unsigned int count, void *context)
{
	struct report *report = context;
	const char **copy = p_new(report->pool, const char *, count);
	const char *const *const_copy = copy;
	unsigned int i;

	for (i = 0; i < count; i++)
		copy[i] = p_strdup(report->pool, row[i]);
	if (strcmp(row[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT],
		   HTTP_NOTIFY_ADMIN_TOTAL) == 0)
		report->total = copy;
	else
		array_push_back(&report->endpoints, &const_copy);
}

static int
report_status_cmp(const char *const *const *row1,
		  const char *const *const *row2)
{
	static const enum http_notify_admin_status fields[] = {
		HTTP_NOTIFY_ADMIN_STATUS_QUEUED,
		HTTP_NOTIFY_ADMIN_STATUS_DELIVERED
	};
	bool up1 = strcmp((*row1)[HTTP_NOTIFY_ADMIN_STATUS_STATE], "up") == 0;
	bool up2 = strcmp((*row2)[HTTP_NOTIFY_ADMIN_STATUS_STATE], "up") == 0;
	uint64_t num1, num2;
	unsigned int i;

	if (up1 != up2)
		return up1 ? 1 : -1;
	for (i = 0; i < N_ELEMENTS(fields); i++) {
		num1 = num((*row1)[fields[i]]);
		num2 = num((*row2)[fields[i]]);
		if (num1 != num2)
			return num1 < num2 ? 1 : -1;
	}
	return strcmp((*row1)[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT],
		      (*row2)[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT]);
}

/* HISTORY */

static void
report_history_row(const char *const *row, unsigned int count, void *context)
{
	struct report *report = context;
	struct report_interval *interval =
		array_append_space(&report->intervals);
	unsigned int i;

	for (i = 0; i < count; i++)
		interval->fields[i] = num(row[i]);
}

int report_delay(const struct report_interval *interval, double share)
{
	const uint64_t *delays =
		interval->fields + HTTP_NOTIFY_ADMIN_HISTORY_DELAYS;
	int i, count = HTTP_NOTIFY_ADMIN_HISTORY_COUNT -
		HTTP_NOTIFY_ADMIN_HISTORY_DELAYS;
	uint64_t all = 0, sum = 0;

	for (i = 0; i < count; i++)
		all += delays[i];
	if (all == 0)
		return -1;
	for (i = 0; i < count - 1; i++) {
		sum += delays[i];
		if (sum >= all * share)
			break;
	}
	return i;
}

struct report_interval report_sum(const struct report *report)
{
	struct report_interval sum = *array_front(&report->intervals);
	unsigned int i, field;

	for (i = 1; i < array_count(&report->intervals); i++) {
		const struct report_interval *interval =
			array_idx(&report->intervals, i);

		for (field = HTTP_NOTIFY_ADMIN_HISTORY_STORED;
		     field < HTTP_NOTIFY_ADMIN_HISTORY_COUNT; field++)
			sum.fields[field] += interval->fields[field];
	}
	return sum;
}

/* LOST */

/* libcurl's reasons have times in them, such as "12 ms". */
static const char *skip_msecs(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return strncmp(text + len, " m", 2) == 0 ? text + len : text;
}

static bool answers_equal(const char *answer1, const char *answer2)
{
	do {
		answer1 = skip_msecs(answer1);
		answer2 = skip_msecs(answer2);
		if (*answer1 != *answer2)
			return FALSE;
		answer2++;
	} while (*answer1++ != '\0');
	return TRUE;
}

static struct report_loss *
report_loss_find(struct report *report, const char *const *row)
{
	struct report_loss *loss;

	array_foreach_modifiable(&report->losses, loss) {
		if (strcmp(loss->endpoint,
			   row[HTTP_NOTIFY_ADMIN_LOST_ENDPOINT]) == 0 &&
		    strcmp(loss->reason,
			   row[HTTP_NOTIFY_ADMIN_LOST_REASON]) == 0 &&
		    answers_equal(loss->answer,
				  row[HTTP_NOTIFY_ADMIN_LOST_ANSWER]))
			return loss;
	}
	if (array_count(&report->losses) == LOSSES_MAX)
		return NULL;
	loss = array_append_space(&report->losses);
	loss->endpoint = p_strdup(report->pool,
				  row[HTTP_NOTIFY_ADMIN_LOST_ENDPOINT]);
	loss->reason = p_strdup(report->pool,
				row[HTTP_NOTIFY_ADMIN_LOST_REASON]);
	loss->answer = p_strdup(report->pool,
				row[HTTP_NOTIFY_ADMIN_LOST_ANSWER]);
	loss->last = UINT64_MAX;
	return loss;
}

static void
report_lost_row(const char *const *row, unsigned int count ATTR_UNUSED,
		void *context)
{
	struct report *report = context;
	uint64_t ago = num(row[HTTP_NOTIFY_ADMIN_LOST_LAST]);
	struct report_loss *loss;

	if ((loss = report_loss_find(report, row)) == NULL) {
		report->other_losses++;
		return;
	}
	loss->count++;
	loss->first = I_MAX(loss->first, ago);
	if (ago > loss->last)
		return;
	loss->last = ago;
	if (null_strcmp(loss->username,
			row[HTTP_NOTIFY_ADMIN_LOST_USERNAME]) != 0) {
		loss->username = p_strdup(report->pool,
				row[HTTP_NOTIFY_ADMIN_LOST_USERNAME]);
	}
}

static int
report_loss_cmp(const struct report_loss *loss1,
		const struct report_loss *loss2)
{
	return loss1->count < loss2->count ? 1 : loss1->count > loss2->count ?
		-1 : strcmp(loss1->endpoint, loss2->endpoint);
}

/* All of it */

static bool report_ask(struct report *report)
{
	static const struct http_notify_admin_command status = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	}, history = {
		.verb = HTTP_NOTIFY_ADMIN_HISTORY
	}, lost = {
		.verb = HTTP_NOTIFY_ADMIN_LOST, .user_mask = "*",
		.endpoint_mask = "*", .folder_mask = "*", .host_mask = "*",
		.reason = ""
	};

	if (!admin_run_rows(&status, HTTP_NOTIFY_ADMIN_STATUS_COUNT,
			    report_status_row, report) ||
	    !admin_run_rows(&history, HTTP_NOTIFY_ADMIN_HISTORY_COUNT,
			    report_history_row, report))
		return FALSE;
	report->losses_unknown =
		!admin_run_rows(&lost, HTTP_NOTIFY_ADMIN_LOST_COUNT,
				report_lost_row, report);
	return TRUE;
}

struct report *report_get(void)
{
	pool_t pool = pool_alloconly_create("http-notify report", 16*1024);
	struct report *report = p_new(pool, struct report, 1);

	report->pool = pool;
	report->now = time(NULL);
	p_array_init(&report->endpoints, pool, 16);
	p_array_init(&report->intervals, pool, 300);
	p_array_init(&report->losses, pool, 16);
	if (!report_ask(report)) {
		report_free(&report);
		return NULL;
	}
	i_assert(report->total != NULL && array_count(&report->intervals) > 0);
	array_sort(&report->endpoints, report_status_cmp);
	array_sort(&report->losses, report_loss_cmp);
	return report;
}

void report_free(struct report **_report)
{
	pool_t pool = (*_report)->pool;

	*_report = NULL;
	pool_unref(&pool);
}
