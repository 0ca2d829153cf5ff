/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "restrict-access.h"
#include "restrict-process-size.h"
#include "master-service.h"

#include "admin.h"
#include "admin-protocol.h"
#include "aside.h"
#include "clock-steps.h"
#include "delivery.h"
#include "handoff.h"
#include "intake.h"
#include "move-back.h"
#include "queue.h"
#include "queue-module.h"
#include "sender.h"
#include "service-settings.h"
#include "spool.h"

#define SERVICE_NAME "http-notify"
#define QUEUE_DIR "http-notify"
/* How long to wait before opening a queue is tried again. */
#define REOPEN_MSECS (5*1000)
/* How long to go on when told to stop, for what is in flight and for mail
   processes: Dovecot stops these at the same time, and they still finish their
   deliveries. The next service waits until this one has closed the queue, so it
   is far less than mail processes wait for that
   (http_notify_handoff_timeout). */
#define DRAIN_MSECS 250
/* File descriptors that are used neither for clients nor for endpoints. */
#define OTHER_FDS 64

static struct timeout *to_open, *to_shared;
static struct queue_settings queue_set;
/* If the queue is shared with other hosts, there is one of this host's, too,
   for what can't be stored in it. */
static struct queue *queue, *local_queue;
static struct spool *spool;
/* otherwise, for what is in one that was shared */
static struct move_back *move_back;
static struct sender *sender;
static struct delivery *delivery;
static struct intake *intake;
static struct admin *admin;

static void client_connected(struct master_service_connection *conn)
{
	/* A connection that is not accepted here is closed by Dovecot: those
	   to other sockets are not ours. */
	if (strcmp(conn->name, HTTP_NOTIFY_HANDOFF_SOCKET) == 0)
		intake_connected(intake, conn);
	else if (strcmp(conn->name, HTTP_NOTIFY_ADMIN_SOCKET) == 0)
		admin_connected(admin, conn);
}

static void
main_set_queue(const struct http_notify_service_settings *set, pool_t pool)
{
	queue_set = (struct queue_settings){
		.directory = p_strconcat(pool, set->state_dir, "/"QUEUE_DIR,
					 NULL),
		.sync_full = set->sync_full,
		.pgsql = set->pgsql,
		.pgsql_password_file = set->pgsql_password_file,
		.lost_keep_secs = set->lost_keep_secs,
		.lost_max_rows = set->lost_max_rows,
		.lost_max_bytes = set->lost_max_bytes
	};
}

/* Returns 0, or -1 and error_r. */
static int
main_init_shared(const struct http_notify_service_settings *set,
		 struct queue **queue_r, const char **error_r)
{
	const struct queue_engine_vfuncs *engine =
		queue_module_load(set->queue, error_r);

	return engine == NULL ? -1 :
		queue_init(engine, &queue_set, queue_r, error_r);
}

/* Once the admin has done something about it, another process begins with
   that. */
static void main_look_again(struct http_notify_service_settings *set)
{
	struct queue_state state;
	struct queue *shared;
	const char *error;

	if (main_init_shared(set, &shared, &error) == 0)
		queue_abandon(&shared);
	else {
		queue_get_state(queue, &state);
		if (strcmp(error, state.error) == 0)
			return;
	}
	i_info("What kept PostgreSQL from being used has changed; "
	       "starting again");
	timeout_remove(&to_shared);
	master_service_stop(master_service);
}

static void
main_init_absent(struct http_notify_service_settings *set, const char *why)
{
	struct queue_settings absent_set = queue_set;
	const char *error;

	absent_set.absent = why;
	if (queue_init(&queue_engine_absent, &absent_set, &queue, &error) < 0)
		i_unreached();
	to_shared = timeout_add(REOPEN_MSECS, main_look_again, set);
}

/* Returns 0, or -1 and error_r. */
static int
main_init_queues(struct http_notify_service_settings *set, const char **error_r)
{
	struct queue_settings local_set = queue_set;
	const char *error;

	if (strcmp(set->queue, "sqlite") == 0) {
		return queue_init(&queue_engine_sqlite, &queue_set, &queue,
				  error_r);
	}
	/* The former service of this host has ended when this one can open its
	   own queue. If that had none but its own, it may have left something
	   aside. */
	if (aside_empty(&queue_set, error_r) < 0)
		return -1;
	local_set.beside = TRUE;
	if (queue_init(&queue_engine_sqlite, &local_set, &local_queue,
		       error_r) < 0)
		return -1;
	if (main_init_shared(set, &queue, &error) < 0)
		main_init_absent(set, error);
	spool = spool_init(queue, local_queue, set->queue_max_rows,
			   set->queue_max_bytes);
	return 0;
}

static int
main_init_delivery(const struct http_notify_service_settings *set,
		   const char **error_r)
{
	const struct move_back_settings move_back_set = {
		.queue = &queue_set,
		.max_rows = set->queue_max_rows,
		.max_bytes = set->queue_max_bytes
	};

	delivery = delivery_init(queue, sender, set->queue_max_rows,
				 set->queue_max_bytes,
				 sender_max_requests(sender));
	if (spool != NULL) {
		delivery_set_spool(delivery, spool);
		return 0;
	}
	move_back = move_back_init(&move_back_set, queue, delivery, error_r);
	if (move_back == NULL) {
		delivery_deinit(&delivery);
		queue_deinit(&queue);
		return -1;
	}
	return 0;
}

