// Package authtest holds the tests of who may do what, against a server in
// token mode on loopback: the authorization matrix G11. Every route of the
// OpenAPI document, every command of both profiles of the WebSocket and every
// other endpoint is asked by every kind of principal about every kind of room,
// and the answer is compared with one table (table_test.go). A route or a
// command without a row fails.
//
// What is refused must change nothing, and tell nothing: a room that one may
// not know of is answered like one that is not there, byte by byte. Who loses
// the right to read while connected gets nothing later than that
// (live_test.go).
package authtest
