package room

import (
	"strings"
	"time"
	"unicode/utf8"

	"tertulia/chat"
)

// checkContent returns why a message cannot hold this content, or nil. The
// length comes first, so that nothing long is looked at.
func checkContent(content string) *chat.Error {
	switch {
	case len(content) > chat.MaxContentBytes:
		return chat.Errorf(chat.TooLarge, "The content has %d bytes; at most %d are allowed.", len(content), chat.MaxContentBytes)
	case !utf8.ValidString(content):
		return errNotUTF8
	case strings.TrimSpace(content) == "":
		return errEmptyContent
	case strings.IndexByte(content, 0) >= 0:
		return errNUL
	}
	return nil
}

// checkText returns why a text beside the messages is not acceptable, or nil.
func checkText(field, s string, maxBytes int) error {
	switch {
	case len(s) > maxBytes:
		return chat.Errorf(chat.InvalidParameter, "The %s has %d bytes; at most %d are allowed.", field, len(s), maxBytes)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return chat.Errorf(chat.InvalidParameter, "The %s is not valid UTF-8 without U+0000.", field)
	}
	return nil
}

// checkSettings returns why by may not give a room these settings, or nil.
func checkSettings(by chat.Principal, s chat.Settings) error {
	switch {
	case s.Access > chat.AccessPrivate:
		return chat.Errorf(chat.InvalidParameter, "The access must be public or private; a room of two is made by asking for it by the other's id.")
	case s.Access == chat.AccessOpen && !by.Service:
		return errOpenRooms
	case s.Keep != chat.Retention{} && !by.Service:
		return errKeep
	case s.Keep.Age < 0 || s.Keep.Events < 0 || s.Keep.Age%time.Second != 0:
		return chat.Errorf(chat.InvalidParameter, "What is kept is a number of whole seconds and a number of events, neither below 0.")
	}
	if err := checkText("title", s.Title, chat.MaxTitleBytes); err != nil {
		return err
	}
	return checkText("topic", s.Topic, chat.MaxTopicBytes)
}

// maxList bounds a list by its entries.
const maxList = 1000

// clampLimit brings the length asked of a list into its bounds.
func clampLimit(limit, most int) int { return max(1, min(limit, most)) }
