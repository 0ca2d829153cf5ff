/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "failure.h"

void failure_set(struct failure *failure, enum advice advice,
		 const char *format, ...)
{
	char text[1024];
	va_list args;

	if (failure->reason != NULL)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	failure->advice = advice;
	failure->reason = str_copy(text);
}

void failure_free(struct failure *failure)
{
	free(failure->reason);
	memset(failure, 0, sizeof(*failure));
}
