PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES(1,0,1,'2026-11-28 01:46:31');
INSERT INTO goose_db_version VALUES(2,1,1,'2026-11-28 01:46:31');
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('epoch','epoch123');
INSERT INTO meta VALUES('next_id',12);
INSERT INTO meta VALUES('store_id','iaznexpkzmo27ilj');
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
INSERT INTO rooms VALUES(1,'general','General',NULL,10,3,10,1793534419000);
INSERT INTO rooms VALUES(2,'habitación','',NULL,1,1,1,1793534421000);
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
INSERT INTO events VALUES(1,3,3,'message','1','Juan',1793534405000,'n2',NULL,3,3552791640,'{"content":"message 2"}',8411140521629741682);
INSERT INTO events VALUES(1,4,4,'message','1','Juan',1793534407000,'n3',NULL,4,3952156085,'{"content":"message 3"}',-144131788442623257);
INSERT INTO events VALUES(1,5,5,'message','1','Juan',1793534409000,'n4',NULL,5,4244910154,'{"content":"message 4"}',4472850209320311189);
INSERT INTO events VALUES(1,6,6,'message','1','Juan',1793534411000,'n5',NULL,6,1035933737,'{"content":"message 5"}',-4903864538173701327);
INSERT INTO events VALUES(1,7,7,'message','1','Juan',1793534413000,'n6',NULL,7,1992715589,'{"content":"message 6"}',820981935293135865);
INSERT INTO events VALUES(1,8,8,'message','1','Juan',1793534415000,'n7',NULL,8,1502486397,'{"content":"message 7"}',-183126961723379855);
INSERT INTO events VALUES(1,9,9,'message','1','Juan',1793534417000,'n8',NULL,9,295755107,'{"content":"message 8"}',-569912895764130686);
INSERT INTO events VALUES(1,10,10,'message','1','Juan',1793534419000,'n9',NULL,10,1900948388,'{"content":"message 9"}',5995986639017580589);
INSERT INTO events VALUES(2,1,11,'message','2','María',1793534421000,NULL,NULL,1,518637048,'{"content":"hola"}',NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('goose_db_version',2);
CREATE UNIQUE INDEX events_nonce ON events (nonce, room_no, actor)
    WHERE nonce IS NOT NULL;
CREATE VIEW log AS
SELECT r.id AS room, e.seq, datetime(e.at / 1000, 'unixepoch') AS at, e.kind,
       e.actor, e.actor_name AS name, e.body ->> 'content' AS content
FROM events e JOIN rooms r ON r.no = e.room_no;
COMMIT;
