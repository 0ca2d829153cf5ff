/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_REPORT_H
#define LISTENER_REPORT_H

#include "session.h"

/* A CSV file with a line for each login. Each line is flushed to the file at
   once, so that the report of an interrupted run is there, too. */
struct report;

/* Returns NULL, with errno, if the file can't be written. */
struct report *report_open(const char *path);
void report_add(struct report *report, const char *login,
		enum session_action action, const struct session_result *result,
		bool dry_run);
/* Add a login that was not even tried, for this reason. login may be NULL. */
void report_add_problem(struct report *report, const char *login,
			enum session_action action, const char *reason);
/* Returns 0, or -1 with errno if any line could not be written. */
int report_close(struct report **report);

/* Returns the outcome's name in the report: "registered", "unchanged" and so
   on. */
const char *outcome_name(const struct session_result *result, bool dry_run);

#endif
