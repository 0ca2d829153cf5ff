/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-user.h"

#include "mail-delivery.h"

bool http_notify_is_delivery(const struct mail_user *user)
{
	return strcmp(user->service, "lmtp") == 0 ||
		strcmp(user->service, "lda") == 0;
}

bool http_notify_may_wait(const struct mail_user *user)
{
	return http_notify_is_delivery(user) ||
		strcmp(user->service, "sieve-filter") == 0;
}
