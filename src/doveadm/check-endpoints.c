/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "http-url.h"
#include "mail-user.h"
#include "str.h"
#include "str-sanitize.h"
#include "doveadm-settings.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "setting-names.h"
#include "check.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "mail-events.h"
#include "notification.h"
#include "registration.h"
#include "user-lines.h"

/* Where the credentials are. */
static const char *credentials_of(const struct http_notify_options *options)
{
	const struct http_url *url =
		http_notify_url_parse(options->url, pool_datastack_create());
	const char *keys = options->sign_file == NULL ? NULL :
		t_strconcat("the keys in "SETTING_SIGN_FILE,
			    options->sign_file, NULL);
	const char *login = "login and password in "SETTING_URL;

	if (options->token_file != NULL) {
		login = t_strconcat("the token in "SETTING_TOKEN_FILE,
				    options->token_file, NULL);
	} else if (options->netrc_file != NULL) {
		login = t_strconcat("login and password in "SETTING_NETRC_FILE,
				    options->netrc_file, NULL);
	} else if (keys != NULL && url->user == NULL)
		return keys;
	return keys == NULL ? login : t_strconcat(login, " and ", keys, NULL);
}

/* What libcurl says of a tunnel that it does not get, the second of each before
   7.87. */
static const char *const tunnel_refusals[] = {
	"tunnel failed, response 407", "HTTP code 407 from proxy",
	"tunnel failed, response 401", "HTTP code 401 from proxy",
};

static bool is_refused_by_proxy(unsigned int status, const char *reason)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(tunnel_refusals); i++) {
		if (status == 0 && strstr(reason, tunnel_refusals[i]) != NULL)
			return TRUE;
	}
	return status == 407;
}

/* Does libcurl name this file as one that it can't use? What is said of one that
   was not given to libcurl begins with its option. */
static bool names_file(const char *reason, const char *path)
{
	const char *found = path == NULL ? NULL : strstr(reason, path);

	return found != NULL && found > reason && found[-1] != '=';
}

/* Does the endpoint say that it refuses the client certificate, or lack of one?
   These are TLS's own words. */
static bool refuses_client_certificate(const char *reason)
{
	return strstr(reason, " alert ") != NULL &&
		(strstr(reason, "certificate") != NULL ||
		 strstr(reason, "unknown ca") != NULL);
}

/* Returns what to do about an error of TLS, NULL if that is not known. */
static const char *
tls_advice(const char *reason, const struct http_notify_options *options)
{
	if (names_file(reason, options->key_file)) {
		return t_strconcat("fix "SETTING_KEY_FILE, options->key_file,
				   ", the key of "SETTING_CERT_FILE,
				   options->cert_file, NULL);
	}
	if (names_file(reason, options->cert_file)) {
		return t_strconcat("fix "SETTING_CERT_FILE, options->cert_file,
				   NULL);
	}
	if (names_file(reason, options->ca_file)) {
		return t_strconcat("fix "SETTING_CA_FILE, options->ca_file,
				   NULL);
	}
	if (refuses_client_certificate(reason)) {
		return options->cert_file == NULL ?
			"set "SETTING_CERT_FILE"<file> to a certificate that "
			"the endpoint accepts" :
			t_strconcat("the endpoint does not accept "
				    SETTING_CERT_FILE, options->cert_file,
				    NULL);
	}
	if (strstr(reason, "certificate") == NULL)
		return NULL;
	return options->ca_file == NULL ?
		"fix the certificate, or set ssl_client_ca_file to what it is "
		"signed by" :
		t_strconcat("fix the certificate, or have what it is signed by "
			    "in "SETTING_CA_FILE, options->ca_file, NULL);
}

