/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CHILD_H
#define HTTP_NOTIFY_CHILD_H

/* Something that may block, or end the process, is done by a child. */

/* Run func() in a child process for at most so many milliseconds, and then kill
   it. What it logs is dropped. Returns what it has said so far, terminated by a
   NULL; on the data stack. error_r is NULL if func() has returned, else it says
   why not. */
const char *const *
child_run(void (*func)(void *context), void *context, unsigned int msecs,
	  const char **error_r);
/* To be called by func(). */
void child_say(const char *text);

#endif
