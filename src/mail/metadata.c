/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "dict.h"
#include "istream.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-attribute.h"

#include "setting-names.h"
#include "metadata.h"

/* for http_notify_metadata_try_set() */
#define METADATA_TRY_KEY HTTP_NOTIFY_METADATA_KEY"-check"

struct mailbox *
http_notify_metadata_inbox(struct mail_user *user, enum mailbox_flags flags)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);

	return mailbox_alloc(ns->list, "INBOX", flags |
			     MAILBOX_FLAG_IGNORE_ACLS |
			     MAILBOX_FLAG_ATTRIBUTE_SESSION);
}

static const char *metadata_error_explain(const char *error, const char *access)
{
	/* what Dovecot's dict client says if the dict process has died */
	if (strstr(error, "Connection closed") != NULL) {
		return t_strdup_printf("%s (the dict process has died: look "
			"for service(dict) in the log; with Dovecot 2.4.1 and "
			"SQLite it dies of an entry that is not there, see "
			"dovecot-http-notify(7))", error);
	}
	return t_strdup_printf("%s ("SETTING_ATTRIBUTE_DICT" must be set to a "
		"dictionary that this process can %s)", error, access);
}

static const char *
metadata_error(struct mailbox *inbox, const char *access)
{
	return metadata_error_explain(
		mailbox_get_last_internal_error(inbox, NULL), access);
}

const char *http_notify_metadata_read_error(const char *error)
{
	return metadata_error_explain(error, "read");
}

int http_notify_metadata_get_key(struct mailbox *inbox, const char **key_r)
{
	struct mailbox_metadata metadata;

	/* imapc may have METADATA on its server */
	if (strcmp(mailbox_get_storage(inbox)->name, "imapc") == 0 ||
	    mailbox_open(inbox) < 0 ||
	    mailbox_get_metadata(inbox, MAILBOX_METADATA_GUID, &metadata) < 0)
		return -1;
	*key_r = t_strconcat(DICT_PATH_PRIVATE,
			     guid_128_to_string(metadata.guid),
			     "/"HTTP_NOTIFY_METADATA_KEY, NULL);
	return 0;
}

int http_notify_metadata_get(struct mailbox *inbox, const char **value_r,
			     const char **error_r)
{
	struct mail_attribute_value attr;
	int ret;

	/* Dovecot would open it, too, but then a failure would look like one of
	   the dictionary. */
	if (mailbox_open(inbox) < 0) {
		*error_r = t_strdup_printf("INBOX can't be opened: %s",
			mailbox_get_last_internal_error(inbox, NULL));
		return -1;
	}
	ret = mailbox_attribute_get(inbox, MAIL_ATTRIBUTE_TYPE_PRIVATE,
				    HTTP_NOTIFY_METADATA_KEY, &attr);
	if (ret < 0) {
		*error_r = metadata_error(inbox, "read");
		return -1;
	}
	if (ret > 0 && attr.value == NULL) {
		/* a stream, which no backend returns for this entry */
		i_stream_unref(&attr.value_stream);
		*error_r = "the value is too long";
		return -1;
	}
	*value_r = attr.value;
	return ret;
}

static int
metadata_set(struct mailbox *inbox, const char *key, const char *value,
	     const char **error_r)
{
	const struct mail_attribute_value attr = { .value = value };
	struct mailbox_transaction_context *trans;
	int ret;

	trans = mailbox_transaction_begin(inbox,
		MAILBOX_TRANSACTION_FLAG_EXTERNAL, __func__);
	ret = value == NULL ?
		mailbox_attribute_unset(trans, MAIL_ATTRIBUTE_TYPE_PRIVATE,
					key) :
		mailbox_attribute_set(trans, MAIL_ATTRIBUTE_TYPE_PRIVATE,
				      key, &attr);
	if (ret < 0)
		mailbox_transaction_rollback(&trans);
	else
		ret = mailbox_transaction_commit(&trans);
	if (ret < 0) {
		*error_r = metadata_error(inbox, "write");
		return -1;
	}
	return 0;
}

int http_notify_metadata_set(struct mailbox *inbox, const char *value,
			     const char **error_r)
{
	return metadata_set(inbox, HTTP_NOTIFY_METADATA_KEY, value, error_r);
}

int http_notify_metadata_try_set(struct mailbox *inbox, const char **error_r)
{
	if (metadata_set(inbox, METADATA_TRY_KEY, "check", error_r) < 0)
		return -1;
	return metadata_set(inbox, METADATA_TRY_KEY, NULL, error_r);
}
