package chat

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RoomID is the immutable public name of a room: 1 to [MaxRoomIDBytes] of
// letters, digits and _ . : - # (docs/protocol.md §2.2).
type RoomID string

// UserID names an account. It is opaque: up to [MaxUserIDBytes] bytes of
// UTF-8 without control characters.
type UserID string

// Nonce is a client's own id for a post, so that posting twice stores once.
// It is unique per room and user for as long as the message exists.
// Empty means that the client gave none.
type Nonce string

// User is an account as others see it. Name is the display name at the time
// of the event that carries it.
type User struct {
	ID   UserID
	Name string
}

// Limits on what a client may send; docs/protocol.md §9 lists them.
const (
	MaxRoomIDBytes   = 64
	MaxUserIDBytes   = 64
	MaxUserNameBytes = 128
	MaxNonceBytes    = 64
	// MaxContentBytes bounds the UTF-8 length of a message's content.
	MaxContentBytes = 16 << 10
	// MaxFrameBytes bounds one message from a client, after reassembly.
	MaxFrameBytes = 64 << 10
)

// ParseRoomID checks s against the rules for room ids. The error is an
// [*Error] with code [InvalidRoom], or [ReservedRoom] for the names that the
// server keeps for itself.
func ParseRoomID(s string) (RoomID, error) {
	switch {
	case s == "":
		return "", Errorf(InvalidRoom, "The room id is empty.")
	case len(s) > MaxRoomIDBytes:
		return "", Errorf(InvalidRoom, "The room id is longer than %d characters.", MaxRoomIDBytes)
	case s == "." || s == "..":
		return "", Errorf(InvalidRoom, "A room cannot be called %q.", s)
	case s == "stats" || s == "inbox" || strings.HasPrefix(s, directPrefix):
		return "", Errorf(ReservedRoom, "The room id %q is reserved; choose another.", s)
	}
	for _, r := range s {
		if !isRoomRune(r) {
			return "", Errorf(InvalidRoom, "The room id may hold letters, digits and _ . : - # only.")
		}
	}
	return RoomID(s), nil
}

// directPrefix begins the ids of direct rooms, which the server gives out.
const directPrefix = "dm:"

// Direct reports whether id is of the form of a direct room's.
func (id RoomID) Direct() bool { return strings.HasPrefix(string(id), directPrefix) }

// ParseAnyRoomID is [ParseRoomID] for an id that names a room rather than
// wishing for one: those of direct rooms ([DirectRoomID]) are good too.
func ParseAnyRoomID(s string) (RoomID, error) {
	if digest, ok := strings.CutPrefix(s, directPrefix); ok && isDirectDigest(digest) {
		return RoomID(s), nil
	}
	return ParseRoomID(s)
}

// directEncoding writes a digest with the letters a to z and 2 to 7.
var directEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// directDigestBytes is how much of the digest an id holds: nobody finds two
// pairs of users with the same 160 bits.
const directDigestBytes = 20

func isDirectDigest(s string) bool {
	if len(s) != directEncoding.EncodedLen(directDigestBytes) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// DirectRoomID is the room of two users, whichever comes first: "dm:" and 20
// bytes of SHA-256 over both ids in their order, each after its length in one
// byte, as 32 characters of base32 (RFC 4648 §6, small letters).
func DirectRoomID(a, b UserID) RoomID {
	if b < a {
		a, b = b, a
	}
	ids := append([]byte{byte(len(a))}, a...)
	ids = append(append(ids, byte(len(b))), b...)
	sum := sha256.Sum256(ids)
	return RoomID(directPrefix + strings.ToLower(directEncoding.EncodeToString(sum[:directDigestBytes])))
}

func isRoomRune(r rune) bool {
	switch r {
	case '_', '.', ':', '-', '#':
		return true
	case utf8.RuneError:
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// ParseUser checks an id and a display name as a client gives them. The
// error is an [*Error] with code [MissingParameter] or [InvalidEvent].
func ParseUser(id, name string) (User, error) {
	if err := checkLabel("user_id", id, MaxUserIDBytes); err != nil {
		return User{}, err
	}
	if err := checkLabel("username", name, MaxUserNameBytes); err != nil {
		return User{}, err
	}
	return User{ID: UserID(id), Name: name}, nil
}

func checkLabel(field, s string, maxBytes int) error {
	switch {
	case s == "":
		return Errorf(MissingParameter, "The parameter %s is missing; connect with ?user_id=…&username=….", field)
	case len(s) > maxBytes:
		return Errorf(InvalidParameter, "The parameter %s is longer than %d bytes.", field, maxBytes)
	case !utf8.ValidString(s):
		return Errorf(InvalidParameter, "The parameter %s is not valid UTF-8.", field)
	}
	blank := true
	for _, r := range s {
		if unicode.IsControl(r) {
			return Errorf(InvalidParameter, "The parameter %s holds a control character.", field)
		}
		blank = blank && unicode.IsSpace(r)
	}
	if blank {
		return Errorf(MissingParameter, "The parameter %s is blank.", field)
	}
	return nil
}

// ParseNonce checks a nonce: 1 to [MaxNonceBytes] of visible ASCII. The error
// is an [*Error] with code [InvalidEvent].
func ParseNonce(s string) (Nonce, error) {
	if len(s) == 0 || len(s) > MaxNonceBytes {
		return "", Errorf(InvalidEvent, "A nonce has 1 to %d characters.", MaxNonceBytes)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", Errorf(InvalidEvent, "A nonce is made of visible ASCII characters.")
		}
	}
	return Nonce(s), nil
}

// maxSafeInteger is the largest integer that every JSON reader keeps exact
// (ECMAScript Number.MAX_SAFE_INTEGER).
const maxSafeInteger = 1<<53 - 1

// IsCanonicalInteger reports whether s is a decimal integer from 0 to 2^53−1
// written without sign or leading zero. Such ids stand as JSON numbers in the
// prototype's fields (docs/protocol.md §4.1).
func IsCanonicalInteger(s string) bool {
	if s == "" || len(s) > 16 || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n <= maxSafeInteger
}

// Cursor is a place in a room's log: the last event that a reader has taken.
// Its text form is epoch:seq or epoch:seq:tag, the tag in eight hex digits.
type Cursor struct {
	Epoch string
	Seq   uint64
	// Tag is the stored tag of the event at Seq; it shows that history was
	// rewritten below the reader. HasTag is false in hand-written cursors.
	Tag    uint32
	HasTag bool
}

func (c Cursor) String() string {
	if !c.HasTag {
		return fmt.Sprintf("%s:%d", c.Epoch, c.Seq)
	}
	return fmt.Sprintf("%s:%d:%08x", c.Epoch, c.Seq, c.Tag)
}
