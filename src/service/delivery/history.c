/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "history.h"

#define INTERVAL_MSECS (HISTORY_INTERVAL_SECS * 1000)

void history_init(struct history *history, int64_t now)
{
	i_zero(history);
	history->began = now;
}

void history_sample(struct history *history, int64_t now, unsigned int queued,
		    unsigned int down)
{
	struct history_interval *interval;

	while (now - history->began >= INTERVAL_MSECS) {
		history->began += INTERVAL_MSECS;
		history->present = (history->present + 1) % HISTORY_INTERVALS;
		if (history->before < HISTORY_INTERVALS - 1)
			history->before++;
		i_zero(history_present(history));
	}
	interval = history_present(history);
	interval->queued = I_MAX(interval->queued, queued);
	interval->down = I_MAX(interval->down, down);
}

void history_count_delay(struct history *history, int64_t secs)
{
	unsigned int i = 0;

	while (i < HISTORY_DELAYS - 1 && secs > (1 << i))
		i++;
	history_present(history)->delays[i]++;
}

const struct history_interval *
history_get(const struct history *history, unsigned int before)
{
	if (before > history->before)
		return NULL;
	return &history->intervals[(history->present + HISTORY_INTERVALS -
				    before) % HISTORY_INTERVALS];
}
