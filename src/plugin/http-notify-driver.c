/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "mail-storage-settings.h"
#include "str.h"

#include "setting-names.h"
#include "driver-settings.h"
#include "events.h"
#include "folder.h"
#include "folders.h"
#include "handoff.h"
#include "handoff-client.h"
#include "http-notify-driver.h"
#include "http-notify-event.h"
#include "log-spells.h"
#include "maildir-uid.h"
#include "monotonic.h"
#include "notification.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

/* The hand-off has at least this part of the deadline: one of so many. */
#define HANDOFF_SHARE 5
/* What a look-up of a registration needs if it goes well. */
#define REGISTRATION_MIN_MSECS 10

#define DRIVERS_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, http_notify_drivers_module)

/* All drivers of one mail user. */
struct http_notify_drivers_user {
	union mail_user_module_context module_ctx;
	unsigned int count;
};

/* One driver of one mail user. */
struct http_notify_driver_user {
	struct event *event;
	struct http_notify_driver_settings set;
	const char *const *service_options;
	/* FALSE = the driver does nothing for this user: the settings are not
	   needed, or invalid, which has been logged */
	bool usable;
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_drivers_module,
				  &mail_user_module_register);

/* The process's client of the service. */
static struct handoff_client *handoff_client = NULL;
/* What follows a commit: how long registrations were waited for; and since when
   UIDs have been looked for, 0 = all were known. */
static unsigned int registration_msecs = 0;
static int64_t uid_missing_since = 0;

/* Returns a name for the user's next driver. */
static const char *http_notify_driver_next(struct mail_user *user)
{
	struct http_notify_drivers_user *drivers = DRIVERS_USER_CONTEXT(user);

	if (drivers == NULL) {
		drivers = p_new(user->pool, struct http_notify_drivers_user, 1);
		MODULE_CONTEXT_SET(user, http_notify_drivers_module, drivers);
	}
	return t_strdup_printf("driver %u", ++drivers->count);
}

static int
HTTP_NOTIFY_DRIVER_INIT(http_notify_driver_init_user)
{
	struct http_notify_driver_user *duser;
	const char *name, *error;

	duser = p_new(pool, struct http_notify_driver_user, 1);
	duser->event = event_create(user->event);
	event_add_category(duser->event,
			   push_notification_api.get_event_category());
	event_add_category(duser->event, &event_category_http_notify);
	event_set_append_log_prefix(duser->event, "http-notify: ");
	*context = duser;

	if (user->autocreated && user->creator == NULL) {
		/* Dovecot's internal user, by which it reads the message before
		   it is delivered. Errors in the settings are logged for the
		   user who gets the mail. */
		return 0;
	}
	name = http_notify_driver_next(user);
	if (http_notify_driver_settings_get(user, config, pool, &duser->set,
					    &error) < 0) {
		/* Returning failure would disable the drivers after this one,
		   too. */
		if (log_spell_begins(user->username, name, error)) {
			e_error(duser->event, SETTING_DRIVER" is invalid; "
				"no notifications are sent by it: %s", error);
		}
		return 0;
	}
	log_spell_over(user->username, name);
	duser->usable = TRUE;
	duser->service_options = p_strarray_dup(pool,
		http_notify_options_export(&duser->set.options));
	return 0;
}

static bool
http_notify_driver_begin_txn(struct push_notification_driver_txn *dtxn);

/* What the events of the mail transaction have found out. */
static struct http_notify_event_txn *
http_notify_driver_event_txn(const struct push_notification_txn *ptxn)
{
	struct push_notification_driver_txn *dtxn;

	array_foreach_elem(&ptxn->drivers, dtxn) {
		if (dtxn->duser->driver->v.begin_txn ==
		    http_notify_driver_begin_txn)
			return dtxn->context;
	}
	/* This driver of the user's is the first. */
	return http_notify_event_txn_begin(ptxn->pool);
}

/* How long registrations may be waited for. There has to be time left for the
   hand-off. */
static unsigned int
http_notify_driver_registration_timeout(
	const struct http_notify_driver_user *duser)
{
	unsigned int timeout_msecs = duser->set.handoff_timeout_msecs;

	timeout_msecs -= timeout_msecs / HANDOFF_SHARE;
	timeout_msecs -= I_MIN(registration_msecs, timeout_msecs);
	return I_MAX(timeout_msecs, REGISTRATION_MIN_MSECS);
}

