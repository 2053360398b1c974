package sqlite

import (
	"database/sql/driver"

	"tertulia/chat"
	"tertulia/internal/store"
)

// target is the message that an edit or a deletion changes.
type target struct {
	id      int64
	author  chat.UserID
	changed int64 // seq of its latest edit, 0 if none
}

// check returns why row must not be stored, nil if nothing stands against it.
// before is the refusal of the row before it. It fills t for the kinds that
// have a target.
func (w *writer) check(l *log, row *store.Append, before error, t *target) (*chat.Error, error) {
	if row.With && before != nil {
		return chat.AsError(before), nil
	}
	if row.New && l.no != 0 {
		return store.RoomThere(row.Room), nil
	}
	if row.Role != chat.RoleNone {
		if refusal, err := w.checkRole(l, row); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if row.Live && l.archived {
		return store.ReadOnly(row.Room), nil
	}
	if row.Kind == chat.KindMessageEdited || row.Kind == chat.KindMessageDeleted {
		if refusal, err := w.checkTarget(l, row, t); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if row.Versioned {
		if refusal, err := w.checkVersion(l, row, t); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if row.Owned && l.no != 0 && row.Kind.Membership() {
		return w.checkOwned(l, row)
	}
	return nil, nil
}

// selectOthers tells of those in a room beside one user whether any has
// joined, and whether any is an owner.
const selectOthers = `SELECT count(*) > 0, coalesce(max(role = 'owner'), 0) FROM members WHERE room_no = ? AND user <> ? AND state = 'joined'`

func (w *writer) checkOwned(l *log, a *store.Append) (*chat.Error, error) {
	if m := a.Member; m.State == chat.StateJoined && m.Role == chat.RoleOwner {
		return nil, nil
	}
	// What this transaction has changed so far is to count.
	if err := w.saveStandings(); err != nil {
		return nil, err
	}
	var vals [2]driver.Value
	if _, err := w.stmt.readOthers.queryRow(vals[:], l.no, string(a.Member.User.ID)); err != nil {
		return nil, err
	}
	r := row{vals: vals[:]}
	if others, owned := r.int(0), r.int(1); others != 0 && owned == 0 {
		return store.Ownerless(a.Room), r.err
	}
	return nil, r.err
}

func (w *writer) checkRole(l *log, row *store.Append) (*chat.Error, error) {
	role, banned, err := w.role(l, row.Actor.ID)
	switch {
	case err != nil:
		return nil, err
	case banned:
		return store.BannedFrom(row.Room), nil
	case role < row.Role:
		return store.RoleNeeded(row.Room, row.Role), nil
	}
	return nil, nil
}

func (w *writer) checkTarget(l *log, row *store.Append, t *target) (*chat.Error, error) {
	ok, err := w.readTarget(l, row.Target, t)
	if err != nil {
		return nil, err
	}
	if !ok {
		return store.NoMessage(row.Room), nil
	}
	if !row.Own || t.author == row.Actor.ID {
		return nil, nil
	}
	if row.Over != chat.RoleNone {
		if role, _, err := w.role(l, row.Actor.ID); err != nil || role >= row.Over {
			return nil, err
		}
	}
	return store.NotOwn(), nil
}

// readTarget reads the message at seq; ok is false if there is none, or if it
// was deleted.
func (w *writer) readTarget(l *log, seq uint64, t *target) (ok bool, err error) {
	var vals [3]driver.Value
	ok, err = w.stmt.readTarget.queryRow(vals[:], l.no, clampSeq(seq))
	if err != nil || !ok {
		return false, err
	}
	r := row{vals: vals[:]}
	*t = target{id: r.int(0), author: chat.UserID(r.text(1)), changed: r.intOrNull(2)}
	return true, r.err
}

func (w *writer) checkVersion(l *log, row *store.Append, t *target) (*chat.Error, error) {
	var have uint64
	switch {
	case row.Kind.Membership():
		if l.no == 0 {
			break
		}
		st, err := w.standing(l, row.Member.User.ID)
		if err != nil {
			return nil, err
		}
		have = st.Version
	case row.Kind == chat.KindRoomCreated, row.Kind == chat.KindRoomUpdated:
		have = uint64(l.version)
	case row.Kind == chat.KindMessageEdited, row.Kind == chat.KindMessageDeleted:
		have = uint64(t.changed)
	default:
		return nil, nil
	}
	if have != row.Version {
		return store.Changed(have), nil
	}
	return nil, nil
}
