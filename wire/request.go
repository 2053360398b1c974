package wire

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// Protocol is the subprotocol that chooses the profile v1, docs/protocol.md
// §12.1.
const Protocol = "tertulia.v1"

// The types of command that v1 adds to those of the seed profile,
// docs/protocol.md §15.
const (
	TypeHello       = "hello"
	TypeAuth        = "auth"
	TypeSubscribe   = "subscribe"
	TypeUnsubscribe = "unsubscribe"
	TypeEdit        = "edit"
	TypeDelete      = "delete"
	TypeRead        = "read"
	TypeDelivered   = "delivered"
	TypeHistory     = "history"
	TypePresence    = "presence"
)

// Inbox is the name that stands for a user's own list of rooms where a room is
// subscribed to, docs/protocol.md §18.
const Inbox chat.RoomID = "inbox"

// Limits on the commands of v1, docs/protocol.md §20.
const (
	// MaxRequestKeys bounds the members of all objects of a frame together: a
	// subscribe for MaxRooms rooms has some 400.
	MaxRequestKeys = 512
	// MaxRooms bounds the rooms that one command names.
	MaxRooms = 100
	// MaxHistory bounds the events that one command asks for.
	MaxHistory = 200
	// DefaultLimit is how many events a history has whose command says nothing.
	DefaultLimit = 50
	// MaxTokenBytes bounds a token.
	MaxTokenBytes = 8 << 10
	// maxClientBytes bounds what a client calls itself.
	maxClientBytes = 128
)

// PresenceMode is how much of who is here a subscription is told.
type PresenceMode uint8

// The modes; a client that says nothing gets PresenceCount.
const (
	PresenceCount PresenceMode = iota
	PresenceNone
	PresenceList
)

// Subscription is one room of a subscribe or hello.
type Subscription struct {
	Room chat.RoomID
	// After is the cursor to continue at, nil to begin at the head.
	After *chat.Cursor
	// History is how many of the newest events are wanted.
	History  int
	Presence PresenceMode
	// Receipts says that the marks of others are wanted.
	Receipts bool
}

// Request is a command of the profile v1. Fields that its Type does not use
// are zero.
type Request struct {
	Command
	// Room is the room that the command is for, empty if it names none.
	Room chat.RoomID
	// Subscribe: subscribe, hello. Unsubscribe: unsubscribe.
	Subscribe   []Subscription
	Unsubscribe []chat.RoomID
	// Token: auth. Client: hello.
	Token  string
	Client string
	// Message, IfChanged: edit, delete. Reason: delete.
	Message   int64
	IfChanged *uint64
	Reason    string
	// UpTo: read, delivered. Private: read.
	UpTo    uint64
	Private *bool
	// After, Before, Around, Limit, Only: history.
	After, Before, Around *uint64
	Limit                 int
	Only                  chat.Kind
}

// DecodeRequest reads one frame from a client of the profile v1, as
// [DecodeCommand] does for the seed profile. On an error the request holds
// whatever of ID, Room and Nonce was understood.
func DecodeRequest(frame []byte) (Request, error) {
	var r Request
	d := decoders.Get().(*decoder)
	defer d.free()
	if err := d.frame(frame, MaxRequestKeys); err != nil {
		return r, err
	}
	if err := r.fillType(d); err != nil {
		return r, err
	}
	fill := requestFillers[r.Type]
	if fill == nil {
		return r, chat.Errorf(chat.UnknownType, "The type %.40q is not known.", r.Type)
	}
	return r, fill(&r, d)
}

var requestFillers = map[string]func(*Request, *decoder) error{
	TypeHello:       (*Request).fillHello,
	TypeAuth:        (*Request).fillAuth,
	TypeSubscribe:   (*Request).fillSubscribe,
	TypeUnsubscribe: (*Request).fillUnsubscribe,
	TypeMessage:     inRoom((*Request).fillMessage),
	TypeEdit:        inRoom((*Request).fillEdit),
	TypeDelete:      inRoom((*Request).fillDelete),
	TypeTyping:      inRoom((*Request).fillTyping),
	TypeRead:        inRoom((*Request).fillRead),
	TypeDelivered:   inRoom((*Request).fillUpTo),
	TypeHistory:     inRoom((*Request).fillHistory),
	TypePresence:    inRoom(func(*Request, *decoder) error { return nil }),
	TypePing: func(r *Request, d *decoder) (err error) {
		r.Echo, err = d.echo()
		return err
	},
}

