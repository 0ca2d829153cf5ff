/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_TLS_SETTINGS_H
#define HTTP_NOTIFY_TLS_SETTINGS_H

/* TLS for connections to endpoints: Dovecot's settings ssl_client_* and ssl_*
   of the same names. A string that is not set is "". */
struct tls_settings {
	bool require_valid_cert;
	/* Paths. If neither is set, nor ca, the system's CAs are used. */
	const char *ca_file, *ca_dir;
	/* the PEM text of ca_file, or what was given inline instead of a path;
	   "" = ca_file has not been read yet, or there is none */
	const char *ca;
	/* the service's own certificate and its key: PEM text, not paths */
	const char *cert, *key, *key_password;
	const char *min_protocol, *cipher_list, *cipher_suites, *curve_list;
};

#endif
