/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "csv.h"
#include "report.h"

#define VALUE_SIZE_MAX 200

struct report {
	FILE *file;
	int error; /* errno of the first write that failed, 0 if none did */
};

static const char *action_name(enum session_action action)
{
	switch (action) {
	case SESSION_SHOW:
		return "show";
	case SESSION_REGISTER:
		return "register";
	case SESSION_UNREGISTER:
		break;
	}
	return "unregister";
}

const char *outcome_name(const struct session_result *result, bool dry_run)
{
	switch (result->outcome) {
	case SESSION_UNCHANGED:
		return "unchanged";
	case SESSION_ADDED:
		return dry_run ? "would be registered" : "registered";
	case SESSION_CHANGED:
		return dry_run ? "would be changed" : "changed";
	case SESSION_REMOVED:
		return dry_run ? "would be unregistered" : "unregistered";
	case SESSION_FAILED:
		break;
	}
	return "failed";
}

static void report_write(struct report *report, const char *line)
{
	if ((fputs(line, report->file) == EOF ||
	     fflush(report->file) != 0) && report->error == 0)
		report->error = errno;
}

struct report *report_open(const char *path)
{
	struct report *report;
	FILE *file = fopen(path, "we");

	if (file == NULL)
		return NULL;
	report = alloc0(sizeof(*report));
	report->file = file;
	report_write(report, "login,action,outcome,reason,milliseconds\n");
	return report;
}

static void
report_add_line(struct report *report, const char *login,
		enum session_action action, const char *outcome,
		const char *reason, unsigned int msecs)
{
	struct buffer line = {};

	csv_append(&line, login == NULL ? "" : login);
	buffer_printf(&line, ",%s,%s,", action_name(action), outcome);
	csv_append(&line, reason == NULL ? "" : reason);
	buffer_printf(&line, ",%u\n", msecs);
	report_write(report, line.data);
	buffer_free(&line);
}

void report_add(struct report *report, const char *login,
		enum session_action action, const struct session_result *result,
		bool dry_run)
{
	struct buffer reason = {};

	if (result->outcome == SESSION_FAILED)
		buffer_append_str(&reason, result->failure.reason);
	else if (result->value != NULL &&
		 result->outcome != SESSION_UNCHANGED) {
		buffer_append_str(&reason, "was ");
		buffer_append_escaped(&reason, result->value,
				      result->value_size, VALUE_SIZE_MAX);
	}
	report_add_line(report, login, action, outcome_name(result, dry_run),
			buffer_str(&reason), result->msecs);
	buffer_free(&reason);
}

void report_add_problem(struct report *report, const char *login,
			enum session_action action, const char *reason)
{
	report_add_line(report, login, action, "failed", reason, 0);
}

int report_close(struct report **_report)
{
	struct report *report = *_report;
	int error = report->error;

	*_report = NULL;
	if (fclose(report->file) != 0 && error == 0)
		error = errno;
	free(report);
	errno = error;
	return error == 0 ? 0 : -1;
}
