package client

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// frame is what any frame may have at its top level (docs/protocol.md §13).
type frame struct {
	Type      jsontext.Value `json:"type"`
	Re        jsontext.Value `json:"re"`
	Room      jsontext.Value `json:"room"`
	Seq       jsontext.Value `json:"seq"`
	Epoch     jsontext.Value `json:"epoch"`
	Tag       jsontext.Value `json:"tag"`
	MessageID jsontext.Value `json:"message_id"`
	Timestamp jsontext.Value `json:"timestamp"`
	Message   jsontext.Value `json:"message"`
	Code      jsontext.Value `json:"code"`
	Data      jsontext.Value `json:"data"`

	typ         string
	answerFrame `json:"-"`
}

// decode reads one frame. It never fails: what cannot be understood is a
// badFrame, a durable event that cannot is a [Malformed]. Unknown members are
// ignored; the frame must be one JSON object in valid UTF-8 without repeated
// names. The result keeps nothing of b.
func decode(b []byte) inbound {
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		return badFrame{fmt.Errorf("decode frame: %w", err)}
	}
	var ok bool
	if f.typ, ok = text(f.Type); !ok {
		return badFrame{errors.New("frame has no string member type")}
	}
	f.re, _ = text(f.Re)
	room, _ := text(f.Room)
	f.room = chat.RoomID(room)
	if f.Seq != nil {
		return f.durable(b)
	}
	in, err := f.decode()
	if err != nil {
		return badFrame{fmt.Errorf("decode %.40q frame: %w", f.typ, err)}
	}
	return in
}

// decoders are the frames that are no durable events, by type.
var decoders map[string]func(*frame) (inbound, error)

func init() {
	decoders = map[string]func(*frame) (inbound, error){
		"hello":         (*frame).hello,
		"subscribed":    (*frame).subscribed,
		"unsubscribed":  (*frame).unsubscribed,
		"history":       (*frame).history,
		"message_sent":  (*frame).sent,
		"ok":            (*frame).ok,
		"presence":      (*frame).presence,
		"inbox":         (*frame).inbox,
		"error":         (*frame).refusal,
		"caught_up":     (*frame).caughtUp,
		"gap":           (*frame).gap,
		"skip":          (*frame).skip,
		"reconnect":     (*frame).reconnect,
		"presence_diff": (*frame).presenceDiff,
		"typing":        (*frame).typing,
		"receipt":       (*frame).receipt,
		"unread":        (*frame).unread,
		"room_changed":  (*frame).roomChanged,
		"pong":          func(f *frame) (inbound, error) { return pongFrame{f.answerFrame}, nil },
	}
}

func (f *frame) decode() (inbound, error) {
	if d := decoders[f.typ]; d != nil {
		return d(f)
	}
	return unknownFrame{}, nil
}

// count is a seq or a number of things; one that is missing is 0.
type count uint64

func (n *count) UnmarshalJSON(b []byte) error {
	v, err := number(b)
	*n = count(v)
	return err
}

// instant is RFC 3339 in UTC.
type instant struct{ time.Time }

