/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REPORT_TEXT_H
#define HTTP_NOTIFY_REPORT_TEXT_H

/* Texts of the report. Those that are returned are on the data stack, and have
   no characters that HTML would need escaped. */

/* Append hostile text, as an element's content or in a quoted attribute. */
void report_append(string_t *dest, const char *text);

/* As "12,345". */
const char *report_count(uint64_t count);
/* As "45 s", "12 min", "3 h 12 min" or "2 d 3 h". */
const char *report_duration(uint64_t secs);
/* Local time as strftime() has it. */
const char *report_time(time_t time, const char *format);
/* A value of report_delay(): "1 s", "2 s" and so on, "over 1 d 12 h", or a
   dash. */
const char *report_delay_text(int delay);

#endif
