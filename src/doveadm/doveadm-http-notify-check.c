/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify check: every link of the chain from a delivery to the
   endpoint, and how to fix the one that is broken */
#include "lib.h"
#include "array.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "master-service.h"
#include "net.h"
#include "path-util.h"
#include "str.h"
#include "str-sanitize.h"
#include "doveadm-print.h"
#include "doveadm-settings.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "setting-names.h"
#include "check.h"
#include "child.h"
#include "config-files.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "earlier-registration.h"
#include "handoff.h"
#include "handoff-try.h"
#include "metadata.h"
#include "notification.h"
#include "protocol-settings.h"
#include "registration.h"
#include "service-cmd.h"
#include "user-lines.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The exit status if a link is broken: one that a remote doveadm passes on. */
#define EXIT_NOT_WELL DOVEADM_EX_NOTPOSSIBLE
/* How long the dictionary may take for all that is tried of a user. */
#define DICTIONARY_TIMEOUT_MSECS (5*1000)
/* Longest detail, in bytes. Its end, which says what to do, must not be cut
   off. */
#define DETAIL_MAX 1024

static void
check_print(const char *link, const char *result, const char *detail)
{
	doveadm_print(link);
	doveadm_print(result);
	doveadm_print(str_sanitize(detail, DETAIL_MAX));
}

void check_row_ok(const char *link, const char *note)
{
	check_print(link, "ok", note);
}

void check_row(struct check_cmd_context *ctx, const char *link,
	       const char *error)
{
	if (error == NULL) {
		check_row_ok(link, "");
		return;
	}
	check_print(link, "fail", error);
	/* with an exit code, doveadm's HTTP API would not return the rows */
	if (ctx->cmd.ctx.cctx->conn_type != DOVEADM_CONNECTION_TYPE_HTTP)
		ctx->cmd.ctx.exit_code = EXIT_NOT_WELL;
}

/* Settings */

static const char *const needed_plugins[] = {
	"notify", "push_notification", "http_notify"
};

static const char *missing_plugins(const char *const *plugins)
{
	string_t *missing = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(needed_plugins); i++) {
		if (!str_array_find(plugins, needed_plugins[i]))
			str_printfa(missing, " %s", needed_plugins[i]);
	}
	return str_c(missing);
}

static const char *
plugins_error(const char *protocol, const struct protocol_settings *set,
	      const char *const *plugins)
{
	const char *missing = missing_plugins(plugins), *path;

	if (*missing != '\0' && *missing_plugins(set->mail_plugins) == '\0') {
		return t_strdup_printf("the user's own mail_plugins, from the "
			"userdb, lack%s: add it there, or let the userdb add "
			"to what the configuration has", missing);
	}
	if (*missing != '\0') {
		return t_strdup_printf("mail_plugins lacks%s: add it in "
			"protocol %s { }", missing, protocol);
	}
	path = t_strconcat(set->mail_plugin_dir,
			   "/lib22_http_notify_plugin.so", NULL);
	if (access(path, R_OK) < 0) {
		return t_strdup_printf("%s can't be read: %m (is it installed "
			"for this Dovecot?)", path);
	}
	return NULL;
}

/* Returns whether the protocol's deliveries reach our plugin. */
static bool
check_plugins(struct check_cmd_context *ctx, struct mail_user *user,
	      const char *protocol, const struct protocol_settings *set)
{
	const char *const *plugins, *error;

	if (user_plugins_get(user, set, user->pool, &plugins, &error) == 0)
		error = plugins_error(protocol, set, plugins);
	check_row(ctx, t_strconcat("plugins of ", protocol, NULL), error);
	return error == NULL;
}

