package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"tertulia/chat"
)

// maxCachedStandings bounds the writer's memory of members between
// transactions: at about 350 bytes each, 6 MB. When it is full it begins anew;
// a member costs one read to come back.
const maxCachedStandings = 16 << 10

// selectMember finds one member.
const selectMember = `SELECT ` + memberColumns + ` FROM members m WHERE m.room_no = ? AND m.user = ?`

type memberKey struct {
	no   int64
	user chat.UserID
}

// standing is what the writer knows of a user in a room, also that there is
// nothing to know.
type standing struct {
	chat.Member
	no      int64
	exists  bool // has a row, or will have one when the transaction ends
	touched bool // by the transaction under way
}

// standing returns what is known of a user in a room that has a log.
func (w *writer) standing(l *log, user chat.UserID) (*standing, error) {
	key := memberKey{l.no, user}
	if st := w.standings[key]; st != nil {
		return st, nil
	}
	st := &standing{no: l.no, Member: chat.Member{User: chat.User{ID: user}}}
	if l.peopled {
		var vals [memberWidth]driver.Value
		ok, err := w.stmt.readMember.queryRow(vals[:], l.no, string(user))
		if err != nil {
			return nil, fmt.Errorf("read member %s: %w", user, err)
		}
		if r := (row{vals: vals[:]}); ok {
			if st.Member, st.exists = r.member(), true; r.err != nil {
				return nil, fmt.Errorf("read member %s: %w", user, r.err)
			}
		}
	}
	st.Room = l.room
	w.standings[key] = st
	return st, nil
}

// role is what a user may do in a room, and whether the user is banned.
func (w *writer) role(l *log, user chat.UserID) (role chat.Role, banned bool, err error) {
	if l.access == chat.AccessOpen {
		role = chat.RoleMember
	}
	if !l.peopled {
		return role, false, nil
	}
	st, err := w.standing(l, user)
	if err != nil {
		return chat.RoleNone, false, err
	}
	switch st.State {
	case chat.StateBanned:
		return chat.RoleNone, true, nil
	case chat.StateJoined:
		role = max(role, st.Role)
	}
	return role, false, nil
}

// touchStanding notes that the transaction under way has changed st, and the
// name that the user has now, if it is given.
func (w *writer) touchStanding(l *log, st *standing, name string) {
	if name != "" {
		st.User.Name = name
	}
	st.exists, l.peopled = true, true
	if !st.touched {
		st.touched = true
		w.moved = append(w.moved, st)
	}
}

// stand gives m's user another standing with the event at p.
func (w *writer) stand(l *log, p place, m *chat.Member) error {
	st, err := w.standing(l, m.User.ID)
	if err != nil {
		return err
	}
	joined := flag(m.State == chat.StateJoined) - flag(st.State == chat.StateJoined)
	switch {
	case m.State != chat.StateJoined:
		st.JoinedAt = time.Time{}
	case st.State != chat.StateJoined:
		st.JoinedAt = time.UnixMilli(p.at).UTC()
	}
	st.State, st.Role, st.Version = m.State, m.Role, uint64(p.seq)
	if m.State == chat.StateNone || m.State == chat.StateBanned {
		st.Role = chat.RoleNone
	}
	w.touchStanding(l, st, m.User.Name)
	if joined == 0 {
		return nil
	}
	_, err = w.stmt.addMembers.exec(joined, l.no)
	return err
}

// saveStandings writes what the transaction has changed in members.
func (w *writer) saveStandings() error {
	for _, st := range w.moved {
		m := &st.Member
		_, err := w.stmt.saveMember.exec(st.no, string(m.User.ID), m.User.Name, m.State.String(), m.Role.String(), int64(m.Version),
			millis(m.JoinedAt), int64(m.Mark.Read), int64(m.Mark.Delivered), int64(m.Mark.ReadMsgs), flag(m.Mark.Private))
		if err != nil {
			return fmt.Errorf("save member %s: %w", m.User.ID, err)
		}
	}
	return nil
}