// inRoom reads the member room before the others.
func inRoom(fill func(*Request, *decoder) error) func(*Request, *decoder) error {
	return func(r *Request, d *decoder) error {
		v, err := d.pick(memberRoom)
		if err != nil {
			return err
		}
		if v != nil {
			if r.Room, err = parseRoom(v); err != nil {
				return err
			}
		}
		return fill(r, d)
	}
}

// parseRoom reads a room id.
func parseRoom(v jsontext.Value) (chat.RoomID, error) {
	if v.Kind() != '"' {
		return "", chat.Errorf(chat.InvalidEvent, "A room is named by a string.")
	}
	return chat.ParseAnyRoomID(unquote(v))
}

// parseFeed reads what may be subscribed to: a room or the inbox.
func parseFeed(v jsontext.Value) (chat.RoomID, error) {
	if v.Kind() == '"' && unquote(v) == string(Inbox) {
		return Inbox, nil
	}
	return parseRoom(v)
}

func (r *Request) fillMessage(d *decoder) error {
	if err := r.fillNonce(d); err != nil {
		return err
	}
	if r.Nonce == "" {
		return chat.Errorf(chat.InvalidEvent, "A message needs a member nonce, so that sending it twice posts it once.")
	}
	return r.fillContent(d)
}

func (r *Request) fillNonce(d *decoder) (err error) {
	r.Nonce, err = d.nonce()
	return err
}

func (r *Request) fillContent(d *decoder) (err error) {
	r.Content, err = d.content()
	return err
}

func (r *Request) fillTyping(d *decoder) (err error) {
	r.IsTyping, err = d.isTyping()
	return err
}

// fillTarget reads which message is to be changed, and on what condition.
func (r *Request) fillTarget(d *decoder) error {
	if err := r.fillNonce(d); err != nil {
		return err
	}
	id, err := d.integer(memberMessageID)
	switch {
	case err != nil:
		return err
	case id == nil || *id == 0:
		return chat.Errorf(chat.InvalidEvent, "The member message_id must be the id of a message.")
	}
	r.Message = int64(*id)
	r.IfChanged, err = d.integer(memberIfChanged)
	return err
}

func (r *Request) fillEdit(d *decoder) error {
	if err := r.fillTarget(d); err != nil {
		return err
	}
	return r.fillContent(d)
}

func (r *Request) fillDelete(d *decoder) (err error) {
	if err := r.fillTarget(d); err != nil {
		return err
	}
	r.Reason, err = d.text(memberReason)
	return err
}

func (r *Request) fillUpTo(d *decoder) error {
	seq, err := d.integer(memberUpTo)
	switch {
	case err != nil:
		return err
	case seq == nil:
		return chat.Errorf(chat.InvalidEvent, "The member up_to must be a seq.")
	}
	r.UpTo = *seq
	return nil
}

func (r *Request) fillRead(d *decoder) error {
	if err := r.fillUpTo(d); err != nil {
		return err
	}
	v, err := d.pick(memberPrivate)
	if err != nil {
		return err
	}
	r.Private, err = boolean(memberPrivate, v)
	return err
}

func (r *Request) fillHistory(d *decoder) error {
	given := 0
	for _, place := range []struct {
		member member
		seq    **uint64
	}{{memberAfter, &r.After}, {memberBefore, &r.Before}, {memberAround, &r.Around}} {
		var err error
		if *place.seq, err = d.integer(place.member); err != nil {
			return err
		}
		if *place.seq != nil {
			given++
		}
	}
	if given > 1 {
		return chat.Errorf(chat.InvalidEvent, "Only one of after, before and around may be given.")
	}
	if err := r.fillLimit(d); err != nil {
		return err
	}
	only, err := d.text(memberOnly)
	switch {
	case err != nil:
		return err
	case only == "messages":
		r.Only = chat.KindMessage
	case only != "":
		return chat.Errorf(chat.InvalidEvent, "The member only can be messages, or be left out.")
	}
	return nil
}