static const char *dictionary_error(struct check_cmd_context *ctx)
{
	const char *lmtp = ctx->lmtp.attribute_dict;

	if (lmtp == NULL) {
		return SETTING_ATTRIBUTE_DICT" is not set: set it, for example "
			"to "SETTING_ATTRIBUTE_DICT_EXAMPLE;
	}
	if (null_strcmp(lmtp, ctx->imap.attribute_dict) != 0 ||
	    null_strcmp(lmtp, ctx->lda.attribute_dict) != 0) {
		return SETTING_ATTRIBUTE_DICT" is not the same in protocol "
			"imap { }, by which OX registers, and in protocol "
			"lmtp { } and lda { }, which look there: set it once, "
			"outside of protocol { }";
	}
	return NULL;
}

static void check_dictionary(struct check_cmd_context *ctx)
{
	check_row(ctx, "METADATA dictionary", dictionary_error(ctx));
}

static void check_imap(struct check_cmd_context *ctx)
{
	check_row(ctx, "IMAP METADATA", ctx->imap.imap_metadata ? NULL :
		  (ctx->remote_ip.family != 0 ?
		   "imap_metadata is off for this address: set it to yes in "
		   "protocol imap { }, or in remote <address> { }" :
		   "imap_metadata is off: set it to yes in protocol imap { } "
		   "(if that is in remote <address> { }, give the OX node's "
		   "address with -r)"));
}

/* Registration */

/* unknown: NULL, or why it can't be told whether there is a registration of an
   earlier INBOX. */
static const char *
not_registered(struct mail_user *user, const char *unknown)
{
	return t_strdup_printf("not registered%s: the OX node has not, or: "
		"doveadm http-notify register -u %s <OX user>@<OX context>",
		unknown == NULL ? "" : t_strdup_printf(" (whether the user "
			"was, for an earlier INBOX, is not known: %s)",
			unknown), user->username);
}

static void
check_row_not_registered(struct check_cmd_context *ctx, const char *error)
{
	if (ctx->registration_required)
		check_row(ctx, "registration", error);
	else {
		check_row_ok("registration", "there is none: the mail user's "
			     "name is sent");
	}
}

/* The dictionary has been read: why is there no registration? */
static const char *why_not_registered(struct mail_user *user)
{
	struct earlier_registration earlier;
	const char *error;
	int ret;

	ret = earlier_registration_find(user, &earlier, &error);
	if (ret <= 0)
		return not_registered(user, ret < 0 ? error : NULL);
	return t_strdup_printf("registered for an earlier INBOX, %s: INBOX "
		"was made anew, or has lost its identity with dovecot-uidlist "
		"or its indexes, and nothing is announced until the user "
		"registers again. Carry it over: "
		"doveadm http-notify reregister -u %s",
		doveadm_http_notify_quote(earlier.value, 128), user->username);
}

/* Returns NULL if the registration is as it should be, or what is wrong. of_ox:
   it is for an OX endpoint. */
static const char *registration_error(const char *value, bool of_ox)
{
	const char *registered, *error;
	uint32_t user_id, context_id;

	if (http_notify_registration_is_of_ox(value, &user_id, &context_id))
		return NULL;

	if (http_notify_registration_parse(value, &registered, &error) < 0) {
		return t_strdup_printf("%s: %s",
			doveadm_http_notify_quote(value, 128), error);
	}
	if (!of_ox)
		return NULL;
	return t_strdup_printf("%s: OX takes <OX user>@<OX context>, two "
		"numbers from 1 to 2147483647 without leading zeros, and "
		"nothing before or after them; it drops others silently, or "
		"takes them for somebody else's",
		doveadm_http_notify_quote(value, 128));
}

/* What try_metadata() says. */
enum metadata_line {
	/* "" or why not */
	METADATA_LINE_READ,
	/* "" or the value after a = */
	METADATA_LINE_VALUE,
	/* "" or why not */
	METADATA_LINE_WRITTEN,
	/* why there is no value */
	METADATA_LINE_NOT_REGISTERED,
	METADATA_LINE_COUNT
};

struct metadata_context {
	struct mail_user *user;
	struct mailbox *inbox;
};

