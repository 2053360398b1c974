// Package clustertest holds the tests of several nodes on one PostgreSQL and one
// Redis: what one does is known to the others, and killing any of them, or
// Redis, while messages flow loses nothing. The prototype's own protocol is
// tried on a cluster by package seedtest.
package clustertest
