/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-storage-settings.h"
#include "mail-user.h"

#include "body-event.h"
#include "handoff.h"
#include "handoff-client.h"
#include "http-notify-event.h"
#include "http-notify-handoff.h"
#include "http-notify-txn.h"
#include "once-per-delivery.h"

/* The process's client of the service. */
static struct handoff_client *handoff_client = NULL;
/* something has been added to it since the last send */
static bool handoff_added = FALSE;

static bool is_wanted(const struct http_notify_driver_user *duser,
		      const struct http_notify_happening *happening)
{
	const char *const *keywords = happening->notification.keywords;

	if ((duser->set.options.events &
	     HTTP_NOTIFY_MAIL_EVENT(happening->event->id)) == 0)
		return FALSE;
	/* Another driver of the user's may take it. */
	if (happening->notification.message_size >
	    duser->set.options.msg_max_size)
		return FALSE;
	/* EGroupware wants no such one: Thunderbird sets it on everything. */
	return duser->set.options.format != HTTP_NOTIFY_FORMAT_EGROUPWARE ||
		keywords == NULL ||
		null_strcmp(keywords[0], "NonJunk") != 0 ||
		keywords[1] != NULL;
}

/* Not for another copy of the message in this delivery. A copy that was not
   saved has not been told. */
static bool is_new(const struct http_notify_driver_user *duser,
		   const struct http_notify_happening *happening)
{
	if (once_per_delivery(duser->user, duser->name, happening->message_id))
		return TRUE;
	e_debug(duser->event, "No notification: "
		"the message has been sent in this delivery");
	return FALSE;
}

static uint32_t first_uid(const ARRAY_TYPE(seq_range) *uids)
{
	const struct seq_range *range;

	if (array_is_empty(uids))
		return 0;
	range = array_front(uids);
	return range->seq1;
}

static const char *event_name(const struct http_notify_happening *happening)
{
	const char *name = happening->notification.event;

	return name == NULL ? "MessageNew" : name;
}

static struct event_passthrough *
lost_event(struct http_notify_driver_user *duser,
	   const struct http_notify_happening *happening, const char *error)
{
	struct event_passthrough *e = event_create_passthrough(duser->event)->
		set_name("http_notify_handoff_failed")->
		add_str("folder", happening->folder)->
		add_str(HTTP_NOTIFY_BODY_EVENT_FIELD, event_name(happening))->
		add_str("stored", "no")->
		add_str("error", error);
	uint32_t uid = first_uid(&happening->uids);

	if (uid != 0)
		e->add_int("uid", uid);
	return e;
}

static void
log_lost(struct http_notify_driver_user *duser,
	 const struct http_notify_happening *happening, const char *error)
{
	struct event_passthrough *e = lost_event(duser, happening, error);

	e_error(e->event(), "Notification lost: user=%s folder=%s event=%s: %s",
		duser->user->username, happening->folder,
		event_name(happening), error);
}

void http_notify_hand_off_lost(struct http_notify_driver_user *const *dusers,
			       const struct http_notify_txn *txn,
			       const char *error)
{
	struct http_notify_driver_user *const *duser;
	const struct http_notify_happening *happening;
	struct event_passthrough *e;

	for (happening = txn->happenings; happening != NULL;
	     happening = happening->next) {
		for (duser = dusers; *duser != NULL; duser++) {
			if (!is_wanted(*duser, happening) ||
			    !http_notify_options_need_registration(
						&(*duser)->set.options))
				continue;
			e = lost_event(*duser, happening, error);
			e_debug(e->event(), "Notification lost: "
				"user=%s folder=%s event=%s: %s",
				(*duser)->user->username, happening->folder,
				event_name(happening), error);
		}
	}
}

void http_notify_hand_off_failed(const struct http_notify_happening *happening,
				 const char *error, void *context)
{
	struct http_notify_driver_user *const *duser;

	for (duser = context; *duser != NULL; duser++) {
		if (is_wanted(*duser, happening))
			log_lost(*duser, happening, error);
	}
}

