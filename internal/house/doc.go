// Package house keeps the house in order: its tests hold the rules that no
// compiler does, for every package and page of the tree. It has no code of
// its own; internal/house/summary is the command that `make test` runs tests
// with.
package house