/* In a child, since Dovecot waits half a minute or more for each answer of a
   dictionary that hangs. */
static void try_metadata(void *context)
{
	const struct metadata_context *ctx = context;
	const char *value, *error;
	int ret;

	ret = http_notify_metadata_get(ctx->inbox, &value, &error);
	child_say(ret < 0 ? error : "");
	child_say(ret > 0 ? t_strconcat("=", value, NULL) : "");
	child_say(http_notify_metadata_try_set(ctx->inbox, &error) < 0 ?
		  error : "");
	if (ret == 0)
		child_say(why_not_registered(ctx->user));
}

static void
check_row_dictionary(struct check_cmd_context *ctx, const char *link,
		     const char *line, const char *no_answer)
{
	if (line == NULL) {
		line = t_strdup_printf("%s (by the dictionary of "
			SETTING_ATTRIBUTE_DICT": does its server run? Look for "
			"service(dict) in the log)", no_answer);
	}
	check_row(ctx, link, *line == '\0' ? NULL : line);
}

/* Check an INBOX that can be opened. Returns as check_registration() does. */
static const char *
check_metadata(struct check_cmd_context *ctx, struct mail_user *user,
	       struct mailbox *inbox)
{
	struct metadata_context metadata = { .user = user, .inbox = inbox };
	const char *lines[METADATA_LINE_COUNT] = { NULL, };
	const char *const *said, *error, *value;
	unsigned int i;

	said = child_run(try_metadata, &metadata, DICTIONARY_TIMEOUT_MSECS,
			 &error);
	for (i = 0; i < METADATA_LINE_COUNT && said[i] != NULL; i++)
		lines[i] = said[i];

	check_row_dictionary(ctx, "METADATA readable",
			     lines[METADATA_LINE_READ], error);
	if (lines[METADATA_LINE_VALUE] == NULL)
		return NULL;
	check_row_dictionary(ctx, "METADATA writable",
			     lines[METADATA_LINE_WRITTEN], error);
	if (*lines[METADATA_LINE_READ] != '\0')
		return NULL;
	if (*lines[METADATA_LINE_VALUE] == '\0') {
		check_row_not_registered(ctx,
			lines[METADATA_LINE_NOT_REGISTERED] != NULL ?
			lines[METADATA_LINE_NOT_REGISTERED] :
			not_registered(user, error));
		return NULL;
	}
	value = p_strdup(user->pool, lines[METADATA_LINE_VALUE] + 1);
	check_row(ctx, "registration",
		  registration_error(value, ctx->registration_of_ox));
	return value;
}

/* Returns the METADATA value, NULL if there is none. */
static const char *
check_registration(struct check_cmd_context *ctx, struct mail_user *user)
{
	struct mailbox *inbox = http_notify_metadata_inbox(user, 0);
	const char *value = NULL;
	int ret;

	ret = doveadm_http_notify_open_existing(inbox);
	if (ret > 0) {
		value = check_metadata(ctx, user, inbox);
	} else if (ret == 0) {
		check_row_ok("INBOX", "there is none yet, so METADATA is not "
			     "tried: the user has got no mail and not logged "
			     "in");
		check_row_not_registered(ctx, not_registered(user, NULL));
	} else {
		check_row(ctx, "INBOX",
			  mailbox_get_last_internal_error(inbox, NULL));
	}
	mailbox_free(&inbox);
	return value;
}

/* Service */

/* A process that runs as the mail user connects to the service. lost: what is
   not announced if it can't; else_: what else may be done. */
