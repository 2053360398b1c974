package config

import (
	"fmt"
	"strings"
)

// Source says where a value was given.
type Source struct {
	// Name is the flag with its dashes, the variable, or the path of the
	// file; it is empty for a default.
	Name string
	// Line and Column are the place in the file, from 1; 0 elsewhere.
	Line, Column int
}

func (s Source) String() string {
	switch {
	case s.Name == "":
		return "default"
	case s.Line == 0:
		return s.Name
	}
	return fmt.Sprintf("%s:%d:%d", s.Name, s.Line, s.Column)
}

// Problem is one thing wrong with a configuration.
type Problem struct {
	Source Source
	// Text is a sentence in lower case that says what is wrong and what to
	// write instead.
	Text string
}

func (p Problem) String() string { return p.Source.String() + ": " + p.Text }

// Error is a configuration that cannot be used. It holds everything found
// wrong, not only the first.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// unknown makes the problem of a name that nobody knows. Names are all that
// it could have been.
func unknown(what, name string, src Source, names []string) Problem {
	text := fmt.Sprintf("unknown %s %s", what, name)
	if near := Nearest(name, names); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return Problem{Source: src, Text: text}
}
