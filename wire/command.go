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
	// MaxKeys bounds the members of all objects of a frame together.
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

// fields are the members of a command that somebody looks at, as raw JSON.
// A member may stand at the top level or in data (docs/protocol.md §3.3).
type fields struct {
	typ, id, t, nonce, content, isTyping, data jsontext.Value
}

// slot returns where the member called name is kept, nil if it is ignored.
func (f *fields) slot(name []byte) *jsontext.Value {
	switch string(name) { // no allocation: the compiler compares in place
	case `"type"`:
		return &f.typ
	case `"id"`:
		return &f.id
	case `"t"`:
		return &f.t
	case `"nonce"`:
		return &f.nonce
	case `"content"`:
		return &f.content
	case `"is_typing"`:
		return &f.isTyping
	case `"data"`:
		return &f.data
	}
	return nil
}

// decoders are kept because a jsontext.Decoder is a few hundred bytes of
// state that every frame would otherwise allocate.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

type decoder struct {
	dec jsontext.Decoder
	src bytes.Buffer
}

// DecodeCommand reads one frame from a client. On an error the command holds
// whatever of ID and Nonce was understood, so that the refusal can name its
// request; the error is an [*chat.Error]. Nothing of frame is kept.
func DecodeCommand(frame []byte) (Command, error) {
	var c Command
	if err := checkShape(frame); err != nil {
		return c, err
	}
	d := decoders.Get().(*decoder)
	defer func() {
		d.src = bytes.Buffer{}
		decoders.Put(d)
	}()
	top, err := d.object(frame)
	if err != nil {
		return c, err
	}
	var inner fields
	if top.data.Kind() == '{' {
		if inner, err = d.object(top.data); err != nil {
			return c, err
		}
	}
	return c, c.fill(&top, &inner)
}

// object reads the members of one JSON object.
func (d *decoder) object(b []byte) (fields, error) {
	var f fields
	d.src = *bytes.NewBuffer(b)
	d.dec.Reset(&d.src)
	if d.dec.PeekKind() != '{' {
		if _, err := d.dec.ReadValue(); err != nil {
			return f, invalidJSON(&d.dec, err)
		}
		return f, chat.Errorf(chat.InvalidEvent, "A frame is one JSON object with a string member type.")
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return f, invalidJSON(&d.dec, err)
	}
	for d.dec.PeekKind() == '"' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return f, invalidJSON(&d.dec, err)
		}
		slot := f.slot(name)
		value, err := d.dec.ReadValue()
		if err != nil {
			return f, invalidJSON(&d.dec, err)
		}
		if slot != nil {
			*slot = value.Clone()
		}
	}
	if _, err := d.dec.ReadToken(); err != nil { // the closing brace
		return f, invalidJSON(&d.dec, err)
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		return f, chat.Errorf(chat.InvalidJSON, "The frame goes on after its JSON object (character %d); send one object a frame.", d.dec.InputOffset()+1)
	}
	return f, nil
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
func (c *Command) fill(top, inner *fields) error {
	var err error
	if c.ID, err = requestID(top.id); err != nil {
		return err
	}
	if top.typ.Kind() != '"' {
		return chat.Errorf(chat.InvalidEvent, "The frame has no string member type.")
	}
	c.Type = unquote(top.typ)
	switch c.Type {
	case TypeMessage:
		return c.fillMessage(top, inner)
	case TypeTyping:
		return c.fillTyping(top, inner)
	case TypePing:
		c.Echo, err = echo(top, inner)
		return err
	}
	return chat.Errorf(chat.UnknownType, "The type %.40q is not known; send message, typing or ping.", c.Type)
}

func (c *Command) fillMessage(top, inner *fields) error {
	nonce, err := pick("nonce", top.nonce, inner.nonce)
	if err != nil {
		return err
	}
	if nonce != nil {
		if nonce.Kind() != '"' {
			return chat.Errorf(chat.InvalidEvent, "The member nonce must be a string.")
		}
		if c.Nonce, err = chat.ParseNonce(unquote(nonce)); err != nil {
			return err
		}
	}
	content, err := pick("content", top.content, inner.content)
	if err != nil {
		return err
	}
	if content.Kind() != '"' {
		return chat.Errorf(chat.InvalidEvent, "A message needs a string member content.")
	}
	c.Content = unquote(content)
	return nil
}

func (c *Command) fillTyping(top, inner *fields) error {
	v, err := pick("is_typing", top.isTyping, inner.isTyping)
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 't':
		c.IsTyping = true
	case 'f':
	default:
		return chat.Errorf(chat.InvalidEvent, "A typing event needs a member is_typing that is true or false.")
	}
	return nil
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
func echo(top, inner *fields) ([]byte, error) {
	t, err := pick("t", top.t, inner.t)
	if err != nil {
		return nil, err
	}
	id, err := pick("id", top.id, inner.id)
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

// pick returns the member from where it stands. Standing in both places with
// different values is an error (docs/protocol.md §3.3).
func pick(name string, top, inner jsontext.Value) (jsontext.Value, error) {
	switch {
	case top == nil:
		return inner, nil
	case inner == nil:
		return top, nil
	}
	a, b := top.Clone(), inner.Clone()
	if a.Canonicalize() != nil || b.Canonicalize() != nil || !bytes.Equal(a, b) {
		return nil, chat.Errorf(chat.ConflictingFields, "The member %s stands at the top level and in data with different values.", name)
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
func checkShape(b []byte) error {
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
			if keys++; keys > MaxKeys {
				return chat.Errorf(chat.InvalidEvent, "The frame has more than %d members.", MaxKeys)
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
