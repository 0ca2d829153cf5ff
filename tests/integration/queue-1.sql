-- A queue of schema version 1 as the service of Dovecot 2.3 left it: three
-- notifications, of which two had been tried once. ENDPOINT stands for a URL.
CREATE TABLE clock (
 boot TEXT NOT NULL,
 offset INTEGER NOT NULL);
INSERT INTO clock VALUES
('33396461666463372d376335302d346365622d386638322d643861333235313439633563',
 1795310533);
CREATE TABLE endpoint (
 id INTEGER PRIMARY KEY,
 key TEXT NOT NULL UNIQUE,
 options TEXT NOT NULL);
INSERT INTO endpoint VALUES
(1, '@ENDPOINT', 'url=ENDPOINT	timeout_msecs=2000	max_age=3600s');
CREATE TABLE notification (
 id INTEGER PRIMARY KEY,
 session BLOB NOT NULL,
 seq INTEGER NOT NULL,
 created INTEGER NOT NULL,
 expires INTEGER NOT NULL,
 attempts INTEGER NOT NULL DEFAULT 0,
 username TEXT NOT NULL,
 folder TEXT NOT NULL,
 uid INTEGER NOT NULL,
 body TEXT NOT NULL);
INSERT INTO notification VALUES
(1099511627777, X'28258C350BA7026BC444000083ECC375', 1, 1795335947, 4102444800,
 1, 'bob', 'INBOX', 1, '{"user":"3@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":1795335947,"imap-uid":1,"from":"Carol <carol@example.org>","subject":"Message 0","snippet":"Text","unseen":1,"unread":1}'),
(1099511627778, X'28258C350BA7026BC444000083ECC375', 2, 1795335947, 4102444800,
 0, 'bob', 'INBOX', 2, '{"user":"3@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":1795335947,"imap-uid":2,"from":"Carol <carol@example.org>","subject":"Message 1","snippet":"Text","unseen":2,"unread":2}'),
(1099511627779, X'28258C350BA7026BC444000083ECC375', 3, 1795335947, 4102444800,
 1, 'alice', 'INBOX', 1, '{"user":"4@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":1795335947,"imap-uid":1,"from":"Carol <carol@example.org>","subject":"For Alice","snippet":"Text","unseen":1,"unread":1}');
CREATE TABLE session (
 id BLOB PRIMARY KEY,
 seq INTEGER NOT NULL,
 used INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO session VALUES
(X'28258C350BA7026BC444000083ECC375', 3, 1795335947);
PRAGMA user_version = 1;
