package chat

import "strconv"

// RoomChangedBody is the body of a [KindRoomChanged],
// {"room":…,"settings":{…},"my":{…}}: the room r as its member m sees it.
func RoomChangedBody(r *Room, m *Member) []byte { return AppendListed(nil, r, m) }

// RoomGoneBody is the body of a [KindRoomChanged] about a room that is no
// longer one of the user's. It says nothing of the room.
func RoomGoneBody(m *Member) []byte {
	b := AppendQuote([]byte(`{"room":`), string(m.Room))
	b = append(b, `,"my":`...)
	b = AppendStanding(b, &Room{}, &Member{State: m.State})
	return append(b, '}')
}

// UnreadBody is the body of a [KindUnread], {"read":…,"unread":…,"up_to":…}.
func UnreadBody(r *Room, m Mark) []byte {
	b := strconv.AppendUint([]byte(`{"read":`), m.Read, 10)
	b = strconv.AppendUint(append(b, `,"unread":`...), m.Unread(r.Msgs), 10)
	b = strconv.AppendUint(append(b, `,"up_to":`...), r.Head, 10)
	return append(b, '}')
}

// AppendListed appends a room as one of the list of its member m.
func AppendListed(b []byte, r *Room, m *Member) []byte {
	b = AppendQuote(append(b, `{"room":`...), string(r.ID))
	b = AppendSettings(append(b, `,"settings":`...), r)
	b = AppendStanding(append(b, `,"my":`...), r, m)
	return append(b, '}')
}

// AppendSettings appends what a room is, as the profile v1 has it.
func AppendSettings(b []byte, r *Room) []byte {
	b = append(b, `{"access":"`...)
	b = append(b, r.Access.String()...)
	b = append(b, `","title":`...)
	b = AppendQuote(b, r.Title)
	b = append(b, `,"topic":`...)
	b = AppendQuote(b, r.Topic)
	b = append(b, `,"archived":`...)
	b = strconv.AppendBool(b, r.Archived)
	b = append(b, `,"version":`...)
	b = strconv.AppendUint(b, r.Version, 10)
	b = append(b, `,"members":`...)
	b = strconv.AppendInt(b, int64(r.Members), 10)
	return append(b, '}')
}

// AppendStanding appends where m stands in the room r, as of r.Head, as its
// user is shown it in the profile v1.
func AppendStanding(b []byte, r *Room, m *Member) []byte {
	b = append(b, `{"state":"`...)
	b = append(b, m.State.String()...)
	b = append(b, `","role":"`...)
	b = append(b, m.Role.String()...)
	b = append(b, `",`...)
	b = AppendMark(b, m.Mark)
	b = append(b, `,"unread":`...)
	b = strconv.AppendUint(b, m.Mark.Unread(r.Msgs), 10)
	b = append(b, `,"up_to":`...)
	b = strconv.AppendUint(b, r.Head, 10)
	return append(b, '}')
}

// AppendMark appends the members of a mark, as its user is shown them.
func AppendMark(b []byte, m Mark) []byte {
	b = append(b, `"read":`...)
	b = strconv.AppendUint(b, m.Read, 10)
	b = append(b, `,"delivered":`...)
	b = strconv.AppendUint(b, m.Delivered, 10)
	if m.Private {
		b = append(b, `,"private":true`...)
	}
	return b
}
