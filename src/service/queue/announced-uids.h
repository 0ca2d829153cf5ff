/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ANNOUNCED_UIDS_H
#define HTTP_NOTIFY_ANNOUNCED_UIDS_H

#include "seq-range-array.h"

/* How many ranges are remembered of one mailbox. */
#define ANNOUNCED_RANGES_MAX 64

/* UIDs as an engine stores them: a few bytes for each range. A mailbox whose
   messages are all announced has one. */

/* Append the UIDs, which are not empty, to dest. Of more than
   ANNOUNCED_RANGES_MAX ranges, the lowest ones become one, with the gaps
   between them. */
void announced_uids_append(buffer_t *dest, const ARRAY_TYPE(seq_range) *uids);
/* Add UIDs that were stored. What is corrupt is left out. */
void announced_uids_parse(const unsigned char *data, size_t size,
			  ARRAY_TYPE(seq_range) *uids);

#endif
