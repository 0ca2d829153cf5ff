/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"

#include "dovecot-compat.h"
#include "maildir-uid.h"
#include "monotonic.h"

#include <unistd.h>

#define LOCK_RETRY_USECS (2*1000)

const char *maildir_uid_name(struct mail *mail)
{
	const char *name;

	/* also of copies, which may be hard links */
	if (strcmp(mail->box->storage->name, MAILDIR_STORAGE_NAME) != 0 ||
	    mail_get_special(mail, MAIL_FETCH_STORAGE_ID, &name) < 0)
		return NULL;
	return name;
}

/* Sizes, flags and keywords follow the name when the message is moved to its
   place. */
static bool is_named(const char *filename, const char *name)
{
	const char *rest;

	if (!str_begins_with(filename, name))
		return FALSE;
	rest = filename + strlen(name);
	return *rest == '\0' || *rest == ',' || *rest == MAILDIR_INFO_SEP;
}

static bool
uidlist_find(struct maildir_uidlist *uidlist, const char *name, uint32_t *uid_r)
{
	struct maildir_uidlist_iter_ctx *iter;
	enum maildir_uidlist_rec_flag flags;
	const char *filename;
	uint32_t uid;
	bool found = FALSE;

	iter = maildir_uidlist_iter_init(uidlist);
	while (!found &&
	       maildir_uidlist_iter_next(iter, &uid, &flags, &filename))
		found = is_named(filename, name);
	maildir_uidlist_iter_deinit(&iter);
	if (found)
		*uid_r = uid;
	return found;
}

/* Returns 1 if there is the lock, 0 if it is held by others, -1 if it can't be
   made. */
static int uidlist_lock(struct maildir_uidlist *uidlist, int64_t deadline)
{
	int ret;

	while ((ret = maildir_uidlist_try_lock(uidlist)) == 0 &&
	       http_notify_monotonic_msecs() < deadline)
		usleep(LOCK_RETRY_USECS);
	return ret;
}

static int
maildir_find(struct mailbox *box, const char *name, int64_t deadline,
	     uint32_t *uid_r, uint32_t *uidvalidity_r, const char **error_r)
{
	struct maildir_mailbox *mbox;
	struct maildir_uidlist *uidlist;
	int ret;

	if (mailbox_open(box) < 0) {
		*error_r = mailbox_get_last_internal_error(box, NULL);
		return -1;
	}
	mbox = MAILDIR_MAILBOX(box);
	uidlist = mbox->uidlist;
	ret = uidlist_lock(uidlist, deadline);
	if (ret <= 0) {
		*error_r = ret == 0 ?
			"another process holds dovecot-uidlist.lock" :
			mailbox_get_last_internal_error(box, NULL);
		return -1;
	}
	/* or else a sync wants to lock and unlock by itself */
	box->flags |= MAILBOX_FLAG_KEEP_LOCKED;
	/* without trusting a directory's time, which more changes may share */
	ret = mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ);
	if (ret < 0)
		*error_r = mailbox_get_last_internal_error(box, NULL);
	else if (!uidlist_find(uidlist, name, uid_r)) {
		*error_r = "the message is not there any more";
		ret = -1;
	} else
		*uidvalidity_r = maildir_uidlist_get_uid_validity(uidlist);
	maildir_uidlist_unlock(uidlist);
	return ret;
}

int maildir_uid_find(struct mailbox *box, const char *name, int64_t deadline,
		     uint32_t *uid_r, uint32_t *uidvalidity_r,
		     const char **error_r)
{
	struct mailbox *again;
	int ret;

	/* The one of the transaction must not be synced now. */
	again = mailbox_alloc(box->list, box->vname, MAILBOX_FLAG_READONLY |
			      MAILBOX_FLAG_IGNORE_ACLS);
	ret = maildir_find(again, name, deadline, uid_r, uidvalidity_r,
			   error_r);
	if (ret < 0)
		*error_r = t_strdup(*error_r);
	mailbox_free(&again);
	return ret;
}
