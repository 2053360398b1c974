package client

import (
	"cmp"
	"slices"
	"time"

	"tertulia/chat"
)

// PresenceDetail says how much of who is here a room is subscribed with.
type PresenceDetail string

// The details (docs/protocol.md §15.3).
const (
	PresenceNone  PresenceDetail = "none"
	PresenceCount PresenceDetail = "count"
	PresenceList  PresenceDetail = "list"
)

// subscribeOptions are what a room is subscribed with.
type subscribeOptions struct {
	after    chat.Cursor
	history  int
	presence PresenceDetail
	receipts bool
}

// subscription is one room of the client. It exists from the first time that
// the room is spoken of, whether it is subscribed to or not.
type subscription struct {
	room   chat.RoomID
	opt    subscribeOptions
	wanted bool

	// asked is set while a subscribe waits for its answer, live after it was
	// answered, on the present connection.
	asked, live bool
	retryAt     time.Time // a retryable refusal asked to wait
	refusals    int
	started     bool        // it was subscribed to once
	cursor      chat.Cursor // the last event that came; zero before the first
	caughtUp    bool
	caughtUps   int
	tail        tail
	err         error // why it is not wanted any more

	// taken is the place of the slowest reader; nil Epoch before the first.
	taken   chat.Cursor
	readers map[*reader]bool

	// What the server said last.
	head            uint64
	presence        Presence
	presenceVersion uint64
	settings        chat.Settings
	my              Standing

	typing typingSignal
}

// typingSignal is the newest typing state; older ones are not worth sending.
type typingSignal struct {
	due    bool
	on     bool
	sentOn bool
	sentAt time.Time
}

// of returns the subscription of a room, and makes it if there is none.
func (p *protocol) of(room chat.RoomID) *subscription {
	s := p.rooms[room]
	if s == nil {
		s = &subscription{room: room, readers: map[*reader]bool{}, taken: p.kept.Cursors[room]}
		p.rooms[room] = s
	}
	return s
}

// subscribe has room subscribed to, now and after every cut. Options of a room
// that is subscribed to already change nothing before the next connection.
func (p *protocol) subscribe(room chat.RoomID, opt subscribeOptions) {
	s := p.of(room)
	s.opt = opt
	if s.wanted {
		return
	}
	s.wanted, s.err, s.retryAt = true, nil, time.Time{}
	if !s.started {
		s.cursor = s.taken
		if opt.after.Epoch != "" {
			s.cursor = opt.after
		}
	}
}

// unsubscribe takes it back.
func (p *protocol) unsubscribe(room chat.RoomID) {
	s := p.rooms[room]
	if s == nil || !s.wanted {
		return
	}
	if s.live || s.asked {
		p.unsubscribes = append(p.unsubscribes, room)
	}
	p.leave(s, nil)
}

// leave ends a subscription; why is nil if the program asked.
func (p *protocol) leave(s *subscription, why error) {
	s.wanted, s.live, s.asked, s.caughtUp, s.err = false, false, false, false, why
	p.emit(s.room, Unsubscribed{Room: s.room, Err: why})
}

// subscribeBatch is a subscribe on its way, with the rooms that are not
// answered yet.
type subscribeBatch struct{ rooms []*subscription }

// appendSubscribes appends what has to be subscribed to and what not any more.
func (p *protocol) appendSubscribes(out []outFrame, now time.Time) []outFrame {
	for _, room := range p.unsubscribes {
		out = append(out, textFrame(appendUnsubscribe(nil, p.nextID("u"), room)))
	}
	p.unsubscribes = nil
	var due []*subscription
	for _, s := range p.rooms {
		if s.wanted && !s.asked && !s.live && !now.Before(s.retryAt) {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b *subscription) int { return cmp.Compare(a.room, b.room) })
	perCommand := max(1, p.session.Limits.RoomsPerCommand)
	for batch := range slices.Chunk(due, perCommand) {
		for _, s := range batch {
			s.asked = true
		}
		id := p.nextID("s")
		p.waiting[id] = &subscribeBatch{rooms: batch}
		out = append(out, textFrame(appendSubscribe(nil, id, batch)))
	}
	return out
}