func (r *Request) fillLimit(d *decoder) error {
	limit, err := d.integer(memberLimit)
	switch {
	case err != nil:
		return err
	case limit == nil:
		r.Limit = DefaultLimit
	case *limit < 1 || *limit > MaxHistory:
		return chat.Errorf(chat.InvalidEvent, "The member limit is a number from 1 to %d.", MaxHistory)
	default:
		r.Limit = int(*limit)
	}
	return nil
}

func (r *Request) fillAuth(d *decoder) (err error) {
	if r.Token, err = d.text(memberToken); err != nil {
		return err
	}
	if r.Token == "" || len(r.Token) > MaxTokenBytes {
		return chat.Errorf(chat.InvalidEvent, "The member token must be a token of at most %d bytes.", MaxTokenBytes)
	}
	return nil
}

func (r *Request) fillHello(d *decoder) (err error) {
	if r.Client, err = d.text(memberClient); err != nil {
		return err
	}
	if len(r.Client) > maxClientBytes {
		return chat.Errorf(chat.InvalidEvent, "The member client has at most %d bytes.", maxClientBytes)
	}
	cursors, err := d.pick(memberCursors)
	switch {
	case err != nil || cursors == nil:
		return err
	case cursors.Kind() != '{':
		return chat.Errorf(chat.InvalidEvent, "The member cursors must be an object of rooms and cursors.")
	}
	return r.fillCursors(d, cursors)
}

func (r *Request) fillCursors(d *decoder, cursors jsontext.Value) error {
	if err := d.enter(cursors); err != nil {
		return err
	}
	for d.dec.PeekKind() == '"' {
		var s Subscription
		name, err := d.dec.ReadValue()
		if err != nil {
			return invalidJSON(&d.dec, err)
		}
		if s.Room, err = parseFeed(name.Clone()); err != nil {
			return err
		}
		cursor, err := d.dec.ReadValue()
		if err != nil {
			return invalidJSON(&d.dec, err)
		}
		if s.After, err = parseAfter(cursor); err != nil {
			return err
		}
		if err := r.subscribe(s); err != nil {
			return err
		}
	}
	return d.leave()
}

// subscribe adds a room, unless there are too many or it is there already.
func (r *Request) subscribe(s Subscription) error {
	if len(r.Subscribe) == MaxRooms {
		return errRooms
	}
	for i := range r.Subscribe {
		if r.Subscribe[i].Room == s.Room {
			return chat.Errorf(chat.InvalidEvent, "The command names the room %q twice.", s.Room)
		}
	}
	r.Subscribe = append(r.Subscribe, s)
	return nil
}

var errRooms = chat.Errorf(chat.InvalidEvent, "The member rooms must be an array of 1 to %d rooms.", MaxRooms)

func (r *Request) fillSubscribe(d *decoder) error {
	rooms, err := d.elements(memberRooms)
	if err != nil {
		return err
	}
	for _, v := range rooms {
		s, err := d.subscription(v)
		if err != nil {
			return err
		}
		if err := r.subscribe(s); err != nil {
			return err
		}
	}
	return nil
}

