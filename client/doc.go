// Package client is the Go client of Tertulia: one connection to many rooms,
// which comes back by itself; posts that arrive once; events that come once and
// in order, also over cuts and restarts.
//
//	c, err := client.Dial(ctx, "wss://chat.example.org", client.WithToken(token))
//	if err != nil { … }
//	defer c.Close()
//	room := c.Room("general")
//	sent, err := room.Send(ctx, "Hola")
//	for event, err := range room.Events(ctx) { … }
//
// It speaks the profile v1 of docs/protocol.md.
//
// # Receiving
//
// An iterator is a cursor in a room's log. The durable events of a room are
// handed over in the order of its log, to each running iterator each seq once,
// however often and for however long the connection was lost. What cannot be
// handed over (the log was trimmed below the cursor, or rewritten by a restore, or
// the user may not see it) is said by a [Gap] before anything later; it is never
// silent.
//
// An event was taken when the loop's body is done with it. The next iterator,
// and with a [Store] the next process, begins after the last event that the
// slowest running iterator has taken. Across an orderly end that is exactly once.
// Across a crash the events taken in the last 0.2 s come again: a program that
// needs exactly once there too stores [Stored.Cursor] together with the effect
// of the event, and begins [From] it.
//
// A slow iterator costs nobody but itself, and no memory: the client keeps the
// last 256 events, at most 256 KiB, of a room for iterators that are behind, and
// none that all of them have taken; one that is further behind reads the rest
// from the server, page by page, as fast as the program takes it. It then gets
// messages in the form that they have by then, followed by the events that gave
// it to them (docs/protocol.md §19 says how to apply both).
//
// Passing events (typing, receipts, presence) may be lost, merged or late; of an
// iterator that has 2,048 of them waiting the oldest are dropped.
//
// # Sending
//
// Every post, edit and deletion carries a nonce, and one that was not
// acknowledged when the connection died is sent again with the same nonce, in
// the original order and before newer ones: it is stored once, whatever was lost.
// An acknowledgement means that it is stored durably. There are three outcomes:
// [Sent]; a refusal, which is a [*chat.Error] and means that it was not stored; or
// [ErrUnknown], if the client was closed or the post expired after it had been
// written and before it was answered. [Outgoing.Retry] is always safe.
//
// The outbox is bounded ([WithOutbox]). With a [Store] it outlives the process:
// what was not acknowledged is sent by the next client with the same Store, in
// the same order and with the same nonces. A post that the Store does not have
// yet is not sent.
//
// # Credentials
//
// With [WithToken] the token source is asked before each connection, and again one
// to two minutes before the credential of a connection ends; in the last half of
// it, if it lives for less than four. The new token goes over the connection,
// which loses nothing by it. [Session.ExpiresAt] is when the present one ends, and
// [Renewal] tells of each attempt. One that fails, because the source or the
// server refuses, is tried again after 1 to 21 s while the connection goes on
// with what it has; if nothing helps it is closed with 4003, and comes back as
// any other.
//
// # Coming back
//
// A lost connection is tried again with full jitter: uniformly from 0 to
// 0.5 s · 2ⁿ, at most 20 s, and n starts again only after a connection has stood
// for 10 s. What the server asks for, by a reconnect frame, by "retry in N ms" in
// the reason of a close or by Retry-After in an HTTP answer, is waited for in
// addition, up to 5 minutes. A dead network is noticed within 35 s. With
// [WithServers] each attempt goes to the next server: cursors and nonces are good
// on every node. Which close codes come back:
//
//   - none at all (1006), 1001, 1005, 1011, 1012, 1013: the network or the
//     server had to stop; a peer that cannot take bytes cannot take a close
//     frame, so a missing code says nothing against coming back.
//   - 4000–4499: the server asks to come back. After 4003 the token source is
//     asked for another token; if the server finds that expired too, the client
//     ends.
//   - 4500–4999: the server refuses; it would refuse again.
//   - 1002, 1003, 1007, 1008, 1009: the server found fault with what this
//     client sent. The same program would send the same again, so coming back
//     would loop.
//   - 1000 and everything else: the server has finished with this client.
//
// A handshake answered with an HTTP status below 500 is a refusal too, except
// 408, 425 and 429; redirects are not followed. A refusal ends the client with a
// [*RefusedError].
package client
