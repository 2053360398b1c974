package store

import "tertulia/chat"

// The refusals that every implementation gives.

// NoRoom refuses what needs a log in a room that has none.
func NoRoom(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomNotFound, "There is no room %s.", room)
}

// RoomThere refuses what makes a room that exists.
func RoomThere(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomExists, "There is a room %s already; choose another id.", room)
}

// Incomplete refuses a row that has not what its kind needs.
func Incomplete(row *Append) *chat.Error {
	return chat.Errorf(chat.Internal, "Such events of kind %d are not stored.", row.Kind)
}

// NonceUsed refuses a repeat with other content.
func NonceUsed(nonce chat.Nonce) *chat.Error {
	return chat.Errorf(chat.IdempotencyConflict, "The nonce %s was used for something else.", nonce)
}

// BannedFrom refuses who is banned.
func BannedFrom(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.Banned, "You are banned from the room %s.", room)
}

// RoleNeeded refuses who has a lesser role.
func RoleNeeded(room chat.RoomID, role chat.Role) *chat.Error {
	return chat.Errorf(chat.Forbidden, "In the room %s this takes the role %s.", room, role)
}

// JoinToMark refuses the mark of who is not in a room.
func JoinToMark(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.Forbidden, "Join the room %s to mark what you have read in it.", room)
}

// ReadOnly refuses what changes an archived room.
func ReadOnly(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomReadOnly, "The room %s is archived and can only be read.", room)
}

// NoMessage refuses the change of a message that is not there.
func NoMessage(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.MessageNotFound, "There is no such message in the room %s, or it was deleted.", room)
}

// NoEvent says that a room has no event with an id.
func NoEvent(room chat.RoomID, id int64) *chat.Error {
	return chat.Errorf(chat.MessageNotFound, "There is no event %d in the room %s.", id, room)
}

// NotOwn refuses the change of somebody else's message.
func NotOwn() *chat.Error { return chat.Errorf(chat.Forbidden, "The message is somebody else's.") }

// Changed refuses a change of what has another version by now.
func Changed(version uint64) *chat.Error {
	return chat.Errorf(chat.VersionConflict, "This was changed meanwhile, it has version %d now; read it and try again.", version)
}

// Ownerless refuses what would leave a room's members without an owner.
func Ownerless(room chat.RoomID) *chat.Error {
	return chat.Errorf(chat.Forbidden, "The room %s would have members and no owner.", room)
}
