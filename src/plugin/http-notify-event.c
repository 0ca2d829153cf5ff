/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "hash.h"

#include "http-notify-event.h"
#include "maildir-uid.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

struct http_notify_event_txn {
	pool_t pool;
	/* by the message or folder that they are of */
	HASH_TABLE(const void *, struct http_notify_event_data *) data;
};

struct http_notify_event_txn *http_notify_event_txn_begin(pool_t pool)
{
	struct http_notify_event_txn *txn;

	txn = p_new(pool, struct http_notify_event_txn, 1);
	txn->pool = pool;
	hash_table_create_direct(&txn->data, pool, 0);
	return txn;
}

void http_notify_event_txn_end(struct http_notify_event_txn *txn)
{
	hash_table_destroy(&txn->data);
}

static struct http_notify_event_data *
event_data_get(struct http_notify_event_txn *txn, const void *subject,
	       const struct push_notification_event *event)
{
	struct http_notify_event_data *data =
		hash_table_lookup(txn->data, subject);

	while (data != NULL && data->event != event)
		data = data->next;
	return data;
}

/* subject: the message or the folder */
static struct http_notify_event_data *
event_begin(struct push_notification_txn *ptxn,
	    struct push_notification_event_config *ec, const void *subject)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_event_data *data;
	const char *user = NULL;
	int ret;

	if (config == NULL) {
		/* for the driver "dlog", which asks for all events there are */
		return NULL;
	}
	if (event_data_get(config->txn, subject, ec->event) != NULL) {
		/* another driver of this user came first */
		return NULL;
	}
	/* if it is not needed, another driver of the user may wait for it */
	ret = !config->registration_needed ? HTTP_NOTIFY_REGISTRATION_PENDING :
		http_notify_registration_lookup(ptxn->muser, ptxn->mbox,
			config->registration_lifetime_secs, config->event,
			&user);
	if (ret == 0 && !config->registration_optional) {
		e_debug(config->event,
			"No notification: the user is not registered");
		return NULL;
	}
	if (ret < 0)
		return NULL;
	data = p_new(ptxn->pool, struct http_notify_event_data, 1);
	data->event = ec->event;
	data->registered_user = ret == 1 ? user : NULL;
	data->registration_pending = ret == HTTP_NOTIFY_REGISTRATION_PENDING;
	data->next = hash_table_lookup(config->txn->data, subject);
	hash_table_update(config->txn->data, subject, data);
	return data;
}

struct http_notify_notification *
http_notify_event_begin(struct push_notification_txn *ptxn,
			struct push_notification_event_config *ec,
			struct push_notification_txn_msg *msg,
			struct mail *saved)
{
	struct http_notify_event_data *data = event_begin(ptxn, ec, msg);

	if (data == NULL)
		return NULL;
	if (saved != NULL) {
		data->maildir_name = p_strdup(ptxn->pool,
					      maildir_uid_name(saved));
	}
	return &data->notification;
}

struct http_notify_notification *
http_notify_event_begin_folder(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_mbox *folder)
{
	struct http_notify_event_data *data = event_begin(ptxn, ec, folder);

	return data == NULL ? NULL : &data->notification;
}

struct http_notify_event_data *
http_notify_event_get(const struct http_notify_event *event,
		      struct http_notify_event_txn *txn,
		      const struct push_notification_txn_msg *msg)
{
	return event_data_get(txn, msg, &event->push);
}

struct http_notify_event_data *
http_notify_event_get_folder(const struct http_notify_event *event,
			     struct http_notify_event_txn *txn,
			     const struct push_notification_txn_mbox *folder)
{
	return event_data_get(txn, folder, &event->push);
}
