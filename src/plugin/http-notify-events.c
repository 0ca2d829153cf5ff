/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "http-notify-event.h"

extern const struct http_notify_event http_notify_event_message_new;

/* The table of events, each of which has a file of its own. A new one needs
   only a line in each of the two lists here. */
const struct http_notify_event *const http_notify_events[] = {
	&http_notify_event_message_new,
	NULL
};
