/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "llist.h"
#include "mail-storage-private.h"
#include "mail-storage-settings.h"

#include "setting-names.h"
#include "driver-settings.h"
#include "events.h"
#include "folder.h"
#include "folders.h"
#include "http-notify-driver.h"
#include "http-notify-event.h"
#include "http-notify-handoff.h"
#include "http-notify-txn.h"
#include "log-spells.h"
#include "mail-delivery.h"
#include "monotonic.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

/* The hand-off has at least this part of the deadline: one of so many. */
#define HANDOFF_SHARE 5
/* What a look-up of a registration needs if it goes well. */
#define REGISTRATION_MIN_MSECS 10

#define DRIVERS_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, http_notify_drivers_module)
#define DRIVERS_USER_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, http_notify_drivers_module)

/* All drivers of one mail user. */
struct http_notify_drivers_user {
	union mail_user_module_context module_ctx;
	unsigned int count;
	/* transactions that are not over */
	struct http_notify_txn *txns;
	/* created if there are any */
	ARRAY(struct http_notify_deferred) deferred;
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_drivers_module,
				  &mail_user_module_register);


/* Returns a name for the user's next driver. */
static const char *http_notify_driver_next(struct mail_user *user)
{
	struct http_notify_drivers_user *drivers = DRIVERS_USER_CONTEXT(user);

	if (drivers == NULL) {
		drivers = p_new(user->pool, struct http_notify_drivers_user, 1);
		MODULE_CONTEXT_SET(user, http_notify_drivers_module, drivers);
	}
	return p_strdup_printf(user->pool, "driver %u", ++drivers->count);
}

static void *
http_notify_driver_init(struct mail_user *user, const char *driver,
			http_notify_driver_config *config, pool_t pool)
{
	struct http_notify_driver_user *duser;
	const char *error;

	duser = p_new(pool, struct http_notify_driver_user, 1);
	duser->user = user;
	duser->event = event_create(user->event);
	event_add_category(duser->event,
			   push_notification_api.get_event_category());
	event_add_category(duser->event, &event_category_http_notify);
	event_set_append_log_prefix(duser->event, "http-notify: ");

	if (user->autocreated && user->creator == NULL) {
		/* Dovecot's internal user, by which it reads the message before
		   it is delivered. Errors in the settings are logged for the
		   user who gets the mail. */
		return duser;
	}
	duser->name = http_notify_driver_next(user);
	if (http_notify_driver_settings_get(user, driver, config, pool,
					    &duser->set, &error) < 0) {
		/* Returning failure would disable the drivers after this one,
		   too. */
		if (log_spell_begins(user->username, duser->name, error)) {
			e_error(duser->event, SETTING_DRIVER" is invalid; "
				"no notifications are sent by it: %s", error);
		}
		return duser;
	}
	log_spell_over(user->username, duser->name);
	duser->usable = TRUE;
	duser->service_options = p_strarray_dup(pool,
		http_notify_options_export(&duser->set.options));
	return duser;
}

static int
HTTP_NOTIFY_DRIVER_INIT(http_notify_driver_init_user)
{
	*context = http_notify_driver_init(user, HTTP_NOTIFY_DRIVER_OX, config,
					   pool);
	return 0;
}

static int
HTTP_NOTIFY_DRIVER_INIT(http_notify_driver_init_chronos)
{
	*context = http_notify_driver_init(user, HTTP_NOTIFY_DRIVER_CHRONOS,
					   config, pool);
	return 0;
}

static bool
http_notify_driver_begin_txn(struct push_notification_driver_txn *dtxn);

/* What happens in the mail transaction. */
static struct http_notify_txn *
http_notify_driver_get_txn(const struct push_notification_driver_txn *dtxn)
{
	const struct http_notify_driver_user *duser = dtxn->duser->context;
	const struct push_notification_txn *ptxn = dtxn->ptxn;
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(ptxn->muser);
	struct push_notification_driver_txn *other;
	struct http_notify_txn *txn;

	array_foreach_elem(&ptxn->drivers, other) {
		if (other->duser->driver->v.begin_txn ==
		    http_notify_driver_begin_txn) {
			txn = other->context;
			http_notify_txn_ref(txn);
			return txn;
		}
	}
	/* This driver of the user's is the first. */
	txn = http_notify_txn_init();
	DLLIST_PREPEND(&drivers->txns, txn);
	txn->may_wait = http_notify_may_wait(ptxn->muser);
	txn->registration_lifetime_secs =
		duser->set.options.cache_lifetime_secs;
	txn->event = duser->event;
	return txn;
}

