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
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_registration_module,
				  &mail_user_module_register);

static int
registration_read(struct mail_user *user, struct mailbox *inbox,
		  struct event *event, const char **user_r)
{
	const char *value, *registered, *error;
	int ret;

	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret < 0) {
		if (log_spell_begins(user->username, SPELL_READ, error)) {
			e_error(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
				" can't be read, no notification: %s", error);
		}
		return -1;
	}
	log_spell_over(user->username, SPELL_READ);
	if (ret > 0 && http_notify_registration_parse(value, &registered,
						      &error) < 0) {
		if (log_spell_begins(user->username, SPELL_PARSE, error)) {
			e_warning(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
				  " is not a valid registration, "
				  "no notification: %s", error);
		}
		return -1;
	}
	log_spell_over(user->username, SPELL_PARSE);
	if (ret > 0)
		*user_r = p_strdup(user->pool, registered);
	return ret;
}

/* Registrations are in the METADATA of INBOX, whichever mailbox something
   happens in. */
static int
registration_read_inbox(struct mail_user *user, struct mailbox *box,
			struct event *event, const char **user_r)
{
	struct mailbox *inbox;
	int ret;

	if (box->inbox_user)
		return registration_read(user, box, event, user_r);
	inbox = http_notify_metadata_inbox(user, MAILBOX_FLAG_READONLY);
	ret = registration_read(user, inbox, event, user_r);
	mailbox_free(&inbox);
	return ret;
}

int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r)
{
	struct registration_user *muser = REGISTRATION_USER_CONTEXT(user);

	if (muser == NULL) {
		muser = p_new(user->pool, struct registration_user, 1);
		MODULE_CONTEXT_SET(user, http_notify_registration_module,
				   muser);
	} else if (ioloop_time - muser->looked_up < (time_t)lifetime_secs) {
		*user_r = muser->user;
		return muser->result;
	}

	T_BEGIN {
		muser->result = registration_read_inbox(user, box, event,
							&muser->user);
	} T_END;
	muser->looked_up = ioloop_time;
	*user_r = muser->user;
	return muser->result;
}
