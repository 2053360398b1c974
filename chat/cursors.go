package chat

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// RoomCursor is a cursor and the room in whose log it is.
type RoomCursor struct {
	Room RoomID
	Cursor
}

// Cursors are places in the logs of several rooms, none of them twice.
type Cursors []RoomCursor

// MaxCursorsBytes bounds the text form of [Cursors]. The longest there can be
// of 32 rooms has some 6,000.
const MaxCursorsBytes = 8 << 10

// maxEpochBytes is the longest epoch that [ParseCursor] reads: 64 bytes less
// the shortest seq and tag.
const maxEpochBytes = 64 - len(":0")

// cursorsVersion is the first byte of the binary form.
const cursorsVersion = 1

// The flags of one place.
const (
	flagTag       = 1 << iota // a tag follows
	flagSameEpoch             // the epoch is that of the place before

	allFlags = flagTag | flagSameEpoch
)

// cursorsText is base64 for URLs, in the one form that has no unused bits.
var cursorsText = base64.RawURLEncoding.Strict()

// AppendText appends the text form of cs, which it sorts by room. One text
// stands for one list of places. It has no colon, and so is no [Cursor].
//
// It is base64url (RFC 4648 §5, without padding) of a version byte, 1, and for
// each room in the order of the ids
//
//	length, bytes    of the room's id; the length is one byte
//	flags            bit 0: there is a tag; bit 1: the epoch is that of the room before
//	length, bytes    of the epoch, unless bit 1 is set
//	seq              an unsigned varint
//	tag              four bytes, big-endian, if bit 0 is set
func (cs Cursors) AppendText(dst []byte) []byte {
	slices.SortFunc(cs, func(a, b RoomCursor) int { return strings.Compare(string(a.Room), string(b.Room)) })
	b := append(make([]byte, 0, 512), cursorsVersion)
	epoch := ""
	for _, c := range cs {
		b = append(append(b, byte(len(c.Room))), c.Room...)
		b = append(b, c.flags(epoch))
		if c.Epoch != epoch {
			b = append(append(b, byte(len(c.Epoch))), c.Epoch...)
			epoch = c.Epoch
		}
		b = binary.AppendUvarint(b, c.Seq)
		if c.HasTag {
			b = binary.BigEndian.AppendUint32(b, c.Tag)
		}
	}
	return cursorsText.AppendEncode(dst, b)
}

// flags are those of a place behind one of an epoch.
func (c *RoomCursor) flags(epoch string) (flags byte) {
	if c.HasTag {
		flags |= flagTag
	}
	if c.Epoch == epoch {
		flags |= flagSameEpoch
	}
	return flags
}

// String returns the text form.
func (cs Cursors) String() string { return string(slices.Clone(cs).AppendText(nil)) }

// Find returns the place in a room, nil if there is none.
func (cs Cursors) Find(room RoomID) *Cursor {
	for i := range cs {
		if cs[i].Room == room {
			return &cs[i].Cursor
		}
	}
	return nil
}

var errCursors = Errorf(CursorInvalid, "The cursor is not one that the server gave; send it as it came, or start without one.")

// ParseCursors reads the text form of [Cursors], sorted by room. Nothing of s
// is kept. The error is an [*Error] with code [CursorInvalid].
func ParseCursors(s string) (Cursors, error) {
	if len(s) > MaxCursorsBytes || strings.ContainsAny(s, "\r\n") { // line breaks are nothing to the decoder
		return nil, errCursors
	}
	b, err := cursorsText.DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != cursorsVersion {
		return nil, errCursors
	}
	var cs Cursors
	r := cursorsReader{rest: b[1:]}
	for len(r.rest) > 0 {
		c, ok := r.next()
		if !ok {
			return nil, errCursors
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// cursorsReader reads the binary form. It refuses whatever AppendText does not
// write.
type cursorsReader struct {
	rest []byte
	room RoomID // of the place before
	// epoch is that of the place before, or empty.
	epoch string
}

func (r *cursorsReader) next() (c RoomCursor, ok bool) {
	text, _ := r.text()
	room, err := ParseAnyRoomID(text)
	if err != nil || room <= r.room || len(r.rest) == 0 {
		return c, false
	}
	c.Room = room
	flags := r.rest[0]
	r.rest = r.rest[1:]
	if c.Epoch, ok = r.nextEpoch(flags); !ok {
		return c, false
	}
	if c.Seq, ok = r.seq(); !ok {
		return c, false
	}
	if flags&flagTag != 0 {
		if len(r.rest) < 4 {
			return c, false
		}
		c.Tag, c.HasTag = binary.BigEndian.Uint32(r.rest), true
		r.rest = r.rest[4:]
	}
	r.room, r.epoch = c.Room, c.Epoch
	return c, true
}

// nextEpoch reads the epoch, if it is written out.
func (r *cursorsReader) nextEpoch(flags byte) (epoch string, ok bool) {
	if flags&flagSameEpoch != 0 {
		return r.epoch, r.epoch != "" && flags&^allFlags == 0
	}
	epoch, ok = r.text()
	ok = ok && epoch != "" && epoch != r.epoch && len(epoch) <= maxEpochBytes && isAlphanumeric(epoch)
	return epoch, ok && flags&^allFlags == 0
}

// text reads a length and as many bytes.
func (r *cursorsReader) text() (string, bool) {
	if len(r.rest) == 0 || len(r.rest) <= int(r.rest[0]) {
		return "", false
	}
	n := 1 + int(r.rest[0])
	s := string(r.rest[1:n])
	r.rest = r.rest[n:]
	return s, true
}

// seq reads a varint in its shortest form.
func (r *cursorsReader) seq() (uint64, bool) {
	seq, n := binary.Uvarint(r.rest)
	if n <= 0 || seq > maxSafeInteger || n > 1 && r.rest[n-1] == 0 {
		return 0, false
	}
	r.rest = r.rest[n:]
	return seq, true
}
