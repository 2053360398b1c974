package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// SendCmd posts one message, or each line of the input.
type SendCmd struct {
	Room string `arg:"" help:"Room to send to."`
	Text string `arg:"" optional:"" help:"What to send; each line of the input if left out."`
	JSON bool   `help:"Write an object for each message instead of its id."`
	ConnectFlags
}

func (SendCmd) Help() string {
	return `Writes the id of each message when the server has stored it, in the order of sending. Empty lines of the input are left out. A lost connection is made again, and nothing is sent twice.

Ends with exit code 3 if there is no such room, 4 if the server refuses, and 5 if it cannot be reached, or does not answer for --timeout; then nothing of what follows is sent.

Examples:

    tertulia send 1 "build 42 is out"
    echo "build 42 is out" | tertulia send 1 --username ci
    tertulia send 1 --json --token-file token.txt "build 42 is out"`
}

func (c *SendCmd) Run(ctx context.Context, io IO) error {
	room, err := roomID(c.Room)
	if err != nil {
		return err
	}
	conn, err := c.dial(ctx, io, client.WithOutbox(maxPending, 0))
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &sending{cmd: c, room: conn.Room(room), io: io}
	if c.Text != "" {
		return s.finish(ctx, s.post(ctx, 0, c.Text))
	}
	return s.finish(ctx, s.lines(ctx, io.In))
}

// sending is one run of [SendCmd].
type sending struct {
	cmd     *SendCmd
	room    *client.Room
	io      IO
	pending []post
}

// lines posts each line of in.
func (s *sending) lines(ctx context.Context, in stdio.Reader) error {
	r := bufio.NewReaderSize(in, chat.MaxContentBytes+len("\r\n"))
	for number := 1; ; number++ {
		text, tooLong, err := readLine(r)
		switch {
		case tooLong:
			return errorWithHint(exitRefused, "", "line %d was not sent: it is longer than %d bytes", number, chat.MaxContentBytes)
		case strings.TrimSpace(text) != "":
			if err := s.post(ctx, number, text); err != nil {
				return err
			}
		}
		if errors.Is(err, stdio.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the input: %w", err)
		}
	}
}

// post puts a message on its way; it waits for the oldest while too many are.
func (s *sending) post(ctx context.Context, line int, text string) error {
	for len(s.pending) >= maxPending {
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
	s.pending = append(s.pending, post{line, s.room.Post(text)})
	return nil
}

// finish waits for what is on its way, also if nothing more could be sent.
func (s *sending) finish(ctx context.Context, err error) error {
	for len(s.pending) > 0 {
		if failed := s.settle(ctx); failed != nil {
			return failed
		}
	}
	return err
}

// settle waits for the oldest message on its way and writes its id.
func (s *sending) settle(ctx context.Context) error {
	p := s.pending[0]
	s.pending = s.pending[1:]
	limited, cancel := context.WithTimeout(ctx, s.cmd.Timeout)
	defer cancel()
	sent, err := p.handle.Wait(limited)
	if err != nil && ctx.Err() == nil {
		return s.failed(p, limited, err)
	}
	if err != nil {
		return err
	}
	return s.said(sent)
}

// failed says which message came to nothing.
func (s *sending) failed(p post, limited context.Context, err error) error {
	name := "the message"
	if p.line > 0 {
		name = fmt.Sprintf("line %d", p.line)
	}
	if limited.Err() != nil {
		return errorWithHint(exitUnreachable, "", "no answer to %s within %s; it may or may not be stored", name, s.cmd.Timeout)
	}
	return errorWithHint(codeOf(refusal(err)), "", "%s was not sent: %s", name, sentence(err))
}

// said writes an acknowledgement.
func (s *sending) said(sent client.Sent) error {
	if !s.cmd.JSON {
		_, err := fmt.Fprintln(s.io.Out, sent.ID)
		return err
	}
	return writeObject(s.io.Out, struct {
		Room  chat.RoomID `json:"room"`
		ID    int64       `json:"message_id"`
		Seq   uint64      `json:"seq"`
		At    time.Time   `json:"timestamp"`
		Nonce chat.Nonce  `json:"nonce"`
	}{s.room.ID(), sent.ID, sent.Seq, sent.At, sent.Nonce})
}
