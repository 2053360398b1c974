package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tertulia/chat"
)

// The headers in which a service names the user that it acts for: the id, and
// the display name, which is the id if it is left out. Both are
// percent-encoded UTF-8, because headers carry no other text safely.
const (
	UserHeader     = "Tertulia-User"
	UserNameHeader = "Tertulia-User-Name"
)

// serviceKeys are the hashes of the keys of back ends.
type serviceKeys [][sha256.Size]byte

func newServiceKeys(keys []string) (serviceKeys, error) {
	var hashed serviceKeys
	for i, key := range keys {
		if len(key) < MinSecretBytes {
			return nil, fmt.Errorf("service key %d has %d bytes; it needs %d", i+1, len(key), MinSecretBytes)
		}
		hashed = append(hashed, sha256.Sum256([]byte(key)))
	}
	return hashed, nil
}

// has reports whether s is one of the keys, in a time that does not depend on
// which bytes of it are right.
func (k serviceKeys) has(s string) bool {
	if len(k) == 0 || len(s) > MaxTokenBytes {
		return false
	}
	hash := sha256.Sum256([]byte(s))
	found := 0
	for i := range k {
		found |= subtle.ConstantTimeCompare(hash[:], k[i][:])
	}
	return found == 1
}

// actsFor reports whether a request names a user as only a service may.
func actsFor(h http.Header) bool {
	return len(h[UserHeader]) > 0 || len(h[UserNameHeader]) > 0
}

// actingFor is the identity of a service, whose headers may name a user.
func actingFor(h http.Header) (Identity, error) {
	id := Identity{Principal: chat.Principal{Service: true}}
	if !actsFor(h) {
		return id, nil
	}
	userID, err := userHeader(h, UserHeader)
	if err != nil {
		return Identity{}, err
	}
	name := userID
	if len(h[UserNameHeader]) > 0 {
		if name, err = userHeader(h, UserNameHeader); err != nil {
			return Identity{}, err
		}
	}
	if id.User, err = chat.ParseUser(userID, name); err != nil {
		return Identity{}, errUserHeaders
	}
	return id, nil
}

var errUserHeaders = chat.Errorf(chat.InvalidParameter,
	"The header %s is a user id of 1 to %d bytes and %s a display name of 1 to %d bytes, percent-encoded, each at most once and the second not without the first.",
	UserHeader, chat.MaxUserIDBytes, UserNameHeader, chat.MaxUserNameBytes)

func userHeader(h http.Header, name string) (string, error) {
	if len(h[name]) != 1 {
		return "", errUserHeaders
	}
	text, err := url.PathUnescape(h[name][0])
	if err != nil {
		return "", errUserHeaders
	}
	return strings.Clone(text), nil
}
