package store

import "tertulia/chat"

// Complete reports whether a row has what its kind needs to be stored.
func (a *Append) Complete() bool {
	switch {
	case a.Kind.Membership(), a.Kind == chat.KindMessagesErased:
		return a.Member != nil && a.Member.User.ID != ""
	case a.Kind == chat.KindRoomCreated, a.Kind == chat.KindRoomUpdated:
		return a.Settings != nil
	}
	return a.Kind.Durable()
}

// Changes is the seq of the message that a row changes, 0 for the kinds that
// change none.
func (a *Append) Changes() uint64 {
	if a.Kind == chat.KindMessageEdited || a.Kind == chat.KindMessageDeleted {
		return a.Target
	}
	return 0
}

// About is whom a row is about, empty for the kinds about nobody. The row is
// complete.
func (a *Append) About() chat.UserID {
	if a.Kind.Membership() || a.Kind == chat.KindMessagesErased {
		return a.Member.User.ID
	}
	return ""
}
