// Package packed has the binary form of events, in which nodes hand them to
// each other and in which Redis keeps some, and the seal by which a node knows
// that another node of its deployment wrote them.
//
// A run of events is
//
//	count    uvarint
//	event    count times:
//	  fields   uvarint, a bit for each field that is there
//	  kind     1 byte
//	  …        the fields, in the order of their bits
//
// where a number is a uvarint, a text its length as a uvarint and its bytes,
// and an instant its seconds since 1970 as a varint and its nanoseconds as a
// uvarint. A field that is not there is zero, but for room and epoch, which
// are those of the event before. The version is Version of a passing event and
// Follows of a durable one, neither having the other: so programs that did not
// know Follows yet read past it, and those that do write the same form.
package packed

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"tertulia/chat"
)

// The bits of fields. Their order is that of the fields.
const (
	hasRoom = 1 << iota
	hasEpoch
	hasActor
	hasName
	hasAt
	hasSeq
	hasID
	hasTag
	hasNonce
	hasTarget
	hasTargetID
	hasSubject
	hasChanged
	hasChangedAt
	isDeleted
	hasCount
	hasMsgs
	hasBody
	hasVersion

	allFields = 1<<iota - 1
)

// Append appends a run of events to dst.
func Append(dst []byte, events []chat.Event) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(events)))
	before := &chat.Event{}
	for i := range events {
		dst = appendEvent(dst, &events[i], before)
		before = &events[i]
	}
	return dst
}

// versionOf returns what is in the place of the version.
func versionOf(e *chat.Event) uint64 {
	if e.Kind.Durable() {
		return uint64(e.Follows)
	}
	return e.Version
}

// fieldsOf returns the bits of what e has that the event before it does not
// say.
func fieldsOf(e, before *chat.Event) (fields uint64) {
	for i, has := range [...]bool{
		e.Room != before.Room, e.Epoch != before.Epoch, e.Actor.ID != "", e.Actor.Name != "", !e.At.IsZero(), e.Seq != 0, e.ID != 0, e.Tag != 0,
		e.Nonce != "", e.Target != 0, e.TargetID != 0, e.Subject != "", e.Changed != 0, !e.ChangedAt.IsZero(), e.Deleted, e.Count != 0, e.Msgs != 0,
		len(e.Body) != 0, versionOf(e) != 0,
	} {
		if has {
			fields |= 1 << i
		}
	}
	return fields
}

func appendEvent(dst []byte, e, before *chat.Event) []byte {
	fields := fieldsOf(e, before)
	dst = append(binary.AppendUvarint(dst, fields), byte(e.Kind))
	text := func(bit uint64, s string) {
		if fields&bit != 0 {
			dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
		}
	}
	number := func(bit, n uint64) {
		if fields&bit != 0 {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	instant := func(bit uint64, t time.Time) {
		if fields&bit != 0 {
			dst = binary.AppendUvarint(binary.AppendVarint(dst, t.Unix()), uint64(t.Nanosecond()))
		}
	}
	text(hasRoom, string(e.Room))
	text(hasEpoch, e.Epoch)
	text(hasActor, string(e.Actor.ID))
	text(hasName, e.Actor.Name)
	instant(hasAt, e.At)
	number(hasSeq, e.Seq)
	number(hasID, uint64(e.ID))
	number(hasTag, uint64(e.Tag))
	text(hasNonce, string(e.Nonce))
	number(hasTarget, e.Target)
	number(hasTargetID, uint64(e.TargetID))
	text(hasSubject, string(e.Subject))
	number(hasChanged, e.Changed)
	instant(hasChangedAt, e.ChangedAt)
	number(hasCount, uint64(e.Count))
	number(hasMsgs, e.Msgs)
	if fields&hasBody != 0 {
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Body))), e.Body...)
	}
	number(hasVersion, versionOf(e))
	return dst
}

var errMalformed = errors.New("packed: malformed")

// minEventBytes is the least that an event takes, and maxAhead how many events
// memory is taken for before they have been seen.
const (
	minEventBytes = 2
	maxAhead      = 64
)

