package room

import (
	"time"

	"tertulia/chat"
)

// retryAfter is the hint given while the store does not store: the longest
// pause between two attempts of the journal itself.
const retryAfter = maxPause

// The refusals that are always worded alike. They are shared and immutable.
var (
	errNotUTF8      = chat.Errorf(chat.InvalidEvent, "The content is not valid UTF-8.")
	errNUL          = chat.Errorf(chat.InvalidEvent, "The content holds the character U+0000, which cannot be stored.")
	errEmptyContent = chat.Errorf(chat.EmptyContent, "The content is empty; write something.")

	errShuttingDown = &chat.Error{
		Code:       chat.ShuttingDown,
		Message:    "The server is shutting down; connect again and send this once more.",
		RetryAfter: time.Second,
	}
	errQueueFull   = unavailable("More is being posted than can be stored; nothing was stored, send this again in a moment.")
	errUnavailable = unavailable("The message could not be stored; send it again in a moment.")
	errBehind      = unavailable("A message before this one could not be stored; nothing was stored, send this again behind that one.")
	errUnknown     = unavailable("Nobody knows yet whether the message is stored; send it again with the same nonce.")
	errStalled     = unavailable("The store does not answer; nothing was stored, send this again in a moment.")
	errBroken      = unavailable("The store failed and the server is restarting; send this again with the same nonce.")
	errUnreadable  = unavailable("The store cannot be read now; try again in a moment.")
	errNotKept     = unavailable("This could not be stored, or nobody knows; send it again in a moment.")
	errLeft        = unavailable("Nobody knows yet whether this is stored; look before you send it again.")

	errDisabled      = chat.Errorf(chat.Forbidden, "This account is disabled; ask who runs the server.")
	errOnlyService   = chat.Errorf(chat.Forbidden, "Only the application's own back end may do this.")
	errNobody        = chat.Errorf(chat.InvalidParameter, "Say on whose behalf: this is about a user's own standing.")
	errBanned        = chat.Errorf(chat.Banned, "You are banned from this room.")
	errReadOnly      = chat.Errorf(chat.RoomReadOnly, "This room is archived; it can be read and not written.")
	errNoMember      = chat.Errorf(chat.MemberNotFound, "The user is neither a member of this room nor invited to it.")
	errNotBanned     = chat.Errorf(chat.MemberNotFound, "The user is not banned from this room.")
	errInvitesBanned = chat.Errorf(chat.Forbidden, "The user is banned from this room; lift the ban first.")
	errOutranked     = chat.Errorf(chat.Forbidden, "This needs a higher role than the user's.")
	errLastOwner     = chat.Errorf(chat.Forbidden, "A room with members keeps an owner; make somebody else an owner first.")
	errOpenRooms     = chat.Errorf(chat.Forbidden, "Only who runs the server decides which rooms are open to everybody.")
	errKeep          = chat.Errorf(chat.Forbidden, "Only the application's own back end decides how much of a room is kept.")
	errVersion       = chat.Errorf(chat.VersionConflict, "The room has changed since; look at it again.")
)

// notFound is the same for rooms that do not exist and for those that the
// user may not know of.
func notFound(id chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomNotFound, "There is no room %q; check the id, or have the room made first.", string(id))
}

func roomExists(id chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomExists, "There is a room %q already; choose another id.", string(id))
}

func noMessage(id int64) *chat.Error {
	return chat.Errorf(chat.MessageNotFound, "There is no message %d in this room.", id)
}

func noUser(id chat.UserID) *chat.Error {
	return chat.Errorf(chat.UserNotFound, "There is no user %q whom you could know.", string(id))
}

func unavailable(sentence string) *chat.Error {
	return &chat.Error{Code: chat.StoreUnavailable, Message: sentence, RetryAfter: retryAfter}
}
