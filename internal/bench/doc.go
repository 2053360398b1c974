// Package bench puts measured load on a Tertulia server and says what it cost.
//
// The generator shares its machine with the server, so it is built to cost
// little: one goroutine owns every socket through epoll, reads into one
// buffer, tells frames apart by searching for a few bytes, and sends frames
// that were masked once. It checks what it counts: the messages of a room must
// carry consecutive seqs on every connection, every post must be acknowledged
// and arrive everywhere, and anything else ends the run with an error, so that
// a figure never stands for lost or doubled messages.
//
// A scenario ([Idle], [Fanout], [Ack], [Rooms], [Reconnect]) connects, warms
// up, measures for a fixed time and stops. Server CPU is the processor time of
// the server's process within that time alone. The server is a [Target] on a
// loopback address: one that runs, or a private one started by [Spawn].
//
// The package runs on Linux. docs/performance.md has the method and figures.
package bench
