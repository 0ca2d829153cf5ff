#include "lib.h"
#include "restrict-access.h"
#include "settings-parser.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "master-service-ssl-settings.h"

#include "delivery.h"
#include "handoff.h"
#include "intake.h"
#include "queue.h"
#include "sender.h"
#include "settings.h"

#define SERVICE_NAME "http-notify"
#define QUEUE_DIR "http-notify"

static struct queue *queue;
static struct sender *sender;
static struct delivery *delivery;
static struct intake *intake;

static void queue_log_trouble(const char *error)
{
	static bool in_trouble = FALSE;

	if (error != NULL && !in_trouble) {
		i_error("Queue can't be written, "
			"notifications are not taken: %s", error);
	} else if (error == NULL && in_trouble)
		i_info("Queue can be written again");
	in_trouble = error != NULL;
}

static void
queue_committed(const char *error, void *context ATTR_UNUSED)
{
	queue_log_trouble(error);
	/* mail processes first: their deliveries are waiting */
	intake_committed(intake, error);
	if (delivery != NULL)
		delivery_run(delivery);
}

static void client_connected(struct master_service_connection *conn)
{
	/* what is not accepted, as on the admin socket, is closed */
	if (strcmp(conn->name, HTTP_NOTIFY_HANDOFF_SOCKET) == 0)
		intake_connected(intake, conn);
}

static void main_init(const struct http_notify_settings *set)
{
	const struct master_service_settings *service_set =
		master_service_settings_get(master_service);
	const char *error;

	if (queue_init(t_strconcat(service_set->state_dir, "/"QUEUE_DIR, NULL),
		       set->sync_full, queue_committed, NULL,
		       &queue, &error) < 0)
		i_fatal("Queue can't be opened: %s", error);
	sender = sender_init(master_service_ssl_settings_get(master_service),
			     "dovecot-http-notify/"HTTP_NOTIFY_VERSION);
	delivery = delivery_init(queue, sender, set->queue_limit);
	intake = intake_init(queue, delivery);
	delivery_run(delivery);
}

/* Waits for nobody: what is under way is still in the queue. What was handed
   over gets its answer. */
static void main_deinit(void)
{
	sender_deinit(&sender);
	delivery_deinit(&delivery);
	queue_deinit(&queue);
	intake_deinit(&intake);
}

int main(int argc, char *argv[])
{
	const struct setting_parser_info *set_roots[] = {
		&http_notify_setting_parser_info,
		NULL
	};
	struct master_service_settings_input input = {
		.roots = set_roots,
		.module = http_notify_setting_parser_info.module_name,
	};
	struct master_service_settings_output output;
	struct http_notify_settings set;
	const char *error;

	/* The queue is reason enough to run: clients or not. */
	master_service = master_service_init(SERVICE_NAME,
		MASTER_SERVICE_FLAG_NO_IDLE_DIE |
		MASTER_SERVICE_FLAG_UPDATE_PROCTITLE, &argc, &argv, "");
	if (master_getopt(master_service) > 0)
		return FATAL_DEFAULT;
	if (master_service_settings_read(master_service, &input, &output,
					 &error) < 0)
		i_fatal("Error reading configuration: %s", error);
	master_service_init_log(master_service);
	set = http_notify_settings_get(master_service);

	restrict_access_by_env(0, NULL);
	/* No core dumps, whatever Dovecot's settings are: the memory has the
	   endpoints' credentials in it. */
	restrict_access_set_dumpable(FALSE);
	master_service_set_die_with_master(master_service, TRUE);
	master_service_init_finish(master_service);

	main_init(&set);
	master_service_run(master_service, client_connected);
	main_deinit();

	master_service_deinit(&master_service);
	return 0;
}
