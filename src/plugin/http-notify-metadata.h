#ifndef HTTP_NOTIFY_METADATA_CACHE_H
#define HTTP_NOTIFY_METADATA_CACHE_H

struct mailbox;

/* Look up the registration of the user whose INBOX this is. A value not older
   than lifetime_secs is taken from the mail user object's memory instead;
   "not registered" is such a value, too.

   Returns 1 and user_r, to be sent to the endpoint, which lives as long as
   the mail user; 0 if the user is not registered; -1 if the METADATA could not
   be read or is of no use, which has been logged. */
int http_notify_metadata_lookup(struct mailbox *inbox,
				unsigned int lifetime_secs,
				struct event *event, const char **user_r);

#endif
