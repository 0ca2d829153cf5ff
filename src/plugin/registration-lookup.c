/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "mail-user.h"
#include "mail-storage-private.h"

#include "log-spells.h"
#include "metadata.h"
#include "registration.h"
#include "registration-lookup.h"

#define REGISTRATION_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, http_notify_registration_module)

/* what may be wrong for a while */
#define SPELL_READ "METADATA"
#define SPELL_PARSE "registration"

struct registration_user {
	union mail_user_module_context module_ctx;

	time_t looked_up;
	/* result of the look-up, as _lookup() returns it */
	int result;
	const char *user;
	/* why there is to be no notification; NULL = there is */
	const char *why_not;
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_registration_module,
				  &mail_user_module_register);

static int
registration_read(struct mail_user *user, struct mailbox *inbox,
		  struct event *event, const char **user_r,
		  const char **why_not_r)
{
	const char *value, *error;
	int ret;

	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret < 0) {
		if (log_spell_begins(user->username, SPELL_READ, error)) {
			e_error(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
				" can't be read, no notification: %s", error);
		}
		*why_not_r = t_strdup_printf("METADATA can't be read: %s",
					     error);
		return -1;
	}
	log_spell_over(user->username, SPELL_READ);
	if (ret > 0 &&
	    http_notify_registration_parse(value, user_r, &error) < 0) {
		if (log_spell_begins(user->username, SPELL_PARSE, error)) {
			e_warning(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
				  " is not a valid registration, "
				  "no notification: %s", error);
		}
		*why_not_r = t_strdup_printf("the registration is not valid: "
					     "%s", error);
		return -1;
	}
	log_spell_over(user->username, SPELL_PARSE);
	if (ret == 0)
		*why_not_r = "the user is not registered";
	return ret;
}

/* Registrations are in the METADATA of INBOX, whichever mailbox something
   happens in. */
static void
registration_read_inbox(struct registration_user *muser, struct mail_user *user,
			struct mailbox *box, struct event *event)
{
	struct mailbox *inbox = box;
	const char *registered = NULL, *why_not = NULL;

	if (!box->inbox_user)
		inbox = http_notify_metadata_inbox(user, MAILBOX_FLAG_READONLY);
	muser->result = registration_read(user, inbox, event, &registered,
					  &why_not);
	muser->user = p_strdup(user->pool, registered);
	muser->why_not = p_strdup(user->pool, why_not);
	if (inbox != box)
		mailbox_free(&inbox);
}

int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r)
{
	struct registration_user *muser = REGISTRATION_USER_CONTEXT(user);
	bool first = muser == NULL;

	if (first) {
		muser = p_new(user->pool, struct registration_user, 1);
		MODULE_CONTEXT_SET(user, http_notify_registration_module,
				   muser);
	}
	if (first ||
	    ioloop_time - muser->looked_up >= (time_t)lifetime_secs) {
		T_BEGIN {
			registration_read_inbox(muser, user, box, event);
		} T_END;
		muser->looked_up = ioloop_time;
	}
	if (muser->why_not != NULL)
		e_debug(event, "No notification: %s", muser->why_not);
	*user_r = muser->user;
	return muser->result;
}
