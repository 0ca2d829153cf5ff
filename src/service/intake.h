#ifndef HTTP_NOTIFY_INTAKE_H
#define HTTP_NOTIFY_INTAKE_H

struct delivery;
struct master_service_connection;
struct queue;

/* The service's side of the hand-off (handoff.h): takes notifications from
   mail processes, and answers once the queue has stored them. */
struct intake;

struct intake *intake_init(struct queue *queue, struct delivery *delivery);
/* Closes all connections. */
void intake_deinit(struct intake **intake);

/* Go on until all mail processes have left, at most for this time. */
void intake_linger(struct intake *intake, unsigned int msecs);

/* A mail process has connected. */
void intake_connected(struct intake *intake,
		      struct master_service_connection *conn);

/* All that was taken since the last call is stored (error = NULL) or not. */
void intake_committed(struct intake *intake, const char *error);

#endif
