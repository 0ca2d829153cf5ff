-- Resellers: see README in this directory.
--   sqlite3 /etc/dovecot/tenants.sqlite <tenants.sql

CREATE TABLE tenant (
  name TEXT PRIMARY KEY,
  -- each tenant's mail belongs to a user of its own
  uid INTEGER NOT NULL UNIQUE,
  -- without credentials, which are in /etc/dovecot/netrc/<name>
  push_url TEXT
);
CREATE TABLE mailbox (
  username TEXT PRIMARY KEY,
  password TEXT NOT NULL,
  tenant TEXT NOT NULL REFERENCES tenant(name)
);

INSERT INTO tenant VALUES
  ('a.example', 20001, 'http://ox.a.example:8009/preliminary/http-notify/v1/notify'),
  ('b.example', 20002, 'http://ox.b.example:8009/preliminary/http-notify/v1/notify'),
  ('c.example', 20003, 'http://ox.c.example:8009/preliminary/http-notify/v1/notify'),
  ('d.example', 20004, NULL);
INSERT INTO mailbox VALUES
  ('alice@a.example', '{PLAIN}secret', 'a.example'),
  ('bob@a.example', '{PLAIN}secret', 'a.example'),
  ('alice@b.example', '{PLAIN}secret', 'b.example'),
  ('bob@b.example', '{PLAIN}secret', 'b.example'),
  ('alice@c.example', '{PLAIN}secret', 'c.example'),
  ('bob@c.example', '{PLAIN}secret', 'c.example'),
  ('alice@d.example', '{PLAIN}secret', 'd.example'),
  ('bob@d.example', '{PLAIN}secret', 'd.example');
