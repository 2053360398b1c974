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
// A connection has a [Dialect]. Of the same frames the [Seed] profile passes
// over all but the messages, in silence; a dialect that wraps copies them. The
// topic of a user is a feed without a log.
//
// # Promises
//
//   - On one subscription the durable events come as cursor+1, cursor+2, …:
//     none missing, none twice, none out of order, whatever the bus loses,
//     doubles or swaps. If that cannot be kept up the connection is closed
//     with a resumable code; nothing is skipped in silence. Events that were
//     trimmed before a reader had taken them are told by [Dialect.Gap].
//   - Of what the bus says that it may have lost, a reader is given what there
//     was at most 2 s later, if the store answers.
//   - A reply queued before an event was published is written before that
//     event: a loop first notes the heads of the feeds, then takes the waiting
//     replies, and writes up to the noted heads.
//   - Passing events (typing, presence, receipts) come after the durable events
//     that were in the feed when they arrived, and never to the user who caused
//     them; notices of a user's topic come to all connections of that user.
//     Under pressure only the newest of each state is kept, and typing and
//     receipts are dropped first; a reader that lost anything else is closed
//     with a resumable code.
//   - A marker comes right after the event of its place, before whatever the
//     subscription is given later.
//   - When a user is removed from a room, each of the user's subscriptions to it
//     that was attached before ends with the event that says so: it is given
//     that, then what [Dialect.Ended] makes, and nothing more. It does not
//     matter how the event was learnt, or whether Start came before it.
//   - Nothing of a subscription comes after a reply that was queued once
//     [Sub.Detach] had returned.
//   - Once a feed has taken an edit, a deletion or an erasure, no pass that
//     begins afterwards writes what it has changed in its old form: readers who
//     still need it are given the log's current form.
//   - Subscriptions of one connection share its batches: none that is behind
//     delays the others by more than one batch.
//   - A connection that cannot take bytes costs its own bounded buffers and
//     nobody's time: no loop ever waits for a peer.
//
// # Locks
//
// Feed.mu, Conn.mu and loop.mu are never held together; Hub.mu is taken alone.
// Unlock, then wake. The functions of a [Dialect] and of markers are called with
// none of them held, those of the [Encoder] often with Feed.mu.
package hub
