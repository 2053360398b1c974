package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Mark moves marks forward; see [store.Members].
func (s *Store) Mark(ctx context.Context, marks []store.Mark) ([]store.Marked, error) {
	marked := make([]store.Marked, len(marks))
	err := s.write(ctx, "mark", func() error {
		for i := range marks {
			if err := s.writer.mark(&marks[i], &marked[i]); err != nil {
				return fmt.Errorf("mark %d of %d, room %s: %w", i+1, len(marks), marks[i].Room, err)
			}
		}
		return s.writer.saveStandings()
	})
	if err != nil {
		return nil, err
	}
	return marked, nil
}

// mark moves one mark, or writes into marked why not.
func (w *writer) mark(mark *store.Mark, marked *store.Marked) error {
	l, err := w.log(mark.Room)
	if err != nil {
		return err
	}
	if l.no == 0 {
		marked.Err = store.NoRoom(mark.Room)
		return nil
	}
	if !mark.Trusted {
		role, banned, err := w.role(l, mark.User.ID)
		switch {
		case err != nil:
			return err
		case banned:
			marked.Err = store.BannedFrom(mark.Room)
			return nil
		case role == chat.RoleNone:
			marked.Err = store.JoinToMark(mark.Room)
			return nil
		}
	}
	st, err := w.standing(l, mark.User.ID)
	if err != nil {
		return err
	}
	to, err := w.further(l, st.Mark, mark)
	if err != nil {
		return err
	}
	if to != st.Mark {
		st.Mark, marked.Moved = to, true
		w.touchStanding(l, st, mark.User.Name)
	}
	marked.Member = st.Member
	return nil
}

// further returns m after it has followed a wish.
func (w *writer) further(l *log, m chat.Mark, wish *store.Mark) (_ chat.Mark, err error) {
	head := uint64(l.place.seq)
	if read := min(wish.Read, head); read > m.Read {
		m.Read = read
		if m.ReadMsgs, err = w.msgsUpTo(l, read); err != nil {
			return m, err
		}
	}
	m.Delivered = max(m.Delivered, m.Read, min(wish.Delivered, head))
	if wish.Private != nil {
		m.Private = *wish.Private
	}
	return m, nil
}

// msgsUpTo counts the messages of a room up to seq, or up to the floor if
// that is beyond.
func (w *writer) msgsUpTo(l *log, seq uint64) (uint64, error) {
	if seq == uint64(l.place.seq) {
		return uint64(l.place.msgs), nil
	}
	var vals [3]driver.Value
	ok, err := w.stmt.countMsgs.queryRow(vals[:], l.no, clampSeq(seq))
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("count messages up to %d: %w", seq, errRow)
	}
	r := row{vals: vals[:]}
	first, kind, msgs := uint64(r.int(0)), word(&r, 1, store.ParseKind), uint64(r.int(2))
	if first > seq && kind == chat.KindMessage {
		msgs--
	}
	return msgs, r.err
}
