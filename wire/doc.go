// Package wire is the JSON of Tertulia's frames: what a client may send, and
// what the server sends. docs/protocol.md is its specification.
//
// It knows nothing of transports: a frame here is one JSON object. Decoding
// is strict (one object, valid UTF-8, no duplicate keys, bounded nesting), and
// the events that are sent most are appended by hand, which the tests compare
// with the JSON library.
package wire
