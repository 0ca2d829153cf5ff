/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "maildir-uid.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

struct http_notify_txn *http_notify_txn_init(void)
{
	struct http_notify_txn *txn;
	pool_t pool;

	pool = pool_alloconly_create("http-notify transaction", 1024);
	txn = p_new(pool, struct http_notify_txn, 1);
	txn->refcount = 1;
	txn->pool = pool;
	txn->last = &txn->happenings;
	return txn;
}

void http_notify_txn_ref(struct http_notify_txn *txn)
{
	i_assert(txn->refcount > 0);
	txn->refcount++;
}

void http_notify_txn_unref(struct http_notify_txn **_txn)
{
	struct http_notify_txn *txn = *_txn;

	*_txn = NULL;
	i_assert(txn->refcount > 0);
	if (--txn->refcount > 0)
		return;
	hash_table_destroy(&txn->groups);
	pool_unref(&txn->pool);
}

void http_notify_txn_take_part(struct http_notify_txn *txn,
			       const struct http_notify_options *options)
{
	if (http_notify_options_need_registration(options))
		txn->registration_needed = TRUE;
	else
		txn->registration_ignored = TRUE;
	if (options->registration_optional)
		txn->registration_optional = TRUE;
	txn->msg_max_size = I_MAX(txn->msg_max_size, options->msg_max_size);
}

bool http_notify_txn_is_told(const struct http_notify_txn *txn)
{
	return txn->registration_ignored || txn->registration > 0 ||
		(txn->registration == 0 && txn->registration_optional);
}

const char *
http_notify_txn_get_user(const struct http_notify_txn *txn,
			 const struct http_notify_options *options,
			 const char *username)
{
	if (!http_notify_options_need_registration(options))
		return username;
	if (txn->registration < 0)
		return NULL;
	if (txn->registration == 0) {
		if (options->registration_optional)
			return username;
		e_debug(txn->event,
			"No notification: the user is not registered");
		return NULL;
	}
	return options->user_from_metadata ? txn->registered_user : username;
}

struct http_notify_txn *
http_notify_txn_registered(struct push_notification_txn *ptxn,
			   struct push_notification_event_config *ec)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_txn *txn;
	const char *user = NULL;

	if (config == NULL) {
		/* for the driver "dlog", which asks for all events there are */
		return NULL;
	}
	txn = config->txn;
	if (!txn->looked_up && txn->registration_needed) {
		txn->registration = http_notify_registration_lookup(
			ptxn->muser, ptxn->mbox,
			txn->registration_lifetime_secs, txn->event, &user);
		txn->registered_user = p_strdup(txn->pool, user);
		if (txn->registration == 0 && !http_notify_txn_is_told(txn)) {
			e_debug(txn->event,
				"No notification: the user is not registered");
		}
	}
	txn->looked_up = TRUE;
	return http_notify_txn_is_told(txn) ? txn : NULL;
}

struct http_notify_happening *
http_notify_txn_add(struct http_notify_txn *txn,
		    const struct http_notify_event *event, const char *folder)
{
	struct http_notify_happening *happening;

	happening = p_new(txn->pool, struct http_notify_happening, 1);
	happening->event = event;
	happening->folder = p_strdup(txn->pool, folder);
	happening->notification.event = http_notify_mail_event_name(event->id);
	p_array_init(&happening->uids, txn->pool, 1);
	*txn->last = happening;
	txn->last = &happening->next;
	return happening;
}

static struct http_notify_happening *
group_get(struct http_notify_txn *txn, const struct http_notify_event *event,
	  const char *folder, const char *key)
{
	struct http_notify_happening *happening;
	const char *name = t_strconcat(event->push.name, " ", key, NULL);

	if (!hash_table_is_created(txn->groups)) {
		hash_table_create(&txn->groups, txn->pool, 0, str_hash,
				  strcmp);
	}
	happening = hash_table_lookup(txn->groups, name);
	if (happening == NULL) {
		happening = http_notify_txn_add(txn, event, folder);
		happening->key = p_strdup(txn->pool, key);
		name = p_strdup(txn->pool, name);
		hash_table_insert(txn->groups, name, happening);
	}
	return happening;
}

