/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ONCE_PER_DELIVERY_H
#define ONCE_PER_DELIVERY_H

struct mail_user;

/* A delivery may save a message several times for one user: its recipients may
   be several addresses of this user, and a Sieve script may keep copies.
   Returns TRUE if this is the first time that it is called for this Message-ID,
   the user, one of the user's drivers, and the present delivery, which the
   user's session ID tells; or if message_id is NULL. */
bool once_per_delivery(const struct mail_user *user, const char *driver,
		       const char *message_id);
/* Free the memory. */
void once_per_delivery_deinit(void);

#endif
