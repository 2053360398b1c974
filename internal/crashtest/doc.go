// Package crashtest checks the promise that no crash of the server loses,
// doubles or reorders a message (docs/protocol.md §6).
//
// It has two parts. [History] is the checker: it is told everything that
// clients sent, were answered and were given, and in the end everything that
// is stored, and counts what should not be. The package's tests are the
// rounds: a real server process on one data folder, killed with SIGKILL again
// and again while clients post and read through its public protocol.
//
// A cluster has a test of its own: three nodes on one PostgreSQL and one Redis,
// of which any is killed, frozen, restarted or emptied while clients go to any
// node.
//
// The rounds show that a killed process loses nothing. They do not show that
// a power failure loses nothing: what a process has written stays in the
// system's memory when it is killed.
//
// The checker is tested before it is believed: a simulated server has one bug
// for each [Anomaly], and the checker must find each of them, and find
// nothing where there is none.
package crashtest
