/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REPORT_PAGE_H
#define HTTP_NOTIFY_REPORT_PAGE_H

struct report;

/* Append the page: monitoring/report.html, in which {{name}} stands for what
   these files make of the report. */
void report_page_append(string_t *dest, const struct report *report);

#endif
