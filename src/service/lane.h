#ifndef HTTP_NOTIFY_LANE_H
#define HTTP_NOTIFY_LANE_H

struct endpoint;
struct target;

/* A mail user's notifications for one endpoint, which are sent one after the
   other. It knows them by their ids only: the queue has them. */
struct lane {
	/* in the endpoint's list of lanes that are ready to send */
	struct lane *prev, *next;

	struct endpoint *ep;
	char *username;
	/* it has not waited in the endpoint's backlog, nor been sent */
	bool fresh;

	/* the notification whose turn it is */
	int64_t id;
	/* attempts at it that have failed */
	unsigned int attempts;
	/* those of them that it is to blame for: its target took others since
	   the one before, which is told by the target's count of them */
	unsigned int strikes;
	const struct target *judged_target;
	uint64_t judged_taken;
	/* it has failed there */
	bool judged_failed;
	/* why the last one failed */
	char *error;
	/* where it is under way to, and since when (monotonic, in
	   milliseconds) */
	struct target *target;
	int64_t sent;
	/* of this attempt */
	struct event *event;
	/* when the notification was queued, by the queue's clock */
	int64_t created;
	/* the endpoint's options at that time, by how often they had changed */
	unsigned int options_changes;
	/* it waits for its next attempt */
	struct timeout *to_retry;
	/* how often it has waited for one */
	unsigned int waits;

	/* ids of the ones behind it, of which some have had their turn */
	ARRAY(int64_t) behind;
	unsigned int behind_done;
	/* the last one of them all */
	int64_t last_id;
};

/* Begins with the notification that has this id. */
struct lane *
lane_init(struct endpoint *ep, const char *username, int64_t id);
void lane_deinit(struct lane **lane);

/* One more of the user's, with a higher id than all before. */
void lane_add(struct lane *lane, int64_t id);
/* It is done with its notification. Returns TRUE if it has another one now. */
bool lane_next(struct lane *lane);

#endif
