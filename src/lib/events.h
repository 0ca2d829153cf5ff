/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EVENTS_H
#define HTTP_NOTIFY_EVENTS_H

/* Events for Dovecot's metric, event_exporter and log_debug, each with the
   category "http-notify". Admins' configurations rely on the names and fields,
   which dovecot-http-notify(7) lists. Those of a notification have
   HTTP_NOTIFY_BODY_EVENT_FIELD (body-event.h).

   http_notify_queued            stored; duration: since it was handed over
   http_notify_attempt_finished  an attempt has ended; duration: its own;
                                 status_code: 0 = no answer came (Dovecot's
                                 statistics file a missing field under "")
   http_notify_delivered         the endpoint accepted it; age
   http_notify_retried           the attempt failed, there will be another
   http_notify_refused           lost: the endpoint refused it
   http_notify_expired           lost: older than max_age
   http_notify_dropped           lost: failed too often
   http_notify_endpoint_down     a server of an endpoint went down, or rejects
                                 everything
   http_notify_endpoint_up       it is up again
   http_notify_queue_down        the queue can't be written: notifications are
                                 refused, or stored on this host if it is shared
   http_notify_queue_up          it can be again
   http_notify_handoff_failed    a mail process could not hand it over, or got
                                 no confirmation; stored: no = lost, maybe =
                                 the service may have it */
extern struct event_category event_category_http_notify;

#endif
