#include "lib.h"
#include "ioloop.h"
#include "restrict-access.h"
#include "master-service.h"

#include "admin.h"
#include "admin-protocol.h"
#include "clock-steps.h"
#include "delivery.h"
#include "handoff.h"
#include "intake.h"
#include "queue.h"
#include "sender.h"
#include "service-settings.h"

#define SERVICE_NAME "http-notify"
#define QUEUE_DIR "http-notify"
/* From one attempt to open the queue to the next. */
#define REOPEN_MSECS (5*1000)
/* When it is told to stop: Dovecot tells its mail processes at the same time,
   which finish their deliveries. Less than these wait for the next service. */
#define LINGER_MSECS 250

static struct timeout *to_open;
static struct queue *queue;
static struct sender *sender;
static struct delivery *delivery;
static struct intake *intake;
static struct admin *admin;

/* Once per spell. */
static void queue_log_trouble(const char *what, const char *error)
{
	static bool in_trouble = FALSE;

	if (error != NULL && !in_trouble) {
		i_error("Queue can't be %s, notifications are not taken: %s",
			what, error);
	} else if (error == NULL && in_trouble)
		i_info("Queue can be %s again", what);
	in_trouble = error != NULL;
}

static void
queue_committed(const char *error, void *context ATTR_UNUSED)
{
	queue_log_trouble("written", error);
	/* mail processes first: their deliveries are waiting */
	intake_committed(intake, error);
	if (admin != NULL)
		admin_committed(admin, error);
	if (delivery != NULL)
		delivery_run(delivery);
}

static void client_connected(struct master_service_connection *conn)
{
	/* What is not accepted is closed: as long as there is no queue, and on
	   a socket of another name, which is none of ours. */
	if (intake == NULL)
		return;
	if (strcmp(conn->name, HTTP_NOTIFY_HANDOFF_SOCKET) == 0)
		intake_connected(intake, conn);
	else if (strcmp(conn->name, HTTP_NOTIFY_ADMIN_SOCKET) == 0)
		admin_connected(admin, conn);
}

/* A service that ends because of an admin's mistake is started again and again,
   then later and later, and Dovecot's log is all that it fills. */
static void main_open_queue(struct http_notify_service_settings *set)
{
	const char *error;

	timeout_remove(&to_open);
	if (queue_init(t_strconcat(set->state_dir, "/"QUEUE_DIR, NULL),
		       set->sync_full, queue_committed, NULL,
		       &queue, &error) < 0) {
		queue_log_trouble("opened", error);
		to_open = timeout_add(REOPEN_MSECS, main_open_queue, set);
		return;
	}
	queue_log_trouble("opened", NULL);
	delivery = delivery_init(queue, sender, set->queue_limit);
	intake = intake_init(queue, delivery);
	admin = admin_init(queue, delivery, sender);
	delivery_run(delivery);
}

static void main_init(struct http_notify_service_settings *set)
{
	clock_steps_init();
	sender = sender_init(&set->tls,
			     "dovecot-http-notify/"HTTP_NOTIFY_VERSION);
	main_open_queue(set);
}

/* Waits for no endpoint: what is under way is still in the queue. What was
   handed over gets its answer. */
static void main_deinit(void)
{
	timeout_remove(&to_open);
	if (intake != NULL)
		intake_linger(intake, LINGER_MSECS);
	clock_steps_deinit();
	sender_deinit(&sender);
	if (intake != NULL) {
		admin_deinit(&admin);
		delivery_deinit(&delivery);
		queue_deinit(&queue);
		intake_deinit(&intake);
	}
}

int main(int argc, char *argv[])
{
	struct http_notify_service_settings set;
	pool_t pool;

	/* The queue is reason enough to run: clients or not. */
	master_service = master_service_init(SERVICE_NAME,
		MASTER_SERVICE_FLAG_NO_IDLE_DIE |
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

	main_init(&set);
	master_service_run(master_service, client_connected);
	main_deinit();

	pool_unref(&pool);
	master_service_deinit(&master_service);
	return 0;
}
