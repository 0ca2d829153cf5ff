/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_REPORT_H
#define LISTENER_REPORT_H

#include "session.h"

/* A CSV file with a line for each login. Each line is written at once, so that
   those of a run that was interrupted are there. */
struct report;

/* Returns NULL, with errno, if the file can't be written. */
struct report *report_open(const char *path);
void report_add(struct report *report, const char *login,
		enum session_action action, const struct session_result *result,
		bool dry_run);
/* A login that was not even tried, for this reason. */
void report_add_problem(struct report *report, const char *login,
			enum session_action action, const char *reason);
/* Returns 0, or -1 with errno if not all could be written. */
int report_close(struct report **report);

/* As in the report: "registered", "unchanged" and so on. */
const char *outcome_name(const struct session_result *result, bool dry_run);

#endif