// answered settles one room of the batch, or all that are left if the answer
// names none.
func (b *subscribeBatch) answered(p *protocol, now time.Time, re string, in inbound) {
	switch in := in.(type) {
	case subscribedFrame:
		p.subscribed(b.take(p, re, in.room), in)
	case okFrame: // was subscribed already
		if s := b.take(p, re, in.room); s != nil {
			s.live = true
		}
	case inboxFrame:
		if s := b.take(p, re, inboxRoom); s != nil {
			s.live = true
		}
	case errorFrame:
		for in.room == "" && len(b.rooms) > 0 {
			p.refuse(b.take(p, re, b.rooms[0].room), now, in)
		}
		p.refuse(b.take(p, re, in.room), now, in)
	}
}

// take removes a room from the batch and returns it, nil if it is not there.
func (b *subscribeBatch) take(p *protocol, re string, room chat.RoomID) *subscription {
	i := slices.IndexFunc(b.rooms, func(s *subscription) bool { return s.room == room })
	if i < 0 {
		return nil
	}
	s := b.rooms[i]
	b.rooms = slices.Delete(b.rooms, i, i+1)
	if len(b.rooms) == 0 {
		delete(p.waiting, re)
	}
	s.asked = false
	return s
}

// refuse takes the server's refusal to subscribe to a room.
func (p *protocol) refuse(s *subscription, now time.Time, in errorFrame) {
	switch {
	case s == nil || !s.wanted:
	case in.retryable:
		s.retryAt = now.Add(in.err.RetryAfter + p.backoff.wait(s.refusals))
		s.refusals++
	default:
		p.leave(s, in.err)
	}
}

// subscribed begins the stream of a room, or goes on with it.
func (p *protocol) subscribed(s *subscription, in subscribedFrame) {
	if s == nil || !s.wanted {
		return
	}
	s.live, s.refusals, s.caughtUp = true, 0, false
	s.head, s.settings, s.my = in.event.Head, in.event.Settings, in.event.My
	s.presence, s.presenceVersion = Presence{}, in.version
	if in.event.Presence != nil {
		s.presence = *in.event.Presence
	}
	switch {
	case s.started && in.resumed:
	case s.started && in.gap != GapEpoch && in.cursor.Epoch == s.cursor.Epoch && in.cursor.Seq >= s.cursor.Seq:
		// The log was trimmed above us. What is kept of it, readers read.
		s.tail.begin(in.cursor)
	default:
		p.begin(s, in)
	}
	s.cursor, s.started = in.cursor, true
	p.emit(s.room, in.event)
}

// begin starts with a log that no reader has seen anything of, or continues
// after the cursor that the program gave.
func (p *protocol) begin(s *subscription, in subscribedFrame) {
	had := s.cursor
	start := in.cursor
	if len(in.history) > 0 {
		start = chat.Cursor{Epoch: in.epoch, Seq: in.history[0].stored.Seq - 1}
	}
	s.tail.begin(start)
	for _, d := range in.history {
		s.tail.add(itemOf(d))
		p.settleOwn(d.event)
	}
	s.tail.last = in.cursor
	switch {
	case had.Epoch == "" || in.resumed:
		s.taken = start
	case in.gap == GapRetention && had.Epoch == in.epoch:
		// Readers begin at the old place and read what is kept.
		s.taken = had
	default:
		s.taken = had // of another epoch, which readers notice
	}
	p.dirty = true
}

func itemOf(d durableFrame) item {
	return item{first: d.stored.Seq, last: d.stored.Cursor, event: d.event, size: d.size}
}

// takeDurable takes an event of a room's log.
func (p *protocol) takeDurable(in durableFrame) {
	p.settleOwn(in.event)
	s := p.rooms[in.stored.Room]
	if s == nil || !s.live {
		return
	}
	at := in.stored.Cursor
	switch {
	case s.cursor.Epoch == "": // after a gap to another log
		s.tail.begin(chat.Cursor{Epoch: at.Epoch, Seq: at.Seq - 1})
	case at.Epoch != s.cursor.Epoch || at.Seq > s.cursor.Seq+1:
		p.drop(violation("event %s of room %s does not follow %s", at, s.room, s.cursor))
		return
	case at.Seq <= s.cursor.Seq:
		return
	}
	s.cursor = at
	s.head = max(s.head, at.Seq)
	s.tail.add(itemOf(in))
	s.learn(in.event)
}

