/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_FAIR_SHARE_H
#define HTTP_NOTIFY_FAIR_SHARE_H

/* May one of several users of something limited have one more of it? Three
   quarters go to whoever comes first. The last quarter is divided evenly, so
   that one who has much leaves something to those who have little. used: what
   all users have, of max; own: what this one has, who is among the users. */
static inline bool
fair_share_allows(uint64_t used, uint64_t max, uint64_t own, unsigned int users)
{
	uint64_t quarter = max / 4;

	if (used < max - quarter)
		return TRUE;
	return used < max && own < I_MAX(quarter / I_MAX(users, 1), 1);
}

#endif
