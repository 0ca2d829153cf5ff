/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "str.h"

#include "report.h"
#include "report-plot.h"
#include "report-text.h"

#include <time.h>

/* Height of an SVG; its width is in seconds. */
#define HEIGHT 1000
/* At most so many lines across, and so many in the other direction. */
#define LINES_MAX 4
#define TIMES_MAX 6

struct drawing {
	string_t *dest;
	const struct report *report;
	const struct report_plot *plot;
	/* seconds; the time at its end; and the value at its top */
	unsigned int range;
	time_t end;
	double top;
};

static const struct {
	/* log2() of the seconds */
	double log;
	const char *text;
} delay_ticks[] = {
	{ 0, "1 s" }, { 3.322, "10 s" }, { 5.907, "1 min" },
	{ 9.229, "10 min" }, { 11.814, "1 h" }, { 15.136, "10 h" },
};

/* Time */

/* Returns how much of it to show, in seconds: as many hours as are needed. */
static unsigned int plot_range(const struct report *report)
{
	const struct report_interval *first = array_front(&report->intervals);
	const struct report_interval *last = array_back(&report->intervals);
	uint64_t secs = first->fields[HTTP_NOTIFY_ADMIN_HISTORY_AGO] -
		last->fields[HTTP_NOTIFY_ADMIN_HISTORY_AGO] +
		last->fields[HTTP_NOTIFY_ADMIN_HISTORY_SECS];

	return (secs + 60*60 - 1) / (60*60) * 60*60;
}

static time_t interval_begin(const struct drawing *d,
			     const struct report_interval *interval)
{
	return d->report->now - interval->fields[HTTP_NOTIFY_ADMIN_HISTORY_AGO];
}

/* How far it is from the left, in seconds. */
static int interval_x(const struct drawing *d,
		      const struct report_interval *interval)
{
	return (int)d->range - (int)(d->end - interval_begin(d, interval));
}

/* Values */

static double
series_value(const struct report_plot *plot, unsigned int idx,
	     const struct report_interval *interval)
{
	const struct report_series *series = &plot->series[idx];
	double value = series->value(interval, series->field);

	if (series->kind == REPORT_SERIES_STACKED && idx > 0)
		value += series_value(plot, idx - 1, interval);
	return value;
}

static double plot_max(const struct report *report,
		       const struct report_plot *plot)
{
	const struct report_interval *interval;
	double max = 0;
	unsigned int i;

	array_foreach(&report->intervals, interval) {
		for (i = 0; i < plot->series_count; i++)
			max = I_MAX(max, series_value(plot, i, interval));
	}
	return max;
}

/* Returns a round number of which LINES_MAX at most fit into max. */
static uint64_t linear_step(double max)
{
	static const unsigned int steps[] = { 1, 2, 5 };
	uint64_t power = 1;
	unsigned int i = 0;

	while (steps[i] * power * LINES_MAX < max) {
		if (++i == N_ELEMENTS(steps)) {
			i = 0;
			power *= 10;
		}
	}
	return steps[i] * power;
}

static double drawing_y(const struct drawing *d, double value)
{
	return HEIGHT - value * HEIGHT / d->top;
}

/* Lines across, and their labels */

static void draw_tick(struct drawing *d, string_t *labels, double value,
		      const char *text)
{
	double y = drawing_y(d, value);

	str_printfa(d->dest, "<path class=\"grid\" d=\"M0 %.0fH%u\"/>",
		    y, d->range);
	str_printfa(labels, "<span style=\"top:%.1f%%\">%s</span>",
		    y * 100 / HEIGHT, text);
}

/* Sets the top as well. */
static void draw_ticks(struct drawing *d, string_t *labels)
{
	double max = plot_max(d->report, d->plot);
	uint64_t step = linear_step(max), value;
	unsigned int i;

	if (d->plot->delays) {
		d->top = I_MAX(max + 1, 6);
		for (i = 0; i < N_ELEMENTS(delay_ticks) &&
		     delay_ticks[i].log + 1 <= d->top; i++) {
			draw_tick(d, labels, delay_ticks[i].log + 1,
				  delay_ticks[i].text);
		}
		return;
	}
	for (d->top = step; d->top < max; )
		d->top += step;
	for (value = 0; value <= d->top; value += step)
		draw_tick(d, labels, value, report_count(value));
}

static void draw_times(struct drawing *d, string_t *labels)
{
	static const unsigned int steps[] = {
		10*60, 30*60, 60*60, 2*60*60, 4*60*60
	};
	unsigned int i = 0;
	const struct tm *tm = localtime(&d->end);
	int x;

	while (steps[i] * TIMES_MAX < d->range && i < N_ELEMENTS(steps) - 1)
		i++;
	x = d->range - (tm->tm_hour * 60*60 + tm->tm_min * 60 + tm->tm_sec) %
		steps[i];
	for (; x >= 0; x -= steps[i]) {
		str_printfa(d->dest, "<path class=\"grid\" d=\"M%d 0V%u\"/>",
			    x, HEIGHT);
		str_printfa(labels, "<span style=\"left:%.2f%%\">%s</span>",
			    x * 100.0 / d->range,
			    report_time(d->end - ((int)d->range - x), "%H:%M"));
	}
}

