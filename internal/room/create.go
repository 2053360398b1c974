package room

import (
	"context"
	"crypto/rand"
	"strings"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Create is a room to be made.
type Create struct {
	Room     chat.RoomID // empty: a random one
	Settings chat.Settings
	Members  []chat.User // join at once beside the creator, who owns it; at most MaxFirstMembers
	Nonce    chat.Nonce  // may be empty
}

// Created is a room that was made.
type Created struct {
	chat.Room
	Duplicate bool // it had been made before, under the same nonce
}

// MaxFirstMembers bounds Create.Members.
const MaxFirstMembers = 200

// Create makes a room; the creator becomes its owner. A service that acts for
// nobody makes one without owner. A repeat under the same nonce returns the
// room as it is, and says so. Errors: InvalidRoom, ReservedRoom, InvalidParameter,
// RoomExists, UserNotFound, Forbidden (open rooms and retention are a
// service's).
func (s *Service) Create(ctx context.Context, by chat.Principal, c Create) (Created, error) {
	id, err := s.idToMake(ctx, by, c)
	if err != nil {
		return Created{}, err
	}
	members := make([]chat.Member, 0, len(c.Members)+1)
	if by.User.ID != "" {
		members = append(members, chat.Member{User: by.User, State: chat.StateJoined, Role: chat.RoleOwner})
	}
	for _, user := range c.Members {
		if user, err = s.named(ctx, by, user); err != nil {
			return Created{}, err
		}
		members = append(members, chat.Member{User: user, State: chat.StateJoined, Role: chat.RoleMember})
	}
	return s.make(ctx, by, id, c.Settings, members, c.Nonce)
}

// idToMake checks what is asked for, and returns the id.
func (s *Service) idToMake(ctx context.Context, by chat.Principal, c Create) (chat.RoomID, error) {
	if err := s.admit(ctx, by); err != nil {
		return "", err
	}
	if err := checkSettings(by, c.Settings); err != nil {
		return "", err
	}
	switch {
	case len(c.Members) > MaxFirstMembers:
		return "", chat.Errorf(chat.InvalidParameter, "A room is made with at most %d members; add the others afterwards.", MaxFirstMembers)
	case c.Room == "":
		return chat.RoomID(strings.ToLower(rand.Text())), nil
	case s.initial[c.Room] && !by.Service:
		return "", roomExists(c.Room)
	}
	return chat.ParseRoomID(string(c.Room))
}

// make stores a new room and those who are in it at once, in one transaction:
// nobody meets the one without the other.
func (s *Service) make(ctx context.Context, by chat.Principal, id chat.RoomID, settings chat.Settings, members []chat.Member, nonce chat.Nonce) (Created, error) {
	rows := make([]store.Append, 0, len(members)+1)
	rows = append(rows, store.Append{
		Room:      id,
		Kind:      chat.KindRoomCreated,
		Actor:     by.User,
		Nonce:     nonce,
		Body:      chat.SettingsBody(settings),
		MayCreate: true,
		Settings:  &settings,
		Condition: store.Condition{New: true},
	})
	seen := make(map[chat.UserID]bool, len(members))
	for _, m := range members {
		if seen[m.User.ID] {
			continue
		}
		seen[m.User.ID] = true
		row := memberRow(by, id, chat.KindMemberAdded, m, "")
		// Nobody has a standing in a new room; in one that is made a second
		// time the standings are what they have become.
		row.Condition = store.Condition{With: true, Versioned: true}
		rows = append(rows, row)
	}
	posted, err := s.write(ctx, rows...)
	if err != nil {
		return Created{}, err
	}
	r, err := s.store.Room(ctx, id)
	if err != nil {
		return Created{}, s.unreadable("room "+string(id), err)
	}
	return Created{Room: r, Duplicate: posted.Duplicate}, nil
}
