/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "llist.h"

#include "curl-thread.h"
#include "lookups.h"

/* A look-up that takes this long is not waited for alone any more. The system's
   resolver asks again after five seconds, and by default an attempt has two. */
#define LOOKUP_MSECS 500

void lookups_init(struct lookups *lookups_r)
{
	unsigned int version = curl_version_info(CURLVERSION_NOW)->version_num;

	i_zero(lookups_r);
	/* libcurl 8.16 remembers a name as unknown if a look-up was not to
	   begin */
	lookups_r->disabled = version >> 8 == 0x0810;
}

static bool same_name(const struct curl_transfer *transfer1,
		      const struct curl_transfer *transfer2)
{
	return strcasecmp(transfer1->name, transfer2->name) == 0;
}

/* Until when to wait for the name, since it is being looked up; 0 = it is
   not. */
static int64_t lookups_wait_until(const struct lookups *lookups,
				  const struct curl_transfer *transfer)
{
	const struct curl_transfer *other = lookups->under_way;

	/* the latest one comes first */
	while (other != NULL && !same_name(other, transfer))
		other = other->lookup_next;
	return other == NULL ? 0 : other->lookup_began + LOOKUP_MSECS;
}

bool lookups_begin(struct lookups *lookups, struct curl_transfer *transfer,
		   int64_t now)
{
	/* there may be several questions about it */
	if (transfer->looking_up)
		return TRUE;
	if (!lookups->disabled &&
	    now < lookups_wait_until(lookups, transfer)) {
		transfer->waits = TRUE;
		return FALSE;
	}
	transfer->looking_up = TRUE;
	transfer->lookup_began = now;
	DLLIST_PREPEND_FULL(&lookups->under_way, transfer, lookup_prev,
			    lookup_next);
	return TRUE;
}

static bool is_unknown(CURLcode result)
{
	return result == CURLE_COULDNT_RESOLVE_HOST ||
		result == CURLE_COULDNT_RESOLVE_PROXY;
}

/* Those that wait for the name go on, or end if there is none. */
static void
lookups_end_waits(struct lookups *lookups, const struct curl_transfer *transfer,
		  CURLcode result)
{
	struct curl_transfer *waiting;

	for (waiting = lookups->waiting_head; waiting != NULL;
	     waiting = waiting->lookup_next) {
		if (!same_name(waiting, transfer))
			continue;
		waiting->wait_until = 0;
		if (is_unknown(result)) {
			waiting->result = result;
			i_strocpy(waiting->error, transfer->error,
				  CURL_ERROR_SIZE);
		}
	}
}

static void
lookups_end(struct lookups *lookups, struct curl_transfer *transfer,
	    CURLcode result)
{
	if (!transfer->looking_up)
		return;
	transfer->looking_up = FALSE;
	DLLIST_REMOVE_FULL(&lookups->under_way, transfer, lookup_prev,
			   lookup_next);
	lookups_end_waits(lookups, transfer, result);
}

void lookups_found(struct lookups *lookups, struct curl_transfer *transfer)
{
	lookups_end(lookups, transfer, CURLE_OK);
}

void lookups_ended(struct lookups *lookups, struct curl_transfer *transfer)
{
	lookups_end(lookups, transfer, transfer->result);
}

void lookups_wait(struct lookups *lookups, struct curl_transfer *transfer)
{
	transfer->result = CURLE_OK;
	/* the other one may have found it by now */
	transfer->wait_until = lookups_wait_until(lookups, transfer);
	DLLIST2_APPEND_FULL(&lookups->waiting_head, &lookups->waiting_tail,
			    transfer, lookup_prev, lookup_next);
}

struct curl_transfer *lookups_next(struct lookups *lookups, int64_t now)
{
	struct curl_transfer *transfer = lookups->waiting_head;

	while (transfer != NULL && now < transfer->wait_until &&
	       now < transfer->wait_end)
		transfer = transfer->lookup_next;
	if (transfer == NULL)
		return NULL;
	DLLIST2_REMOVE_FULL(&lookups->waiting_head, &lookups->waiting_tail,
			    transfer, lookup_prev, lookup_next);
	transfer->waits = FALSE;
	if (now < transfer->wait_until) {
		transfer->result = CURLE_OPERATION_TIMEDOUT;
		i_snprintf(transfer->error, CURL_ERROR_SIZE,
			   "Resolving timed out after %u milliseconds",
			   transfer->timeout_msecs);
	}
	return transfer;
}

int64_t lookups_next_time(const struct lookups *lookups)
{
	const struct curl_transfer *transfer;
	int64_t next = INT64_MAX;

	for (transfer = lookups->waiting_head; transfer != NULL;
	     transfer = transfer->lookup_next) {
		next = I_MIN(next, I_MIN(transfer->wait_until,
					 transfer->wait_end));
	}
	return next;
}