static void
hand_off_one(struct http_notify_driver_user *duser,
	     const struct http_notify_happening *happening,
	     const struct http_notify_notification *notification, uint32_t uid)
{
	struct http_notify_handoff handoff = {
		.username = duser->user->username,
		.folder = happening->folder,
		.uid = uid,
		.options = duser->service_options,
	};
	const string_t *message = notification->message;
	string_t *body = str_new(default_pool, 1024 +
				 (message == NULL ? 0 : str_len(message)));

	/* catch-up looks for what was not announced there */
	if (happening->event->id == HTTP_NOTIFY_MESSAGE_NEW &&
	    strcmp(happening->folder, "INBOX") == 0)
		handoff.uidvalidity = notification->uidvalidity;
	if (http_notify_notification_append_json(
		notification, duser->set.options.format, body) < 0)
		log_lost(duser, happening, "out of memory");
	else {
		handoff.body = str_c(body);
		handoff_client_add(handoff_client, &handoff, duser->event);
		handoff_added = TRUE;
	}
	str_free(&body);
}

/* Messages: all of them in one notification, if there are not too many. */
static void
hand_off_messages(struct http_notify_driver_user *duser,
		  const struct http_notify_happening *happening,
		  struct http_notify_notification *notification)
{
	ARRAY_TYPE(seq_range) uids;
	struct seq_range_iter iter;
	unsigned int n = 0, next;

	i_array_init(&uids, 16);
	notification->uids = &uids;
	seq_range_array_iter_init(&iter, &happening->uids);
	while ((next = http_notify_uids_take(&iter, n, &uids)) > n) {
		n = next;
		T_BEGIN {
			hand_off_one(duser, happening, notification,
				     first_uid(&uids));
		} T_END;
	}
	array_free(&uids);
}

/* user: who the driver is told that it is about */
static void
hand_off(struct http_notify_driver_user *duser, const char *user,
	 const struct http_notify_happening *happening)
{
	struct http_notify_notification notification = happening->notification;
	const char *omit = duser->set.options.omit;

	notification.user = user;
	notification.folder = happening->folder;
	if (omit != NULL) T_BEGIN {
		http_notify_notification_omit(&notification, omit);
	} T_END;
	if (!notification.of_folder) {
		hand_off_messages(duser, happening, &notification);
		return;
	}
	T_BEGIN {
		hand_off_one(duser, happening, &notification, 0);
	} T_END;
}

void http_notify_hand_off(struct http_notify_driver_user *const *dusers,
			  const struct http_notify_txn *txn)
{
	struct http_notify_driver_user *const *duser;
	const struct http_notify_happening *happening;
	const char *user;

	if (handoff_client == NULL) {
		handoff_client = handoff_client_init(t_strconcat(
			(*dusers)->user->set->base_dir,
			"/"HTTP_NOTIFY_HANDOFF_SOCKET, NULL));
	}
	for (duser = dusers; *duser != NULL; duser++) {
		user = http_notify_txn_get_user(txn, &(*duser)->set.options,
						(*duser)->user->username);
		if (user == NULL)
			continue;
		for (happening = txn->happenings; happening != NULL;
		     happening = happening->next) {
			if (is_wanted(*duser, happening) &&
			    is_new(*duser, happening))
				hand_off(*duser, user, happening);
		}
	}
}

void http_notify_hand_off_send(unsigned int timeout_msecs)
{
	if (handoff_added)
		handoff_client_send(handoff_client, timeout_msecs);
	handoff_added = FALSE;
}

void http_notify_hand_off_send_background(unsigned int timeout_msecs)
{
	if (handoff_added)
		handoff_client_send_background(handoff_client, timeout_msecs);
	handoff_added = FALSE;
}

void http_notify_hand_off_wait(void)
{
	if (handoff_client != NULL)
		handoff_client_wait(handoff_client);
}

void http_notify_hand_off_deinit(void)
{
	if (handoff_client != NULL)
		handoff_client_deinit(&handoff_client);
}
