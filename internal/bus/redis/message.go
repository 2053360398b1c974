package redis

import (
	"encoding/binary"
	"slices"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/packed"
)

// What goes over a channel:
//
//	version    1 byte
//	type       1 byte
//	publisher  8 bytes: a running node, by a name that it has taken at random
//	…          by type, below
//	seal       16 bytes over all before
//
//	events             number, topic, a run of events
//	poke               number, topic, a run of events, of which the durable ones are bare
//	heartbeat, goodbye for each shard of the group: its index, number
//
// The number of a message counts those of its publisher and shard, 1, 2, 3…;
// a heartbeat has the numbers that were given last. Version and seal keep
// their places in every version: a node that does not know one still knows
// that it has missed something.
const (
	version = 1

	typeEvents    = 1
	typePoke      = 2 // the topic has events that are not sent as they are: look at the store
	typeHeartbeat = 3
	typeGoodbye   = 4 // the last heartbeat of a publisher

	headerBytes = 10
)

const (
	// maxMessageBytes bounds a message. A larger one is thrown away unread.
	// Instead of an event that is larger a poke goes, with the event bare, or
	// without any if that was passing.
	maxMessageBytes = 64 << 10
	// runBytes is after how many bytes of events a message is full.
	runBytes = 32 << 10
)

// publisher is the name of a running node.
type publisher [8]byte

func appendHeader(dst []byte, typ byte, from publisher) []byte {
	return append(append(dst, version, typ), from[:]...)
}

// appendAbout appends a message about a topic: a poke if there are no events, or
// bare ones among them.
func appendAbout(dst []byte, from publisher, number uint64, topic bus.Topic, events []chat.Event) []byte {
	typ := byte(typeEvents)
	if isPoke(events) {
		typ = typePoke
	}
	dst = binary.AppendUvarint(appendHeader(dst, typ, from), number)
	dst = append(binary.AppendUvarint(dst, uint64(len(topic))), topic...)
	if len(events) > 0 {
		dst = packed.Append(dst, events)
	}
	return dst
}

func isPoke(events []chat.Event) bool {
	return len(events) == 0 || slices.ContainsFunc(events, func(e chat.Event) bool { return e.Bare() })
}

// stripped returns copies of events in which the durable ones are bare.
func stripped(events []chat.Event) []chat.Event {
	bare := make([]chat.Event, len(events))
	for i := range events {
		bare[i] = events[i].Stripped()
	}
	return bare
}

// header is the beginning of a message.
type header struct {
	version, typ byte
	from         publisher
}

// parseHeader returns the header and what follows it, with the seal.
func parseHeader(message string) (h header, rest string, ok bool) {
	if len(message) < headerBytes+packed.SealBytes {
		return h, "", false
	}
	h.version, h.typ = message[0], message[1]
	copy(h.from[:], message[2:headerBytes])
	return h, message[headerBytes:], true
}

// parseAbout reads what follows the header of a message about a topic.
func parseAbout(text string) (number uint64, topic bus.Topic, events string, ok bool) {
	number, text, ok = packed.Number(text)
	if !ok || number == 0 {
		return 0, "", "", false
	}
	name, text, ok := packed.Text(text)
	return number, bus.Topic(name), text, ok
}

// eventBytes is about what an event takes, in memory and packed.
func eventBytes(e *chat.Event) int {
	return 128 + len(e.Body) + len(e.Actor.Name) + len(e.Nonce)
}

// split returns how many of the events fit into one message: at least one. It
// returns 0 if the first alone does not.
func split(events []chat.Event) int {
	bytes := 0
	for i := range events {
		size := eventBytes(&events[i])
		switch {
		case i == 0 && size > maxMessageBytes-1<<10: // what else is in a message
			return 0
		case i > 0 && bytes+size > runBytes:
			return i
		}
		bytes += size
	}
	return len(events)
}
