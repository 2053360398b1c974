package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// conversation is one run of [ChatCmd]. One goroutine, the loop, owns its
// state; the others hand over what they read.
type conversation struct {
	// Fixed before run.
	cmd         *ChatCmd
	server      string
	env         []string
	client      *client.Client
	room        *client.Room
	interactive bool   // the input is a terminal
	commands    bool   // lines that begin with / are commands
	localTime   bool   // the output is a terminal
	nonces      string // what our nonces begin with

	out io.Writer // owned by the loop
	err lineWriter

	// Handed over to the loop.
	lines    chan line // closed at the end of the input
	readErr  error     // why the input ended; read after lines is closed
	arrivals chan arrival
	answers  chan answer
	joined   sync.WaitGroup

	// Owned by the loop.
	pending     []post
	asked       int // commands that wait for their answer
	failed      int
	code        exitCode // of the first line that failed
	inputEnded  bool
	left        bool // by /quit
	online      bool
	onceOnline  bool
	trouble     string           // why the server could not be reached, empty while it can
	unreached   <-chan time.Time // the server could not be reached in time
	enough      <-chan time.Time // everything is done and was listened after
	at, head    uint64           // seq shown, and to be shown before leaving
	roster      roster
	typists     map[chat.UserID]bool
	saidWaiting bool
}

// line is one line of the input, counted from 1.
type line struct {
	number  int
	text    string
	tooLong bool
}

// arrival is an event, or the end of the room.
type arrival struct {
	event client.Event
	err   error
}

// seqOf is the seq that an event leaves a reader at, 0 for one that moves none.
func seqOf(e client.Event) uint64 {
	switch e := e.(type) {
	case client.Durable:
		return e.Place().Seq
	case client.CaughtUp:
		return e.Seq
	case client.Gap:
		return e.To
	}
	return 0
}

// answer is what a command came to.
type answer struct {
	text string
	err  error
}

// post is a line on its way.
type post struct {
	line   int
	handle *client.Outgoing
}

// maxAsked bounds the commands that wait for their answers.
const maxAsked = 8

// catchUp is how long to wait, before leaving, for what others said before
// our own last line was stored.
const catchUp = time.Second

// run holds the conversation until it has come to its end, or ctx ends.
func (s *conversation) run(ctx context.Context, in io.Reader) error {
	inner, cancel := context.WithCancel(ctx)
	s.joined.Go(func() { s.pump(inner) })
	// Nothing can interrupt a read from a terminal. This goroutine may stay
	// behind in one; it is the process's own then, and ends with it.
	go s.read(inner, in)
	s.unreached = time.After(s.cmd.Timeout)
	err := s.loop(inner)
	cancel()
	s.client.Close()
	s.joined.Wait()
	s.reportPending()
	if err == nil && s.failed > 0 && !s.interactive {
		err = errorWithHint(s.code, "", "%s not sent", count(s.failed, "line was", "lines were"))
	}
	return err
}

func (s *conversation) loop(ctx context.Context) error {
	for !s.finished() {
		s.sayWaiting()
		s.listenOn()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a := <-s.arrivals:
			if a.err != nil {
				return refusal(a.err)
			}
			s.at = max(s.at, seqOf(a.event))
			s.show(a.event)
		case l, ok := <-s.input():
			if !ok {
				s.inputEnded = true
				if s.readErr != nil {
					return fmt.Errorf("read the input: %w", s.readErr)
				}
				continue
			}
			s.take(ctx, l)
		case <-s.settled():
			s.settle()
		case a := <-s.answers:
			s.answered(a)
		case <-s.unreached:
			return s.cmd.unreachable(s.trouble)
		case <-s.enough:
			return nil
		}
	}
	return nil
}

// done reports whether there is nothing more to send and nothing to wait for.
func (s *conversation) done() bool {
	return (s.inputEnded || s.left) && len(s.pending) == 0 && s.asked == 0
}

// finished reports whether nothing is left to do. From a pipe, what others
// said before our last line is still shown, so that the same conversation
// always gives the same output.
func (s *conversation) finished() bool {
	switch {
	case !s.done():
		return false
	case s.interactive || s.left:
		return true
	}
	return s.onceOnline && s.cmd.Wait == 0 && (s.at >= s.head || !s.online)
}

// listenOn sets the end of a conversation from a pipe that is only listening
// any more.
func (s *conversation) listenOn() {
	if s.enough == nil && s.onceOnline && s.done() {
		s.enough = time.After(cmp.Or(s.cmd.Wait, catchUp))
	}
}

