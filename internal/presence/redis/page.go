package redis

import (
	"errors"
	"strconv"
	"strings"

	"tertulia/chat"
	"tertulia/internal/presence"
)

// keys are the names of a node's keys. Those of one node share a hash slot.
//
//	<prefix>presence:{<node>}:lease   here or leaving, with a time to live
//	<prefix>presence:{<node>}:here    the page: a hash of who is here
//	<prefix>presence:{<node>}:new     the next page, while it is written
//	<prefix>presence:nodes            a set of nodes
//
// Behind the values of leases and pages is a seal; see seals.
type keys struct{ lease, page, next string }

func keysOf(prefix, node string) keys {
	stem := prefix + "presence:{" + node + "}:"
	return keys{lease: stem + "lease", page: stem + "here", next: stem + "new"}
}

func nodesKey(prefix string) string { return prefix + "presence:nodes" }

// The values of a lease.
const (
	leaseHere    = "here"
	leaseLeaving = "leaving"
)

// Fields of a page that are not users. A page without fieldWhole is a part
// that was written after the whole was lost, and is not to be believed.
const (
	fieldVersion = "version"
	fieldWhole   = "whole"
)

// separator stands between room and user in a field; neither may hold it.
const separator = "\x00"

// fieldOf and valueOf draw one entry of a page: the room, a zero byte and the
// user's id say who, the number of sessions, a space and the user's name how.
func fieldOf(s *presence.Statement) string { return string(s.Room) + separator + string(s.User.ID) }

func valueOf(s *presence.Statement) string { return strconv.Itoa(s.Sessions) + " " + s.User.Name }

var (
	errEntry   = errors.New("presence: not an entry of a page")
	errNotPage = errors.New("presence: the page is not whole")
)

// parseEntry is the reverse of fieldOf and valueOf. What Redis holds is
// believed no further than what a client says.
func parseEntry(field, value string) (s presence.Statement, err error) {
	room, user, found := strings.Cut(field, separator)
	number, name, named := strings.Cut(value, " ")
	if !found || !named {
		return s, errEntry
	}
	sessions, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return s, errEntry
	}
	return statementOf(room, user, name, int(sessions))
}

// statementOf checks what another node says of somebody who is here.
func statementOf(room, user, name string, sessions int) (s presence.Statement, err error) {
	s.Sessions, s.Here = sessions, true
	if s.Room, err = chat.ParseAnyRoomID(room); err != nil {
		return s, err
	}
	s.User, err = chat.ParseUser(user, name)
	return s, err
}

// page is all that a node says.
type page struct {
	version    uint64
	statements []presence.Statement
}

// parsePage leaves out entries that it does not understand.
func parsePage(fields map[string]string) (page, error) {
	version, err := parseVersion(fields)
	if err != nil {
		return page{}, err
	}
	p := page{version: version, statements: make([]presence.Statement, 0, len(fields))}
	for field, value := range fields {
		if s, err := parseEntry(field, value); err == nil {
			p.statements = append(p.statements, s)
		}
	}
	return p, nil
}

// parseVersion returns the number of a page's last write, if the page is whole.
func parseVersion(fields map[string]string) (uint64, error) {
	n, err := strconv.ParseUint(fields[fieldVersion], 10, 64)
	if err != nil || n == 0 || fields[fieldWhole] == "" {
		return 0, errNotPage
	}
	return n, nil
}
