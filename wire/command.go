package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// The types of command, docs/protocol.md §5.
const (
	TypeMessage = "message"
	TypeTyping  = "typing"
	TypePing    = "ping"
)

// Limits on the shape of a command, docs/protocol.md §3.2.
const (
	// MaxDepth bounds the nesting of objects and arrays.
	MaxDepth = 16
	// MaxKeys bounds the members of all objects of a frame together, in the
	// seed profile.
	MaxKeys = 64
	// MaxRequestIDBytes bounds a request's id.
	MaxRequestIDBytes = 64
)

// Command is what a client asks for. Fields that its Type does not use are
// zero.
type Command struct {
	Type string
	// ID is the request's id; its reply repeats it as re. Empty if none.
	ID string
	// Nonce, Content: message.
	Nonce   chat.Nonce
	Content string
	// IsTyping: typing.
	IsTyping bool
	// Echo holds the ping's members id and t as they came, for the pong.
	Echo []byte
}

// member is one of the members of a command that somebody looks at.
type member uint8

const (
	memberType member = iota
	memberData
	memberID
	memberT
	memberNonce
	memberContent
	memberIsTyping
	memberRoom
	memberRooms
	memberAfter
	memberBefore
	memberAround
	memberLimit
	memberOnly
	memberHistory
	memberPresence
	memberReceipts
	memberMessageID
	memberIfChanged
	memberReason
	memberUpTo
	memberPrivate
	memberToken
	memberClient
	memberCursors
	memberCount
)

var memberNames = [memberCount]string{
	"type", "data", "id", "t", "nonce", "content", "is_typing", "room", "rooms", "after", "before", "around", "limit", "only",
	"history", "presence", "receipts", "message_id", "if_changed", "reason", "up_to", "private", "token", "client", "cursors",
}

var membersByName = func() map[string]member {
	byName := make(map[string]member, memberCount)
	for m, name := range memberNames {
		byName[`"`+name+`"`] = member(m)
	}
	return byName
}()

// fields are the members of an object, as raw JSON.
type fields [memberCount]jsontext.Value

// decoders are kept because a jsontext.Decoder is a few hundred bytes of
// state that every frame would otherwise allocate.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

type decoder struct {
	dec jsontext.Decoder
	src bytes.Buffer
	// A member may stand at the top level or in data (docs/protocol.md §3.3).
	top, inner fields
}

// DecodeCommand reads one frame from a client of the seed profile. On an error
// the command holds whatever of ID and Nonce was understood, so that the
// refusal can name its request; the error is an [*chat.Error]. Nothing of
// frame is kept.
func DecodeCommand(frame []byte) (Command, error) {
	var c Command
	d := decoders.Get().(*decoder)
	defer d.free()
	if err := d.frame(frame, MaxKeys); err != nil {
		return c, err
	}
	return c, c.fill(d)
}

func (d *decoder) free() {
	d.src = bytes.Buffer{}
	clear(d.top[:])
	clear(d.inner[:])
	decoders.Put(d)
}

// frame reads the members of a frame.
func (d *decoder) frame(frame []byte, maxKeys int) error {
	if err := checkShape(frame, maxKeys); err != nil {
		return err
	}
	if err := d.object(frame, &d.top); err != nil {
		return err
	}
	if d.top[memberData].Kind() != '{' {
		return nil
	}
	return d.object(d.top[memberData], &d.inner)
}

// object reads the members of one JSON object that have a place in f.
func (d *decoder) object(b []byte, f *fields) error {
	if err := d.enter(b); err != nil {
		return err
	}
	for d.dec.PeekKind() == '"' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return invalidJSON(&d.dec, err)
		}
		m, known := membersByName[string(name)] // no allocation: the compiler looks it up in place
		value, err := d.dec.ReadValue()
		if err != nil {
			return invalidJSON(&d.dec, err)
		}
		if known {
			f[m] = value.Clone()
		}
	}
	return d.leave()
}

// enter begins to read one JSON object.
func (d *decoder) enter(b []byte) error {
	d.src = *bytes.NewBuffer(b)
	d.dec.Reset(&d.src)
	if d.dec.PeekKind() != '{' {
		if _, err := d.dec.ReadValue(); err != nil {
			return invalidJSON(&d.dec, err)
		}
		return chat.Errorf(chat.InvalidEvent, "A frame is one JSON object with a string member type.")
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return invalidJSON(&d.dec, err)
	}
	return nil
}

// leave ends what enter has begun.
func (d *decoder) leave() error {
	if _, err := d.dec.ReadToken(); err != nil { // the closing brace
		return invalidJSON(&d.dec, err)
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		return chat.Errorf(chat.InvalidJSON, "The frame goes on after its JSON object (character %d); send one object a frame.", d.dec.InputOffset()+1)
	}
	return nil
}

