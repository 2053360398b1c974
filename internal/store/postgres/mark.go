package postgres

import (
	"context"
	"fmt"

	"tertulia/internal/store"
)

// Mark moves marks forward; see [store.Members].
func (s *Store) Mark(ctx context.Context, marks []store.Mark) ([]store.Marked, error) {
	var (
		r      markedRow
		marked []store.Marked
	)
	mark := statement{s.sql.mark, markArgs(marks), r.dest(), func() error {
		m, err := r.marked(&marks[len(marked)])
		marked = append(marked, m)
		return err
	}}
	err := s.write(ctx, s.others, "mark", mark, func() { marked = make([]store.Marked, 0, len(marks)) })
	if err != nil {
		return nil, err
	}
	return marked, nil
}

func markArgs(marks []store.Mark) []any {
	n := len(marks)
	rooms, users, names := make([]string, n), make([]string, n), make([]string, n)
	read, delivered, private, trusted := make([]int64, n), make([]int64, n), make([]int32, n), make([]bool, n)
	for i := range marks {
		m := &marks[i]
		rooms[i], users[i], names[i] = string(m.Room), string(m.User.ID), m.User.Name
		read[i], delivered[i], trusted[i] = clampSeq(m.Read), clampSeq(m.Delivered), m.Trusted
		switch {
		case m.Private == nil:
			private[i] = -1
		case *m.Private:
			private[i] = 1
		}
	}
	return []any{rooms, users, names, read, delivered, private, trusted}
}

// markedRow is what the function mark returns of a mark, in order.
type markedRow struct {
	fate   text
	moved  truth
	member memberRow
}

func (r *markedRow) dest() []any { return append([]any{&r.fate, &r.moved}, r.member.dest()...) }

func (r *markedRow) marked(wish *store.Mark) (m store.Marked, err error) {
	switch r.fate {
	case "done":
		m.Moved = bool(r.moved)
		m.Member, err = r.member.member(wish.Room)
	case "room_not_found":
		m.Err = store.NoRoom(wish.Room)
	case "banned":
		m.Err = store.BannedFrom(wish.Room)
	case "forbidden":
		m.Err = store.JoinToMark(wish.Room)
	default:
		err = fmt.Errorf("%w (the fate %q)", errRow, r.fate)
	}
	return m, err
}