/* The service goes on if it can't open its queue, and tries again. If it
   exited, Dovecot would restart it again and again, at growing intervals, which
   would only fill the log. */
static void main_open_queue(struct http_notify_service_settings *set)
{
	static char *logged = NULL;
	const char *error;

	timeout_remove(&to_open);
	if (main_init_queues(set, &error) < 0 ||
	    main_init_delivery(set, &error) < 0) {
		if (null_strcmp(error, logged) != 0) {
			i_error("Queue can't be opened; refusing "
				"notifications: %s", error);
			i_free(logged);
			logged = i_strdup(error);
		}
		admin_set_queue_error(admin, error);
		to_open = timeout_add(REOPEN_MSECS, main_open_queue, set);
		return;
	}
	if (logged != NULL)
		i_info("Queue can be opened again");
	i_free(logged);
	intake_set_delivery(intake, delivery);
	admin_set_queue(admin, queue, local_queue, delivery);
	admin_set_moving(admin, spool, move_back);
}

/* Clients get at most a quarter of the file descriptors, and the sender those
   that are left when there are as many clients as there may be, but at least
   half of all. */
static void
main_divide_fds(unsigned int *max_clients_r, unsigned int *sender_fds_r)
{
	unsigned int clients = master_service_get_client_limit(master_service);
	rlim_t limit;

	if (restrict_get_fd_limit(&limit) < 0)
		limit = 0;
	limit = I_MIN(limit, INT_MAX);
	*max_clients_r = I_MAX(I_MIN(clients, limit / 4), 1);
	*sender_fds_r = I_MAX((int)limit / 2,
			      (int)limit - (int)*max_clients_r - OTHER_FDS);
}

static void main_init(struct http_notify_service_settings *set)
{
	static struct intake_settings intake_set;
	unsigned int sender_fds;

	main_divide_fds(&intake_set.max_clients, &sender_fds);
	intake_set.base_dir = set->base_dir;
	intake_set.endpoints = set->endpoints;
	clock_steps_init();
	sender = sender_init(&set->tls,
			     "dovecot-http-notify/"HTTP_NOTIFY_VERSION,
			     sender_fds);
	intake = intake_init(&intake_set);
	admin = admin_init(sender);
	main_open_queue(set);
}

static void main_drain_timeout(bool *timed_out)
{
	*timed_out = TRUE;
}

/* Requests that are in flight are answered and leave the queue, or the next
   service would send them again. Those that take too long stay there. */
static void main_drain(void)
{
	bool timed_out = FALSE;
	struct timeout *to = timeout_add_short(DRAIN_MSECS, main_drain_timeout,
					       &timed_out);

	/* told by a signal, Dovecot's library would go on accepting */
	master_service_stop_new_connections(master_service);
	if (delivery != NULL)
		delivery_stop(delivery);
	while (!timed_out && (intake_has_clients(intake) || (delivery != NULL &&
			delivery_in_flight(delivery) > 0))) {
		io_loop_set_running(current_ioloop);
		io_loop_handler_run(current_ioloop);
	}
	timeout_remove(&to);
}

/* What mail processes have handed over is answered. */
static void main_deinit(void)
{
	timeout_remove(&to_open);
	timeout_remove(&to_shared);
	main_drain();
	clock_steps_deinit();
	sender_deinit(&sender);
	if (delivery != NULL) {
		admin_stop(admin);
		if (move_back != NULL)
			move_back_finish(move_back);
		delivery_deinit(&delivery);
	}
	admin_deinit(&admin);
	intake_deinit(&intake);
	if (spool != NULL)
		spool_deinit(&spool);
	if (move_back != NULL)
		move_back_deinit(&move_back);
	if (queue != NULL)
		queue_deinit(&queue);
	if (local_queue != NULL)
		queue_deinit(&local_queue);
}

int main(int argc, char *argv[])
{
	struct http_notify_service_settings set;
	pool_t pool;

	/* Do not exit for lack of clients: the queue has to be sent. */
	master_service = master_service_init(SERVICE_NAME,
		MASTER_SERVICE_FLAG_NO_IDLE_DIE |
		HTTP_NOTIFY_SERVICE_SETTINGS_FLAGS |
		MASTER_SERVICE_FLAG_UPDATE_PROCTITLE, &argc, &argv, "");
	if (master_getopt(master_service) > 0)
		return FATAL_DEFAULT;
	http_notify_service_settings_read(master_service);
	master_service_init_log(master_service);
	pool = pool_alloconly_create("http-notify settings", 1024);
	http_notify_service_settings_get(master_service, pool, &set);

	restrict_access_by_env(0, NULL);
	/* No core dumps, whatever Dovecot's settings are: the memory has the
	   endpoints' credentials in it. */
	restrict_access_set_dumpable(FALSE);
	master_service_set_die_with_master(master_service, TRUE);
	master_service_init_finish(master_service);

	main_set_queue(&set, pool);
	main_init(&set);
	master_service_run(master_service, client_connected);
	main_deinit();

	pool_unref(&pool);
	master_service_deinit(&master_service);
	return 0;
}