func invalidJSON(dec *jsontext.Decoder, err error) *chat.Error {
	at := dec.InputOffset()
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = e.ByteOffset
		if errors.Is(e.Err, jsontext.ErrDuplicateName) {
			return chat.Errorf(chat.InvalidJSON, "The frame has a member twice (character %d).", at+1)
		}
	}
	return chat.Errorf(chat.InvalidJSON, "The frame is not valid JSON (character %d).", at+1)
}

// fill takes the members that the command's type uses.
func (c *Command) fill(d *decoder) error {
	if err := c.fillType(d); err != nil {
		return err
	}
	var err error
	switch c.Type {
	case TypeMessage:
		if c.Nonce, err = d.nonce(); err != nil {
			return err
		}
		c.Content, err = d.content()
		return err
	case TypeTyping:
		c.IsTyping, err = d.isTyping()
		return err
	case TypePing:
		c.Echo, err = d.echo()
		return err
	}
	return chat.Errorf(chat.UnknownType, "The type %.40q is not known; send message, typing or ping.", c.Type)
}

// fillType takes what every command has.
func (c *Command) fillType(d *decoder) error {
	var err error
	if c.ID, err = requestID(d.top[memberID]); err != nil {
		return err
	}
	if d.top[memberType].Kind() != '"' {
		return chat.Errorf(chat.InvalidEvent, "The frame has no string member type.")
	}
	c.Type = unquote(d.top[memberType])
	return nil
}

// nonce reads the optional member nonce.
func (d *decoder) nonce() (chat.Nonce, error) {
	v, err := d.pick(memberNonce)
	if err != nil || v == nil {
		return "", err
	}
	if v.Kind() != '"' {
		return "", chat.Errorf(chat.InvalidEvent, "The member nonce must be a string.")
	}
	return chat.ParseNonce(unquote(v))
}

func (d *decoder) content() (string, error) {
	v, err := d.pick(memberContent)
	if err != nil {
		return "", err
	}
	if v.Kind() != '"' {
		return "", chat.Errorf(chat.InvalidEvent, "A message needs a string member content.")
	}
	return unquote(v), nil
}

func (d *decoder) isTyping() (bool, error) {
	v, err := d.pick(memberIsTyping)
	if err != nil {
		return false, err
	}
	switch v.Kind() {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, chat.Errorf(chat.InvalidEvent, "A typing event needs a member is_typing that is true or false.")
}

// requestID reads the optional id of a request: a string, or a number, which
// is repeated by its digits.
func requestID(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case 0, 'n':
		return "", nil
	case '"':
		if id := unquote(v); len(id) <= MaxRequestIDBytes {
			return id, nil
		}
	}
	return "", chat.Errorf(chat.InvalidEvent, "The member id must be a string of at most %d bytes.", MaxRequestIDBytes)
}

// maxEchoBytes bounds what a ping may have sent back.
const maxEchoBytes = 256

// echo returns the members of a pong's data: the ping's id and t.
func (d *decoder) echo() ([]byte, error) {
	t, err := d.pick(memberT)
	if err != nil {
		return nil, err
	}
	id, err := d.pick(memberID)
	if err != nil {
		return nil, err
	}
	if len(t)+len(id) > maxEchoBytes {
		return nil, chat.Errorf(chat.TooLarge, "The members id and t of a ping have at most %d bytes together.", maxEchoBytes)
	}
	var b []byte
	if id != nil {
		b = append(append(b, `"id":`...), id...)
	}
	if t != nil {
		if b != nil {
			b = append(b, ',')
		}
		b = append(append(b, `"t":`...), t...)
	}
	return b, nil
}

// pick returns the member from where it stands, nil if it is missing. Standing
// in both places with different values is an error (docs/protocol.md §3.3).
func (d *decoder) pick(m member) (jsontext.Value, error) {
	top, inner := d.top[m], d.inner[m]
	switch {
	case top == nil:
		return inner, nil
	case inner == nil:
		return top, nil
	}
	a, b := top.Clone(), inner.Clone()
	if a.Canonicalize() != nil || b.Canonicalize() != nil || !bytes.Equal(a, b) {
		return nil, chat.Errorf(chat.ConflictingFields, "The member %s stands at the top level and in data with different values.", memberNames[m])
	}
	return top, nil
}

// unquote decodes a JSON string that the decoder has already accepted.
func unquote(v jsontext.Value) string {
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "" // cannot be: the decoder has checked it
	}
	return string(b)
}

// checkShape bounds nesting and members before the decoder looks at them. It
// need not understand malformed JSON, which the decoder refuses.
func checkShape(b []byte, maxKeys int) error {
	depth, keys := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if depth++; depth > MaxDepth {
				return chat.Errorf(chat.InvalidEvent, "The frame nests deeper than %d levels.", MaxDepth)
			}
		case '}', ']':
			depth--
		case ':':
			if keys++; keys > maxKeys {
				return chat.Errorf(chat.InvalidEvent, "The frame has more than %d members.", maxKeys)
			}
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return nil
}
