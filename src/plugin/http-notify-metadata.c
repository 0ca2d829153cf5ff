#include "lib.h"
#include "ioloop.h"
#include "mail-user.h"
#include "mail-storage-private.h"

#include "http-notify-metadata.h"
#include "metadata.h"
#include "registration.h"

#define METADATA_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, http_notify_metadata_module)

struct metadata_user {
	union mail_user_module_context module_ctx;

	time_t looked_up;
	/* result of the look-up, as _lookup() returns it */
	int result;
	const char *user;
};

static MODULE_CONTEXT_DEFINE_INIT(http_notify_metadata_module,
				  &mail_user_module_register);

static int
metadata_read(struct mailbox *inbox, pool_t pool, struct event *event,
	      const char **user_r)
{
	const char *value, *user, *error;
	int ret;

	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret < 0) {
		e_error(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
			" can't be read, no notification: %s", error);
		return -1;
	}
	if (ret == 0)
		return 0;
	if (http_notify_registration_parse(value, &user, &error) == 0) {
		*user_r = p_strdup(pool, user);
		return 1;
	}
	e_warning(event, "METADATA "HTTP_NOTIFY_METADATA_ENTRY
		  " is no valid registration, no notification: %s", error);
	return -1;
}

int http_notify_metadata_lookup(struct mailbox *inbox,
				unsigned int lifetime_secs,
				struct event *event, const char **user_r)
{
	struct mail_user *user = mail_storage_get_user(inbox->storage);
	struct metadata_user *muser = METADATA_USER_CONTEXT(user);

	if (muser == NULL) {
		muser = p_new(user->pool, struct metadata_user, 1);
		MODULE_CONTEXT_SET(user, http_notify_metadata_module, muser);
	} else if (ioloop_time - muser->looked_up < (time_t)lifetime_secs) {
		*user_r = muser->user;
		return muser->result;
	}

	T_BEGIN {
		muser->result = metadata_read(inbox, user->pool, event,
					      &muser->user);
	} T_END;
	muser->looked_up = ioloop_time;
	*user_r = muser->user;
	return muser->result;
}
