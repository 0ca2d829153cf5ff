/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_BACKLOG_H
#define HTTP_NOTIFY_BACKLOG_H

/* Which mail users have notifications in the part of the queue that is still to
   be read, so that other users need not wait for it. It uses up to 64 bytes per
   user. Users whose names have the same checksum are taken for one: if one has
   something waiting, so have the others. */
struct backlog;

struct backlog *backlog_init(void);
void backlog_deinit(struct backlog **backlog);

/* Add a notification of the user's. Its id must be higher than all before. */
void backlog_add(struct backlog *backlog, const char *username, int64_t id);
/* Everything up to and including this id has been read. */
void backlog_read(struct backlog *backlog, int64_t id);
/* Does the user have something waiting? TRUE may be wrong, FALSE is certain. */
bool backlog_has(const struct backlog *backlog, const char *username);
/* Is nothing waiting? */
bool backlog_is_empty(const struct backlog *backlog);

#endif
