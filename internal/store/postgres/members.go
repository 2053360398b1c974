package postgres

import (
	"context"
	"slices"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Member returns a room and a user's standing in it; see [store.Members].
func (s *Store) Member(ctx context.Context, id chat.RoomID, user chat.UserID) (chat.Room, chat.Member, error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	room, member := s.noRoom(id), chat.Member{Room: id, User: chat.User{ID: user}}
	var (
		r roomRow
		m memberRow
	)
	step := "read member " + string(user) + " of room " + string(id)
	err := s.read(ctx, step, statement{s.sql.member, []any{string(id), string(user)}, append(r.dest(), m.dest()...), func() (err error) {
		if room, err = r.room(s.meta.epoch); err != nil || m.user == "" {
			return err
		}
		member, err = m.member(id)
		return err
	}})
	return room, member, err
}

// Arrivals returns what there is to know of users who come into rooms.
func (s *Store) Arrivals(ctx context.Context, asked []store.Arrival) ([]store.Arrived, error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	arrived := make([]store.Arrived, len(asked))
	rooms, users := make([]string, len(asked)), make([]string, len(asked))
	for i, a := range asked {
		rooms[i], users[i] = string(a.Room), string(a.User)
		arrived[i].Room, arrived[i].Member = s.noRoom(a.Room), chat.Member{Room: a.Room, User: chat.User{ID: a.User}}
	}
	var (
		place    number
		disabled truth
		r        roomRow
		m        memberRow
	)
	dest := slices.Concat([]any{&place, &disabled}, r.dest(), m.dest())
	err := s.read(ctx, "read who comes", statement{s.sql.arrivals, []any{rooms, users}, dest, func() (err error) {
		to := &arrived[place-1]
		to.Disabled = bool(disabled)
		if r.id != "" {
			to.Room, err = r.room(s.meta.epoch)
		}
		if err == nil && m.user != "" {
			to.Member, err = m.member(to.Room.ID)
		}
		return err
	}})
	return arrived, err
}

// Members returns those who are in a room.
func (s *Store) Members(ctx context.Context, id chat.RoomID, states []chat.State, after chat.UserID, limit int) (members []chat.Member, err error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = state.String()
	}
	var m memberRow
	args := []any{string(id), string(after), words, max(limit, 0)}
	err = s.read(ctx, "read members of room "+string(id), statement{s.sql.members, args, m.dest(), func() error {
		member, err := m.member(id)
		members = append(members, member)
		return err
	}})
	return members, err
}

// Standings returns the rooms of a user.
func (s *Store) Standings(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (standings []store.Standing, err error) {
	s.counts.Reads.Of(count.ReadMember).Inc()
	var (
		r roomRow
		m memberRow
	)
	args := []any{string(user), string(after), max(limit, 0)}
	err = s.read(ctx, "read rooms of user "+string(user), statement{s.sql.standings, args, append(r.dest(), m.dest()...), func() error {
		room, err := r.room(s.meta.epoch)
		if err != nil {
			return err
		}
		member, err := m.member(room.ID)
		standings = append(standings, store.Standing{Room: room, Member: member})
		return err
	}})
	return standings, err
}
