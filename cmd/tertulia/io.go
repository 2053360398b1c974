package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IO is what a command may touch of the process around it: its three
// streams and its environment. Data goes to Out; everything said to a person
// beside the data goes to Err.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Env is the environment as KEY=value, like [os.Environ].
	Env []string
	// Name is how the person at the terminal calls this program.
	Name string
	// NoColor is set by --no-color, by a NO_COLOR variable that is not empty,
	// and for dumb terminals. No colour code is written then, on any stream.
	NoColor bool
}

// isTerminal reports whether stream, one of an IO's three, is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored reports whether colour codes may be written to stream.
func (io IO) colored(stream any) bool { return !io.NoColor && isTerminal(stream) }
