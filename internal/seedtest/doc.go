// Package seedtest holds whole-system tests: the tertulia binary is built,
// started, and driven over loopback as the prototype's clients would.
//
// Every statement that the prototype's document makes or implies has a number,
// S-001 to S-113, and every ambiguity in it a resolution, A1 to A25. The
// subtests carry these numbers in their names, and coverage_test.go holds
// that none is forgotten. What is not about the prototype is named by the
// section of docs/protocol.md that it comes from.
//
// The tests that need no server of their own run a second time on a cluster of
// three nodes, with each client on another one; see cluster_test.go.
package seedtest
