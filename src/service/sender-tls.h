#ifndef HTTP_NOTIFY_SENDER_TLS_H
#define HTTP_NOTIFY_SENDER_TLS_H

/* How to talk TLS to endpoints: Dovecot's settings of the same names. What is
   not set is "". */
struct sender_tls {
	bool require_valid_cert;
	/* paths; neither of them: what the TLS library trusts by default */
	const char *ca_file, *ca_dir;
	/* what is in ca_file, if it has been read already */
	const char *ca;
	/* the service's own certificate and its key, PEM */
	const char *cert, *key, *key_password;
	const char *min_protocol, *cipher_list, *cipher_suites, *curve_list;
};

#endif
