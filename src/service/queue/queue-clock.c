/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "hex-binary.h"
#include "read-full.h"

#include "queue-clock.h"
#include "monotonic.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static int64_t monotonic_secs(void)
{
	return http_notify_monotonic_msecs() / 1000;
}

int64_t queue_clock_time(int64_t offset)
{
	return monotonic_secs() + offset;
}

int64_t queue_clock_offset(int64_t latest)
{
	return (latest == 0 ? time(NULL) : latest) - monotonic_secs();
}

const char *queue_clock_boot(void)
{
	static const char *path = "/proc/sys/kernel/random/boot_id";
	unsigned char id[36];
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret = fd == -1 ? -1 : read_full(fd, id, sizeof(id));
	i_close_fd(&fd);
	if (ret <= 0) {
		i_warning("Cannot read %s: each restart may lengthen the time "
			  "for which notifications are kept", path);
		return t_strdup_printf("%"PRId64, (int64_t)time(NULL));
	}
	return binary_to_hex(id, sizeof(id));
}
