package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"tertulia/chat"
	"tertulia/client"
)

// lineWriter writes whole lines, from any goroutine. What cannot be written
// to a person who has gone is nobody's fault here.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lineWriter) line(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	io.WriteString(w.to, s+"\n")
}

// notice says something beside the conversation.
func (s *conversation) notice(format string, args ...any) {
	s.err.line("* " + fmt.Sprintf(format, args...))
}

// trace shows a frame as it stands on the wire, but harmless.
func (s *conversation) trace(dir client.Direction, frame []byte) {
	arrow := "← "
	if dir == client.Posted {
		arrow = "→ "
	}
	s.err.line(arrow + neutralised(string(frame)))
}

// show writes an event out.
func (s *conversation) show(e client.Event) {
	switch e := e.(type) {
	case client.Subscribed:
		s.head = max(s.head, e.Head)
		s.roster.reset(e.Presence)
		s.welcome()
	case client.Message:
		delete(s.typists, e.From.ID)
		s.showMessage(e)
	case client.MessageEdited:
		if !e.Blank {
			s.notice("%s changed message %d: %s", neutralised(e.From.Name), e.TargetSeq, neutralised(e.Content))
		}
	case client.MessageDeleted:
		s.notice("%s deleted message %d", neutralised(e.From.Name), e.TargetSeq)
	case client.PresenceChanged:
		s.showPresence(e)
	case client.Typing:
		s.showTyping(e)
	case client.Gap:
		s.notice("%s", describeGap(e))
	case client.ConnectionState:
		s.showState(e)
	case client.ServerError:
		s.notice("the server says: %s", sentence(e.Err))
	case client.Malformed:
		s.notice("something came that could not be understood: %s", sentence(e.Err))
	}
}

// showPresence says who has come and gone.
func (s *conversation) showPresence(e client.PresenceChanged) {
	for _, u := range e.Joined {
		s.roster.add(u)
		s.notice("%s joined", neutralised(u.Name))
	}
	for _, u := range e.Left {
		delete(s.typists, u.ID)
		s.roster.remove(u)
		s.notice("%s left", neutralised(u.Name))
	}
	s.roster.more = max(0, e.Count-len(s.roster.users))
}

// welcome greets a person who comes in; in a pipe nobody wants to read it.
func (s *conversation) welcome() {
	switch {
	case s.trouble != "" && s.onceOnline:
		s.notice("connected again")
	case s.interactive && !s.onceOnline:
		s.notice("you are %s in room %s at %s, %d here; /help lists the commands",
			neutralised(s.client.Session().User.Name), s.cmd.Room, s.server, s.roster.count())
	}
	s.online, s.onceOnline = true, true
	s.trouble, s.unreached = "", nil
}

// showMessage writes what somebody said, on one line. What was typed here
// stands on the screen already, or in the file that it came from.
func (s *conversation) showMessage(m client.Message) {
	if m.From.ID == s.client.Session().User.ID && strings.HasPrefix(string(m.Nonce), s.nonces) {
		return
	}
	at := m.At.UTC().Format(time.RFC3339)
	if s.localTime {
		at = localTime(m.At.Local(), time.Now())
	}
	if m.Deleted {
		return
	}
	fmt.Fprintf(s.out, "%s  %s  %s\n", at, neutralised(m.From.Name), neutralised(m.Content))
}

// localTime is an instant for people: today's without the date.
func localTime(at, now time.Time) string {
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// showTyping says only that somebody begins to type: the text that follows
// says the rest.
func (s *conversation) showTyping(e client.Typing) {
	if !e.On {
		delete(s.typists, e.User.ID)
		return
	}
	if s.typists[e.User.ID] {
		return
	}
	if s.typists == nil {
		s.typists = make(map[chat.UserID]bool)
	}
	s.typists[e.User.ID] = true
	s.notice("%s is typing", neutralised(e.User.Name))
}

// showState says once that the server is gone; [conversation.welcome] says
// that it is back.
func (s *conversation) showState(e client.ConnectionState) {
	if e.State != client.Waiting {
		return
	}
	first := s.trouble == ""
	s.trouble = sentence(e.Err)
	if e.Reason != "" && e.Code >= 4000 {
		s.trouble = neutralised(e.Reason)
	}
	s.online = false
	if s.unreached == nil && !s.interactive {
		s.unreached = time.After(s.cmd.Timeout)
	}
	switch {
	case !first:
	case s.onceOnline:
		s.notice("connection lost (%s); reconnecting in %.1f s", s.trouble, max(0, time.Until(e.RetryAt).Seconds()))
	default:
		s.notice("cannot reach %s: %s; trying for %v. Is it running? curl %s", s.server, s.trouble, s.cmd.Timeout, httpURL(s.server, "/health"))
	}
}

func describeGap(g client.Gap) string {
	switch {
	case g.Reason == client.GapEpoch:
		return "the room's history was changed by the server; what stands above may no longer be in it"
	case g.Reason == client.GapRetention:
		return fmt.Sprintf("messages %d to %d are no longer kept", g.From, g.To)
	}
	return fmt.Sprintf("messages %d to %d are not for you", g.From, g.To)
}

// neutralised returns text from others on one line and without anything that
// a terminal would obey: control characters, those of C1 included, become
// visible, and so do characters that turn the direction of writing.
func neutralised(s string) string {
	if !strings.ContainsFunc(s, isObeyed) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !isObeyed(r):
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune('␀' + r)
		case r == '\x7f':
			b.WriteRune('␡')
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func isObeyed(r rune) bool {
	switch {
	case r == '\t':
		return false
	case r == '\u2028', r == '\u2029': // line and paragraph separator
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// count is a number with the word for one or for many.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// roster is who is in the room, as far as the server names them.
type roster struct {
	users []chat.User
	more  int // those it does not name
}

func (r *roster) reset(p *client.Presence) {
	*r = roster{}
	if p != nil {
		r.users = slices.Clone(p.Users)
		r.more = max(0, p.Count-len(p.Users))
	}
}

func (r *roster) add(u chat.User) {
	r.remove(u)
	r.users = append(r.users, u)
}

func (r *roster) remove(u chat.User) {
	r.users = slices.DeleteFunc(r.users, func(other chat.User) bool { return other.ID == u.ID })
}

func (r *roster) count() int { return len(r.users) + r.more }

func (r *roster) String() string {
	names := make([]string, len(r.users))
	for i, u := range r.users {
		names[i] = neutralised(u.Name)
	}
	if r.more > 0 {
		names = append(names, fmt.Sprintf("and %d more", r.more))
	}
	return fmt.Sprintf("%d here: %s", r.count(), strings.Join(names, ", "))
}
