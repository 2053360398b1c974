package store

import (
	"crypto/sha256"
	"encoding/binary"

	"tertulia/chat"
)

// kindNames are the words that stand for kinds in every database. They are
// part of the schema: a word, once used, keeps its meaning for ever, and a new
// one takes a new schema version, so that an older program refuses the file
// instead of meeting an event that it cannot read.
var kindNames = map[chat.Kind]string{
	chat.KindMessage: "message",
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
// body: the first 8 bytes of SHA-256 over the kind's word, a zero byte and
// the body, big-endian. scratch is memory to work in, or nil.
func Digest(k chat.Kind, body, scratch []byte) (digest int64, _ []byte) {
	scratch = append(scratch[:0], KindName(k)...)
	scratch = append(append(scratch, 0), body...)
	sum := sha256.Sum256(scratch)
	return int64(binary.BigEndian.Uint64(sum[:])), scratch
}