static void
http_notify_driver_begin_lookup(struct push_notification_driver_txn *dtxn)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;

	if (!http_notify_options_need_registration(&duser->set.options))
		return;
	if (dtxn->ptxn->t == NULL) {
		/* A folder's, which is over at once, such as that of a new
		   user's INBOX. Its events ask if they happen. */
		return;
	}
	http_notify_registration_begin(
		dtxn->ptxn->muser, dtxn->ptxn->mbox,
		duser->set.options.cache_lifetime_secs,
		http_notify_driver_registration_timeout(duser));
}

static bool
http_notify_driver_has_folder(const struct http_notify_driver_user *duser,
			      const struct mailbox *box)
{
	struct http_notify_folder folder;
	bool ret;

	T_BEGIN {
		http_notify_folder_get(box, &folder);
		ret = http_notify_folders_include(duser->set.options.folders,
						  &folder);
	} T_END;
	return ret;
}

static bool
http_notify_driver_begin_txn(struct push_notification_driver_txn *dtxn)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	const struct http_notify_event *const *event;
	struct http_notify_event_config *config = NULL;
	const char *why_not;

	if (!duser->usable) {
		e_debug(duser->event,
			"No notification: "SETTING_DRIVER" is invalid");
		return FALSE;
	}
	if (!http_notify_driver_has_folder(duser, dtxn->ptxn->mbox)) {
		e_debug(duser->event, "No notification for folder %s: "
			SETTING_FOLDERS" does not include it",
			dtxn->ptxn->mbox->vname);
		return FALSE;
	}
	for (event = http_notify_events; *event != NULL; event++) {
		why_not = (*event)->why_not(dtxn->ptxn->mbox);
		if (why_not != NULL) {
			e_debug(duser->event, "No notification for folder %s: "
				"%s", dtxn->ptxn->mbox->vname, why_not);
			continue;
		}
		if (config == NULL) {
			dtxn->context =
				http_notify_driver_event_txn(dtxn->ptxn);
			config = p_new(dtxn->ptxn->pool,
				       struct http_notify_event_config, 1);
			config->txn = dtxn->context;
			config->registration_lifetime_secs =
				duser->set.options.cache_lifetime_secs;
			config->registration_needed =
				http_notify_options_need_registration(
					&duser->set.options);
			config->registration_optional =
				duser->set.options.registration_optional;
			config->event = duser->event;
			http_notify_driver_begin_lookup(dtxn);
		}
		push_notification_api_event_init(dtxn, (*event)->push.name,
						 config, duser->event);
	}
	return config != NULL;
}

static struct event_passthrough *
http_notify_driver_lost_event(struct http_notify_driver_user *duser,
			      const struct http_notify_handoff *handoff,
			      const char *error)
{
	struct event_passthrough *e = event_create_passthrough(duser->event)->
		set_name("http_notify_handoff_failed")->
		add_str("folder", handoff->folder)->
		add_str("stored", "no")->
		add_str("error", error);

	if (handoff->uid != 0)
		e->add_int("uid", handoff->uid);
	return e;
}

static void
http_notify_driver_lost(struct http_notify_driver_user *duser,
			const struct http_notify_handoff *handoff,
			const char *error)
{
	struct event_passthrough *e =
		http_notify_driver_lost_event(duser, handoff, error);

	e_error(e->event(), "Notification lost: user=%s folder=%s: %s",
		handoff->username, handoff->folder, error);
}

/* Wait for the registration if it is not known yet. */
static void
http_notify_driver_wait_registration(struct push_notification_driver_txn *dtxn,
				     struct http_notify_event_data *data)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	int64_t start = http_notify_monotonic_msecs();
	int ret;

	if (!data->registration_pending)
		return;
	data->registration_pending = FALSE;
	ret = http_notify_registration_wait(
		dtxn->ptxn->muser, dtxn->ptxn->mbox,
		http_notify_driver_registration_timeout(duser),
		duser->event, &data->registered_user, &data->lost);
	data->registration_failed = ret < 0;
	if (ret <= 0)
		data->registered_user = NULL;
	registration_msecs += http_notify_monotonic_msecs() - start;
}

