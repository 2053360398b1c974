package api

import (
	"context"
	"net/http"

	"tertulia/chat"
)

// memberJSON is a user's standing in a room, as in the events that change it.
type memberJSON struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
	State    string `json:"state" enum:"none,invited,joined,banned"`
	Role     string `json:"role" enum:"none,member,moderator,owner"`
	JoinedAt string `json:"joined_at,omitempty" format:"date-time"`
	Version  uint64 `json:"version" doc:"The seq of the event that gave the user this standing; 0 if none did."`
}

func memberOf(m chat.Member) memberJSON {
	return memberJSON{
		UserID: string(m.User.ID), Username: m.User.Name, State: m.State.String(), Role: m.Role.String(),
		JoinedAt: instant(m.JoinedAt), Version: m.Version,
	}
}

type oneMember struct{ Body memberJSON }

func (a *API) describeMembers(to *routes) {
	changes := []chat.Code{chat.Banned, chat.MemberNotFound, chat.StoreUnavailable, chat.ShuttingDown}
	register(to, operation{
		id: "list-members", method: http.MethodGet, path: "/rooms/{room}/members", tag: "members", needs: read,
		summary: "List the members of a room", about: "By their user ids. Who is invited or banned is for moderators to see.",
		codes: []chat.Code{chat.Banned, chat.StoreUnavailable},
	}, a.listMembers)
	register(to, operation{
		id: "get-member", method: http.MethodGet, path: "/rooms/{room}/members/{user}", tag: "members", needs: read,
		summary: "Get one user's standing",
		codes:   []chat.Code{chat.Banned, chat.MemberNotFound, chat.StoreUnavailable},
	}, a.getMember)
	register(to, operation{
		id: "put-member", method: http.MethodPut, path: "/rooms/{room}/members/{user}", tag: "members", needs: invite,
		summary: "Invite or add a user, or give a member another role",
		about:   "state invited invites; state joined adds at once, which is a service's to do; role alone gives a member another role, which is an owner's to do.",
		codes:   append(changes, chat.UserNotFound),
	}, a.putMember)
	register(to, operation{
		id: "remove-member", method: http.MethodDelete, path: "/rooms/{room}/members/{user}", tag: "members", needs: moderate,
		summary: "End somebody's membership or invitation", about: "One's own too. The user may come back as anybody may; see ban-member.",
		codes: changes,
	}, a.removeMember)
	register(to, operation{
		id: "ban-member", method: http.MethodPost, path: "/rooms/{room}/members/{user}/ban", tag: "members", needs: moderate,
		summary: "End somebody's membership and keep the user out",
		codes:   []chat.Code{chat.Banned, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.banMember)
	register(to, operation{
		id: "unban-member", method: http.MethodPost, path: "/rooms/{room}/members/{user}/unban", tag: "members", needs: moderate,
		summary: "Let a banned user back in", about: "This makes nobody a member.",
		codes: changes,
	}, a.unbanMember)
}

type listMembersInput struct {
	InRoom
	Paged
	States []string `query:"states" enum:"invited,joined,banned" doc:"Those in one of these states, separated by commas; joined if absent."`
}

func (a *API) listMembers(ctx context.Context, in *listMembersInput) (*list[memberJSON], error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	states := []chat.State{chat.StateJoined}
	if len(in.States) > 0 {
		states = states[:0]
	}
	for _, word := range in.States {
		state, _ := chat.ParseState(word) // the schema has the words
		states = append(states, state)
	}
	rec := recordOf(ctx)
	members, err := a.cfg.Rooms.Members(ctx, rec.by, id, states, chat.UserID(in.After), in.Limit+1)
	if err != nil {
		return nil, err
	}
	return listOf(rec, in.Paged, members, userOf, memberOf), nil
}

func userOf(m chat.Member) string { return string(m.User.ID) }

// InMembers is the input of what concerns one user in one room.
type InMembers struct {
	InRoom
	OfUser
}

func (in *InMembers) parse() (chat.RoomID, chat.UserID, error) {
	id, err := in.room()
	if err != nil {
		return "", "", err
	}
	user, err := in.user()
	return id, user, err
}

func (a *API) getMember(ctx context.Context, in *InMembers) (*oneMember, error) {
	id, user, err := in.parse()
	if err != nil {
		return nil, err
	}
	m, err := a.cfg.Rooms.Member(ctx, recordOf(ctx).by, id, user)
	if err != nil {
		return nil, err
	}
	return &oneMember{Body: memberOf(m)}, nil
}

type standingJSON struct {
	State    string `json:"state,omitempty" enum:"invited,joined"`
	Role     string `json:"role,omitempty" enum:"member,moderator,owner" doc:"For who is added, member if absent."`
	Username string `json:"username,omitempty" doc:"The display name of who is invited or added, at most 128 bytes; if absent, the one that the server knows."`
}

type putMemberInput struct {
	InMembers
	Body standingJSON
}

func (a *API) putMember(ctx context.Context, in *putMemberInput) (*oneMember, error) {
	id, user, err := in.parse()
	if err != nil {
		return nil, err
	}
	m, err := a.changeMember(ctx, id, user, &in.Body)
	if err != nil {
		return nil, err
	}
	return &oneMember{Body: memberOf(m)}, nil
}

// changeMember calls the verb that a wished standing stands for.
func (a *API) changeMember(ctx context.Context, id chat.RoomID, user chat.UserID, wish *standingJSON) (chat.Member, error) {
	by := recordOf(ctx).by
	role, hasRole := chat.ParseRole(wish.Role)
	if wish.State == "" {
		if !hasRole {
			return chat.Member{}, chat.Errorf(chat.InvalidEvent, "Give a state, invited or joined, or a role.")
		}
		return a.cfg.Rooms.SetRole(ctx, by, id, user, role)
	}
	u, err := parseUser(string(user), wish.Username)
	if err != nil {
		return chat.Member{}, err
	}
	if wish.State == chat.StateJoined.String() {
		return a.cfg.Rooms.Add(ctx, by, id, u, max(role, chat.RoleMember))
	}
	if hasRole {
		return chat.Member{}, chat.Errorf(chat.InvalidEvent, "Who is invited becomes a member; give a role once the user has joined.")
	}
	return a.cfg.Rooms.Invite(ctx, by, id, u)
}

type removeMemberInput struct {
	InMembers
	Reason string `query:"reason" doc:"Shown to all; at most 512 bytes."`
}

func (a *API) removeMember(ctx context.Context, in *removeMemberInput) (*empty, error) {
	id, user, err := in.parse()
	if err != nil {
		return nil, err
	}
	by := recordOf(ctx).by
	if user == by.User.ID {
		return nil, a.cfg.Rooms.Leave(ctx, by, id)
	}
	return nil, a.cfg.Rooms.Remove(ctx, by, id, user, in.Reason)
}

type banJSON struct {
	Reason   string `json:"reason,omitempty" doc:"Shown to all; at most 512 bytes."`
	Username string `json:"username,omitempty" doc:"The display name, at most 128 bytes; if absent, the one that the server knows."`
}

type banMemberInput struct {
	InMembers
	Body *banJSON
}

func (a *API) banMember(ctx context.Context, in *banMemberInput) (*empty, error) {
	id, user, err := in.parse()
	if err != nil {
		return nil, err
	}
	var ban banJSON
	if in.Body != nil {
		ban = *in.Body
	}
	u, err := parseUser(string(user), ban.Username)
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.Ban(ctx, recordOf(ctx).by, id, u, ban.Reason)
}

func (a *API) unbanMember(ctx context.Context, in *InMembers) (*empty, error) {
	id, user, err := in.parse()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.Unban(ctx, recordOf(ctx).by, id, user)
}
