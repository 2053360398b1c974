package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"tertulia/client"
)

// ChatCmd is a terminal client that works by lines: what is typed or piped in
// is sent, what others say is written out. On a terminal it goes on until it
// is told to leave; otherwise until the last line is acknowledged.
type ChatCmd struct {
	Room     string        `arg:"" default:"1" help:"Room to enter."`
	History  *int          `placeholder:"N" help:"Show the last N messages first, at most 200. 50 on a terminal, else 0."`
	Wait     time.Duration `help:"Listen on for so long after the last line of a pipe or file."`
	Commands bool          `help:"Take lines that begin with / as commands in a pipe or file too."`
	Debug    bool          `help:"Show every frame, in both directions, on stderr."`
	ConnectFlags
}

func (ChatCmd) Help() string {
	return `What others say goes to stdout, everything else to stderr. On a terminal, lines that begin with / are commands (/help lists them) and // sends a slash.

When the input is no terminal, every line is sent in order, and the command ends when the last one is stored. Empty lines are left out. A lost connection is made again, and nothing is sent twice.

Ends with exit code 4 if the server refuses, and 5 if it cannot be reached.

Examples:

    USER_ID=1 USERNAME=Alice tertulia chat 1
    tertulia chat --server wss://chat.example.org general
    echo "build 42 is out" | tertulia chat 1 --username ci
    tertulia chat 1 --history 20 --wait 1m </dev/null
    printf '/ping\n/stats\n' | tertulia chat 1 --commands`
}

// Validate is called by the parser.
func (c *ChatCmd) Validate() error {
	switch {
	case c.History != nil && (*c.History < 0 || *c.History > maxHistory):
		return fmt.Errorf("--history is from 0 to %d", maxHistory)
	case c.Wait < 0:
		return errors.New("--wait is not negative")
	}
	return c.ConnectFlags.Validate()
}

const (
	// maxHistory is docs/protocol.md §9.
	maxHistory = 200
	// terminalHistory is what a person sees first.
	terminalHistory = 50
	// maxPending bounds the lines that wait for their acknowledgement; no more
	// input is read then.
	maxPending = 100
)

func (c *ChatCmd) Run(ctx context.Context, io IO) error {
	room, err := roomID(c.Room)
	if err != nil {
		return err
	}
	s := newConversation(c, io)
	s.client, err = client.Open(s.server, c.options(s, io)...)
	if err != nil {
		return errorWithHint(exitUsage, "see tertulia chat --help", "%s", sentence(err))
	}
	s.room = s.client.Room(room)
	return s.run(ctx, io.In)
}

func (c *ChatCmd) options(s *conversation, io IO) []client.Option {
	o := append(c.ConnectFlags.options(io.Env), client.WithOutbox(maxPending, 0))
	if c.Debug {
		o = append(o, client.WithTrace(s.trace))
	}
	return o
}

func newConversation(c *ChatCmd, io IO) *conversation {
	interactive := isTerminal(io.In)
	return &conversation{
		cmd:         c,
		server:      c.address(),
		env:         io.Env,
		interactive: interactive,
		commands:    interactive || c.Commands,
		localTime:   isTerminal(io.Out),
		nonces:      rand.Text() + "-",
		out:         io.Out,
		err:         lineWriter{to: io.Err},
		lines:       make(chan line),
		arrivals:    make(chan arrival),
		answers:     make(chan answer),
	}
}

// history is how much of the past to show.
func (s *conversation) history() int {
	switch h := s.cmd.History; {
	case h != nil:
		return *h
	case s.interactive:
		return terminalHistory
	}
	return 0
}