struct http_notify_happening *
http_notify_txn_add_to(struct http_notify_txn *txn,
		       const struct http_notify_event *event,
		       const char *folder, const char *key)
{
	/* for what happens to thousands of messages */
	if (txn->last_group == NULL || txn->last_group->event != event ||
	    strcmp(txn->last_group->key, key) != 0) T_BEGIN {
		txn->last_group = group_get(txn, event, folder, key);
	} T_END;
	return txn->last_group;
}

void http_notify_happening_add_msg(struct http_notify_happening *happening,
				   const struct push_notification_txn_msg *msg)
{
	if (happening->msg == NULL)
		happening->msg = msg;
	seq_range_array_add(&happening->uids, msg->uid);
}

void http_notify_happening_add_saved(
	struct http_notify_txn *txn, struct http_notify_happening *happening,
	const struct push_notification_txn_msg *msg, struct mail *mail)
{
	struct http_notify_saved *saved;

	if (!array_is_created(&happening->saved))
		p_array_init(&happening->saved, txn->pool, 1);
	if (happening->msg == NULL)
		happening->msg = msg;
	saved = array_append_space(&happening->saved);
	saved->msg = msg;
	if ((mail->transaction->flags &
	     MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS) == 0) {
		/* or else the commit assigns one, whatever it waits for */
		saved->maildir_name = p_strdup(txn->pool,
					       maildir_uid_name(mail));
	}
}

bool http_notify_txn_is_saving(const struct http_notify_txn *txn,
			       const char *folder)
{
	const struct http_notify_happening *happening;

	for (happening = txn->happenings; happening != NULL;
	     happening = happening->next) {
		if (array_is_created(&happening->saved) &&
		    strcmp(happening->folder, folder) == 0)
			return TRUE;
	}
	return FALSE;
}

/* Maildir does not promise a UID after the commit, and an endpoint can do
   nothing without one. Returns 0, or -1 and error_r. */
static int
saved_find_uid(const struct http_notify_saved *saved, struct mailbox *box,
	       int64_t deadline, uint32_t *uid_r, uint32_t *uidvalidity_r,
	       const char **error_r)
{
	if (saved->msg->uid != 0) {
		*uid_r = saved->msg->uid;
		*uidvalidity_r = saved->msg->uid_validity;
		return 0;
	}
	if (saved->maildir_name == NULL)
		*error_r = "the storage does not say which";
	else if (maildir_uid_find(box, saved->maildir_name, deadline, uid_r,
				  uidvalidity_r, error_r) == 0)
		return 0;
	*error_r = t_strdup_printf("the message has no UID: %s", *error_r);
	return -1;
}

/* Returns 0, or -1 and error_r if there are messages without a UID. */
static int
happening_find_uids(struct http_notify_happening *happening,
		    struct mailbox *box, int64_t deadline, const char **error_r)
{
	struct http_notify_notification *notification =
		&happening->notification;
	const struct http_notify_saved *saved;
	uint32_t uid;

	if (happening->msg == NULL)
		return 0;
	notification->uidvalidity = happening->msg->uid_validity;
	if (!array_is_created(&happening->saved))
		return 0;
	array_foreach(&happening->saved, saved) {
		if (saved_find_uid(saved, box, deadline, &uid,
				   &notification->uidvalidity, error_r) < 0)
			return -1;
		seq_range_array_add(&happening->uids, uid);
	}
	return 0;
}

void http_notify_txn_committed(
	struct http_notify_txn *txn, struct mailbox *box, int64_t deadline,
	void (*failed)(const struct http_notify_happening *happening,
		       const char *error, void *context), void *context)
{
	struct http_notify_happening *happening;
	const char *error = NULL;

	for (happening = txn->happenings; happening != NULL;
	     happening = happening->next) {
		if (happening_find_uids(happening, box, deadline,
					&error) < 0)
			failed(happening, error, context);
		/* which may have been found for some of them */
		if (happening->event->committed != NULL)
			happening->event->committed(happening, box);
		happening->notification.of_folder = happening->msg == NULL;
		/* push_notification's, which is about to be freed */
		happening->msg = NULL;
	}
}
