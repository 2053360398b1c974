package redis

import (
	"encoding/binary"

	"tertulia/internal/packed"
)

// seals are on everything that a node says in Redis, where others can write
// too. What is sealed is good for the node and the place that it was sealed
// for alone: a field of a page, or the lease.
type seals struct {
	key    *packed.Key
	counts *Counts
}

// placeLease is where a lease stands. No field of a page is called so.
const placeLease = "/lease"

// bound is what stands before a value when it is sealed, and is left out when
// it is written.
func bound(node, place string) []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(node))), node...)
	return append(binary.AppendUvarint(b, uint64(len(place))), place...)
}

// seal returns a value as it is written, with its seal behind it.
func (s *seals) seal(node, place, value string) string {
	b := bound(node, place)
	return string(s.key.Seal(append(b, value...))[len(b):])
}

// open is the reverse of seal. What has not the seal is counted; ok is false.
func (s *seals) open(node, place, written string) (value string, ok bool) {
	if len(written) >= packed.SealBytes {
		b := string(bound(node, place))
		if value, ok := s.key.Open(b + written); ok {
			return value[len(b):], true
		}
	}
	s.counts.Forged.Inc()
	return "", false
}

// openPage opens a page in place, and leaves out what is not sealed.
func (s *seals) openPage(node string, fields map[string]string) {
	for field, written := range fields {
		if value, ok := s.open(node, field, written); ok {
			fields[field] = value
		} else {
			delete(fields, field)
		}
	}
}
