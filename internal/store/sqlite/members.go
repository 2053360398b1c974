package sqlite

import (
	"context"
	"errors"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Member returns a room and a user's standing in it; see [store.Members].
func (s *Store) Member(ctx context.Context, id chat.RoomID, user chat.UserID) (room chat.Room, m chat.Member, err error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	err = s.read(ctx, "read member "+string(user)+" of room "+string(id), func(r *reader) (err error) {
		room, m, err = r.member(id, user)
		return err
	})
	return room, m, err
}

// Arrivals returns what there is to know of users who come into rooms.
func (s *Store) Arrivals(ctx context.Context, asked []store.Arrival) ([]store.Arrived, error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	arrived := make([]store.Arrived, len(asked))
	err := s.read(ctx, "read who comes", func(r *reader) (err error) {
		for i, a := range asked {
			if err == nil {
				arrived[i], err = r.arrived(a)
			}
		}
		return err
	})
	return arrived, err
}

// Members returns those who are in a room.
func (s *Store) Members(ctx context.Context, id chat.RoomID, states []chat.State, after chat.UserID, limit int) (members []chat.Member, err error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	err = s.read(ctx, "read members of room "+string(id), func(r *reader) (err error) {
		members, err = r.members(ctx, id, states, after, limit)
		return err
	})
	return members, err
}

// Standings returns the rooms of a user.
func (s *Store) Standings(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (standings []store.Standing, err error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	err = s.read(ctx, "read rooms of user "+string(user), func(r *reader) (err error) {
		standings, err = r.standings(ctx, user, after, limit)
		return err
	})
	return standings, err
}

func (r *reader) member(id chat.RoomID, user chat.UserID) (room chat.Room, m chat.Member, err error) {
	defer func() { err = errors.Join(err, r.end()) }()
	m = chat.Member{Room: id, User: chat.User{ID: user}}
	room, no, err := r.room(id)
	if err != nil || !room.Exists {
		return room, m, err
	}
	ok, err := r.stmt.member.queryRow(r.vals[:memberWidth], no, string(user))
	if err != nil || !ok {
		return room, m, err
	}
	v := row{vals: r.vals[:memberWidth]}
	m = v.member()
	m.Room = id
	return room, m, v.err
}

func (r *reader) arrived(a store.Arrival) (store.Arrived, error) {
	account, _, err := r.account(a.User)
	if err != nil {
		return store.Arrived{}, err
	}
	room, m, err := r.member(a.Room, a.User)
	return store.Arrived{Standing: store.Standing{Room: room, Member: m}, Disabled: account.Disabled}, err
}

func (r *reader) members(ctx context.Context, id chat.RoomID, states []chat.State, after chat.UserID, limit int) (members []chat.Member, err error) {
	defer func() { err = errors.Join(err, r.end()) }()
	room, no, err := r.room(id)
	if err != nil || !room.Exists {
		return nil, err
	}
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = state.String()
	}
	rows, err := r.stmt.members.query(no, string(after), jsonArray(words), rowLimit(limit))
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, rows, memberWidth, func(v *row) bool {
		m := v.member()
		m.Room = id
		members = append(members, m)
		return true
	})
	return members, err
}

func (r *reader) standings(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (standings []store.Standing, err error) {
	rows, err := r.stmt.standings.query(string(user), string(after), rowLimit(limit))
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, rows, roomWidth+memberWidth, func(v *row) bool {
		room := v.room(r.epoch)
		of := row{vals: v.vals[roomWidth:]}
		m := of.member()
		m.Room = room.ID
		v.err = errors.Join(v.err, of.err)
		standings = append(standings, store.Standing{Room: room, Member: m})
		return true
	})
	return standings, err
}

// rowLimit is a limit as SQLite takes it, to whom a negative one is none.
func rowLimit(limit int) int64 { return int64(max(limit, 0)) }