/* Returns who it is for, NULL if there is to be no notification. */
static const char *
http_notify_driver_get_user(struct push_notification_driver_txn *dtxn,
			    struct http_notify_event_data *data,
			    const struct http_notify_handoff *handoff)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	const struct http_notify_options *options = &duser->set.options;
	struct event_passthrough *e;

	if (!http_notify_options_need_registration(options))
		return handoff->username;
	http_notify_driver_wait_registration(dtxn, data);
	if (data->lost != NULL) {
		/* which has been logged once for the spell */
		e = http_notify_driver_lost_event(duser, handoff, data->lost);
		e_debug(e->event(), "Notification lost: user=%s folder=%s: %s",
			handoff->username, handoff->folder, data->lost);
	}
	if (data->registration_failed)
		return NULL;
	if (data->registered_user == NULL && !options->registration_optional) {
		e_debug(duser->event,
			"No notification: the user is not registered");
		return NULL;
	}
	return options->user_from_metadata && data->registered_user != NULL ?
		data->registered_user : handoff->username;
}

/* handoff is complete except for the body. */
static void
http_notify_driver_hand_off(struct http_notify_driver_user *duser,
			    const struct mail_user *user,
			    struct http_notify_handoff *handoff,
			    const struct http_notify_notification *notification)
{
	string_t *body = t_str_new(1024);

	if (http_notify_notification_append_json(notification, body) < 0) {
		http_notify_driver_lost(duser, handoff, "out of memory");
		return;
	}
	if (handoff_client == NULL) {
		handoff_client = handoff_client_init(t_strconcat(
			user->set->base_dir, "/"HTTP_NOTIFY_HANDOFF_SOCKET,
			NULL));
	}
	handoff->body = str_c(body);
	handoff_client_add(handoff_client, handoff, duser->event);
}

/* Returns what registrations have left of the deadline. */
static unsigned int
http_notify_driver_timeout(const struct http_notify_driver_user *duser)
{
	unsigned int timeout_msecs = duser->set.handoff_timeout_msecs;

	return timeout_msecs - I_MIN(registration_msecs, timeout_msecs);
}

/* Returns when to give up. There has to be time left for the hand-off. */
static int64_t
http_notify_driver_uid_deadline(const struct http_notify_driver_user *duser)
{
	if (uid_missing_since == 0)
		uid_missing_since = http_notify_monotonic_msecs();
	return uid_missing_since + http_notify_driver_timeout(duser) / 2;
}

/* Maildir does not promise a UID after the commit, and an endpoint can do
   nothing without one. Returns 0 if there is one, or -1 and error_r. The user's
   first driver to get here looks for it. */
static int
http_notify_driver_get_uid(struct push_notification_driver_txn *dtxn,
			   struct http_notify_event_data *data,
			   const struct push_notification_txn_msg *msg,
			   const char **error_r)
{
	struct http_notify_notification *notification = &data->notification;

	if (msg->uid != 0) {
		notification->uid = msg->uid;
		notification->uidvalidity = msg->uid_validity;
	} else if (notification->uid == 0 && data->uid_error == NULL) {
		const char *error = "the storage does not say which";

		if (data->maildir_name == NULL ||
		    maildir_uid_find(dtxn->ptxn->mbox, data->maildir_name,
			http_notify_driver_uid_deadline(dtxn->duser->context),
			&notification->uid, &notification->uidvalidity,
			&error) < 0)
			data->uid_error = p_strdup(dtxn->ptxn->pool, error);
	}
	if (data->uid_error == NULL)
		return 0;
	*error_r = t_strdup_printf("the message has no UID: %s",
				   data->uid_error);
	return -1;
}

