/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "http-notify-event.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

/* Returns NULL if there is to be no notification. */
static struct http_notify_event_data *
event_data_create(struct push_notification_txn *ptxn,
		  const struct http_notify_event_config *config)
{
	struct http_notify_event_data *data;
	const char *user;

	if (config == NULL) {
		/* for the driver "dlog", which asks for all events there are */
		return NULL;
	}
	if (http_notify_registration_lookup(ptxn->muser, ptxn->mbox,
					    config->registration_lifetime_secs,
					    config->event, &user) <= 0)
		return NULL;
	data = p_new(ptxn->pool, struct http_notify_event_data, 1);
	data->registered_user = user;
	return data;
}

struct http_notify_notification *
http_notify_event_begin(struct push_notification_txn *ptxn,
			struct push_notification_event_config *ec,
			struct push_notification_txn_msg *msg)
{
	struct http_notify_event_data *data;

	if (push_notification_api.txn_msg_get_eventdata(msg,
						ec->event->name) != NULL) {
		/* another driver of this user came first */
		return NULL;
	}
	data = event_data_create(ptxn, ec->config);
	if (data == NULL)
		return NULL;
	push_notification_api.txn_msg_set_eventdata(ptxn, msg, ec, data);
	return &data->notification;
}

struct http_notify_notification *
http_notify_event_begin_folder(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_mbox *folder)
{
	struct http_notify_event_data *data;

	if (push_notification_api.txn_mbox_get_eventdata(folder,
						ec->event->name) != NULL)
		return NULL;
	data = event_data_create(ptxn, ec->config);
	if (data == NULL)
		return NULL;
	push_notification_api.txn_mbox_set_eventdata(ptxn, folder, ec, data);
	return &data->notification;
}

const struct http_notify_event_data *
http_notify_event_get(const struct http_notify_event *event,
		      struct push_notification_txn_msg *msg)
{
	return push_notification_api.txn_msg_get_eventdata(msg,
							   event->push.name);
}

const struct http_notify_event_data *
http_notify_event_get_folder(const struct http_notify_event *event,
			     struct push_notification_txn_mbox *folder)
{
	return push_notification_api.txn_mbox_get_eventdata(folder,
							    event->push.name);
}
