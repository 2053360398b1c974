//go:build race

package seedtest

// underRace says that the tests run with -race; the binary is then built with
// it too, is several times slower, and holds several times the memory.
const underRace = true
