# "doveadm http-notify status" as gauges, for the textfile collector of
# Prometheus's node_exporter. As root, every minute, for example in cron.d (with
# the path of this file, and Debian's directory for the collector):
#
# * * * * * root cd /var/lib/prometheus/node-exporter && doveadm -f json http-notify status -H . 2>/dev/null | jq -rsf http-notify.prom.jq >http-notify.prom.new; test -s http-notify.prom.new && mv http-notify.prom.new http-notify.prom
#
# Each of several hosts that share a queue is asked for what it sends itself
# (-H .); what is kept of what was given up is the same on all of them.
#
# "endpoint" is the host and port, as in Dovecot's metrics. Several endpoints of
# the same URL, with different credentials, are one here.

def state: if . == "up" then 1 else 0 end;

def gauge($name; $help; values):
	"# HELP \($name) \($help)",
	"# TYPE \($name) gauge",
	(values | "\($name)\(.labels) \(.value)");

# no answer of the service is no rows
(.[0] // []) as $rows
| [$rows[] | select(.endpoint != "total")]
| group_by(.endpoint)
| map({
	labels: (.[0].endpoint |
		 "{endpoint=\(capture("//(?<host>[^/]+)").host | tojson),url=\(tojson)}"),
	up: (map(.state | state) | min),
	standby: (map(.standby | select(. != "") | state) | min),
	queued: (map(.queued) | add),
	bytes: (map(.queued_bytes) | add),
	oldest: (map(.oldest) | max),
	in_flight: (map(.in_flight) | add),
	kept: {
	    refused: (map(.kept_refused) | add),
	    dropped: (map(.kept_dropped) | add),
	    expired: (map(.kept_expired) | add)
	}
  }) as $endpoints
| gauge("http_notify_service_up";
	"Whether the service http-notify has answered.";
	{ labels: "", value: ($rows | length | if . > 0 then 1 else 0 end) }),
  gauge("http_notify_endpoint_up";
	"Whether the endpoint accepts notifications.";
	$endpoints[] | { labels, value: .up }),
  gauge("http_notify_standby_up";
	"Whether its standby accepts notifications, or did when it was last needed.";
	$endpoints[] | select(.standby != null) | { labels, value: .standby }),
  gauge("http_notify_queue_length";
	"Notifications that are queued for the endpoint.";
	$endpoints[] | { labels, value: .queued }),
  gauge("http_notify_queue_bytes";
	"The size of the bodies of queued notifications.";
	$endpoints[] | { labels, value: .bytes }),
  gauge("http_notify_queue_fill_ratio";
	"How full the queue is, in number or bytes, whichever is more; 1 is http_notify_queue_limit.";
	$rows[] | select(.endpoint == "total")
	| { labels: "", value: (.queued_percent / 100) }),
  gauge("http_notify_queue_up";
	"Whether the queue can be written.";
	$rows[] | select(.endpoint == "total")
	| { labels: "", value: (.queue | if . == "up" or . == "moving" then 1
				else 0 end) }),
  gauge("http_notify_spooled";
	"Notifications that wait on this host only.";
	$rows[] | select(.endpoint == "total")
	| { labels: "", value: .spooled }),
  gauge("http_notify_oldest_seconds";
	"How long the oldest queued notification has waited.";
	$endpoints[] | { labels, value: .oldest }),
  gauge("http_notify_in_flight";
	"Queued notifications that are being sent.";
	$endpoints[] | { labels, value: .in_flight }),
  gauge("http_notify_kept";
	"Notifications that were given up and are kept.";
	$endpoints[] | .labels as $labels | .kept | to_entries[]
	| { labels: ($labels[:-1] + ",reason=\(.key | tojson)}"), value }),
  gauge("http_notify_kept_oldest_seconds";
	"How long the oldest notification that was given up has been kept.";
	$rows[] | select(.endpoint == "total")
	| { labels: "", value: .kept_oldest }),
  gauge("http_notify_forgotten";
	"Notifications that were given up and forgotten before their time.";
	$rows[] | select(.endpoint == "total")
	| { labels: "", value: .forgotten })
