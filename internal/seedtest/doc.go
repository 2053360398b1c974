// Package seedtest holds whole-system tests: the tertulia binary is built,
// started, and driven over loopback as the prototype's clients would.
//
// Every statement that the prototype's document makes or implies has a number,
// S-001 to S-113, and every ambiguity in it a resolution, A1 to A25. The
// subtests carry these numbers in their names, and coverage_test.go holds
// that none is forgotten. What is not about the prototype is named by the
// section of docs/protocol.md that it comes from.
//
// The tests run a second time with clusters of three nodes in place of servers,
// and each client at another node; cluster_test.go names those that do not, and
// why.
package seedtest