static void
check_user_handoff(struct check_cmd_context *ctx, struct mail_user *user,
		   const char *process, int result, const char *lost,
		   const char *else_)
{
	const char *link = t_strconcat("hand-off by ", process, NULL);
	const char *path;

	if (result == 0) {
		check_row_ok(link, "");
		return;
	}
	if (result == HANDOFF_TRY_ANYBODY) {
		check_row_ok(link, "as anybody: only to endpoints that "
			     "dovecot.conf has for all users, without "
			     "variables");
		return;
	}
	if (result == HANDOFF_TRY_UNKNOWN) {
		check_row(ctx, link, "not tried: doveadm can't become the mail "
			  "user with the user's groups");
		return;
	}
	path = t_strconcat(ctx->cmd.ctx.set->base_dir,
			   "/"HTTP_NOTIFY_HANDOFF_SOCKET, NULL);
	check_row(ctx, link, t_strdup_printf("connect(%s) failed: %s, for "
		"%s, which runs as the mail user (uid %s): nothing %s is "
		"announced. Give that user access: "
		"unix_listener http-notify { user = <mail user> } in service "
		"http-notify { }, or mode = 0666 if there are many%s", path,
		strerror(result), process, dec2str(user->uid), lost, else_));
}

static void
check_lda_handoff(struct check_cmd_context *ctx, struct mail_user *user)
{
	if (ctx->lda_result == 0 && ctx->lda_needs_groups) {
		check_row_ok("hand-off by lda",
			     "if the MTA starts dovecot-lda with all groups of "
			     "the user: Exim does with initgroups, Postfix "
			     "does not");
		return;
	}
	check_user_handoff(ctx, user, "lda", ctx->lda_result,
		"it delivers", ". LMTP is not affected: if dovecot-lda "
		"delivers nothing here, take the push plugins out of protocol "
		"lda { }");
}

/* Returns whether imap's plugins are there, if they have to be. */
static bool
check_imap_plugins(struct check_cmd_context *ctx, struct mail_user *user)
{
	return check_endpoints_hear_of_imap(ctx, user) &&
		check_plugins(ctx, user, "imap", &ctx->imap);
}

/* Is dovecot-lda left out on purpose? Then only LMTP has the push plugins. */
static bool lda_is_left_out(const struct check_cmd_context *ctx)
{
	return *missing_plugins(ctx->lmtp.mail_plugins) == '\0' &&
		!str_array_find(ctx->lda.mail_plugins, "push_notification") &&
		!str_array_find(ctx->lda.mail_plugins, "http_notify");
}

static bool
check_lda_plugins(struct check_cmd_context *ctx, struct mail_user *user)
{
	if (!lda_is_left_out(ctx))
		return check_plugins(ctx, user, "lda", &ctx->lda);
	check_row_ok("plugins of lda", "none of this in protocol lda { }: what "
		     "dovecot-lda delivers is not announced, only what LMTP "
		     "delivers");
	return FALSE;
}

static int
cmd_check_run(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, cmd.ctx);
	const char *value = NULL;
	bool lda, imap;

	if (ctx->settings_error != NULL) {
		check_row(ctx, "configuration", ctx->settings_error);
		return 0;
	}
	check_row(ctx, "configuration", ctx->config_error);
	(void)check_plugins(ctx, user, "lmtp", &ctx->lmtp);
	lda = check_lda_plugins(ctx, user);
	imap = check_imap_plugins(ctx, user);
	check_find_needs(ctx, user);
	if (ctx->registration_needed) {
		check_dictionary(ctx);
		check_imap(ctx);
		value = check_registration(ctx, user);
	}
	if (ctx->cmd.error == NULL)
		check_row_ok("service", ctx->queue_note);
	else
		check_row(ctx, "service", ctx->cmd.error);
	if (ctx->cmd.error == NULL)
		check_queue(ctx);
	if (lda && ctx->cmd.error == NULL)
		check_lda_handoff(ctx, user);
	if (imap && ctx->cmd.error == NULL) {
		check_user_handoff(ctx, user, "imap", ctx->imap_result,
				   "that happens in IMAP", "");
	}
	check_endpoints(ctx, user, lda, value);
	check_lost(ctx, user->username);
	return 0;
}

