package session

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/wire"
)

// Receive takes one message from the client. It returns when the next may be
// read: at once, or when replies or posts in flight have made room. Nothing
// of frame is kept.
func (s *Session) Receive(frame []byte) {
	if s.faults.isOver() || !s.conn.Wait() {
		return
	}
	cmd, err := wire.DecodeCommand(frame)
	if err != nil {
		s.refuse(cmd, err)
		return
	}
	switch cmd.Type {
	case wire.TypeMessage:
		s.post(cmd)
	case wire.TypeTyping:
		s.setTyping(cmd.IsTyping)
	case wire.TypePing:
		s.replies.later(func(b []byte) []byte { return wire.AppendPong(b, cmd.ID, cmd.Echo) })
	}
}

func (s *Session) post(cmd wire.Command) {
	if s.srv.Log.Enabled(context.Background(), slog.LevelDebug) {
		s.srv.Log.Debug("message received", "conn_id", s.conn.ID(), "room_id", s.room, "user_id", s.user.ID, "nonce", cmd.Nonce, "bytes", len(cmd.Content))
	}
	place := s.replies.reserve()
	s.srv.Rooms.Post(room.Post{
		Room:    s.room,
		By:      chat.Principal{User: s.user},
		Nonce:   cmd.Nonce,
		Content: cmd.Content,
	}, func(p room.Posted, err error) {
		if err != nil {
			told := asError(err)
			s.replies.fill(place, func(b []byte) []byte { return wire.AppendError(b, cmd.ID, cmd.Nonce, told) })
			s.count(told)
			return
		}
		s.replies.fill(place, func(b []byte) []byte {
			return wire.AppendMessageSent(b, cmd.ID, &p.Event, p.Duplicate)
		})
	})
}

// refuse answers a command that was not understood.
func (s *Session) refuse(cmd wire.Command, err error) {
	told := asError(err)
	s.replies.later(func(b []byte) []byte { return wire.AppendError(b, cmd.ID, cmd.Nonce, told) })
	s.count(told)
}

// faults are the latest errors that were the client's.
type faults struct {
	mu   sync.Mutex
	at   []time.Time // within errorWindow, oldest first, at most maxErrors
	over bool        // there were maxErrors
}

// add notes one more and reports whether it is the one too many.
func (f *faults) add(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	past := 0
	for past < len(f.at) && now.Sub(f.at[past]) >= errorWindow {
		past++
	}
	f.at = append(slices.Delete(f.at, 0, past), now)
	f.over = len(f.at) == maxErrors
	return f.over
}

func (f *faults) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// count notes that the client was told of an error. One that makes too many
// itself is sent away, after the answers to what it asked before
// (docs/protocol.md §9).
func (s *Session) count(told *chat.Error) {
	if told.Code.Num() < firstServerFault && s.faults.add(time.Now()) {
		s.replies.end(s.srv.Framing.Close(nil, wire.CloseTooManyErrors, string(chat.TooManyErrors)))
	}
}

// firstServerFault is the lowest number of an error that is not the client's
// own (docs/protocol.md §7).
const firstServerFault = 1300
