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
	errUnknown     = unavailable("Nobody knows yet whether the message is stored; send it again with the same nonce.")
	errStalled     = unavailable("The store does not answer; nothing was stored, send this again in a moment.")
	errBroken      = unavailable("The store failed and the server is restarting; send this again with the same nonce.")
	errUnreadable  = unavailable("The room cannot be read now; try again in a moment.")
)

func unavailable(sentence string) *chat.Error {
	return &chat.Error{Code: chat.StoreUnavailable, Message: sentence, RetryAfter: retryAfter}
}
