package packed

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"sync"
)

// SealBytes is the length of a seal: half of an HMAC-SHA256, which nobody
// guesses.
const SealBytes = 16

// Key seals what the nodes of a deployment write where others could write
// too. Its methods may be called from any goroutine.
type Key struct{ pool sync.Pool }

// state is one HMAC and memory to work in.
type state struct {
	mac hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

// NewKey makes the key for one purpose from the secret of a deployment: what
// is sealed for one purpose is good for no other.
func NewKey(secret []byte, purpose string) *Key {
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte(purpose))
	key := derive.Sum(nil)
	k := new(Key)
	k.pool.New = func() any { return &state{mac: hmac.New(sha256.New, key)} }
	return k
}

// Seal appends the seal of data to data.
func (k *Key) Seal(data []byte) []byte {
	s := k.pool.Get().(*state)
	defer k.pool.Put(s)
	return append(data, s.seal(data)...)
}

// Open returns what was sealed; ok is false if the seal is not ours.
func (k *Key) Open(sealed string) (data string, ok bool) {
	if len(sealed) < SealBytes {
		return "", false
	}
	s := k.pool.Get().(*state)
	defer k.pool.Put(s)
	data = sealed[:len(sealed)-SealBytes]
	s.in = append(s.in[:0], data...)
	want := s.seal(s.in)
	return data, subtle.ConstantTimeCompare(want, []byte(sealed[len(data):])) == 1
}

func (s *state) seal(data []byte) []byte {
	s.mac.Reset()
	s.mac.Write(data)
	return s.mac.Sum(s.sum[:0])[:SealBytes]
}
