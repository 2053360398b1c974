package session

import (
	"context"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/wire"
)

// typing is whether the others are shown this user as typing.
type typing struct {
	// Fixed after construction.
	rooms *room.Service
	by    chat.Principal
	room  chat.RoomID

	// mu is held while the state is passed on, so that the others see its
	// changes in order.
	mu     sync.Mutex
	on     bool
	at     time.Time // when it was passed on last
	until  time.Time // when it ends by itself
	expire *time.Timer
}

func (s *Session) setTyping(on bool) {
	if s.typing == nil {
		s.typing = &typing{rooms: s.srv.Rooms, by: s.by, room: s.room}
	}
	_ = s.typing.set(on) // the seed profile answers nothing to typing
}

// set passes the state on if it has changed, or was passed on a while ago. A
// state that the client does not repeat ends by itself. The error says that the
// user may not post.
func (t *typing) set(on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopTimer()
	now := time.Now()
	if on {
		t.until = now.Add(wire.TypingExpiry)
		t.expire = time.AfterFunc(wire.TypingExpiry, t.lapse)
	}
	if on != t.on || now.Sub(t.at) >= typingEvery {
		t.on, t.at = on, now
		return t.pass()
	}
	return nil
}

// lapse runs when the client has not repeated its state. It may come late,
// when the state has just been repeated after all.
func (t *typing) lapse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		t.end()
	}
}

// stop ends typing with the session.
func (t *typing) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

// end takes back what the others are shown. The caller holds mu.
func (t *typing) end() {
	t.stopTimer()
	if t.on {
		t.on = false
		_ = t.pass() // what is not taken back expires
	}
}

func (t *typing) stopTimer() {
	if t.expire != nil {
		t.expire.Stop()
		t.expire = nil
	}
}

// typingPatience bounds what a look at the user's rights may take.
const typingPatience = time.Second

func (t *typing) pass() error {
	ctx, cancel := context.WithTimeout(context.Background(), typingPatience)
	defer cancel()
	return t.rooms.Typing(ctx, t.by, t.room, t.on)
}
