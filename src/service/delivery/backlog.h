/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_BACKLOG_H
#define HTTP_NOTIFY_BACKLOG_H

/* Which mail users have something in a part of the queue that waits to be read,
   so that a user who has nothing there need not wait for it. It takes at most
   128 bytes a user. Two users whose names have the same checksum are one to it:
   then both wait. */
struct backlog;

struct backlog *backlog_init(void);
void backlog_deinit(struct backlog **backlog);

/* The user's notification with this id waits. Ids ascend. */
void backlog_add(struct backlog *backlog, const char *username, int64_t id);
/* Everything up to this id has been read. */
void backlog_read(struct backlog *backlog, int64_t id);
/* May something of the user's be waiting? */
bool backlog_has(const struct backlog *backlog, const char *username);
/* Is nothing waiting? */
bool backlog_is_empty(const struct backlog *backlog);

#endif