/* msg: NULL = the event has happened to the folder */
static void
http_notify_driver_happened(struct push_notification_driver_txn *dtxn,
			    const struct http_notify_event *event,
			    struct http_notify_event_data *data,
			    const char *folder,
			    const struct push_notification_txn_msg *msg)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	struct mail_user *user = dtxn->ptxn->muser;
	const char *omit = duser->set.options.omit;
	struct http_notify_notification notification;
	struct http_notify_handoff handoff = {
		.username = user->username,
		.folder = folder,
		.uid = msg == NULL ? 0 : msg->uid,
		.options = duser->service_options,
	};
	const char *for_user, *error;

	for_user = http_notify_driver_get_user(dtxn, data, &handoff);
	if (for_user == NULL)
		return;
	if (msg != NULL &&
	    http_notify_driver_get_uid(dtxn, data, msg, &error) < 0) {
		http_notify_driver_lost(duser, &handoff, error);
		return;
	}
	notification = data->notification;
	handoff.uid = notification.uid;
	notification.user = for_user;
	notification.folder = folder;
	if (event->committed != NULL)
		event->committed(&notification, dtxn->ptxn->mbox);
	T_BEGIN {
		if (omit != NULL)
			http_notify_notification_omit(&notification, omit);
		http_notify_driver_hand_off(duser, user, &handoff,
					    &notification);
	} T_END;
}

/* Hand off what has happened to msg or to folder; the other one is NULL. */
static void
http_notify_driver_process(struct push_notification_driver_txn *dtxn,
			   struct push_notification_txn_msg *msg,
			   struct push_notification_txn_mbox *folder)
{
	const struct http_notify_event *const *event;
	struct http_notify_event_data *data;

	for (event = http_notify_events; *event != NULL; event++) {
		data = msg != NULL ?
			http_notify_event_get(*event, dtxn->context, msg) :
			http_notify_event_get_folder(*event, dtxn->context,
						     folder);
		if (data != NULL) {
			http_notify_driver_happened(dtxn, *event, data,
				msg != NULL ? msg->mailbox : folder->mailbox,
				msg);
		}
	}
}

static void
http_notify_driver_process_msg(struct push_notification_driver_txn *dtxn,
			       struct push_notification_txn_msg *msg)
{
	http_notify_driver_process(dtxn, msg, NULL);
}

static void
http_notify_driver_process_mbox(struct push_notification_driver_txn *dtxn,
				struct push_notification_txn_mbox *folder)
{
	http_notify_driver_process(dtxn, NULL, folder);
}

static void
http_notify_driver_end_txn(struct push_notification_driver_txn *dtxn,
			   bool success ATTR_UNUSED)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	unsigned int timeout_msecs = http_notify_driver_timeout(duser);
	int64_t spent;

	/* By now every driver has seen every message of the transaction, so the
	   first one to get here sends for all of them. */
	http_notify_event_txn_end(dtxn->context);
	http_notify_registration_end(dtxn->ptxn->muser);
	registration_msecs = 0;
	if (uid_missing_since != 0) {
		spent = http_notify_monotonic_msecs() - uid_missing_since;
		timeout_msecs -= I_MIN(spent, timeout_msecs / 2);
		uid_missing_since = 0;
	}
	if (handoff_client != NULL)
		handoff_client_send(handoff_client, timeout_msecs);
}

static void
http_notify_driver_deinit_user(struct push_notification_driver_user *puser)
{
	struct http_notify_driver_user *duser = puser->context;

	/* Wait as late as possible: the service stores the notification while
	   the mail process finishes the delivery. */
	if (handoff_client != NULL)
		handoff_client_wait(handoff_client);
	event_unref(&duser->event);
}

void http_notify_driver_deinit(void)
{
	if (handoff_client != NULL)
		handoff_client_deinit(&handoff_client);
}

#define VFUNCS { \
	.init = http_notify_driver_init_user, \
	.begin_txn = http_notify_driver_begin_txn, \
	.process_mbox = http_notify_driver_process_mbox, \
	.process_msg = http_notify_driver_process_msg, \
	.end_txn = http_notify_driver_end_txn, \
	.deinit = http_notify_driver_deinit_user, \
}

struct push_notification_driver http_notify_drivers[2] = {
	{ .name = "http-notify-1", .v = VFUNCS },
	{ .name = "http-notify-2", .v = VFUNCS },
};

struct push_notification_driver http_notify_webhook_driver = {
	.name = HTTP_NOTIFY_DRIVER_WEBHOOK, .v = VFUNCS,
};
