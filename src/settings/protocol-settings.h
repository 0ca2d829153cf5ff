/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PROTOCOL_SETTINGS_H
#define HTTP_NOTIFY_PROTOCOL_SETTINGS_H

struct protocol_settings_source;

/* Settings that hold for another process than doveadm: a protocol's, or for
   clients of an address. */
struct protocol_settings {
	/* NULL at the end */
	const char *const *mail_plugins;
	const char *mail_plugin_dir;
	/* NULL = none; else where METADATA is kept, to be compared with that of
	   another protocol, not to be shown: it may have credentials */
	const char *attribute_dict;
	bool imap_metadata;
	/* where user_lines_get() finds more */
	struct protocol_settings_source *source;
};

/* Read what doveconf -f protocol=<protocol> tells, for clients from remote_ip
   unless that is NULL. On 2.3 it comes from the running Dovecot, in whose
   base_dir only root may ask; on 2.4 from what doveadm itself has read. The
   result lives in the pool. Returns 0, or -1 and error_r. */
int protocol_settings_read(const char *base_dir, const char *protocol,
			   const struct ip_addr *remote_ip, pool_t pool,
			   struct protocol_settings *set_r,
			   const char **error_r);
/* To be called before the pool is freed, also if there was an error. */
void protocol_settings_free(struct protocol_settings *set);

#endif
