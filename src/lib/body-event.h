/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_BODY_EVENT_H
#define HTTP_NOTIFY_BODY_EVENT_H

/* The name of the field of Dovecot's events that has it (events.h); "event" is
   taken there. */
#define HTTP_NOTIFY_BODY_EVENT_FIELD "mail_event"

/* Returns what has happened according to a notification's body, by its name in
   RFC 5423 (mail-events.h), or "" if the body does not begin as those of the
   plugin do. This is all that anybody reads of a body after the hand-off: so it
   is known of each notification, however old, and needs no place in the
   hand-off and the queue. */
const char *http_notify_body_event(const char *body);

#endif
