-- Registrations in PostgreSQL: see README in this directory.
-- To be replaced: secret

CREATE ROLE dovecot LOGIN PASSWORD 'secret';
-- How long mail may wait for the database, see README.
ALTER ROLE dovecot SET statement_timeout = '1s';

-- What is private to a user, registrations among it.
CREATE TABLE metadata (
	username TEXT NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (username, name)
);
-- What is private to nobody.
CREATE TABLE shared_metadata (
	name TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON metadata, shared_metadata TO dovecot;
