package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// ChatCmd is a terminal client that works by lines: what is typed or piped in
// is sent, what others say is written out. On a terminal it goes on until it
// is told to leave; otherwise until the last line is acknowledged.
type ChatCmd struct {
	Room     string        `arg:"" default:"1" help:"Room to enter."`
	Server   string        `placeholder:"URL" env:"TERTULIA_SERVER" help:"Server to connect to; http:// and https:// will do too. ws://127.0.0.1:8000 if nothing is said."`
	UserID   string        `name:"user-id" placeholder:"ID" env:"TERTULIA_USER_ID" help:"Who you are. Else the variable USER_ID, else your name."`
	Username string        `placeholder:"NAME" env:"TERTULIA_USERNAME" help:"The name that others see. Else the variable USERNAME, else that of your login."`
	History  *int          `placeholder:"N" help:"Show the last N messages first, at most 200. As the server has it on a terminal, else 0."`
	Timeout  time.Duration `default:"30s" help:"How long to try to reach the server. On a terminal a connection that was there once is tried for ever."`
	Wait     time.Duration `help:"Listen on for so long after the last line of a pipe or file."`
	Commands bool          `help:"Take lines that begin with / as commands in a pipe or file too."`
	Debug    bool          `help:"Show every frame, in both directions, on stderr."`
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
	case c.Timeout <= 0:
		return errors.New("--timeout is longer than nothing")
	case c.Wait < 0:
		return errors.New("--wait is not negative")
	}
	return nil
}

const (
	defaultServer = "ws://127.0.0.1:8000"
	// maxHistory is docs/protocol.md §9.
	maxHistory = 200
	// maxPending bounds the lines that wait for their acknowledgement; no more
	// input is read then.
	maxPending = 100
)

func (c *ChatCmd) Run(ctx context.Context, io IO) error {
	s := newConversation(c, io)
	room, err := client.Open(c.options(s))
	if err != nil {
		return errorWithHint(exitUsage, "see tertulia chat --help", "%s", sentence(err))
	}
	s.room = room
	return s.run(ctx, io.In)
}

func (c *ChatCmd) options(s *conversation) client.Options {
	o := client.Options{
		URL:     s.server,
		Room:    chat.RoomID(c.Room),
		User:    s.user,
		History: s.history(),
		Outbox:  maxPending,
	}
	if c.Debug {
		o.Trace = s.trace
	}
	return o
}

// identity is who the user is, from the flags and the environment. Without a
// word about it, everybody on one machine is who they are logged in as.
func (c *ChatCmd) identity(env []string) chat.User {
	name := cmp.Or(c.Username, variable(env, "USERNAME"), variable(env, "USER"), "guest")
	id := cmp.Or(c.UserID, variable(env, "USER_ID"), name)
	return chat.User{ID: chat.UserID(id), Name: name}
}

// variable returns the value of an environment variable; the last one counts.
func variable(env []string, name string) (value string) {
	for _, entry := range env {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v
		}
	}
	return value
}

func newConversation(c *ChatCmd, io IO) *conversation {
	interactive := isTerminal(io.In)
	return &conversation{
		cmd:         c,
		server:      strings.TrimSuffix(cmp.Or(c.Server, defaultServer), "/"),
		user:        c.identity(io.Env),
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

// history is client.Options.History.
func (s *conversation) history() int {
	switch h := s.cmd.History; {
	case h == nil && s.interactive:
		return 0 // what the server has for everybody
	case h == nil || *h == 0:
		return -1
	default:
		return *h
	}
}

// httpURL is the server's address for plain requests.
func (s *conversation) httpURL(path string) string {
	u, err := url.Parse(s.server)
	if err != nil { // the client has refused it already
		return s.server + path
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	return u.String() + path
}

// unreachable is the end when the server could not be reached in time.
func (s *conversation) unreachable() error {
	return errorWithHint(exitUnreachable, "is it running? check with: curl "+s.httpURL("/health"),
		"cannot reach %s: %s", s.server, cmp.Or(s.trouble, "no answer within "+s.cmd.Timeout.String()))
}

// refusal is the end when the server does not want this client.
func refusal(err error) error {
	if e, ok := errors.AsType[*client.RefusedError](err); ok {
		why := cmp.Or(neutralised(e.Reason), e.Error())
		if word, ok := errors.AsType[*chat.Error](e.Err); ok {
			why = neutralised(fmt.Sprintf("%s (%s)", word.Message, word.Code))
		}
		return errorWithHint(exitRefused, "", "the server refused: %s", why)
	}
	return err
}

// sentence says an error to a person: without the codes of programs, and of
// network errors only what went wrong.
func sentence(err error) string {
	if e, ok := errors.AsType[*chat.Error](err); ok {
		return neutralised(e.Message)
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err.Error()
	}
	return neutralised(err.Error())
}