static void check_read_settings(struct check_cmd_context *ctx)
{
	const char *base_dir = ctx->cmd.ctx.set->base_dir, *error;
	const struct ip_addr *remote_ip =
		ctx->remote_ip.family == 0 ? NULL : &ctx->remote_ip;
	pool_t pool = ctx->cmd.ctx.pool;

	ctx->settings_read = TRUE;
	if (protocol_settings_read(base_dir, "lmtp", NULL, pool,
				   &ctx->lmtp, &error) < 0 ||
	    protocol_settings_read(base_dir, "lda", NULL, pool,
				   &ctx->lda, &error) < 0 ||
	    protocol_settings_read(base_dir, "imap", remote_ip, pool,
				   &ctx->imap, &error) < 0) {
		ctx->settings_error = geteuid() == 0 ? p_strdup(pool, error) :
			p_strdup_printf(pool, "%s (run as root)", error);
	}
}

static const char *check_handoff_socket(const char *path)
{
	int fd = net_connect_unix(path);

	if (fd == -1) {
		return t_strdup_printf("connect(%s) failed: %m (%s)", path,
				       doveadm_http_notify_connect_hint());
	}
	i_close_fd(&fd);
	return NULL;
}

/* What is queued, as a remark. */
static const char *queue_note(const char *const *row)
{
	const char *queued = row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED];

	if (strcmp(queued, "0") == 0)
		return "";
	return t_strdup_printf("%s queued, %s bytes, %s%% of "
		"http_notify_queue_limit", queued,
		row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_BYTES],
		row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT]);
}

/* Get the row of totals. Returns 0, or -1 and error_r if the service does not
   answer. */
static int
service_get_status(struct admin_client *client, pool_t pool,
		   const char *const **total_r, const char **error_r)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	};
	const char *const *row;
	uint64_t count;
	int ret;

	admin_client_send(client, &command);
	*total_r = NULL;
	/* it is the last one */
	while ((ret = admin_client_read(client, TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_STATUS_COUNT, &row,
					&count, error_r)) > 0)
		*total_r = row;
	if (ret < 0)
		return -1;
	if (*total_r == NULL) {
		*error_r = "the service has no status";
		return -1;
	}
	*total_r = p_strarray_dup(pool, *total_r);
	return 0;
}

/* When the service was started is when Dovecot was started or reloaded. */
static time_t service_started(const char *const *total)
{
	unsigned int secs;

	if (str_to_uint(total[HTTP_NOTIFY_ADMIN_STATUS_SINCE], &secs) < 0)
		secs = 0;
	return time(NULL) - secs;
}

/* Does Dovecot run with another configuration than the files have now? It read
   them when it was started or reloaded. On 2.4, this doveadm may also have read
   another file. Returns NULL, or what differs and what to do. */
static const char *
config_error(struct check_cmd_context *ctx, time_t started)
{
	const char *path = master_service_get_config_path(master_service);
	const char *running, *changed, *error;
	struct stat st;

	/* a link to the file that Dovecot runs with */
	running = t_strconcat(ctx->cmd.ctx.set->base_dir, "/dovecot.conf",
			      NULL);
	if (t_realpath(running, &running, &error) < 0)
		return NULL;
	/* if Dovecot started this doveadm, path is a socket */
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    config_files_differ(path, running)) {
		return t_strdup_printf("this doveadm has read %s, but Dovecot "
			"runs with %s: give that with -c", path, running);
	}
	/* all these times are rounded to seconds */
	changed = config_files_find_newer(running, started + 1);
	return changed == NULL ? NULL :
		t_strdup_printf("%s was changed after Dovecot had read it: "
				"doveadm reload", changed);
}

