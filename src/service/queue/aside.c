/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "aside.h"
#include "queue-mover.h"
#include "sqlite-db.h"

#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_DIR "aside"

static struct queue_settings aside_settings(const struct queue_settings *set)
{
	struct queue_settings aside = *set;

	aside.directory = t_strconcat(set->directory, "/"ASIDE_DIR, NULL);
	return aside;
}

bool aside_exists(const struct queue_settings *set)
{
	struct stat st;

	return stat(aside_settings(set).directory, &st) == 0;
}

int aside_open(const struct queue_settings *set, struct queue **queue_r,
	       const char **error_r)
{
	const struct queue_settings aside = aside_settings(set);

	if (mkdir(aside.directory, 0700) < 0 && errno != EEXIST) {
		*error_r = t_strdup_printf("mkdir(%s) failed: %m",
					   aside.directory);
		return -1;
	}
	return queue_init(&queue_engine_sqlite, &aside, queue_r, error_r);
}

void aside_remove(const struct queue_settings *set, struct queue **queue)
{
	const char *directory = aside_settings(set).directory;

	queue_deinit(queue);
	sqlite_db_remove(directory);
	(void)rmdir(directory);
}

/* Emptying */

static void aside_emptied(void *context ATTR_UNUSED)
{
	io_loop_stop(current_ioloop);
}

static void aside_failed(const char *error, void *context)
{
	char **error_p = context;

	*error_p = i_strdup(error);
	io_loop_stop(current_ioloop);
}

/* Returns NULL, or why it failed. */
static const char *aside_move(struct queue *aside, struct queue *queue)
{
	static const struct queue_mover_vfuncs vfuncs = {
		.emptied = aside_emptied,
		.failed = aside_failed
	};
	struct queue_mover *mover;
	const char *error;
	char *failed = NULL;

	mover = queue_mover_init(aside, queue, &vfuncs, &failed);
	queue_mover_go_on(mover, 0);
	io_loop_run(current_ioloop);
	queue_mover_deinit(&mover);
	error = t_strdup(failed);
	i_free(failed);
	return error;
}

int aside_empty(const struct queue_settings *set, const char **error_r)
{
	struct ioloop *ioloop;
	struct queue *queue, *aside;
	const char *error = NULL;

	if (!aside_exists(set))
		return 0;
	/* nothing else is to run meanwhile */
	ioloop = io_loop_create();
	if (queue_init(&queue_engine_sqlite, set, &queue, &error) == 0) {
		if (aside_open(set, &aside, &error) == 0) {
			error = aside_move(aside, queue);
			if (error == NULL)
				aside_remove(set, &aside);
			else
				queue_deinit(&aside);
		}
		queue_deinit(&queue);
	}
	io_loop_destroy(&ioloop);
	*error_r = error;
	return error == NULL ? 0 : -1;
}
