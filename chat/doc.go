// Package chat holds the nouns of Tertulia: users, rooms, events, cursors,
// error codes and limits.
//
// It imports the standard library only, and every other package may import
// it. A room is a log: each durable [Event] takes the next seq of its room,
// 1, 2, 3… without holes, in the transaction that stores it. A reader is a
// [Cursor] into that log. Passing events (typing, presence) have seq 0 and
// move no cursor.
package chat
