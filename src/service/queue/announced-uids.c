/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "numpack.h"

#include "announced-uids.h"

/* For each range: how far it is from the end of the one before, and its
   length - 1. */
void announced_uids_append(buffer_t *dest, const ARRAY_TYPE(seq_range) *uids)
{
	const struct seq_range *ranges;
	unsigned int i, count;
	uint32_t last = 0, seq1;

	ranges = array_get(uids, &count);
	i = count - I_MIN(count, ANNOUNCED_RANGES_MAX);
	seq1 = ranges[0].seq1;
	for (; i < count; i++) {
		numpack_encode(dest, seq1 - last);
		numpack_encode(dest, ranges[i].seq2 - seq1);
		last = ranges[i].seq2;
		if (i + 1 < count)
			seq1 = ranges[i + 1].seq1;
	}
}

void announced_uids_parse(const unsigned char *data, size_t size,
			  ARRAY_TYPE(seq_range) *uids)
{
	const uint8_t *p = data, *end = p + size;
	uint64_t skip, more, last = 0;

	while (numpack_decode(&p, end, &skip) == 0 &&
	       numpack_decode(&p, end, &more) == 0 &&
	       skip > 0 && skip <= UINT32_MAX && more <= UINT32_MAX &&
	       last + skip + more <= UINT32_MAX) {
		seq_range_array_add_range(uids, last + skip,
					  last + skip + more);
		last += skip + more;
	}
}
