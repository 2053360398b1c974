package main

import (
	"errors"
	"fmt"
)

// exitCode is what a command tells the shell; docs/operations.md has the
// table.
type exitCode int

const (
	exitOK          exitCode = 0
	exitFailure     exitCode = 1   // it did not work
	exitUsage       exitCode = 2   // wrong usage or configuration
	exitNotFound    exitCode = 3   // what was asked for does not exist
	exitRefused     exitCode = 4   // the server refused
	exitUnreachable exitCode = 5   // no server answered
	exitInterrupted exitCode = 130 // ended by a signal, as shells count it: 128+SIGINT
)

// commandError is how a command fails: with an exit code, one sentence that
// says what went wrong, and a hint that says what to do about it.
type commandError struct {
	code exitCode
	hint string
	err  error
}

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// errorWithHint makes the error that a command returns from Run. The format
// is a sentence in lower case; the hint may be empty.
func errorWithHint(code exitCode, hint, format string, args ...any) error {
	return &commandError{code: code, hint: hint, err: fmt.Errorf(format, args...)}
}

// codeOf returns the exit code that err asks for: that of the first
// [errorWithHint] in its chain, and exitFailure for any other error.
func codeOf(err error) exitCode {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*commandError](err); ok {
		return e.code
	}
	return exitFailure
}
