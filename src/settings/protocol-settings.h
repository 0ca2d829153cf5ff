/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PROTOCOL_SETTINGS_H
#define HTTP_NOTIFY_PROTOCOL_SETTINGS_H

struct protocol_settings_source;

/* Settings as the processes of a protocol see them, which may be others than
   doveadm's own. */
struct protocol_settings {
	/* NULL-terminated */
	const char *const *mail_plugins;
	const char *mail_plugin_dir;
	/* what the METADATA dictionary is set to, NULL = nothing. Compare it
	   with that of another protocol, but don't show it: it may have
	   credentials */
	const char *attribute_dict;
	bool imap_metadata;
	/* from which user-lines.h reads more */
	struct protocol_settings_source *source;
};

/* Read the settings that doveconf -f protocol=<protocol> would show, for
   clients from remote_ip unless that is NULL. On 2.3 this asks the running
   Dovecot through a socket in base_dir, which only root may do; on 2.4 it uses
   the configuration that doveadm itself has read. The result lives in the pool.
   Returns 0, or -1 and error_r. */
int protocol_settings_read(const char *base_dir, const char *protocol,
			   const struct ip_addr *remote_ip, pool_t pool,
			   struct protocol_settings *set_r,
			   const char **error_r);
/* Must be called before the pool is freed, even after an error. */
void protocol_settings_free(struct protocol_settings *set);

#endif
