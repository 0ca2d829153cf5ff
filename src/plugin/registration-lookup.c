/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "str.h"
#include "mail-user.h"
#include "mail-storage-private.h"

#include "log-spells.h"
#include "metadata.h"
#include "metadata-dict.h"
#include "registration.h"
#include "registration-lookup.h"

#define REGISTRATION_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, http_notify_registration_module)

/* what may be wrong for a while */
#define SPELL_READ "METADATA"
#define SPELL_PARSE "registration"

struct registration_user {
	union mail_user_module_context module_ctx;

	/* a look-up that has begun; its result, or a former one, is known */
	struct metadata_dict_lookup *pending;
	bool known;
	/* if that is in the background: whom to tell */
	struct mail_user *mail_user;
	struct event *event;
	void (*known_callback)(struct mail_user *user);

	time_t looked_up;
	/* result of the look-up, as _lookup() returns it */
	int result;
	/* the METADATA could not be read */
	bool unreadable;
	/* user= if there is one, and why it is of no use; or else those of a
	   former look-up. Their memory is used again: an imap process may look
	   up for days. */
	string_t *user, *why_not;
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_registration_module,
				  &mail_user_module_register);

static struct registration_user *registration_user_get(struct mail_user *user)
{
	struct registration_user *muser = REGISTRATION_USER_CONTEXT(user);

	if (muser == NULL) {
		muser = p_new(user->pool, struct registration_user, 1);
		muser->user = str_new(user->pool, 32);
		muser->why_not = str_new(user->pool, 32);
		MODULE_CONTEXT_SET(user, http_notify_registration_module,
				   muser);
	}
	return muser;
}

static bool registration_is_fresh(const struct registration_user *muser,
				  unsigned int lifetime_secs)
{
	if (muser->unreadable) {
		/* it may be readable again */
		lifetime_secs = I_MIN(lifetime_secs,
				      METADATA_DICT_SPELL_MSECS / 1000);
	}
	return muser->known &&
		ioloop_time - muser->looked_up < (time_t)lifetime_secs;
}

/* said: the outage has been logged, as another user's */
static void
registration_unreadable(struct registration_user *muser, struct mail_user *user,
			struct event *event, const char *error, bool said)
{
	if (!said && log_spell_begins(user->username, SPELL_READ, error)) {
		e_error(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
			" can't be read, no notification: %s", error);
	}
	muser->result = -1;
	muser->unreadable = TRUE;
	str_truncate(muser->why_not, 0);
	str_printfa(muser->why_not, "METADATA can't be read: %s", error);
}

/* value: NULL = there is none */
static void
registration_parse(struct registration_user *muser, struct mail_user *user,
		   struct event *event, const char *value)
{
	const char *registered, *error;

	log_spell_over(user->username, SPELL_READ);
	if (value != NULL &&
	    http_notify_registration_parse(value, &registered, &error) < 0) {
		if (log_spell_begins(user->username, SPELL_PARSE, error)) {
			e_warning(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
				  " is not a valid registration, "
				  "no notification: %s", error);
		}
		muser->result = -1;
		str_truncate(muser->why_not, 0);
		str_printfa(muser->why_not, "the registration is not valid: %s",
			    error);
		return;
	}
	log_spell_over(user->username, SPELL_PARSE);
	muser->result = value == NULL ? 0 : 1;
	if (value != NULL) {
		str_truncate(muser->user, 0);
		str_append(muser->user, registered);
	}
}

/* ret, value, error: of the look-up */
static void
registration_found(struct registration_user *muser, struct mail_user *user,
		   struct event *event, int ret, const char *value,
		   const char *error, bool said)
{
	muser->unreadable = FALSE;
	if (ret < 0)
		registration_unreadable(muser, user, event, error, said);
	else
		registration_parse(muser, user, event, ret > 0 ? value : NULL);
	muser->known = TRUE;
	muser->looked_up = ioloop_time;
}

/* Registrations are in the METADATA of INBOX, whichever mailbox something
   happens in. */
static struct mailbox *
registration_inbox(struct mail_user *user, struct mailbox *box)
{
	return box->inbox_user ? box :
		http_notify_metadata_inbox(user, MAILBOX_FLAG_READONLY);
}

static void
registration_read_inbox(struct registration_user *muser, struct mail_user *user,
			struct mailbox *box, struct event *event)
{
	struct mailbox *inbox = registration_inbox(user, box);
	const char *value = NULL, *error = NULL;
	int ret;

	ret = http_notify_metadata_get(inbox, &value, &error);
	registration_found(muser, user, event, ret, value, error, FALSE);
	if (inbox != box)
		mailbox_free(&inbox);
}

