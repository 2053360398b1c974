package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"tertulia/chat"
)

// kindNames are the words that stand for kinds in every database. They are
// part of the schema: a word, once used, keeps its meaning for ever, and a new
// one takes a new schema version, so that an older program refuses the file
// instead of meeting an event that it cannot read.
var kindNames = map[chat.Kind]string{
	chat.KindMessage:        "message",
	chat.KindMessageEdited:  "message_edited",
	chat.KindMessageDeleted: "message_deleted",
	chat.KindMessagesErased: "messages_erased",
	chat.KindRoomCreated:    "room_created",
	chat.KindRoomUpdated:    "room_updated",
	chat.KindMemberInvited:  "member_invited",
	chat.KindMemberAdded:    "member_added",
	chat.KindMemberRemoved:  "member_removed",
	chat.KindMemberBanned:   "member_banned",
	chat.KindMemberUnbanned: "member_unbanned",
	chat.KindMemberRole:     "member_role",
}

var kindsByName = func() map[string]chat.Kind {
	kinds := make(map[string]chat.Kind, len(kindNames))
	for kind, name := range kindNames {
		kinds[name] = kind
	}
	return kinds
}()

// KindName returns the word that is stored for a durable kind. The word is
// empty for kinds that are not stored.
func KindName(k chat.Kind) string { return kindNames[k] }

// ParseKind returns the kind that a stored word stands for; ok is false for a
// word that this version does not know.
func ParseKind(name string) (k chat.Kind, ok bool) {
	k, ok = kindsByName[name]
	return k, ok
}

// Digest is what is kept of an event's content beside its nonce, so that a
// repeat with other content is recognised even after an edit has changed the
// body: the first 8 bytes of SHA-256 over the kind's word, a zero byte, what
// the kind has beside its body, each part ended by a zero byte, and the body;
// big-endian. The row has what its kind needs; scratch is memory to work in,
// or nil.
func Digest(a *Append, scratch []byte) (digest int64, _ []byte) {
	scratch = append(append(scratch[:0], KindName(a.Kind)...), 0)
	switch {
	case a.Kind == chat.KindMessage:
	case a.Kind == chat.KindMessageEdited, a.Kind == chat.KindMessageDeleted:
		scratch = append(strconv.AppendUint(scratch, a.Target, 10), 0)
	case a.Kind.Membership(), a.Kind == chat.KindMessagesErased:
		scratch = fmt.Appendf(scratch, "%q\x00%s\x00%s\x00", a.Member.User.ID, a.Member.State, a.Member.Role)
	default: // the settings of a room
		s := a.Settings
		scratch = fmt.Appendf(scratch, "%s\x00%q\x00%q\x00%t\x00%d\x00%d\x00",
			s.Access, s.Title, s.Topic, s.Archived, s.Keep.Age/time.Second, s.Keep.Events)
	}
	scratch = append(scratch, a.Body...)
	sum := sha256.Sum256(scratch)
	return int64(binary.BigEndian.Uint64(sum[:])), scratch
}
