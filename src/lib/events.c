/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "events.h"

struct event_category event_category_http_notify = {
	.name = "http-notify"
};
