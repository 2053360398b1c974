package gateway

import (
	"slices"
	"strings"

	"tertulia/chat"
	"tertulia/internal/session"
)

// maxFollowed bounds the rooms of a stream or a poll: each of their cursors
// names all of them.
const maxFollowed = 32

// placesOf says which rooms are to be followed, from where: the named ones,
// each from its place in the cursor if it is there; or all of the cursor's, if
// none is named. The cursor is of one room or of several. The error is a
// *chat.Error; nothing of the arguments is kept.
func placesOf(names []string, cursor string) ([]session.Place, error) {
	if len(names) > maxFollowed {
		return nil, errFollowed
	}
	var places []session.Place
	for _, name := range names {
		id, err := chat.ParseAnyRoomID(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(places, func(p session.Place) bool { return p.Room == id }) {
			return nil, chat.Errorf(chat.InvalidParameter, "The room %q is named twice.", name)
		}
		places = append(places, session.Place{Room: chat.RoomID(strings.Clone(string(id)))})
	}
	if strings.Contains(cursor, ":") {
		return places, placeOne(places, cursor)
	}
	return placeAll(places, cursor)
}

var errFollowed = chat.Errorf(chat.TooManyRooms, "At most %d rooms can be followed at once.", maxFollowed)

// placeOne takes the cursor of a single room.
func placeOne(places []session.Place, cursor string) error {
	if len(places) != 1 {
		return chat.Errorf(chat.CursorInvalid, "The cursor is one of a single room; name just that room with it.")
	}
	c, err := chat.ParseCursor(strings.Clone(cursor))
	places[0].After = &c
	return err
}

// placeAll takes the cursor of several rooms, which may be empty.
func placeAll(places []session.Place, cursor string) ([]session.Place, error) {
	var cursors chat.Cursors
	if cursor != "" {
		var err error
		if cursors, err = chat.ParseCursors(cursor); err != nil {
			return nil, err
		}
	}
	if len(places) == 0 {
		for _, c := range cursors {
			places = append(places, session.Place{Room: c.Room})
		}
	}
	switch {
	case len(places) == 0:
		return nil, chat.Errorf(chat.MissingParameter, "Say which rooms to follow, or give a cursor that names them.")
	case len(places) > maxFollowed:
		return nil, errFollowed
	}
	for i := range places {
		places[i].After = cursors.Find(places[i].Room)
	}
	return places, nil
}
