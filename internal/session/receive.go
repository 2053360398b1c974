package session

import (
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
	if err == nil {
		err = s.allow(cmd.Type, s.room)
	}
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
	s.logReceived(s.room, s.by.User.ID, &cmd)
	place := s.replies.reserve()
	s.srv.Rooms.Post(room.Post{
		Room:    s.room,
		By:      s.by,
		Nonce:   cmd.Nonce,
		Content: cmd.Content,
		Conn:    s.conn.ID(),
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
