/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "buffer.h"
#include "clock.h"
#include "progress.h"
#include "sync.h"

/* Stop after this many logins in a row that could not reach the server: the
   others would fail, too, and each might take a timeout. */
#define GIVE_UP_AFTER 100
#define TICK_MSECS 100
#define OUTCOME_COUNT (SESSION_REMOVED + 1)
#define SERVER_NAME_MAX 100

struct sync {
	const struct sync_settings *set;
	const struct users *users;

	pthread_mutex_t lock; /* for everything below, output and the report */
	pthread_cond_t worker_ended;
	size_t next; /* index of the next task */
	size_t done;
	size_t counts[OUTCOME_COUNT];
	unsigned int workers, unreachable_in_a_row;
	bool gave_up;
	struct progress progress;
};

/* set by a signal handler, which may run in any thread */
static atomic_bool interrupted;

/* -- messages -- */

void print_failure(const char *login, const struct session_result *result)
{
	static unsigned int advised;
	const char *text = advice_text(result->failure.advice);

	fprintf(stderr, "%s: %s\n", login, result->failure.reason);
	if (text != NULL && (advised & 1u << result->failure.advice) == 0) {
		advised |= 1u << result->failure.advice;
		fprintf(stderr, "%s\n", text);
	}
}

void print_server_name(const struct session_result *result)
{
	static bool printed;
	struct buffer name = {};

	if (printed || result->server_name == NULL ||
	    strncasecmp(result->server_name, "dovecot", 7) == 0)
		return;
	printed = true;
	buffer_append_escaped(&name, result->server_name,
			      strlen(result->server_name), SERVER_NAME_MAX);
	fprintf(stderr, "Warning: the server says that it is %s. Registrations "
		"have an effect in Dovecot only.\n", buffer_str(&name));
	buffer_free(&name);
}

static void print_change(const struct user_task *task,
			 const struct session_result *result, bool dry_run)
{
	struct buffer line = {};

	buffer_printf(&line, "%s: %s", task->login,
		      outcome_name(result, dry_run));
	if (task->action == SESSION_REGISTER) {
		buffer_printf(&line, "%s%s",
			      result->outcome == SESSION_CHANGED ?
			      " to " : " as ", task->value);
	}
	if (result->value != NULL) {
		buffer_append_str(&line, ", is ");
		buffer_append_escaped(&line, result->value,
				      result->value_size, 200);
	}
	puts(line.data);
	buffer_free(&line);
}

static void sync_print_summary(struct sync *sync, long long msecs)
{
	bool dry_run = sync->set->session.dry_run;
	size_t left = sync->users->task_count - sync->done;
	size_t problems = sync->users->problem_count;

	if (interrupted)
		puts("Interrupted: run it again to go on.");
	else if (sync->gave_up)
		printf("Given up: %u logins in a row could not reach the "
		       "server.\n", GIVE_UP_AFTER);
	printf("%zu logins%s: %zu registered, %zu changed, %zu unregistered, "
	       "%zu unchanged, %zu failed", sync->users->task_count,
	       dry_run ? " (dry run, nothing was written)" : "",
	       sync->counts[SESSION_ADDED], sync->counts[SESSION_CHANGED],
	       sync->counts[SESSION_REMOVED], sync->counts[SESSION_UNCHANGED],
	       sync->counts[SESSION_FAILED]);
	if (left > 0)
		printf(", %zu not tried", left);
	if (problems > 0)
		printf("; %zu bad line%s", problems, problems == 1 ? "" : "s");
	printf("; %.1f s", msecs / 1000.0);
	if (msecs > 0 && sync->done > 0)
		printf(", %.0f logins/s", sync->done * 1000.0 / msecs);
	putchar('\n');
}

/* -- running -- */

static const struct user_task *sync_next(struct sync *sync)
{
	const struct user_task *task = NULL;

	(void)pthread_mutex_lock(&sync->lock);
	if (!interrupted && !sync->gave_up &&
	    sync->next < sync->users->task_count)
		task = &sync->users->tasks[sync->next++];
	(void)pthread_mutex_unlock(&sync->lock);
	return task;
}

static void sync_finished(struct sync *sync, const struct user_task *task,
			  const struct session_result *result)
{
	bool dry_run = sync->set->session.dry_run;

	(void)pthread_mutex_lock(&sync->lock);
	sync->done++;
	sync->counts[result->outcome]++;
	if (!result->failure.unreachable)
		sync->unreachable_in_a_row = 0;
	else if (++sync->unreachable_in_a_row == GIVE_UP_AFTER)
		sync->gave_up = true;

	if (result->outcome == SESSION_FAILED) {
		progress_hide(&sync->progress);
		print_failure(task->login, result);
	} else {
		if (dry_run && result->outcome != SESSION_UNCHANGED) {
			progress_hide(&sync->progress);
			print_change(task, result, dry_run);
		}
		print_server_name(result);
	}
	if (sync->set->report != NULL) {
		report_add(sync->set->report, task->login, task->action,
			   result, dry_run);
	}
	(void)pthread_mutex_unlock(&sync->lock);
}