// learn keeps the room's settings as they are now.
func (s *subscription) learn(e Event) {
	if u, ok := e.(RoomUpdated); ok {
		s.settings = u.Settings
	}
}

// takeGap takes an announced hole in the stream.
func (p *protocol) takeGap(g Gap) {
	s := p.rooms[g.Room]
	if s == nil || !s.live || g.To < g.From {
		return
	}
	if g.Reason == GapEpoch { // the next event names the new epoch
		s.cursor = chat.Cursor{}
		return
	}
	p.jump(s, g.To, g)
}

// jump moves the stream to a seq without its event.
func (p *protocol) jump(s *subscription, to uint64, said Event) {
	if to <= s.cursor.Seq {
		return
	}
	first := s.cursor.Seq + 1
	s.cursor = chat.Cursor{Epoch: s.cursor.Epoch, Seq: to}
	s.tail.add(item{first: first, last: s.cursor, event: said})
}

func (p *protocol) takeSkip(in skipFrame) {
	if s := p.rooms[in.room]; s != nil && s.live {
		p.jump(s, in.to, nil)
	}
}

func (p *protocol) takeCaughtUp(in caughtUpFrame) {
	if s := p.rooms[in.room]; s != nil && s.live {
		s.caughtUp = true
		s.caughtUps++
	}
}

// takeUnsubscribed ends a subscription that the server has ended. The answer
// to unsubscribe finds it ended already.
func (p *protocol) takeUnsubscribed(in unsubscribedFrame) {
	s := p.rooms[in.room]
	if s == nil || !s.wanted || in.reason == "asked" {
		return
	}
	p.leave(s, &RemovedError{Room: s.room, Reason: in.reason})
}

// takePresence keeps who is here.
func (p *protocol) takePresence(in presenceFrame) {
	if s := p.rooms[in.room]; s != nil && in.version >= s.presenceVersion {
		s.presence, s.presenceVersion = in.presence, in.version
	}
}

func (p *protocol) takePresenceDiff(in presenceDiffFrame) {
	s := p.rooms[in.event.Room]
	if s == nil || !s.live || in.version > 0 && in.version <= s.presenceVersion {
		return
	}
	s.presenceVersion = max(s.presenceVersion, in.version)
	s.presence = s.presence.after(in)
	in.event.Count = s.presence.Count
	p.emit(s.room, in.event)
}

// maxNamed is how many users of a room the server names (docs/protocol.md §14.6).
const maxNamed = 200

// after returns the presence with a diff applied.
func (old Presence) after(in presenceDiffFrame) Presence {
	e := in.event
	named := slices.DeleteFunc(slices.Clone(old.Users), func(u chat.User) bool {
		same := func(o chat.User) bool { return o.ID == u.ID }
		return slices.ContainsFunc(e.Left, same) || slices.ContainsFunc(e.Joined, same)
	})
	gone := len(old.Users) - len(named)
	if len(named) < maxNamed {
		named = append(named, e.Joined[:min(len(e.Joined), maxNamed-len(named))]...)
	}
	now := Presence{Users: named, Count: max(0, old.Count-gone+len(e.Joined))}
	if in.counted {
		now.Count = e.Count
	}
	return now
}

// setTyping remembers the newest typing state, to be sent if the client is
// online; it is worth nothing later.
func (p *protocol) setTyping(now time.Time, room chat.RoomID, on bool) {
	s := p.rooms[room]
	if s == nil || !s.live {
		return
	}
	t := &s.typing
	t.on = on
	if t.due = on != t.sentOn || on && now.Sub(t.sentAt) >= typingRepeat; t.due {
		p.typists = append(p.typists, s)
	}
}

func (p *protocol) appendTypings(out []outFrame, now time.Time) []outFrame {
	for _, s := range p.typists {
		t := &s.typing
		if t.due && s.live {
			t.due, t.sentOn, t.sentAt = false, t.on, now
			out = append(out, textFrame(appendTyping(nil, s.room, t.on)))
		}
	}
	p.typists = nil
	return out
}
