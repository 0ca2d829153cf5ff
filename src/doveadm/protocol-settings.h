#ifndef HTTP_NOTIFY_PROTOCOL_SETTINGS_H
#define HTTP_NOTIFY_PROTOCOL_SETTINGS_H

/* Settings that hold for another process than doveadm: a protocol's, or for
   clients of an address. */
struct protocol_settings {
	const char *mail_plugins;
	const char *mail_plugin_dir;
	const char *mail_attribute_dict;
	/* plugin { }: names and values, each followed by the other, NULL at
	   the end; variables are not expanded */
	const char *const *plugin_envs;
	bool imap_metadata;
};

/* Read what doveconf -f protocol=<protocol> tells, for clients from remote_ip
   unless that is NULL. It comes from the running Dovecot, in whose base_dir
   only root may ask. The result lives in the pool. Returns 0, or -1 and
   error_r. */
int protocol_settings_read(const char *base_dir, const char *protocol,
			   const struct ip_addr *remote_ip, pool_t pool,
			   struct protocol_settings *set_r,
			   const char **error_r);

#endif
