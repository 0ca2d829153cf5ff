/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buffer.h"
#include "clock.h"
#include "progress.h"

#define WIDTH_DEFAULT 80
#define BAR_MIN 10
#define INTERVAL_MSECS 100

void progress_init(struct progress *progress, size_t total)
{
	memset(progress, 0, sizeof(*progress));
	progress->total = total;
	progress->begin = monotonic_msecs();
	progress->terminal = isatty(STDERR_FILENO);
}

static int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

static void append_time(struct buffer *line, long long secs)
{
	if (secs < 100)
		buffer_printf(line, "%lld s", secs);
	else if (secs < 100 * 60)
		buffer_printf(line, "%lld min", (secs + 30) / 60);
	else
		buffer_printf(line, "%lld h", (secs + 1800) / 3600);
}

static void append_bar(struct buffer *line, int size, double part)
{
	int i;

	buffer_append_str(line, " [");
	for (i = 0; i < size; i++)
		buffer_append_str(line, i < part * size ? "#" : "-");
	buffer_append_str(line, "]");
}

void progress_show(struct progress *progress, size_t done, size_t failed)
{
	long long now = monotonic_msecs(), msecs = now - progress->begin;
	struct buffer line = {};
	char text[128];
	double part;
	int width;

	if (!progress->terminal || progress->total == 0 ||
	    (progress->shown_width > 0 &&
	     now - progress->shown < INTERVAL_MSECS))
		return;

	part = (double)done / progress->total;
	buffer_printf(&line, "%zu/%zu %3.0f%%", done, progress->total,
		      part * 100);
	(void)snprintf(text, sizeof(text), " %.0f/s, %zu failed, left: ",
		       msecs > 0 ? done * 1000.0 / msecs : 0, failed);
	/* the time that is left takes at most 8 columns */
	width = terminal_width() - 1 - line.used - strlen(text) - 8 - 3;
	if (width >= BAR_MIN)
		append_bar(&line, width, part);
	buffer_append_str(&line, text);
	if (done > 0)
		append_time(&line, (1 - part) / part * msecs / 1000);
	else
		buffer_append_str(&line, "?");

	/* \033[K: erase the rest of the line */
	fprintf(stderr, "\r%s\033[K", line.data);
	progress->shown_width = line.used;
	progress->shown = now;
	buffer_free(&line);
}

void progress_hide(struct progress *progress)
{
	if (progress->shown_width > 0)
		fputs("\r\033[K", stderr);
	progress->shown_width = 0;
}