static const char *
check_answer(unsigned int status, const char *reason,
	     const struct http_notify_options *options)
{
	const char *advice;

	if (status / 100 == 2)
		return NULL;
	if (options->proxy != NULL && is_refused_by_proxy(status, reason)) {
		return t_strdup_printf("credentials refused by the proxy: %s "
			"(%s)", reason, options->proxy_netrc_file == NULL ?
			"set "SETTING_PROXY_NETRC_FILE"<file>" :
			t_strconcat("fix login and password in "
				SETTING_PROXY_NETRC_FILE,
				options->proxy_netrc_file, NULL));
	}
	switch (status) {
	case 401:
	case 403:
		return t_strdup_printf("credentials refused: %s (fix %s)",
				       reason, credentials_of(options));
	case 404:
		return t_strdup_printf("no such path: %s (fix "SETTING_URL")",
				       reason);
	}
	advice = status == 0 ? tls_advice(reason, options) : NULL;
	return advice == NULL ? reason :
		t_strdup_printf("%s (%s)", reason, advice);
}

/* Returns a remark about an endpoint that is OX, if this is an OX user: OX
   answers success even if it has no such user. */
static const char *
endpoint_note(struct mail_user *user, const char *registered)
{
	uint32_t user_id, context_id;

	if (!http_notify_registration_parse_ox(registered, &user_id,
					       &context_id))
		return "";
	return t_strdup_printf("answers, as OX does for any user; to see "
		"whether it has user %u in context %u: "
		"doveadm http-notify test -u %s",
		user_id, context_id, user->username);
}

static void
check_endpoint(struct check_cmd_context *ctx, const struct user_line *line,
	       const char *user, const char *note)
{
	const struct http_notify_notification notification = {
		/* OX answers success to any event other than messageNew, and
		   does nothing else. Where it takes calendar mail it answers
		   400 to no message, if the credentials are right. */
		.user = user, .event = "test", .folder = "INBOX",
		.message = t_str_new(1)
	};
	string_t *body = t_str_new(256);
	const char *const *row, *link, *error;
	unsigned int status;
	uint64_t count;
	int ret;

	if (http_notify_notification_append_json(
		&notification, line->options.format, body) < 0)
		i_fatal_status(FATAL_OUTOFMEM, "JSON: out of memory");
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PROBE,
		.body = str_c(body),
		.options = http_notify_options_export(&line->options)
	};

	admin_client_send(ctx->cmd.client, &command);
	while ((ret = admin_client_read(ctx->cmd.client,
			line->options.timeout_msecs + TIMEOUT_MSECS,
			HTTP_NOTIFY_ADMIN_REQUEST_COUNT, &row,
			&count, &error)) > 0) {
		if (str_to_uint(row[HTTP_NOTIFY_ADMIN_REQUEST_STATUS],
				&status) < 0)
			continue;
		link = t_strconcat("endpoint ",
				   row[HTTP_NOTIFY_ADMIN_REQUEST_ENDPOINT],
				   NULL);
		error = check_answer(status,
				     row[HTTP_NOTIFY_ADMIN_REQUEST_REASON],
				     &line->options);
		if (status == 400 &&
		    line->options.format == HTTP_NOTIFY_FORMAT_OX_CALENDAR)
			error = NULL;
		if (error != NULL)
			check_row(ctx, link, error);
		else
			check_row_ok(link, note);
	}
	if (ret < 0)
		check_row(ctx, "endpoint", error);
}

/* Returns a user whom the endpoint accepts as such, but does not have. */
static const char *user_of_nobody(enum http_notify_format format)
{
	switch (format) {
	case HTTP_NOTIFY_FORMAT_OX:
	case HTTP_NOTIFY_FORMAT_OX_CALENDAR:
		break;
	case HTTP_NOTIFY_FORMAT_EGROUPWARE:
		return "0::nobody;none@localhost";
	}
	return "0@0";
}

static void
check_line(struct check_cmd_context *ctx, struct mail_user *user,
	   const struct user_line *line, const char *protocol,
	   const char *value)
{
	const char *registered, *error;

	check_row(ctx, t_strconcat(line->setting, protocol, NULL), line->error);
	if (line->error != NULL || ctx->cmd.client == NULL)
		return;
	if (doveadm_http_notify_get_user(line, user, value, &registered,
					 &error) < 0) {
		/* the registration's row says why */
		registered = user_of_nobody(line->options.format);
	}
	T_BEGIN {
		check_endpoint(ctx, line, registered,
			       line->ox && line->options.format ==
			       HTTP_NOTIFY_FORMAT_OX ?
			       endpoint_note(user, registered) : "");
	} T_END;
}