// Parse reads a run of events and nothing else. What it returns shares memory
// with data, or with one copy of it. It takes no more memory than about two
// hundred times the bytes that it has read.
func Parse(data string) ([]chat.Event, error) {
	r := reader{text: data}
	count := r.number()
	if r.bad || count > uint64(len(r.text))/minEventBytes {
		return nil, errMalformed
	}
	r.bytes = []byte(r.text)
	events := make([]chat.Event, 0, min(count, maxAhead))
	before := &chat.Event{}
	for range count {
		events = append(events, chat.Event{})
		e := &events[len(events)-1]
		if r.event(e, before); r.bad {
			return nil, errMalformed
		}
		before = e
	}
	if r.text != "" {
		return nil, errMalformed
	}
	return events, nil
}

// reader takes one thing after another from the front of text. Once something
// is wrong it is bad, and what it returns means nothing.
type reader struct {
	text  string
	bytes []byte // a copy that ends where text ends
	bad   bool
}

func (r *reader) event(e, before *chat.Event) {
	fields := r.number()
	if fields > allFields || r.text == "" {
		r.bad = true
		return
	}
	e.Kind = chat.Kind(r.text[0])
	r.text = r.text[1:]
	text := func(bit uint64) (s string) {
		if fields&bit != 0 {
			s = r.string()
		}
		return s
	}
	number := func(bit, limit uint64) (n uint64) {
		if fields&bit != 0 {
			n = r.number()
			r.bad = r.bad || n > limit
		}
		return n
	}
	instant := func(bit uint64) (t time.Time) {
		if fields&bit != 0 {
			t = r.instant()
		}
		return t
	}
	e.Room, e.Epoch = before.Room, before.Epoch
	if fields&hasRoom != 0 {
		e.Room = chat.RoomID(r.string())
	}
	if fields&hasEpoch != 0 {
		e.Epoch = r.string()
	}
	e.Actor = chat.User{ID: chat.UserID(text(hasActor)), Name: text(hasName)}
	e.At = instant(hasAt)
	e.Seq = number(hasSeq, math.MaxUint64)
	e.ID = int64(number(hasID, math.MaxUint64))
	e.Tag = uint32(number(hasTag, math.MaxUint32))
	e.Nonce = chat.Nonce(text(hasNonce))
	e.Target = number(hasTarget, math.MaxUint64)
	e.TargetID = int64(number(hasTargetID, math.MaxUint64))
	e.Subject = chat.UserID(text(hasSubject))
	e.Changed = number(hasChanged, math.MaxUint64)
	e.ChangedAt = instant(hasChangedAt)
	e.Deleted = fields&isDeleted != 0
	e.Count = int(number(hasCount, math.MaxInt))
	e.Msgs = number(hasMsgs, math.MaxUint64)
	if fields&hasBody != 0 {
		if n := len(r.string()); n > 0 && !r.bad {
			end := len(r.bytes) - len(r.text)
			e.Body = r.bytes[end-n : end : end]
		}
	}
	if e.Kind.Durable() {
		e.Follows = uint32(number(hasVersion, math.MaxUint32))
	} else {
		e.Version = number(hasVersion, math.MaxUint64)
	}
}

func (r *reader) number() uint64 {
	n, size := uvarint(r.text)
	if size == 0 {
		r.bad = true
		return 0
	}
	r.text = r.text[size:]
	return n
}

func (r *reader) string() string {
	n := r.number()
	if n > uint64(len(r.text)) {
		r.bad = true
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (r *reader) instant() time.Time {
	zigzag, nanoseconds := r.number(), r.number()
	if nanoseconds >= uint64(time.Second) {
		r.bad = true
		return time.Time{}
	}
	return time.Unix(int64(zigzag>>1)^-int64(zigzag&1), int64(nanoseconds)).UTC()
}

// uvarint is binary.Uvarint of a string; size is 0 if there is none.
func uvarint(s string) (n uint64, size int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		b := s[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			return 0, 0
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// Number returns the uvarint at the beginning of s and what follows it; ok is
// false if there is none.
func Number(s string) (n uint64, rest string, ok bool) {
	n, size := uvarint(s)
	return n, s[size:], size > 0
}

// Text returns the text at the beginning of s, its length before it, and what
// follows; ok is false if there is none.
func Text(s string) (text, rest string, ok bool) {
	r := reader{text: s}
	text = r.string()
	return text, r.text, !r.bad
}
