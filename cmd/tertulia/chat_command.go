package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tertulia/client"
	"tertulia/internal/config"
)

// chatCommand is what a line that begins with a slash asks for.
type chatCommand struct {
	name, args, help string
	run              func(s *conversation, ctx context.Context, arg string) error
}

var (
	// errArgument is what a command returns that cannot use its argument.
	errArgument  = errors.New("not understood")
	errNotOnline = errors.New("there is no connection at the moment")
)

// chatCommands is filled by init, for help reads it.
var chatCommands []chatCommand

func init() {
	chatCommands = []chatCommand{
		{"ping", "", "how long a round trip to the server takes", (*conversation).ping},
		{"typing", "[on|off]", "tell the others that you are typing, or have stopped", (*conversation).typing},
		{"stats", "", "rooms and connections of the server", (*conversation).stats},
		{"who", "", "who is here", (*conversation).who},
		{"help", "", "this list", (*conversation).help},
		{"quit", "", "leave", (*conversation).quit},
	}
}

// obey runs the command in a line. Nothing of the line is ever sent.
func (s *conversation) obey(ctx context.Context, l line) {
	name, arg, _ := strings.Cut(strings.TrimSpace(l.text[1:]), " ")
	for _, c := range chatCommands {
		if c.name != name {
			continue
		}
		if err := c.run(s, ctx, strings.TrimSpace(arg)); err != nil {
			s.misused(fmt.Sprintf("usage: /%s %s", c.name, c.args))
		}
		return
	}
	hint := "/help lists the commands"
	if near := nearestCommand(name); near != "" {
		hint = "did you mean /" + near + "?"
	}
	s.misused(fmt.Sprintf("unknown command /%s, nothing was sent; %s", neutralised(name), hint))
}

// misused says what was wrong with a command; in a script that is a failure.
func (s *conversation) misused(what string) {
	if s.failed++; s.failed == 1 {
		s.code = exitUsage
	}
	s.notice("%s", strings.TrimSpace(what))
}

// ask has f answer a command beside the loop.
func (s *conversation) ask(ctx context.Context, f func(context.Context) (string, error)) {
	s.asked++
	s.joined.Go(func() {
		limited, cancel := context.WithTimeoutCause(ctx, s.cmd.Timeout, errors.New("no answer in time"))
		defer cancel()
		text, err := f(limited)
		select {
		case s.answers <- answer{text, err}:
		case <-ctx.Done():
		}
	})
}

// answered writes what a command came to.
func (s *conversation) answered(a answer) {
	s.asked--
	if a.err != nil {
		s.notice("%s", sentence(a.err))
		return
	}
	fmt.Fprintln(s.out, a.text)
}

func (s *conversation) ping(ctx context.Context, arg string) error {
	if arg != "" {
		return errArgument
	}
	s.ask(ctx, func(ctx context.Context) (string, error) {
		rtt, err := s.client.Ping(ctx)
		if errors.Is(err, client.ErrOffline) {
			err = errNotOnline
		}
		return fmt.Sprintf("pong %.1f ms", float64(rtt)/float64(time.Millisecond)), err
	})
	return nil
}

func (s *conversation) typing(_ context.Context, arg string) error {
	if arg != "" && arg != "on" && arg != "off" {
		return errArgument
	}
	if !s.online {
		s.notice("%s", errNotOnline)
		return nil
	}
	s.room.Typing(arg != "off")
	return nil
}

func (s *conversation) who(_ context.Context, arg string) error {
	if arg != "" {
		return errArgument
	}
	fmt.Fprintln(s.out, s.roster.String())
	return nil
}

func (s *conversation) help(_ context.Context, _ string) error {
	for _, c := range chatCommands {
		fmt.Fprintf(s.out, "%-18s %s\n", strings.TrimSpace("/"+c.name+" "+c.args), c.help)
	}
	fmt.Fprintf(s.out, "%-18s %s\n", "//text", "send /text")
	return nil
}

func (s *conversation) quit(_ context.Context, arg string) error {
	if arg != "" {
		return errArgument
	}
	s.left = true
	return nil
}

// nearestCommand returns the command that was most likely meant, or nothing.
func nearestCommand(name string) string {
	var names []string
	for _, c := range chatCommands {
		names = append(names, c.name)
	}
	return config.Nearest(name, names)
}
