package redis

import (
	"errors"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/presence"
)

// What an announcement says has been written.
const (
	whatSaid    = "said"    // the statements in it
	whatAll     = "all"     // everything, anew: the page is to be read
	whatLeaving = "leaving" // nothing more: the lease is to be looked at
)

// announcement is what a node tells the others that it has written. It is the
// body of an event of [chat.KindPresence].
type announcement struct {
	Node    string      `json:"node"`
	Version uint64      `json:"version"`
	What    string      `json:"what"`
	Said    []statement `json:"said,omitzero"`
}

// statement is a [presence.Statement].
type statement struct {
	Room     string `json:"room"`
	User     string `json:"user"`
	Name     string `json:"name"`
	Sessions int    `json:"sessions"`
	Gone     bool   `json:"gone,omitzero"`
}

func (a *announcement) event() chat.Event {
	body, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers; names are valid UTF-8
	}
	return chat.Event{Kind: chat.KindPresence, Actor: chat.User{ID: chat.UserID(a.Node)}, Version: a.Version, Body: body}
}

var errAnnouncement = errors.New("presence: not an announcement")

// parseAnnouncement is the reverse of event.
func parseAnnouncement(e *chat.Event) (a announcement, err error) {
	if err := json.Unmarshal(e.Body, &a); err != nil {
		return a, err
	}
	if a.Node == "" || a.Version == 0 {
		return a, errAnnouncement
	}
	return a, nil
}

// statements checks what was said.
func (a *announcement) statements() ([]presence.Statement, error) {
	all := make([]presence.Statement, len(a.Said))
	for i, said := range a.Said {
		s, err := statementOf(said.Room, said.User, said.Name, said.Sessions)
		if err != nil {
			return nil, err
		}
		s.Here = !said.Gone
		all[i] = s
	}
	return all, nil
}

// announce makes statements ready to be sent.
func announce(batch []presence.Statement) []statement {
	said := make([]statement, len(batch))
	for i := range batch {
		s := &batch[i]
		said[i] = statement{
			Room:     string(s.Room),
			User:     string(s.User.ID),
			Name:     s.User.Name,
			Sessions: s.Sessions,
			Gone:     !s.Here,
		}
	}
	return said
}
