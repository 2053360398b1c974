package main

import (
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/client"
)

// writeObject writes v on a line of its own.
func writeObject(w io.Writer, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// eventJSON is an event for programs: the members of docs/protocol.md §16,
// flat, and the cursor after it.
type eventJSON struct {
	Type      string      `json:"type"`
	Room      chat.RoomID `json:"room"`
	Seq       uint64      `json:"seq,omitzero"`
	Cursor    string      `json:"cursor,omitzero"`
	ID        int64       `json:"id,omitzero"`
	UserID    chat.UserID `json:"user_id,omitzero"`
	Username  string      `json:"username,omitzero"`
	Content   *string     `json:"content,omitzero"`
	CreatedAt time.Time   `json:"created_at,omitzero"`
	Nonce     chat.Nonce  `json:"nonce,omitzero"`
	Changed   uint64      `json:"changed,omitzero"`
	Deleted   bool        `json:"deleted,omitzero"`
	TargetSeq uint64      `json:"target_seq,omitzero"`
	MessageID int64       `json:"message_id,omitzero"`
	Reason    string      `json:"reason,omitzero"`
	Subject   chat.UserID `json:"subject,omitzero"`
	Member    *memberJSON `json:"member,omitzero"`
	Access    string      `json:"access,omitzero"`
	Title     string      `json:"title,omitzero"`
	Topic     string      `json:"topic,omitzero"`
	Archived  bool        `json:"archived,omitzero"`
	From      uint64      `json:"from,omitzero"`
	To        uint64      `json:"to,omitzero"`
}

type memberJSON struct {
	UserID   chat.UserID `json:"user_id"`
	Username string      `json:"username"`
	State    string      `json:"state"`
	Role     string      `json:"role"`
}

// jsonOf returns the object for an event of a room's log, or a gap in it; ok
// is false for others.
func jsonOf(e client.Event) (out eventJSON, ok bool) {
	if g, ok := e.(client.Gap); ok {
		return eventJSON{Type: "gap", Room: g.Room, Reason: string(g.Reason), From: g.From, To: g.To}, true
	}
	d, ok := e.(client.Durable)
	if !ok {
		return eventJSON{}, false
	}
	s := d.Place()
	out = eventJSON{Room: s.Room, Seq: s.Seq, Cursor: s.Cursor.String(), ID: s.ID, UserID: s.From.ID, Username: s.From.Name, CreatedAt: s.At, Nonce: s.Nonce}
	out.describe(d)
	return out, true
}

// describe adds what is particular to a kind.
func (out *eventJSON) describe(e client.Durable) {
	switch e := e.(type) {
	case client.Message:
		out.Type, out.Changed, out.Deleted = "message", e.Changed, e.Deleted
		if !e.Deleted {
			out.Content = &e.Content
		}
	case client.MessageEdited:
		out.Type, out.TargetSeq, out.MessageID = "message_edited", e.TargetSeq, e.MessageID
		if !e.Blank {
			out.Content = &e.Content
		}
	case client.MessageDeleted:
		out.Type, out.TargetSeq, out.MessageID, out.Reason = "message_deleted", e.TargetSeq, e.MessageID, e.Reason
	case client.MessagesErased:
		out.Type, out.Subject = "messages_erased", e.Subject
	case client.RoomUpdated:
		out.Type = "room_updated"
		if e.Created {
			out.Type = "room_created"
		}
		out.Access, out.Title, out.Topic, out.Archived = e.Settings.Access.String(), e.Settings.Title, e.Settings.Topic, e.Settings.Archived
	case client.MemberChanged:
		out.Type, out.Reason = e.Type, e.Reason
		out.Member = &memberJSON{e.Member.ID, e.Member.Name, e.State.String(), e.Role.String()}
	case client.Other:
		out.Type = e.Type
	case client.Malformed:
		out.Type = "malformed"
	}
}

// textOf returns the line for an event of a room's log; empty for others.
func textOf(e client.Event, at timeText) string {
	d, ok := e.(client.Durable)
	if !ok {
		return ""
	}
	what := ""
	switch e := e.(type) {
	case client.Message:
		if what = neutralised(e.Content); e.Deleted {
			what = "(deleted)"
		}
	case client.MessageEdited:
		if what = fmt.Sprintf("(changed message %d) %s", e.TargetSeq, neutralised(e.Content)); e.Blank {
			return ""
		}
	case client.MessageDeleted:
		what = fmt.Sprintf("(deleted message %d)", e.TargetSeq)
	case client.MessagesErased:
		what = fmt.Sprintf("(all that %s had said was erased)", neutralised(string(e.Subject)))
	case client.RoomUpdated:
		what = fmt.Sprintf("(the room is now %q)", neutralised(e.Settings.Title))
	case client.MemberChanged:
		what = fmt.Sprintf("(%s is now %s)", neutralised(e.Member.Name), e.State)
	default:
		return ""
	}
	s := d.Place()
	return fmt.Sprintf("%s  %s  %s", at(s.At), neutralised(s.From.Name), what)
}

// timeText says an instant.
type timeText func(time.Time) string

// clock says instants for the stream that they are written to.
func clock(out io.Writer) timeText {
	if isTerminal(out) {
		return func(t time.Time) string { return localTime(t.Local(), time.Now()) }
	}
	return func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
}
