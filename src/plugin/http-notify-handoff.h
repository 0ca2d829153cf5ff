/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HANDOFF_OF_TXN_H
#define HTTP_NOTIFY_HANDOFF_OF_TXN_H

#include "driver-settings.h"

struct http_notify_happening;
struct http_notify_txn;

/* One driver of one mail user. */
struct http_notify_driver_user {
	struct mail_user *user;
	/* tells it from the user's others */
	const char *name;
	struct event *event;
	struct http_notify_driver_settings set;
	const char *const *service_options;
	/* FALSE = the driver does nothing for this user: the settings are not
	   needed, or invalid, which has been logged */
	bool usable;
};

/* What becomes of a mail transaction: notifications for the drivers of its user
   that take part in it, whose list ends with NULL. The process has one client
   of the service (handoff-client.h). */

/* The transaction has been committed, and it is known whether the user is
   registered: make its notifications. */
void http_notify_hand_off(struct http_notify_driver_user *const *dusers,
			  const struct http_notify_txn *txn);
/* Send what has been made, if anything has: so that it can be waited for; or
   without waiting. */
void http_notify_hand_off_send(unsigned int timeout_msecs);
void http_notify_hand_off_send_background(unsigned int timeout_msecs);
void http_notify_hand_off_wait(void);

/* There are to be none, since it is not known whether the user is registered,
   which has been logged once for the spell. */
void http_notify_hand_off_lost(struct http_notify_driver_user *const *dusers,
			       const struct http_notify_txn *txn,
			       const char *error);
/* For http_notify_txn_committed(), whose context is the list of drivers. */
void http_notify_hand_off_failed(const struct http_notify_happening *happening,
				 const char *error, void *context);

/* Close the process's connection to the service. */
void http_notify_hand_off_deinit(void);

#endif
