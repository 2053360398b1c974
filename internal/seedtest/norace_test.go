//go:build !race

package seedtest

const underRace = false
