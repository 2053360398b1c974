-- The first schema: rooms, their logs, and what the store remembers of itself.
-- Instants are whole milliseconds since 1970-01-01 UTC.

-- +goose Up

-- One row each: store_id and epoch, random at creation; next_id, the next
-- event's id; checked_at, when a health check last wrote.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;

-- A room begins with its first event. no is internal and never shown.
CREATE TABLE rooms (
    no      INTEGER NOT NULL PRIMARY KEY,
    id      TEXT    NOT NULL UNIQUE,
    title   TEXT    NOT NULL DEFAULT '',
    epoch   TEXT,                         -- NULL: the store's, in meta
    head    INTEGER NOT NULL,             -- highest seq, 0 for an empty log
    floor   INTEGER NOT NULL DEFAULT 1,   -- lowest seq still kept
    msgs    INTEGER NOT NULL,             -- messages since the beginning
    last_at INTEGER NOT NULL              -- at of the event at head
) STRICT;

-- The logs, each room's events together and in order.
CREATE TABLE events (
    room_no    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    id         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,          -- 'message'
    actor      TEXT    NOT NULL,
    actor_name TEXT    NOT NULL,          -- as it was then
    at         INTEGER NOT NULL,
    nonce      TEXT,                      -- NULL: the client gave none
    target_seq INTEGER,                   -- the event that this one changes
    msgs       INTEGER NOT NULL,          -- messages up to and including this
    tag        INTEGER NOT NULL,          -- four random bytes, for cursors
    body       TEXT    NOT NULL,          -- a JSON object
    digest     INTEGER,                   -- of the first content, with a nonce
    PRIMARY KEY (room_no, seq)
) STRICT, WITHOUT ROWID;

-- One (room, actor, nonce) is stored once. The nonce comes first, so that
-- nonces that begin with the time land side by side and a batch changes few
-- pages of this index; random ones cost a page each.
CREATE UNIQUE INDEX events_nonce ON events (nonce, room_no, actor)
    WHERE nonce IS NOT NULL;

-- For people: select * from log where room = 'general' order by seq;
CREATE VIEW log AS
SELECT r.id AS room, e.seq, datetime(e.at / 1000, 'unixepoch') AS at, e.kind,
       e.actor, e.actor_name AS name, e.body ->> 'content' AS content
FROM events e JOIN rooms r ON r.no = e.room_no;