/* How long registrations may be waited for. There has to be time left for the
   hand-off. */
static unsigned int
http_notify_driver_registration_timeout(
	const struct http_notify_driver_user *duser)
{
	unsigned int timeout_msecs = duser->set.handoff_timeout_msecs;

	timeout_msecs -= timeout_msecs / HANDOFF_SHARE;
	return I_MAX(timeout_msecs, REGISTRATION_MIN_MSECS);
}

static void http_notify_driver_registration_known(struct mail_user *user);

static void
http_notify_driver_begin_lookup(struct push_notification_driver_txn *dtxn)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	struct http_notify_txn *txn = dtxn->context;

	if (!http_notify_options_need_registration(&duser->set.options))
		return;
	if (!txn->may_wait) {
		http_notify_registration_begin_background(
			dtxn->ptxn->muser, dtxn->ptxn->mbox,
			duser->set.options.cache_lifetime_secs, duser->event,
			http_notify_driver_registration_known);
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

static void
http_notify_driver_ask_for(struct push_notification_driver_txn *dtxn,
			   const struct http_notify_event *event)
{
	struct http_notify_txn *txn = dtxn->context;
	struct http_notify_event_config *config;

	if ((txn->asked_for & HTTP_NOTIFY_MAIL_EVENT(event->id)) != 0) {
		/* by another driver of the user's */
		return;
	}
	txn->asked_for |= HTTP_NOTIFY_MAIL_EVENT(event->id);
	config = p_new(dtxn->ptxn->pool, struct http_notify_event_config, 1);
	config->txn = txn;
	config->event = event;
	push_notification_api_event_init(dtxn, event->push.name, config,
					 txn->event);
}

static bool
http_notify_driver_begin_txn(struct push_notification_driver_txn *dtxn)
{
	struct http_notify_driver_user *duser = dtxn->duser->context;
	struct mailbox *box = dtxn->ptxn->mbox;
	const struct http_notify_event *const *event;
	const char *why_not;

	if (!duser->usable) {
		e_debug(duser->event,
			"No notification: "SETTING_DRIVER" is invalid");
		return FALSE;
	}
	if (!http_notify_driver_has_folder(duser, box)) {
		e_debug(duser->event, "No notification for folder %s: "
			SETTING_FOLDERS" does not include it", box->vname);
		return FALSE;
	}
	if (!duser->set.options.registration_optional &&
	    http_notify_registration_is_missing(
		dtxn->ptxn->muser, duser->set.options.cache_lifetime_secs)) {
		e_debug(duser->event,
			"No notification: the user is not registered");
		return FALSE;
	}
	for (event = http_notify_events; *event != NULL; event++) {
		if ((duser->set.options.events &
		     HTTP_NOTIFY_MAIL_EVENT((*event)->id)) == 0 ||
		    (*event)->of_folder != (dtxn->ptxn->t == NULL))
			continue;
		why_not = (*event)->why_not == NULL ? NULL :
			(*event)->why_not(box);
		if (why_not != NULL) {
			e_debug(duser->event, "No notification for folder %s: "
				"%s", box->vname, why_not);
			continue;
		}
		if (dtxn->context == NULL) {
			dtxn->context = http_notify_driver_get_txn(dtxn);
			http_notify_txn_take_part(dtxn->context,
						  &duser->set.options);
			http_notify_driver_begin_lookup(dtxn);
		}
		http_notify_driver_ask_for(dtxn, *event);
	}
	return dtxn->context != NULL;
}

/* Returns the user's drivers that take part in the transaction, and NULL. They
   live in the pool. */
static struct http_notify_driver_user *const *
http_notify_driver_users(const struct push_notification_txn *ptxn, pool_t pool)
{
	struct push_notification_driver_txn *dtxn;
	struct http_notify_driver_user **dusers;
	unsigned int count = 0;

	dusers = p_new(pool, struct http_notify_driver_user *,
		       array_count(&ptxn->drivers) + 1);
	array_foreach_elem(&ptxn->drivers, dtxn) {
		if (dtxn->duser->driver->v.begin_txn ==
		    http_notify_driver_begin_txn)
			dusers[count++] = dtxn->duser->context;
	}
	return dusers;
}

/* What it has to wait for, it does: within the deadline. */
static void
http_notify_driver_delivered(struct push_notification_txn *ptxn,
			     struct http_notify_txn *txn)
{
	struct http_notify_driver_user *const *dusers =
		http_notify_driver_users(ptxn, txn->pool);
	unsigned int spent, left = (*dusers)->set.handoff_timeout_msecs;
	int64_t start = http_notify_monotonic_msecs();
	const char *lost = NULL;

	if (txn->registration == HTTP_NOTIFY_REGISTRATION_PENDING) {
		txn->registration = http_notify_registration_wait(
			ptxn->muser, ptxn->mbox,
			http_notify_driver_registration_timeout(*dusers),
			txn->event, &txn->registered_user, &lost);
	}
	if (lost != NULL)
		http_notify_hand_off_lost(dusers, txn, lost);
	if (!http_notify_txn_is_told(txn)) {
		if (txn->registration == 0) {
			e_debug(txn->event,
				"No notification: the user is not registered");
		}
		return;
	}
	spent = http_notify_monotonic_msecs() - start;
	left -= I_MIN(spent, left);

	/* There has to be time left for the hand-off. */
	start = http_notify_monotonic_msecs();
	http_notify_txn_committed(txn, ptxn->mbox, start + left / 2,
				  http_notify_hand_off_failed, (void *)dusers);
	spent = http_notify_monotonic_msecs() - start;
	left -= I_MIN(spent, left / 2);
	http_notify_hand_off(dusers, txn);
	http_notify_hand_off_send(left);
}

/* So much waits for a registration at once: what has happened before it was
   known whether the user is registered, and what must not overtake that. Then
   the registration is waited for. And so much follows a transaction; more
   overtakes it. */
#define DEFERRED_MAX 256

static void
http_notify_driver_defer(struct mail_user *user,
			 struct http_notify_driver_user *const *dusers,
			 struct http_notify_txn *txn)
{
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(user);
	struct http_notify_deferred *deferred;

	if (!array_is_created(&drivers->deferred))
		i_array_init(&drivers->deferred, 4);
	deferred = array_append_space(&drivers->deferred);
	deferred->txn = txn;
	deferred->dusers = dusers;
	http_notify_txn_ref(txn);
}

/* The look-up is over. */
static void
http_notify_driver_registered(const struct http_notify_deferred *deferred,
			      int registration, const char *registered_user,
			      const char *lost)
{
	struct http_notify_txn *txn = deferred->txn;

	if (txn->registration != HTTP_NOTIFY_REGISTRATION_PENDING)
		return;
	txn->registration = registration;
	txn->registered_user = registered_user;
	if (lost != NULL)
		http_notify_hand_off_lost(deferred->dusers, txn, lost);
}

/* Hand off what has been deferred, in its order; or forget it. wait: for the
   registration, if it is not known yet. */
static void http_notify_driver_undefer(struct mail_user *user, bool wait)
{
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(user);
	struct http_notify_driver_user *duser;
	struct http_notify_deferred *deferred;
	int64_t start = http_notify_monotonic_msecs();
	unsigned int spent, left;
	const char *registered_user, *lost;
	int ret;

	if (!array_is_created(&drivers->deferred))
		return;
	deferred = array_front_modifiable(&drivers->deferred);
	duser = deferred->dusers[0];
	ret = http_notify_registration_finish(user, wait ?
		http_notify_driver_registration_timeout(duser) : 0,
		duser->event, &registered_user, &lost);
	array_foreach_modifiable(&drivers->deferred, deferred) {
		http_notify_driver_registered(deferred, ret, registered_user,
					      lost);
		http_notify_hand_off(deferred->dusers, deferred->txn);
		http_notify_txn_unref(&deferred->txn);
	}
	array_free(&drivers->deferred);
	left = duser->set.handoff_timeout_msecs;
	spent = http_notify_monotonic_msecs() - start;
	left -= I_MIN(spent, left);
	http_notify_hand_off_send_background(left);
}

static void http_notify_driver_registration_known(struct mail_user *user)
{
	http_notify_driver_undefer(user, FALSE);
}

/* Hand it off as soon as it is known whether the user is registered. */
static void
http_notify_driver_tell(struct mail_user *user,
			struct http_notify_driver_user *const *dusers,
			struct http_notify_txn *txn)
{
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(user);

	if (txn->registration == HTTP_NOTIFY_REGISTRATION_PENDING ||
	    array_is_created(&drivers->deferred)) {
		/* nothing overtakes what has been deferred */
		http_notify_driver_defer(user, dusers, txn);
		/* The answer may have come during the transaction; or it can't,
		   if one command has so many transactions. */
		if (!http_notify_registration_is_pending(user) ||
		    array_count(&drivers->deferred) == DEFERRED_MAX)
			http_notify_driver_undefer(user, TRUE);
	} else {
		http_notify_hand_off(dusers, txn);
		http_notify_hand_off_send_background(
			(*dusers)->set.handoff_timeout_msecs);
	}
}

/* A Sieve script in IMAP runs while the transaction that saves the message is
   being committed, and may change its flags in another one. Returns TRUE if
   that is so: what has happened there is told later. */
static bool
http_notify_driver_follow(struct mail_user *user,
			  struct http_notify_driver_user *const *dusers,
			  struct http_notify_txn *txn)
{
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(user);
	struct http_notify_txn *other;
	struct http_notify_deferred *follower;

	for (other = drivers->txns; other != NULL; other = other->next) {
		if (http_notify_txn_is_saving(other, txn->happenings->folder))
			break;
	}
	if (other == NULL)
		return FALSE;
	if (!array_is_created(&other->followers))
		i_array_init(&other->followers, 1);
	if (array_count(&other->followers) == DEFERRED_MAX)
		return FALSE;
	follower = array_append_space(&other->followers);
	follower->txn = txn;
	follower->dusers = dusers;
	http_notify_txn_ref(txn);
	return TRUE;
}

static void
http_notify_driver_tell_followers(struct mail_user *user,
				  struct http_notify_txn *txn)
{
	struct http_notify_deferred *follower;

	if (!array_is_created(&txn->followers))
		return;
	array_foreach_modifiable(&txn->followers, follower) {
		if (!http_notify_driver_follow(user, follower->dusers,
					       follower->txn)) {
			http_notify_driver_tell(user, follower->dusers,
						follower->txn);
		}
		http_notify_txn_unref(&follower->txn);
	}
	array_free(&txn->followers);
}

/* An IMAP client waits for nothing. */
static void
http_notify_driver_committed(struct push_notification_txn *ptxn,
			     struct http_notify_txn *txn)
{
	struct http_notify_driver_user *const *dusers =
		http_notify_driver_users(ptxn, txn->pool);

	http_notify_txn_committed(txn, ptxn->mbox, 0,
				  http_notify_hand_off_failed, (void *)dusers);
	if (!http_notify_driver_follow(ptxn->muser, dusers, txn))
		http_notify_driver_tell(ptxn->muser, dusers, txn);
}

static void
http_notify_driver_end_txn(struct push_notification_driver_txn *dtxn,
			   bool success)
{
	struct http_notify_drivers_user *drivers =
		DRIVERS_USER_CONTEXT_REQUIRE(dtxn->ptxn->muser);
	struct http_notify_txn *txn = dtxn->context;
	const struct http_notify_event *const *event;

	/* The first driver to get here does it for all of them. */
	if (!txn->over) {
		txn->over = TRUE;
		DLLIST_REMOVE(&drivers->txns, txn);
		for (event = http_notify_events; *event != NULL; event++) {
			if ((*event)->finish != NULL)
				(*event)->finish(txn);
		}
		if (success && txn->happenings != NULL) {
			if (txn->may_wait)
				http_notify_driver_delivered(dtxn->ptxn, txn);
			else
				http_notify_driver_committed(dtxn->ptxn, txn);
		}
		http_notify_driver_tell_followers(dtxn->ptxn->muser, txn);
		if (txn->may_wait)
			http_notify_registration_end(dtxn->ptxn->muser);
	}
	http_notify_txn_unref(&txn);
	dtxn->context = NULL;
}

static void
http_notify_driver_deinit_user(struct push_notification_driver_user *puser)
{
	struct http_notify_driver_user *duser = puser->context;

	if (duser->usable) {
		http_notify_driver_undefer(duser->user, TRUE);
		http_notify_registration_end(duser->user);
	}
	/* Wait as late as possible: the service stores the notification while
	   the mail process finishes the delivery. */
	http_notify_hand_off_wait();
	event_unref(&duser->event);
}

void http_notify_driver_deinit(void)
{
	http_notify_hand_off_deinit();
}

#define VFUNCS(init_user) { \
	.init = init_user, \
	.begin_txn = http_notify_driver_begin_txn, \
	.end_txn = http_notify_driver_end_txn, \
	.deinit = http_notify_driver_deinit_user, \
}

struct push_notification_driver http_notify_drivers[2] = {
	{ .name = "http-notify-1", .v = VFUNCS(http_notify_driver_init_user) },
	{ .name = "http-notify-2", .v = VFUNCS(http_notify_driver_init_user) },
};

struct push_notification_driver http_notify_webhook_driver = {
	.name = HTTP_NOTIFY_DRIVER_WEBHOOK,
	.v = VFUNCS(http_notify_driver_init_user),
};

struct push_notification_driver http_notify_chronos_driver = {
	.name = HTTP_NOTIFY_DRIVER_CHRONOS,
	.v = VFUNCS(http_notify_driver_init_chronos),
};
