-- SPDX-License-Identifier: LGPL-2.1-or-later
-- The queue that several mail hosts share (http_notify_queue = pgsql), as
-- version 1 of dovecot-http-notify's schema. The services do not make it
-- themselves. To be run once by the database's owner, in a database of its own:
--
--	psql -d http_notify -f schema-1.sql
--
-- Then give the role that is in http_notify_pgsql the rights that it needs, and
-- no others:
--
--	GRANT http_notify TO the_role;

\set ON_ERROR_STOP on
BEGIN;

SELECT NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'http_notify')
	AS make_role \gset
\if :make_role
CREATE ROLE http_notify NOLOGIN;
\endif

CREATE SCHEMA http_notify;
SET LOCAL search_path = http_notify;

-- This schema's version, and the oldest one whose services may use it, too. A
-- later version's script changes both; services notice within seconds.
CREATE TABLE version (
	version bigint NOT NULL,
	compatible bigint NOT NULL
);
INSERT INTO version VALUES (1, 1);

-- Mail hosts that have been connected, the last time when used says. The guid is
-- in a file beside a host's own queue. What has not been used for long is deleted,
-- here, in endpoint and in part.
CREATE TABLE host (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	guid bytea NOT NULL UNIQUE,
	name bytea NOT NULL,
	used bigint NOT NULL
		DEFAULT extract(epoch FROM clock_timestamp())::bigint
);

-- Text is in bytea columns: user and folder names need not be UTF-8.
CREATE TABLE endpoint (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key bytea NOT NULL,
	options bytea NOT NULL,
	used bigint NOT NULL
		DEFAULT extract(epoch FROM clock_timestamp())::bigint
);
-- Keys can be longer than an index allows.
CREATE UNIQUE INDEX endpoint_key ON endpoint (sha256(key));

-- An endpoint's notifications of some of the mail users: those whose slot, a
-- hash, is this. last is how many have ever been stored. For the limits see
-- notification.
CREATE TABLE part (
	id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 134217727) PRIMARY KEY,
	endpoint bigint NOT NULL REFERENCES endpoint,
	slot bigint NOT NULL,
	last bigint NOT NULL DEFAULT 0 CHECK (last < 68719476736),
	used bigint NOT NULL
		DEFAULT extract(epoch FROM clock_timestamp())::bigint,
	UNIQUE (endpoint, slot)
) WITH (fillfactor = 50);
CREATE INDEX part_slot ON part (slot);

-- The id is the part's, shifted by 36 bits, and a number that ascends without
-- gaps in the order of storing. Times are in seconds since 1970.
CREATE TABLE notification (
	id bigint PRIMARY KEY,
	session bytea NOT NULL,
	seq bigint NOT NULL,
	created bigint NOT NULL,
	expires bigint NOT NULL,
	attempts bigint NOT NULL,
	username bytea NOT NULL,
	folder bytea NOT NULL,
	uid bigint NOT NULL,
	mailbox bigint NOT NULL,
	body bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_vacuum_threshold = 5000);

-- What was given up, in that order, until it is forgotten or put back; host is
-- which one gave it up.
CREATE TABLE lost (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	host bigint NOT NULL,
	notification bigint NOT NULL,
	session bytea NOT NULL,
	seq bigint NOT NULL,
	created bigint NOT NULL,
	lost bigint NOT NULL,
	reason bigint NOT NULL,
	answer bytea NOT NULL,
	attempts bigint NOT NULL,
	size bigint NOT NULL,
	username bytea NOT NULL,
	folder bytea NOT NULL,
	uid bigint NOT NULL,
	body bytea NOT NULL
);
CREATE INDEX lost_notification ON lost (notification) INCLUDE (reason, size);
CREATE INDEX lost_host ON lost (host);

-- The mail processes heard from lately, and which of their hand-offs have been
-- stored: bit n of added is set if seq - n was.
CREATE TABLE session (
	id bytea PRIMARY KEY,
	host bigint NOT NULL,
	seq bigint NOT NULL,
	added bigint NOT NULL,
	used bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX session_host ON session (host);

-- Which messages have been announced: their UIDs, by mailbox, a number that
-- stands for user, folder, UID validity and endpoint. What is stored is appended
-- to announced_log, from where hosts move it to announced; used is when they did
-- that last.
CREATE TABLE announced_log (
	mailbox bigint NOT NULL,
	uid bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_vacuum_threshold = 5000);
CREATE INDEX announced_log_mailbox ON announced_log (mailbox);
CREATE TABLE announced (
	mailbox bigint PRIMARY KEY,
	used bigint NOT NULL,
	uids int8multirange NOT NULL
) WITH (fillfactor = 80);

-- Since when all of that is there, and when a host began to delete what has not
-- been used for long.
CREATE TABLE tidy (
	announced_since bigint NOT NULL,
	begun bigint NOT NULL
);
INSERT INTO tidy VALUES (extract(epoch FROM clock_timestamp())::bigint, 0);

-- What hosts say to each other when an admin asks one about all, until it is
-- read, which is at once: nothing of it is needed after a crash, or elsewhere.
CREATE UNLOGGED TABLE message (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	host bigint NOT NULL,
	sender bigint NOT NULL,
	talk bigint NOT NULL,
	kind bigint NOT NULL,
	number bigint NOT NULL,
	data bytea NOT NULL,
	sent timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT USAGE ON SCHEMA http_notify TO http_notify;
GRANT SELECT ON version TO http_notify;
GRANT SELECT, INSERT, UPDATE, DELETE ON host, endpoint, part, notification,
	lost, session, announced_log, announced, message TO http_notify;
GRANT SELECT, UPDATE ON tidy TO http_notify;

COMMIT;