func (t *instant) UnmarshalJSON(b []byte) error {
	s, ok := text(b)
	if !ok {
		return errors.New("an instant is not a string")
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	t.Time = at.UTC()
	return err
}

// named is a user as v1 has it.
type named struct {
	ID   chat.UserID `json:"id"`
	Name string      `json:"name"`
}

func users(list []named) []chat.User {
	if list == nil {
		return nil
	}
	all := make([]chat.User, len(list))
	for i, u := range list {
		all[i] = chat.User(u)
	}
	return all
}

// settings are those of a room (§14.2, §16.4).
type settings struct {
	Access      string `json:"access"`
	Title       string `json:"title"`
	Topic       string `json:"topic"`
	Archived    bool   `json:"archived"`
	KeepSeconds count  `json:"keep_seconds"`
	KeepEvents  count  `json:"keep_events"`
}

func (s settings) settings() chat.Settings {
	access, _ := chat.ParseAccess(s.Access) // a word that is not known is treated as open
	return chat.Settings{Access: access, Title: s.Title, Topic: s.Topic, Archived: s.Archived,
		Keep: chat.Retention{Age: time.Duration(s.KeepSeconds) * time.Second, Events: int64(s.KeepEvents)}}
}

// standing is the member my (§14.2).
type standing struct {
	State     string `json:"state"`
	Role      string `json:"role"`
	Read      count  `json:"read"`
	Delivered count  `json:"delivered"`
	Unread    count  `json:"unread"`
	UpTo      count  `json:"up_to"`
	Private   bool   `json:"private"`
}

func (s standing) standing() Standing {
	state, _ := chat.ParseState(s.State)
	role, _ := chat.ParseRole(s.Role)
	return Standing{State: state, Role: role, Read: uint64(s.Read), Delivered: uint64(s.Delivered),
		Unread: uint64(s.Unread), UpTo: uint64(s.UpTo), Private: s.Private}
}

// hello is §14.1.
func (f *frame) hello() (inbound, error) {
	var d struct {
		Server  string  `json:"server"`
		Session string  `json:"session"`
		User    named   `json:"user"`
		Expires instant `json:"expires_at"`
		Limits  struct {
			FrameBytes      count `json:"frame_bytes"`
			ContentBytes    count `json:"content_bytes"`
			Rooms           count `json:"rooms"`
			RoomsPerCommand count `json:"rooms_per_command"`
			History         count `json:"history"`
		} `json:"limits"`
		Features []string `json:"features"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	return helloFrame{f.answerFrame, Session{
		Server: d.Server, ID: d.Session, User: chat.User(d.User), Features: d.Features, ExpiresAt: d.Expires.Time,
		Limits: Limits{FrameBytes: int(d.Limits.FrameBytes), ContentBytes: int(d.Limits.ContentBytes), Rooms: int(d.Limits.Rooms),
			RoomsPerCommand: int(d.Limits.RoomsPerCommand), History: int(d.Limits.History)},
	}}, nil
}

// subscribed is §14.2.
func (f *frame) subscribed() (inbound, error) {
	var d struct {
		Head    count  `json:"head"`
		Cursor  string `json:"cursor"`
		Resumed bool   `json:"resumed"`
		Gap     *struct {
			Reason GapReason `json:"reason"`
		} `json:"gap"`
		Settings settings         `json:"settings"`
		My       standing         `json:"my"`
		Presence *presenceData    `json:"presence"`
		Receipts []receiptData    `json:"receipts"`
		History  []jsontext.Value `json:"history"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	cursor, err := chat.ParseCursor(d.Cursor)
	if err != nil {
		return nil, err
	}
	in := subscribedFrame{answerFrame: f.answerFrame, epoch: cursor.Epoch, cursor: cursor, resumed: d.Resumed}
	in.event = Subscribed{Room: f.room, Head: uint64(d.Head), Settings: d.Settings.settings(), My: d.My.standing()}
	if d.Gap != nil {
		in.gap = d.Gap.Reason
	}
	if d.Presence != nil {
		p := d.Presence.presence()
		in.event.Presence, in.version = &p, uint64(d.Presence.Version)
	}
	for _, r := range d.Receipts {
		in.event.Receipts = append(in.event.Receipts, r.receipt(f.room))
	}
	in.history, err = durables(d.History)
	return in, err
}

// durables decodes the whole frames inside of others.
func durables(list []jsontext.Value) ([]durableFrame, error) {
	var all []durableFrame
	for _, v := range list {
		d, ok := decode(v).(durableFrame)
		if !ok {
			return nil, errors.New("a frame of the history is no durable event")
		}
		all = append(all, d)
	}
	return all, nil
}

func (f *frame) unsubscribed() (inbound, error) {
	var d struct {
		Reason string `json:"reason"`
	}
	err := object(f.Data, &d)
	return unsubscribedFrame{f.answerFrame, d.Reason}, err
}

// history is §14.5.
func (f *frame) history() (inbound, error) {
	var d struct {
		Head    count            `json:"head"`
		Earlier bool             `json:"earlier"`
		Later   bool             `json:"later"`
		Events  []jsontext.Value `json:"events"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	events, err := durables(d.Events)
	if err != nil {
		return nil, err
	}
	epoch, _ := text(f.Epoch)
	in := historyFrame{answerFrame: f.answerFrame, size: len(f.Data)}
	in.page = Page{Epoch: epoch, Head: uint64(d.Head), Earlier: d.Earlier, Later: d.Later}
	for _, e := range events {
		in.page.Events = append(in.page.Events, e.event)
		in.page.places = append(in.page.places, e.stored.Cursor)
	}
	return in, nil
}

// sent is §4.4.
func (f *frame) sent() (inbound, error) {
	in := sentFrame{answerFrame: f.answerFrame}
	err := f.readSent(&in.sent)
	if err == nil && in.sent.Seq == 0 {
		err = errors.New("seq is missing")
	}
	return in, err
}

func (f *frame) readSent(s *Sent) error {
	var d struct {
		MessageID count          `json:"message_id"`
		Timestamp instant        `json:"timestamp"`
		Nonce     jsontext.Value `json:"nonce"`
		Seq       count          `json:"seq"`
		Duplicate bool           `json:"duplicate"`
	}
	err := object(f.Data, &d)
	*s = Sent{ID: int64(d.MessageID), Seq: uint64(d.Seq), At: d.Timestamp.Time, Nonce: nonce(d.Nonce), Duplicate: d.Duplicate}
	return err
}

// ok is §14.7.
func (f *frame) ok() (inbound, error) {
	var d struct {
		Read      count   `json:"read"`
		Delivered count   `json:"delivered"`
		Private   bool    `json:"private"`
		Expires   instant `json:"expires_at"`
	}
	in := okFrame{answerFrame: f.answerFrame}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	in.mark = chat.Mark{Read: uint64(d.Read), Delivered: uint64(d.Delivered), Private: d.Private}
	in.expiresAt = d.Expires.Time
	return in, f.readSent(&in.sent)
}

type presenceData struct {
	Version count   `json:"version"`
	Count   count   `json:"count"`
	Users   []named `json:"users"`
}

func (d presenceData) presence() Presence {
	return Presence{Count: int(min(d.Count, 1<<31-1)), Users: users(d.Users)}
}

func (f *frame) presence() (inbound, error) {
	var d presenceData
	err := object(f.Data, &d)
	return presenceFrame{f.answerFrame, uint64(d.Version), d.presence()}, err
}

func (f *frame) presenceDiff() (inbound, error) {
	var d struct {
		Version count   `json:"version"`
		Joined  []named `json:"joined"`
		Left    []named `json:"left"`
		Count   *count  `json:"count"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	in := presenceDiffFrame{version: uint64(d.Version), counted: d.Count != nil}
	in.event = PresenceChanged{Room: f.room, Joined: users(d.Joined), Left: users(d.Left)}
	if in.counted {
		in.event.Count = int(min(*d.Count, 1<<31-1))
	}
	return in, nil
}

// roomData is an item of the inbox (§18).
type roomData struct {
	Room     chat.RoomID `json:"room"`
	Settings settings    `json:"settings"`
	My       standing    `json:"my"`
}

func (d roomData) changed() RoomChanged {
	return RoomChanged{Room: d.Room, Settings: d.Settings.settings(), My: d.My.standing()}
}

func (f *frame) inbox() (inbound, error) {
	var d struct {
		Rooms []roomData `json:"rooms"`
	}
	err := object(f.Data, &d)
	in := inboxFrame{answerFrame: f.answerFrame}
	for _, r := range d.Rooms {
		in.rooms = append(in.rooms, r.changed())
	}
	return in, err
}

func (f *frame) roomChanged() (inbound, error) {
	var d roomData
	err := object(f.Data, &d)
	return passingFrame{d.Room, d.changed()}, err
}

func (f *frame) unread() (inbound, error) {
	var d struct {
		Read   count `json:"read"`
		Unread count `json:"unread"`
		UpTo   count `json:"up_to"`
	}
	err := object(f.Data, &d)
	return passingFrame{f.room, Unread{Room: f.room, Read: uint64(d.Read), Unread: uint64(d.Unread), UpTo: uint64(d.UpTo)}}, err
}

type receiptData struct {
	User      named `json:"user"`
	Read      count `json:"read"`
	Delivered count `json:"delivered"`
}

func (d receiptData) receipt(room chat.RoomID) Receipt {
	return Receipt{Room: room, User: chat.User(d.User), Read: uint64(d.Read), Delivered: uint64(d.Delivered)}
}

func (f *frame) receipt() (inbound, error) {
	var d receiptData
	err := object(f.Data, &d)
	return passingFrame{f.room, d.receipt(f.room)}, err
}

// defaultTypingExpiry is protocol.md §4.6, for servers that do not say.
const defaultTypingExpiry = 8 * time.Second

func (f *frame) typing() (inbound, error) {
	var d struct {
		User      named          `json:"user"`
		IsTyping  bool           `json:"is_typing"`
		ExpiresIn jsontext.Value `json:"expires_in_ms"`
	}
	err := object(f.Data, &d)
	e := Typing{Room: f.room, User: chat.User(d.User), On: d.IsTyping, ExpiresIn: defaultTypingExpiry}
	if ms, ok := milliseconds(d.ExpiresIn); ok {
		e.ExpiresIn = ms
	}
	return passingFrame{f.room, e}, err
}

func (f *frame) caughtUp() (inbound, error) {
	var d struct {
		Seq count `json:"seq"`
	}
	err := object(f.Data, &d)
	return caughtUpFrame{f.room, uint64(d.Seq)}, err
}

func (f *frame) gap() (inbound, error) {
	var d struct {
		Reason GapReason `json:"reason"`
		From   count     `json:"from"`
		To     count     `json:"to"`
	}
	err := object(f.Data, &d)
	return gapFrame{Gap{Room: f.room, Reason: d.Reason, From: uint64(d.From), To: uint64(d.To)}}, err
}

func (f *frame) skip() (inbound, error) {
	var d struct {
		To count `json:"to"`
	}
	err := object(f.Data, &d)
	return skipFrame{f.room, uint64(d.To)}, err
}

func (f *frame) reconnect() (inbound, error) {
	var d struct {
		After  jsontext.Value `json:"after_ms"`
		Reason string         `json:"reason"`
	}
	err := object(f.Data, &d)
	after, _ := milliseconds(d.After)
	return reconnectFrame{min(after, maxRetryAfter), d.Reason}, err
}

// refusal is §4.8.
func (f *frame) refusal() (inbound, error) {
	var d struct {
		Message    string         `json:"message"`
		Code       chat.Code      `json:"code"`
		Retryable  bool           `json:"retryable"`
		RetryAfter jsontext.Value `json:"retry_after_ms"`
		Nonce      jsontext.Value `json:"nonce"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	in := errorFrame{answerFrame: f.answerFrame, err: &chat.Error{Code: d.Code, Message: d.Message}, nonce: nonce(d.Nonce), retryable: d.Retryable}
	if ms, ok := milliseconds(d.RetryAfter); ok {
		in.err.RetryAfter = min(ms, maxRetryAfter)
	}
	return in, nil
}

// durable decodes an event with a place in its log (§16).
func (f *frame) durable(b []byte) inbound {
	in := durableFrame{size: len(b)}
	if err := f.place(&in.stored); err != nil {
		return badFrame{fmt.Errorf("decode %.40q frame: %w", f.typ, err)}
	}
	if err := f.decodeDurable(&in, b); err != nil {
		in.event = Malformed{Stored: in.stored, Err: fmt.Errorf("decode %.40q frame: %w", f.typ, err)}
	}
	return in
}

// place reads where a durable event stands.
func (f *frame) place(s *Stored) error {
	epoch, ok := text(f.Epoch)
	seq, err := number(f.Seq)
	tag, _ := text(f.Tag)
	n, tagErr := strconv.ParseUint(tag, 16, 32)
	switch {
	case err != nil:
		return fmt.Errorf("seq: %w", err)
	case seq == 0 || !ok || epoch == "" || len(epoch) > 40 || tagErr != nil || len(tag) != 8 || f.room == "":
		return errors.New("a durable event without room, seq, epoch and tag")
	}
	*s = Stored{Room: f.room, Seq: seq, Cursor: chat.Cursor{Epoch: epoch, Seq: seq, Tag: uint32(n), HasTag: true}}
	return nil
}

// durableData is the union of the members of §16.
type durableData struct {
	ID        count          `json:"id"`
	UserID    jsontext.Value `json:"user_id"`
	Username  string         `json:"username"`
	CreatedAt instant        `json:"created_at"`
	Nonce     jsontext.Value `json:"nonce"`
	Content   *string        `json:"content"`
	Changed   count          `json:"changed"`
	ChangedAt instant        `json:"changed_at"`
	Deleted   bool           `json:"deleted"`
	TargetSeq count          `json:"target_seq"`
	MessageID count          `json:"message_id"`
	Reason    string         `json:"reason"`
	Subject   chat.UserID    `json:"subject"`
	Member    struct {
		UserID   chat.UserID `json:"user_id"`
		Username string      `json:"username"`
		State    string      `json:"state"`
		Role     string      `json:"role"`
	} `json:"member"`
	settings
}

func (f *frame) decodeDurable(in *durableFrame, b []byte) error {
	var d durableData
	if err := object(f.Data, &d); err != nil {
		return err
	}
	id, err := idText(d.UserID)
	if err != nil {
		return fmt.Errorf("user_id: %w", err)
	}
	s := &in.stored
	s.ID, s.From, s.At, s.Nonce = int64(d.ID), chat.User{ID: chat.UserID(id), Name: d.Username}, d.CreatedAt.Time, nonce(d.Nonce)
	in.event, err = f.event(*s, &d, b)
	return err
}

func (f *frame) event(s Stored, d *durableData, b []byte) (Event, error) {
	content := ""
	if d.Content != nil {
		content = *d.Content
	}
	switch f.typ {
	case "message":
		if d.Content == nil && !d.Deleted {
			return nil, errors.New("content is missing")
		}
		return Message{Stored: s, Content: content, Changed: uint64(d.Changed), ChangedAt: d.ChangedAt.Time, Deleted: d.Deleted}, nil
	case "message_edited":
		return MessageEdited{Stored: s, TargetSeq: uint64(d.TargetSeq), MessageID: int64(d.MessageID), Content: content, Blank: d.Content == nil}, nil
	case "message_deleted":
		return MessageDeleted{Stored: s, TargetSeq: uint64(d.TargetSeq), MessageID: int64(d.MessageID), Reason: d.Reason}, nil
	case "messages_erased":
		return MessagesErased{Stored: s, Subject: d.Subject}, nil
	case "room_created", "room_updated":
		return RoomUpdated{Stored: s, Created: f.typ == "room_created", Settings: d.settings.settings()}, nil
	case "member_invited", "member_added", "member_removed", "member_banned", "member_unbanned", "member_role":
		state, _ := chat.ParseState(d.Member.State)
		role, _ := chat.ParseRole(d.Member.Role)
		return MemberChanged{Stored: s, Type: f.typ, Member: chat.User{ID: d.Member.UserID, Name: d.Member.Username}, State: state, Role: role, Reason: d.Reason}, nil
	}
	return Other{Stored: s, Type: f.typ, Frame: append([]byte(nil), b...)}, nil
}
