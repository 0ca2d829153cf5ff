/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "push-notification-api.h"

/* MailboxCreate, MailboxDelete, MailboxRename, MailboxSubscribe and
   MailboxUnsubscribe. */
static struct http_notify_happening *
mailbox_changed(struct push_notification_txn *ptxn,
		struct push_notification_event_config *ec,
		struct push_notification_txn_mbox *folder)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	const struct http_notify_event_config *config = ec->config;

	return txn == NULL ? NULL :
		http_notify_txn_add(txn, config->event, folder->mailbox);
}

static void mailbox_trigger(struct push_notification_txn *ptxn,
			    struct push_notification_event_config *ec,
			    struct push_notification_txn_mbox *folder)
{
	(void)mailbox_changed(ptxn, ec, folder);
}

static void mailbox_renamed(struct push_notification_txn *ptxn,
			    struct push_notification_event_config *ec,
			    struct push_notification_txn_mbox *folder,
			    struct mailbox *old)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_happening *happening =
		mailbox_changed(ptxn, ec, folder);

	if (happening != NULL) {
		happening->notification.folder_old =
			p_strdup(config->txn->pool, mailbox_get_vname(old));
	}
}

#define MAILBOX_EVENT(event_id, event_name, trigger, func) { \
	.push = { \
		.name = HTTP_NOTIFY_EVENT_PREFIX event_name, \
		.mbox_triggers = { .trigger = func }, \
	}, \
	.id = event_id, \
	.of_folder = TRUE, \
}

extern const struct http_notify_event http_notify_event_mailbox_create;
extern const struct http_notify_event http_notify_event_mailbox_delete;
extern const struct http_notify_event http_notify_event_mailbox_rename;
extern const struct http_notify_event http_notify_event_mailbox_subscribe;
extern const struct http_notify_event http_notify_event_mailbox_unsubscribe;

const struct http_notify_event http_notify_event_mailbox_create =
	MAILBOX_EVENT(HTTP_NOTIFY_MAILBOX_CREATE, "MailboxCreate",
		      create, mailbox_trigger);
const struct http_notify_event http_notify_event_mailbox_delete =
	MAILBOX_EVENT(HTTP_NOTIFY_MAILBOX_DELETE, "MailboxDelete",
		      delete, mailbox_trigger);
const struct http_notify_event http_notify_event_mailbox_rename =
	MAILBOX_EVENT(HTTP_NOTIFY_MAILBOX_RENAME, "MailboxRename",
		      rename, mailbox_renamed);
const struct http_notify_event http_notify_event_mailbox_subscribe =
	MAILBOX_EVENT(HTTP_NOTIFY_MAILBOX_SUBSCRIBE, "MailboxSubscribe",
		      subscribe, mailbox_trigger);
const struct http_notify_event http_notify_event_mailbox_unsubscribe =
	MAILBOX_EVENT(HTTP_NOTIFY_MAILBOX_UNSUBSCRIBE, "MailboxUnsubscribe",
		      unsubscribe, mailbox_trigger);
