-- Messages that change, settings and members of rooms, marks, and accounts.
-- Access, states and roles are the words of the chat package.

-- +goose Up

-- ALTER TABLE would read all events of this strict table once a column, 16
-- seconds a million. What it writes is the table's definition and nothing
-- else, because a row that ends early has NULL in its last columns; so that
-- alone is done here, as https://sqlite.org/lang_altertable.html#otheralter
-- describes it. The changes below have every connection read it again.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '    PRIMARY KEY (room_no, seq)', '    target_id  INTEGER,                   -- of the message at target_seq
    subject    TEXT,                      -- whom it is about, of some kinds
    -- Of a message, the seq of its latest edit, deletion or erasure. Of an
    -- edit, the seq of the edit before it of the same message, so that a
    -- deletion finds them all without an index.
    changed_seq INTEGER,
    changed_at INTEGER,                   -- at of a message''s latest change
    deleted    INTEGER,                   -- 1: a message without its body
    PRIMARY KEY (room_no, seq)') WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;
SELECT target_id, subject, changed_seq, changed_at, deleted FROM events LIMIT 0;

ALTER TABLE rooms ADD COLUMN access TEXT NOT NULL DEFAULT 'open';
ALTER TABLE rooms ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE rooms ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN keep_age INTEGER NOT NULL DEFAULT 0;    -- seconds, 0: no bound
ALTER TABLE rooms ADD COLUMN keep_events INTEGER NOT NULL DEFAULT 0; -- 0: no bound
ALTER TABLE rooms ADD COLUMN version INTEGER NOT NULL DEFAULT 0;     -- seq that gave the settings
ALTER TABLE rooms ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN members INTEGER NOT NULL DEFAULT 0;     -- who have joined
UPDATE rooms SET created_at = coalesce(
    (SELECT at FROM events WHERE room_no = rooms.no AND seq >= rooms.floor ORDER BY seq LIMIT 1), last_at);

CREATE INDEX rooms_access ON rooms (access, id);

-- Standings and marks. A user without a standing has a row for a mark alone.
CREATE TABLE members (
    room_no   INTEGER NOT NULL,
    user      TEXT    NOT NULL,
    name      TEXT    NOT NULL,           -- as it was known last
    state     TEXT    NOT NULL,           -- 'none', 'invited', 'joined', 'banned'
    role      TEXT    NOT NULL,           -- 'none', 'member', 'moderator', 'owner'
    version   INTEGER NOT NULL,           -- seq that gave the standing, or 0
    joined_at INTEGER,                    -- NULL: not joined
    read      INTEGER NOT NULL,           -- the mark: seqs, read <= delivered
    delivered INTEGER NOT NULL,
    read_msgs INTEGER NOT NULL,           -- messages up to read
    private   INTEGER NOT NULL,           -- 1: the mark is not shown to others
    PRIMARY KEY (room_no, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_user ON members (user);

CREATE TABLE accounts (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,      -- empty: not known yet
    created_at     INTEGER NOT NULL,
    seen_at        INTEGER,               -- NULL: never connected
    disabled       INTEGER NOT NULL,
    revoked_before INTEGER                -- tokens issued before are void
) STRICT, WITHOUT ROWID;

-- Tokens that are void; a row is dropped when the token has expired anyway.
CREATE TABLE revoked_tokens (
    id    TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_tokens_until ON revoked_tokens (until);

-- For people: select * from log where room = 'general' order by seq;
-- content is what a message says now; target is the seq that an event changes.
DROP VIEW log;
CREATE VIEW log AS
SELECT r.id AS room, e.seq, datetime(e.at / 1000, 'unixepoch') AS at, e.kind,
       e.actor, e.actor_name AS name, e.body ->> 'content' AS content,
       e.target_seq AS target, e.subject,
       CASE WHEN e.deleted THEN 'deleted' WHEN e.kind = 'message' AND e.changed_seq THEN 'edited' END AS changed
FROM events e JOIN rooms r ON r.no = e.room_no;
