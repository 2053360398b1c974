package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// change does to the state of the room what the event at p says.
func (w *writer) change(l *log, p place, row *store.Append, t *target) error {
	switch row.Kind {
	case chat.KindMessage:
		return w.markOwn(l, p, row.Actor)
	case chat.KindMessageEdited:
		_, err := w.stmt.edit.exec(string(row.Body), p.seq, p.at, l.no, clampSeq(row.Target))
		return err
	case chat.KindMessageDeleted:
		return w.deleteMessage(l, p, row.Target, t)
	case chat.KindMessagesErased:
		return w.erase(l, p, row.Member.User.ID)
	case chat.KindRoomCreated, chat.KindRoomUpdated:
		return w.settle(l, p, row.Settings)
	}
	return w.stand(l, p, row.Member)
}

// markOwn moves an author's mark to the author's message.
func (w *writer) markOwn(l *log, p place, author chat.User) error {
	if !l.peopled {
		return nil
	}
	st, err := w.standing(l, author.ID)
	if err != nil || !st.exists {
		return err
	}
	st.Mark.Read, st.Mark.Delivered, st.Mark.ReadMsgs = uint64(p.seq), uint64(p.seq), uint64(p.msgs)
	w.touchStanding(l, st, author.Name)
	return nil
}

// deleteMessage leaves {} of a message and, from the latest to the first, of
// its edits. As they are younger than the message, none is trimmed yet.
func (w *writer) deleteMessage(l *log, p place, seq uint64, t *target) error {
	if _, err := w.stmt.deleteMessage.exec(p.seq, p.at, l.no, clampSeq(seq)); err != nil {
		return err
	}
	var vals [1]driver.Value
	for edit := t.changed; edit != 0; {
		ok, err := w.stmt.blankEdit.queryRow(vals[:], l.no, edit)
		if err != nil {
			return err
		}
		r := row{vals: vals[:]}
		if edit = r.intOrNull(0); !ok || r.err != nil {
			return fmt.Errorf("delete message %d of room %s: its edits: %w", seq, l.room, errRow)
		}
	}
	return nil
}

// erase leaves {} of all that a user has said in a room, and of the edits of
// it.
func (w *writer) erase(l *log, p place, user chat.UserID) error {
	if _, err := w.stmt.blankEdits.exec(l.no, string(user)); err != nil {
		return err
	}
	_, err := w.stmt.blankMessages.exec(p.seq, p.at, l.no, string(user))
	return err
}

// settle gives a room other settings.
func (w *writer) settle(l *log, p place, s *chat.Settings) error {
	l.access, l.archived, l.version = s.Access, s.Archived, p.seq
	_, err := w.stmt.settle.exec(s.Access.String(), s.Title, s.Topic, flag(s.Archived), int64(s.Keep.Age/time.Second), s.Keep.Events, p.seq, l.no)
	return err
}
