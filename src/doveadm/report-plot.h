/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REPORT_PLOT_H
#define HTTP_NOTIFY_REPORT_PLOT_H

struct report;
struct report_interval;

/* Plots over time, as HTML with inline SVG: shapes are stretched to the size of
   the screen, and their labels are HTML's, which is not. Colours are those of
   the page's style sheet, by the plot's name and the series' number. */

enum report_series_kind {
	/* filled down to the axis; later series are drawn over it */
	REPORT_SERIES_AREA,
	REPORT_SERIES_LINE,
	/* filled down to the series before */
	REPORT_SERIES_STACKED
};

struct report_series {
	const char *name;
	enum report_series_kind kind;
	/* Returns the value, with this as field: -1 = there is none. */
	double (*value)(const struct report_interval *interval,
			unsigned int field);
	unsigned int field;
};

struct report_plot {
	/* for the style sheet, and for readers */
	const char *name, *title, *unit;
	/* values are those of report_delay() + 1 */
	bool delays;
	/* at most REPORT_SERIES_MAX */
	const struct report_series *series;
	unsigned int series_count;
};

#define REPORT_SERIES_MAX 3

void report_plot_append(string_t *dest, const struct report *report,
			const struct report_plot *plot);

#endif