// sayWaiting explains once why a person who has left is still here.
func (s *conversation) sayWaiting() {
	if (s.inputEnded || s.left) && s.interactive && len(s.pending) > 0 && !s.online && !s.saidWaiting {
		s.saidWaiting = true
		s.notice("waiting until %s stored; Ctrl+C leaves without", count(len(s.pending), "message is", "messages are"))
	}
}

// input is where the next line comes from; nil while none is wanted. From a
// pipe nothing is taken before it can be sent.
func (s *conversation) input() <-chan line {
	if s.inputEnded || s.left || len(s.pending) >= maxPending || s.asked >= maxAsked || !s.interactive && !s.onceOnline {
		return nil
	}
	return s.lines
}

// settled is closed when the oldest line on its way has arrived or failed.
func (s *conversation) settled() <-chan struct{} {
	if len(s.pending) == 0 {
		return nil
	}
	return s.pending[0].handle.Done()
}

func (s *conversation) settle() {
	p := s.pending[0]
	s.pending = s.pending[1:]
	sent, err := p.handle.Result()
	if err == nil {
		s.head = max(s.head, sent.Seq)
		return
	}
	if errors.Is(err, client.ErrUnknown) {
		s.fail(exitFailure, p.line, "may or may not be stored", err)
		return
	}
	s.fail(exitRefused, p.line, "was not sent", err)
}

// fail says that a line came to nothing.
func (s *conversation) fail(code exitCode, number int, what string, err error) {
	if s.failed++; s.failed == 1 {
		s.code = code
	}
	name := "the message"
	if !s.interactive {
		name = fmt.Sprintf("line %d", number)
	}
	s.notice("%s %s: %s", name, what, sentence(err))
}

// reportPending says what became of the lines that were on their way when the
// conversation ended; by then all of them have.
func (s *conversation) reportPending() {
	unsent, unknown := 0, 0
	for _, p := range s.pending {
		switch _, err := p.handle.Result(); {
		case errors.Is(err, client.ErrUnknown):
			unknown++
		case err != nil:
			unsent++
		}
	}
	if unsent > 0 {
		s.notice("%s not sent", count(unsent, "message was", "messages were"))
	}
	if unknown > 0 {
		s.notice("%s or may not be stored", count(unknown, "message may", "messages may"))
	}
}

// take sends a line or obeys it.
func (s *conversation) take(ctx context.Context, l line) {
	text := l.text
	switch {
	case l.tooLong:
		s.fail(exitRefused, l.number, "was not sent", chat.Errorf(chat.TooLarge, "It is longer than %d bytes.", chat.MaxContentBytes))
		return
	case strings.TrimSpace(text) == "":
		return
	case s.commands && strings.HasPrefix(text, "//"):
		text = text[1:]
	case s.commands && text[0] == '/':
		s.obey(ctx, l)
		return
	}
	nonce := chat.Nonce(fmt.Sprint(s.nonces, l.number))
	s.pending = append(s.pending, post{l.number, s.room.PostAs(nonce, text)})
}

// read hands over the lines of in.
func (s *conversation) read(ctx context.Context, in io.Reader) {
	defer close(s.lines)
	r := bufio.NewReaderSize(in, chat.MaxContentBytes+len("\r\n"))
	for number := 1; ; number++ {
		text, tooLong, err := readLine(r)
		if text != "" || tooLong {
			select {
			case s.lines <- line{number, text, tooLong}:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.readErr = err
			}
			return
		}
	}
}

// readLine returns the next line without its end. A line that r's buffer
// cannot hold is read over.
func readLine(r *bufio.Reader) (text string, tooLong bool, err error) {
	part, err := r.ReadSlice('\n')
	text = strings.TrimSuffix(strings.TrimSuffix(string(part), "\n"), "\r")
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong, text = true, ""
		_, err = r.ReadSlice('\n')
	}
	return text, tooLong, err
}

// pump enters the room and hands over what happens there.
func (s *conversation) pump(ctx context.Context) {
	s.room.Follow(client.Recent(s.history()), client.WithPresence(client.PresenceList))
	for e, err := range s.room.Events(ctx) {
		if ctx.Err() != nil {
			return
		}
		select {
		case s.arrivals <- arrival{e, err}:
		case <-ctx.Done():
			return
		}
	}
}
