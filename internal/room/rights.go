package room

import (
	"slices"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Action is something that a user may or may not do in a room.
type Action uint8

// The actions, from the harmless to the grave. Each verb of this package
// names the one that it takes.
const (
	// ActSee: know that the room exists, and its settings.
	ActSee Action = iota
	// ActRead: the log, live or past, members, marks and presence.
	ActRead
	// ActPost: messages, typing; editing and deleting one's own messages.
	ActPost
	// ActMark: move one's own mark.
	ActMark
	// ActJoin: become a member without or with an invitation.
	ActJoin
	// ActLeave: end one's own membership, or decline an invitation.
	ActLeave
	// ActInvite: invite others.
	ActInvite
	// ActModerate: delete the messages of others; remove, ban and unban those
	// of a lower role.
	ActModerate
	// ActManage: settings, roles, archive.
	ActManage
)

// demand is what an action asks of who takes it.
type demand struct {
	role     chat.Role     // the least one
	live     bool          // not in an archived room
	standing bool          // only for who has joined or is invited
	never    []chat.Access // nobody may, in rooms of these kinds
	refusal  string        // for who may see the room and has not the role
}

// demands is the table of rights. Nobody moderates or manages a direct room,
// for its two have the role of members.
var demands = [...]demand{
	ActSee:      {},
	ActRead:     {role: chat.RoleMember, refusal: "Only members may read this room; join it first."},
	ActPost:     {role: chat.RoleMember, live: true, refusal: "Only members may write in this room; join it first."},
	ActMark:     {role: chat.RoleMember, refusal: "Only members have a mark in this room; join it first."},
	ActJoin:     {},
	ActLeave:    {standing: true, never: []chat.Access{chat.AccessDirect}, refusal: "A room of two cannot be left."},
	ActInvite:   {role: chat.RoleMember, never: []chat.Access{chat.AccessOpen, chat.AccessDirect}, refusal: "Members of public and private rooms may invite others; open rooms need no invitation, and rooms of two take nobody else."},
	ActModerate: {role: chat.RoleModerator, refusal: "Only moderators and owners may do this; ask one of them."},
	ActManage:   {role: chat.RoleOwner, refusal: "Only owners may do this; ask one of them."},
}

// Can returns why by may not act in a room, given its own standing there; nil
// if it may. The room exists, or may begin with its first message and is open
// for that. Rooms that by may not know of are refused as if they did not
// exist.
//
//   - chat.RoomNotFound: a private or direct room, for who has no standing.
//   - chat.Banned, chat.Forbidden, chat.RoomReadOnly, chat.MemberNotFound (of
//     ActLeave): as they say, in this order.
//
// Whether by outranks somebody is looked at by the verbs that are about
// somebody.
func Can(by chat.Principal, act Action, r chat.Room, m chat.Member) error {
	d, hidden := &demands[act], r.Access == chat.AccessPrivate || r.Access == chat.AccessDirect
	switch {
	case by.Service:
		return nil
	case m.State == chat.StateBanned && (hidden || act != ActSee):
		return errBanned
	case hidden && m.State == chat.StateNone:
		return notFound(r.ID)
	case slices.Contains(d.never, r.Access), roleIn(r, m) < d.role:
		return chat.Errorf(chat.Forbidden, "%s", d.refusal)
	case d.standing && m.State == chat.StateNone:
		return errNoMember
	case d.live && r.Archived:
		return errReadOnly
	}
	return nil
}

// roleIn is what m may do in r: in an open room everybody who is not banned
// is a member at least, elsewhere only who has joined has a role.
func roleIn(r chat.Room, m chat.Member) chat.Role {
	switch {
	case m.State == chat.StateJoined:
		return m.Role
	case m.State != chat.StateBanned && r.Access == chat.AccessOpen:
		return chat.RoleMember
	}
	return chat.RoleNone
}

// condition is the demand of act as the store checks it in the transaction
// that stores a row.
func condition(by chat.Principal, act Action) store.Condition {
	if by.Service {
		return store.Condition{}
	}
	return store.Condition{Role: demands[act].role, Live: demands[act].live}
}