/* Series */

/* Each interval is a step, and what has no value a gap. */
static void draw_line(struct drawing *d, unsigned int idx)
{
	const struct report_interval *interval;
	bool gap = TRUE;

	str_printfa(d->dest, "<path class=\"line s%u\" d=\"", idx + 1);
	array_foreach(&d->report->intervals, interval) {
		double value = series_value(d->plot, idx, interval);

		if (value >= 0) {
			str_printfa(d->dest, gap ? "M%d %.0f" : "H%dV%.0f",
				    interval_x(d, interval),
				    drawing_y(d, value));
			str_printfa(d->dest, "h%"PRIu64, interval->
				fields[HTTP_NOTIFY_ADMIN_HISTORY_SECS]);
		}
		gap = value < 0;
	}
	str_append(d->dest, "\"/>");
}

static void draw_area(struct drawing *d, unsigned int idx)
{
	bool stacked = d->plot->series[idx].kind == REPORT_SERIES_STACKED;
	const struct report_interval *interval;

	str_printfa(d->dest, "<path class=\"area s%u\" d=\"", idx + 1);
	array_foreach(&d->report->intervals, interval) {
		double value = series_value(d->plot, idx, interval);
		double base = stacked && idx > 0 ?
			series_value(d->plot, idx - 1, interval) : 0;

		if (value > base) {
			str_printfa(d->dest, "M%d %.0fV%.0fh%"PRIu64"V%.0fz",
				    interval_x(d, interval), drawing_y(d, base),
				    drawing_y(d, value), interval->
				    fields[HTTP_NOTIFY_ADMIN_HISTORY_SECS],
				    drawing_y(d, base));
		}
	}
	str_append(d->dest, "\"/>");
}

/* What the browser shows where the mouse is. */
static void draw_values(struct drawing *d)
{
	const struct report_interval *interval;
	unsigned int i;

	array_foreach(&d->report->intervals, interval) {
		uint64_t secs =
			interval->fields[HTTP_NOTIFY_ADMIN_HISTORY_SECS];
		time_t begin = interval_begin(d, interval);

		str_printfa(d->dest, "<rect x=\"%d\" width=\"%"PRIu64"\" "
			    "height=\"%d\"><title>%s–%s",
			    interval_x(d, interval), secs, HEIGHT,
			    report_time(begin, "%H:%M"),
			    report_time(begin + secs, "%H:%M"));
		for (i = 0; i < d->plot->series_count; i++) {
			const struct report_series *s = &d->plot->series[i];
			double value = s->value(interval, s->field);

			str_printfa(d->dest, "\n%s: %s", s->name,
				    d->plot->delays ?
				    report_delay_text((int)value - 1) :
				    report_count(value));
		}
		str_append(d->dest, "</title></rect>");
	}
}

static void draw_head(struct drawing *d)
{
	const struct report_plot *plot = d->plot;
	unsigned int i;

	str_printfa(d->dest, "<figure class=\"plot %s\">\n<figcaption>"
		    "<h2>%s</h2><p>%s</p>", plot->name, plot->title,
		    plot->unit);
	if (plot->series_count > 1) {
		str_append(d->dest, "<ul>");
		for (i = 0; i < plot->series_count; i++) {
			str_printfa(d->dest, "<li class=\"s%u\">%s</li>", i + 1,
				    plot->series[i].name);
		}
		str_append(d->dest, "</ul>");
	}
	str_append(d->dest, "</figcaption>\n");
}

void report_plot_append(string_t *dest, const struct report *report,
			const struct report_plot *plot)
{
	const struct report_interval *last = array_back(&report->intervals);
	struct drawing d = {
		.dest = dest, .report = report, .plot = plot,
		.range = plot_range(report)
	};
	string_t *values = t_str_new(512), *times = t_str_new(512);
	unsigned int i;

	d.end = interval_begin(&d, last) +
		last->fields[HTTP_NOTIFY_ADMIN_HISTORY_SECS];
	draw_head(&d);
	str_printfa(dest, "<div class=\"frame\"><svg viewBox=\"0 0 %u %u\" "
		    "preserveAspectRatio=\"none\" role=\"img\" "
		    "aria-label=\"%s\">", d.range, HEIGHT, plot->title);
	draw_ticks(&d, values);
	draw_times(&d, times);
	for (i = 0; i < plot->series_count; i++) {
		if (plot->series[i].kind == REPORT_SERIES_LINE)
			draw_line(&d, i);
		else
			draw_area(&d, i);
	}
	draw_values(&d);
	str_append(dest, "</svg>");
	if (plot_max(report, plot) == 0)
		str_append(dest, "<p class=\"none\">none</p>");
	str_printfa(dest, "<div class=\"values\">%s</div>"
		    "<div class=\"times\">%s</div></div>\n</figure>\n",
		    str_c(values), str_c(times));
}
