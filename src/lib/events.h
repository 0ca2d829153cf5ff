/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EVENTS_H
#define HTTP_NOTIFY_EVENTS_H

/* Dovecot's event filters (metric, event_exporter, log_debug) see these, each
   with the category "http-notify". Who reads them relies on names and fields;
   dovecot-http-notify(7) has the list.

   http_notify_queued            stored; duration: since it was handed over
   http_notify_attempt_finished  an attempt has ended; duration: its own;
                                 status_code: 0 = no answer came, so that
                                 metrics can be grouped by it
   http_notify_delivered         the endpoint has it; age
   http_notify_retried           the attempt failed, there will be another
   http_notify_refused           lost: the endpoint refused it
   http_notify_expired           lost: older than max_age
   http_notify_dropped           lost: failed too often
   http_notify_endpoint_down     a server of an endpoint takes nothing
   http_notify_endpoint_up       it does again
   http_notify_handoff_failed    a mail process could not hand it over, or does
                                 not know that it did; stored: no = lost, maybe
                                 = the service may have it */
extern struct event_category event_category_http_notify;

#endif