static void
check_connect(struct check_cmd_context *ctx, const char *path, bool first)
{
	const char *const *total, *error = check_handoff_socket(path);
	pool_t pool = ctx->cmd.ctx.pool;

	if (error != NULL) {
		service_cmd_disconnect(&ctx->cmd, error);
		return;
	}
	service_cmd_connect(&ctx->cmd);
	if (ctx->cmd.client == NULL)
		return;
	if (service_get_status(ctx->cmd.client, pool, &total, &error) < 0)
		service_cmd_disconnect(&ctx->cmd, error);
	else if (first) {
		ctx->queue_note = p_strdup(pool, queue_note(total));
		ctx->config_error = p_strdup(pool,
			config_error(ctx, service_started(total)));
		check_queue_read(ctx, total);
	}
}

/* Is dovecot-lda setuid root? If not, it runs as the mail user that an MTA
   starts it as. */
static bool lda_is_root(struct check_cmd_context *ctx)
{
	const char *path = t_strconcat(ctx->cmd.ctx.set->libexec_dir,
				       "/dovecot-lda", NULL);
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == 0 &&
		(st.st_mode & S_ISUID) != 0;
}

static void
check_try_lda(struct check_cmd_context *ctx,
	      struct mail_storage_service_user *service_user, const char *path)
{
	enum handoff_try_groups groups = lda_is_root(ctx) ?
		HANDOFF_TRY_GROUPS_ALL : HANDOFF_TRY_GROUPS_NONE;

	ctx->lda_result = handoff_try(&ctx->cmd.ctx, service_user, groups,
				      path);
	ctx->lda_needs_groups = FALSE;
	if (ctx->lda_result != EACCES || groups == HANDOFF_TRY_GROUPS_ALL)
		return;
	if (handoff_try(&ctx->cmd.ctx, service_user,
			HANDOFF_TRY_GROUPS_SYSTEM, path) == 0) {
		ctx->lda_result = 0;
		ctx->lda_needs_groups = TRUE;
	}
}

/* Runs before doveadm becomes the mail user: for what only root may do. */
static int
cmd_check_prerun(struct doveadm_mail_cmd_context *_ctx,
		 struct mail_storage_service_user *service_user,
		 const char **error_r ATTR_UNUSED)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, cmd.ctx);
	const char *path = t_strconcat(_ctx->set->base_dir,
				       "/"HTTP_NOTIFY_HANDOFF_SOCKET, NULL);
	bool first = !ctx->settings_read;

	if (first)
		check_read_settings(ctx);
	check_connect(ctx, path, first);
	if (first) {
		check_lost_read(ctx, _ctx->iterate_single_user ?
				_ctx->cctx->username : NULL);
	}
	check_try_lda(ctx, service_user, path);
	ctx->imap_result = handoff_try(_ctx, service_user,
				       HANDOFF_TRY_GROUPS_ALL, path);
	return 0;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_check_init)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, cmd.ctx);
	const char *addr;

	if (doveadm_cmd_param_str(_ctx->cctx, "remote-ip", &addr) &&
	    net_addr2ip(addr, &ctx->remote_ip) < 0)
		i_fatal_status(EX_USAGE, "-r %s: not an IP address", addr);
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header_simple("link");
	doveadm_print_header_simple("result");
	doveadm_print_header_simple("detail");
}

static void cmd_check_deinit(struct doveadm_mail_cmd_context *_ctx)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, cmd.ctx);

	service_cmd_deinit(&ctx->cmd);
	if (hash_table_is_created(ctx->lost))
		hash_table_destroy(&ctx->lost);
	protocol_settings_free(&ctx->lmtp);
	protocol_settings_free(&ctx->lda);
	protocol_settings_free(&ctx->imap);
}

static struct doveadm_mail_cmd_context *cmd_check_alloc(void)
{
	struct doveadm_mail_cmd_context *ctx = doveadm_http_notify_cmd_alloc(
		sizeof(struct check_cmd_context), cmd_check_init,
		cmd_check_run);

	ctx->v.prerun = cmd_check_prerun;
	ctx->v.deinit = cmd_check_deinit;
	return ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_check = {
	.name = "http-notify check",
	.mail_cmd = cmd_check_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX"[-r <address of OX>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('r', "remote-ip", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
