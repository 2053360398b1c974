// Package bus states the contract of what carries events between nodes, and
// between the parts of one.
//
// A bus makes delivery soon, and no more than that: it may lose, double,
// delay and reorder what it carries. The hub puts durable events in order by
// their seq and reads the store for what is missing, so no fault of a bus
// loses a message. internal/bus/bustest has a named case for each sentence of
// this contract.
package bus

import (
	"context"

	"tertulia/chat"
)

// Topic is the name that events travel under: a room's or a user's.
type Topic string

// RoomTopic carries the events of one room, durable and passing.
func RoomTopic(id chat.RoomID) Topic { return Topic("room/" + id) }

// UserTopic carries what concerns one user on every node.
func UserTopic(id chat.UserID) Topic { return Topic("user/" + id) }

// RightsTopic carries, on every node, what takes rights away: changed accounts
// (chat.KindAccountChanged), and the events of rooms by which somebody may do
// less than before. Nodes remember who may do what for a moment.
const RightsTopic Topic = "rights"

// Handler takes events of one topic. It may be called from several goroutines
// at once, also from within Publish, so it returns soon, waits for nobody and
// does not call the bus. It may keep the events; nobody changes them.
//
// A durable event may be bare (chat.Event.Bare): its place in the log, its kind
// and who is concerned are right, and who needs more reads it in the store.
//
// A call with no events says that some of the topic's may have been lost
// until just now: who must not miss any looks at the store, soon but not in
// the call. A bus that cannot hear other nodes says so of every topic once a
// second until it can, and once more then.
type Handler func(events []chat.Event)

// Bus carries events from publishers to the subscribers of a topic, on every
// node alike, the publisher's own node included. All methods may be called
// from any goroutine.
type Bus interface {
	// Publish hands events to the topic's subscribers. It does not wait for
	// another node and reports nothing: what is lost is found by readers. The
	// caller gives up the slice. Events published by one goroutine to a
	// topic reach the subscribers of its own node before Publish returns, in
	// order.
	Publish(topic Topic, events []chat.Event)
	// Subscribe calls h for what is published after it has returned. It
	// returns an error only if ctx ends or the bus is closed.
	Subscribe(ctx context.Context, topic Topic, h Handler) (Subscription, error)
	// Close ends all subscriptions. Publish does nothing afterwards.
	Close() error
}

// Subscription is one handler on one topic.
type Subscription interface {
	// Close ends the subscription; no call of its handler begins after Close
	// has returned. It must not be called from the handler.
	Close()
}