// subscription reads one element of the rooms of a subscribe.
func (d *decoder) subscription(v jsontext.Value) (s Subscription, err error) {
	if v.Kind() != '{' {
		return s, chat.Errorf(chat.InvalidEvent, "Each of the rooms to subscribe to is an object with a member room.")
	}
	var f fields
	if err := d.object(v, &f); err != nil {
		return s, err
	}
	if s.Room, err = parseFeed(f[memberRoom]); err != nil {
		return s, err
	}
	if s.After, err = parseAfter(f[memberAfter]); err != nil {
		return s, err
	}
	n, err := integer(memberHistory, f[memberHistory])
	if err != nil || n != nil && *n > MaxHistory {
		return s, chat.Errorf(chat.InvalidEvent, "The member history is a number from 0 to %d.", MaxHistory)
	}
	if n != nil {
		s.History = int(*n)
	}
	if s.Presence, err = parsePresence(f[memberPresence]); err != nil {
		return s, err
	}
	receipts, err := boolean(memberReceipts, f[memberReceipts])
	s.Receipts = receipts != nil && *receipts
	return s, err
}

func parsePresence(v jsontext.Value) (PresenceMode, error) {
	switch {
	case v == nil:
		return PresenceCount, nil
	case v.Kind() != '"':
	case unquote(v) == "none":
		return PresenceNone, nil
	case unquote(v) == "count":
		return PresenceCount, nil
	case unquote(v) == "list":
		return PresenceList, nil
	}
	return 0, chat.Errorf(chat.InvalidEvent, "The member presence can be none, count or list.")
}

// parseAfter reads a cursor; null and nothing are none.
func parseAfter(v jsontext.Value) (*chat.Cursor, error) {
	switch v.Kind() {
	case 0, 'n':
		return nil, nil
	case '"':
		c, err := chat.ParseCursor(unquote(v))
		return &c, err
	}
	return nil, chat.Errorf(chat.CursorInvalid, "A cursor is a string, as the server gave it.")
}

func (r *Request) fillUnsubscribe(d *decoder) error {
	rooms, err := d.elements(memberRooms)
	if err != nil {
		return err
	}
	if len(rooms) > MaxRooms {
		return errRooms
	}
	for _, v := range rooms {
		room, err := parseFeed(v)
		if err != nil {
			return err
		}
		r.Unsubscribe = append(r.Unsubscribe, room)
	}
	return nil
}

// elements reads the member that is an array with something in it.
func (d *decoder) elements(m member) ([]jsontext.Value, error) {
	array, err := d.pick(m)
	if err != nil {
		return nil, err
	}
	if array.Kind() != '[' {
		return nil, errRooms
	}
	d.dec.Reset(strings.NewReader(string(array)))
	if _, err := d.dec.ReadToken(); err != nil {
		return nil, invalidJSON(&d.dec, err)
	}
	var elements []jsontext.Value
	for d.dec.PeekKind() != ']' {
		v, err := d.dec.ReadValue()
		if err != nil {
			return nil, invalidJSON(&d.dec, err)
		}
		elements = append(elements, v.Clone())
	}
	if len(elements) == 0 {
		return nil, errRooms
	}
	return elements, nil
}

// text reads an optional member that is a string.
func (d *decoder) text(m member) (string, error) {
	v, err := d.pick(m)
	if err != nil || v == nil {
		return "", err
	}
	if v.Kind() != '"' {
		return "", chat.Errorf(chat.InvalidEvent, "The member %s must be a string.", memberNames[m])
	}
	return unquote(v), nil
}

// integer reads an optional member that is a number without sign, fraction or
// exponent; nil if it is not there.
func (d *decoder) integer(m member) (*uint64, error) {
	v, err := d.pick(m)
	if err != nil {
		return nil, err
	}
	return integer(m, v)
}

func integer(m member, v jsontext.Value) (*uint64, error) {
	if v == nil {
		return nil, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil || !chat.IsCanonicalInteger(string(v)) {
		return nil, chat.Errorf(chat.InvalidEvent, "The member %s must be a whole number from 0 to 2^53−1.", memberNames[m])
	}
	return &n, nil
}

// boolean reads an optional member that is true or false.
func boolean(m member, v jsontext.Value) (*bool, error) {
	switch v.Kind() {
	case 0:
		return nil, nil
	case 't', 'f':
		yes := v.Kind() == 't'
		return &yes, nil
	}
	return nil, chat.Errorf(chat.InvalidEvent, "The member %s must be true or false.", memberNames[m])
}