/* Returns NULL, or why there are no lines. */
static const char *
get_lines(struct mail_user *user, const struct protocol_settings *set,
	  ARRAY_TYPE(user_line) *lines)
{
	const char *error;

	if (user_lines_get(user, set, user->pool, lines, &error) < 0)
		return error;
	return array_not_empty(lines) ? NULL :
		"not set for this driver: "SETTING_DRIVER_EXAMPLE;
}

/* Is the registration one that OX has made, if the endpoint is OX? */
static bool ox_hears_registration(const struct http_notify_options *options)
{
	switch (options->format) {
	case HTTP_NOTIFY_FORMAT_OX:
		return TRUE;
	case HTTP_NOTIFY_FORMAT_EGROUPWARE:
		break;
	case HTTP_NOTIFY_FORMAT_OX_CALENDAR:
		return options->user_from_metadata;
	}
	return FALSE;
}

void check_find_needs(struct check_cmd_context *ctx, struct mail_user *user)
{
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;
	bool valid = FALSE;

	t_array_init(&lines, 4);
	ctx->registration_needed = ctx->registration_required = FALSE;
	ctx->registration_of_ox = FALSE;
	if (get_lines(user, &ctx->lmtp, &lines) == NULL) {
		array_foreach(&lines, line) {
			if (line->error != NULL)
				continue;
			valid = TRUE;
			if (http_notify_options_need_registration(
							&line->options))
				ctx->registration_needed = TRUE;
			if (!line->options.registration_optional)
				ctx->registration_required = TRUE;
			if (line->ox && ox_hears_registration(&line->options))
				ctx->registration_of_ox = TRUE;
		}
	}
	if (!valid) {
		ctx->registration_needed = ctx->registration_required = TRUE;
		ctx->registration_of_ox = TRUE;
	}
}

static bool
is_one_of(const struct user_line *line, const ARRAY_TYPE(user_line) *lines)
{
	const struct user_line *other;

	array_foreach(lines, other) {
		if (strcmp(line->setting, other->setting) == 0 &&
		    null_strcmp(line->error, other->error) == 0 &&
		    null_strcmp(line->options.url, other->options.url) == 0)
			return TRUE;
	}
	return FALSE;
}

void check_endpoints(struct check_cmd_context *ctx, struct mail_user *user,
		     bool lda, const char *value)
{
	static const char *const lda_name = " of lda";
	const char *error, *lda_error = NULL;
	ARRAY_TYPE(user_line) lines, lda_lines;
	const struct user_line *line;

	t_array_init(&lines, 4);
	t_array_init(&lda_lines, 4);
	error = get_lines(user, &ctx->lmtp, &lines);
	if (error != NULL)
		check_row(ctx, SETTING_DRIVER, error);
	array_foreach(&lines, line)
		check_line(ctx, user, line, "", value);

	if (lda)
		lda_error = get_lines(user, &ctx->lda, &lda_lines);
	if (lda_error != NULL && null_strcmp(error, lda_error) != 0) {
		check_row(ctx, t_strconcat(SETTING_DRIVER, lda_name, NULL),
			  lda_error);
	}
	array_foreach(&lda_lines, line) {
		if (!is_one_of(line, &lines))
			check_line(ctx, user, line, lda_name, value);
	}
}

bool check_endpoints_hear_of_imap(struct check_cmd_context *ctx,
				  struct mail_user *user)
{
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;

	t_array_init(&lines, 4);
	if (get_lines(user, &ctx->imap, &lines) != NULL)
		return FALSE;
	array_foreach(&lines, line) {
		/* all others happen there */
		if (line->error == NULL && (line->options.events &
		    ~(HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_NEW) |
		      HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_CALENDAR_MAIL))) != 0)
			return TRUE;
	}
	return FALSE;
}
