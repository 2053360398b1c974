// Package hub holds a node's feeds and the subscriptions to them, and
// delivers.
//
// A [Feed] is the recent tail of one room's log as encoded frames. A [Sub] is
// one connection's cursor in one feed. Live delivery, catching up and falling
// behind are one mechanism: write what stands after the cursor. A few loops do
// all writing, each for the connections that it owns; whatever waits for a
// connection leaves in one write, and connections at the same cursor take the
// same bytes.
//
// # Promises
//
//   - On one subscription the durable events come as cursor+1, cursor+2, …:
//     none missing, none twice, none out of order, whatever the bus loses,
//     doubles or swaps. If that cannot be kept up the connection is closed
//     with a resumable code; nothing is skipped in silence.
//   - A reply queued before an event was published is written before that
//     event: a loop first notes the heads of the feeds, then takes the waiting
//     replies, and writes up to the noted heads.
//   - Passing events (typing, presence) come after the durable events that
//     were in the feed when they arrived, and never to the user who caused
//     them. Under pressure typing is dropped first; a reader that lost a
//     presence event is closed with a resumable code.
//   - A connection that cannot take bytes costs its own bounded buffers and
//     nobody's time: no loop ever waits for a peer.
//
// # Locks
//
// Feed.mu, Conn.mu and loop.mu are never held together; Hub.mu is taken alone.
// Unlock, then wake.
package hub