/* Returns the result that is known. */
static int
registration_get(const struct registration_user *muser, struct event *event,
		 const char **user_r)
{
	if (muser->result < 0)
		e_debug(event, "No notification: %s", str_c(muser->why_not));
	*user_r = muser->result > 0 ? str_c(muser->user) : NULL;
	return muser->result;
}

/* Returns what to say of a notification that is lost since the METADATA could
   not be read, else NULL. */
static const char *registration_lost(const struct registration_user *muser)
{
	return muser->unreadable ? str_c(muser->why_not) : NULL;
}

/* callback: NULL = not in the background */
static void
registration_begin(struct registration_user *muser, struct mail_user *user,
		   struct mailbox *box, unsigned int timeout_msecs,
		   metadata_dict_callback_t *callback)
{
	struct mailbox *inbox;
	const char *key;

	muser->known = FALSE;
	inbox = registration_inbox(user, box);
	T_BEGIN {
		if (http_notify_metadata_get_key(inbox, &key) == 0) {
			muser->pending = metadata_dict_lookup_begin(
				user, key, timeout_msecs, callback, muser);
		}
	} T_END;
	if (inbox != box)
		mailbox_free(&inbox);
}

void http_notify_registration_begin(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    unsigned int timeout_msecs)
{
	struct registration_user *muser = registration_user_get(user);

	if (muser->pending == NULL &&
	    !registration_is_fresh(muser, lifetime_secs)) {
		registration_begin(muser, user, box, timeout_msecs, NULL);
	}
}

bool http_notify_registration_is_pending(struct mail_user *user)
{
	return registration_user_get(user)->pending != NULL;
}

bool http_notify_registration_is_missing(struct mail_user *user,
					 unsigned int lifetime_secs)
{
	struct registration_user *muser = registration_user_get(user);

	return muser->pending == NULL &&
		registration_is_fresh(muser, lifetime_secs) &&
		muser->result == 0;
}

int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r)
{
	struct registration_user *muser = registration_user_get(user);

	if (muser->pending != NULL)
		return HTTP_NOTIFY_REGISTRATION_PENDING;
	if (!registration_is_fresh(muser, lifetime_secs)) {
		T_BEGIN {
			registration_read_inbox(muser, user, box, event);
		} T_END;
	}
	return registration_get(muser, event, user_r);
}

static void
registration_wait(struct registration_user *muser, struct mail_user *user,
		  unsigned int timeout_msecs, struct event *event)
{
	const char *value = NULL, *error = NULL;
	bool said;
	int ret;

	ret = metadata_dict_lookup_finish(&muser->pending, timeout_msecs,
					  &value, &error, &said);
	if (ret == -1)
		error = http_notify_metadata_read_error(error);
	registration_found(muser, user, event, ret, value, error, said);
}

static void registration_answered(void *context)
{
	struct registration_user *muser = context;

	T_BEGIN {
		registration_wait(muser, muser->mail_user,
				  METADATA_DICT_BACKGROUND_MSECS, muser->event);
	} T_END;
	muser->known_callback(muser->mail_user);
}

void http_notify_registration_begin_background(
	struct mail_user *user, struct mailbox *box, unsigned int lifetime_secs,
	struct event *event, void (*known)(struct mail_user *user))
{
	struct registration_user *muser = registration_user_get(user);

	if (muser->pending != NULL ||
	    registration_is_fresh(muser, lifetime_secs))
		return;
	muser->mail_user = user;
	muser->event = event;
	muser->known_callback = known;
	registration_begin(muser, user, box, METADATA_DICT_BACKGROUND_MSECS,
			   registration_answered);
}

int http_notify_registration_finish(struct mail_user *user,
				    unsigned int timeout_msecs,
				    struct event *event, const char **user_r,
				    const char **lost_r)
{
	struct registration_user *muser = registration_user_get(user);

	if (muser->pending != NULL) T_BEGIN {
		registration_wait(muser, user, timeout_msecs, event);
	} T_END;
	*lost_r = registration_lost(muser);
	return registration_get(muser, event, user_r);
}

int http_notify_registration_wait(struct mail_user *user, struct mailbox *box,
				  unsigned int timeout_msecs,
				  struct event *event, const char **user_r,
				  const char **lost_r)
{
	struct registration_user *muser = registration_user_get(user);

	if (!muser->known && muser->pending == NULL) {
		/* another transaction of the user's is over */
		http_notify_registration_begin(user, box, 0, timeout_msecs);
	}
	T_BEGIN {
		if (muser->pending != NULL)
			registration_wait(muser, user, timeout_msecs, event);
		else if (!muser->known)
			registration_read_inbox(muser, user, box, event);
	} T_END;
	*lost_r = registration_lost(muser);
	return registration_get(muser, event, user_r);
}

void http_notify_registration_end(struct mail_user *user)
{
	struct registration_user *muser = registration_user_get(user);

	if (muser->pending != NULL)
		metadata_dict_lookup_abort(&muser->pending);
}