static void *sync_worker(void *context)
{
	struct sync *sync = context;
	CURLSH *share = session_share_init();
	const struct user_task *task;
	struct session_result result;

	while ((task = sync_next(sync)) != NULL) {
		session_run(&sync->set->session, share, task->login,
			    task->action, task->value, &result);
		sync_finished(sync, task, &result);
		session_result_free(&result);
	}
	session_share_deinit(&share);

	(void)pthread_mutex_lock(&sync->lock);
	sync->workers--;
	(void)pthread_cond_signal(&sync->worker_ended);
	(void)pthread_mutex_unlock(&sync->lock);
	return NULL;
}

/* Returns the number of threads that were started. */
static unsigned int sync_start(struct sync *sync, pthread_t *threads)
{
	unsigned int count = 0;
	int error;

	(void)pthread_mutex_lock(&sync->lock);
	while (count < sync->set->jobs && count < sync->users->task_count) {
		error = pthread_create(&threads[count], NULL, sync_worker,
				       sync);
		if (error != 0) {
			fprintf(stderr, "Only %u of %u jobs: %s\n", count,
				sync->set->jobs, strerror(error));
			break;
		}
		count++;
	}
	sync->workers = count;
	(void)pthread_mutex_unlock(&sync->lock);
	return count;
}

/* Wait until all workers have ended. */
static void sync_wait(struct sync *sync)
{
	struct timespec tick;
	bool told = false;

	(void)pthread_mutex_lock(&sync->lock);
	while (sync->workers > 0) {
		if (interrupted && !told) {
			told = true;
			progress_hide(&sync->progress);
			fprintf(stderr, "Interrupted: the logins under way are "
				"finished first, in at most %u s. Once more "
				"ends it at once.\n",
				sync->set->session.timeout_msecs / 1000);
		}
		progress_show(&sync->progress, sync->done,
			      sync->counts[SESSION_FAILED]);
		(void)clock_gettime(CLOCK_MONOTONIC, &tick);
		tick.tv_nsec += TICK_MSECS * 1000000L;
		tick.tv_sec += tick.tv_nsec / 1000000000L;
		tick.tv_nsec %= 1000000000L;
		(void)pthread_cond_timedwait(&sync->worker_ended, &sync->lock,
					     &tick);
	}
	progress_hide(&sync->progress);
	(void)pthread_mutex_unlock(&sync->lock);
}

static void handle_interrupt(int signo)
{
	(void)signo;
	interrupted = true;
}

static void catch_interrupts(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act, old;
	unsigned int i;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handle_interrupt;
	/* a second signal ends the program */
	act.sa_flags = SA_RESTART | SA_RESETHAND;
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* leave ignored signals alone, as for nohup */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &act, NULL);
	}
}

static void sync_print_problems(struct sync *sync)
{
	size_t i;

	for (i = 0; i < sync->users->problem_count; i++) {
		const struct user_problem *problem =
			&sync->users->problems[i];

		fprintf(stderr, "%s%s%s\n",
			problem->login == NULL ? "" : problem->login,
			problem->login == NULL ? "" : ": ", problem->reason);
		if (sync->set->report != NULL) {
			report_add_problem(sync->set->report, problem->login,
					   problem->action, problem->reason);
		}
	}
}

bool sync_run(const struct sync_settings *set, const struct users *users)
{
	struct sync sync = { .set = set, .users = users };
	pthread_t *threads = alloc0(set->jobs * sizeof(*threads));
	pthread_condattr_t attr;
	unsigned int i, count;

	(void)pthread_mutex_init(&sync.lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sync.worker_ended, &attr);
	(void)pthread_condattr_destroy(&attr);

	sync_print_problems(&sync);
	catch_interrupts();
	progress_init(&sync.progress, users->task_count);
	count = sync_start(&sync, threads);
	sync_wait(&sync);
	for (i = 0; i < count; i++)
		(void)pthread_join(threads[i], NULL);
	free(threads);
	sync_print_summary(&sync, monotonic_msecs() - sync.progress.begin);

	(void)pthread_cond_destroy(&sync.worker_ended);
	(void)pthread_mutex_destroy(&sync.lock);
	return users->problem_count == 0 &&
		sync.done == users->task_count &&
		sync.counts[SESSION_FAILED] == 0;
}
