/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_METADATA_DICT_H
#define HTTP_NOTIFY_METADATA_DICT_H

struct mail_user;

/* A look-up in a METADATA dictionary that may hang: lib-storage waits for it
   for as long as Dovecot's client of dictionaries does, which is a minute. So
   this has a handle of its own, and leaves it.

   What deliveries wait for a dictionary in METADATA_DICT_SPELL_MSECS, beyond
   what a dictionary that is merely far away takes, is limited for the process
   to one timeout, whatever the number of recipients. One that has used it up is
   not asked before that time has passed. */
struct metadata_dict_lookup;

#define METADATA_DICT_SPELL_MSECS (10*1000)
/* How long a look-up in the background may take. */
#define METADATA_DICT_BACKGROUND_MSECS (10*1000)

typedef void metadata_dict_callback_t(void *context);

/* Begin to look up the key. Nothing is waited for. Returns NULL if the
   dictionary can only be asked by lib-storage.

   With a callback, the process's ioloop waits for the answer, in the
   background, and calls it once there is one, or if it takes too long:
   metadata_dict_lookup_finish() waits for nothing then; but for a tenth of a
   second at most if the dictionary can only be asked by waiting for it, as
   Dovecot's for Redis. Until then it does, and the callback is not called. */
struct metadata_dict_lookup *
metadata_dict_lookup_begin(struct mail_user *user, const char *key,
			   unsigned int timeout_msecs,
			   metadata_dict_callback_t *callback, void *context);

/* Wait for the answer, for timeout_msecs at most. Returns 1 and value_r; 0 if
   there is no such key; -1 and error_r if the dictionary failed; -2 and error_r
   if it is too slow, and said_r if that has been logged in this spell. The
   strings live on the data stack. */
int metadata_dict_lookup_finish(struct metadata_dict_lookup **lookup,
				unsigned int timeout_msecs,
				const char **value_r, const char **error_r,
				bool *said_r);
/* Leave it, without waiting. */
void metadata_dict_lookup_abort(struct metadata_dict_lookup **lookup);

/* current_ioloop is the process's. */
void metadata_dicts_init(void);
void metadata_dicts_deinit(void);

#endif
