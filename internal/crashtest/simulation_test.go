package crashtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tertulia/chat"
)

// bug is what is wrong with a simulated server.
type bug int

const (
	sound bug = iota
	acksBeforeCommit
	forgetsReader
	forgetsNonces
	repeatsDelivery
	redeliversAfterResume
	inventsMessage
	storesWhatItRefused
	deliversUnsent
	skipsSeq
	headIsAhead
	skipsDelivery
	resumesAhead
	swapsDeliveries
	tellsReadersDifferently
	acksOtherSeq
	acksOtherID
	changesContent
	overtakesWithin
	acksOutOfOrder
)

// simulation is a server and its clients in memory, with crashes.
type simulation struct {
	rnd     *rand.Rand
	bug     bug
	fired   int // how often the bug has shown
	history *History
	server  simServer
	writers []*simWriter
	readers []*simReader
	nextID  int64
}

type simServer struct {
	rooms map[chat.RoomID]*simRoom
}

type simRoom struct {
	log     []Message // committed
	pending []Message // acknowledged too early, lost in a crash
	stored  map[Key]Message
}

// simWriter is a sender: its outbox in order, what is on its way to the
// server, and what is on its way back.
type simWriter struct {
	user    chat.UserID
	room    chat.RoomID
	made    int
	unacked []simPost
	up      []simPost
	down    []simAnswer
}

type simPost struct {
	nonce   chat.Nonce
	content string
	again   bool // not the first attempt
}

type simAnswer struct {
	nonce chat.Nonce
	seq   uint64
	id    int64
}

type simReader struct {
	reader *Reader
	room   chat.RoomID
	next   int // index in the log
}

// run plays one history and returns the checker's report.
func run(seed uint64, b bug) (Report, int) {
	s := &simulation{
		rnd:     rand.New(rand.NewPCG(seed, 7)),
		bug:     b,
		history: NewHistory(),
		server:  simServer{rooms: make(map[chat.RoomID]*simRoom)},
	}
	rooms := []chat.RoomID{"own", "shared"}
	for _, id := range rooms {
		s.server.rooms[id] = &simRoom{stored: make(map[Key]Message)}
		for i := range 2 {
			r := &simReader{room: id, reader: s.history.Reader(id, fmt.Sprintf("%s-%d", id, i))}
			r.reader.Connected(0)
			s.readers = append(s.readers, r)
		}
	}
	s.writers = []*simWriter{{user: "1", room: "own"}, {user: "2", room: "shared"}, {user: "3", room: "shared"}}
	for range 400 {
		s.step()
	}
	s.finishTraffic()
	return s.tellStore(), s.fired
}

// fires reports whether bug b shows now; one chance in n.
func (s *simulation) fires(b bug, n int) bool {
	if s.bug != b || s.rnd.IntN(n) > 0 {
		return false
	}
	if b != acksBeforeCommit { // which shows when something is lost
		s.fired++
	}
	return true
}

func (s *simulation) step() {
	w := s.writers[s.rnd.IntN(len(s.writers))]
	r := s.readers[s.rnd.IntN(len(s.readers))]
	switch n := s.rnd.IntN(100); {
	case n < 3:
		s.crash()
	case n < 30:
		s.post(w)
	case n < 55:
		s.process(w)
	case n < 75:
		s.answer(w)
	default:
		s.deliver(r)
	}
}

func (s *simulation) post(w *simWriter) {
	if len(w.unacked) == 8 {
		return
	}
	w.made++
	p := simPost{nonce: chat.Nonce(fmt.Sprintf("n%d", w.made)), content: fmt.Sprintf("text %d of %s", w.made, w.user)}
	w.unacked = append(w.unacked, p)
	s.send(w, p)
}

func (s *simulation) send(w *simWriter, p simPost) {
	s.history.Sent(Key{w.room, w.user, p.nonce}, p.content)
	w.up = append(w.up, p)
}

// process has the server take one command of w.
func (s *simulation) process(w *simWriter) {
	if len(w.up) == 0 {
		return
	}
	room := s.server.rooms[w.room]
	take := 0
	if len(w.up) > 1 && !room.has(w, w.up[0]) && !room.has(w, w.up[1]) && s.fires(overtakesWithin, 10) {
		take = 1
	}
	p := w.up[take]
	w.up = slices.Delete(w.up, take, take+1)
	if s.bug != overtakesWithin && !p.again && s.rnd.IntN(20) == 0 {
		if s.fires(storesWhatItRefused, 2) {
			s.append(w, room, p)
		}
		s.refuse(w, p)
		return
	}
	m := s.append(w, room, p)
	w.down = append(w.down, simAnswer{nonce: p.nonce, seq: m.Seq, id: m.ID})
}

// refuse answers at once, with all answers before this one. If a refusal were
// lost on its way, its message would rightly be stored after later ones.
func (s *simulation) refuse(w *simWriter, p simPost) {
	for len(w.down) > 0 {
		s.answer(w)
	}
	w.unacked = slices.DeleteFunc(w.unacked, func(q simPost) bool { return q.nonce == p.nonce })
	s.history.Refused(Key{w.room, w.user, p.nonce})
}

func (r *simRoom) has(w *simWriter, p simPost) bool {
	_, ok := r.stored[Key{w.room, w.user, p.nonce}]
	return ok
}

// append stores a post, or finds it stored.
func (s *simulation) append(w *simWriter, room *simRoom, p simPost) Message {
	k := Key{w.room, w.user, p.nonce}
	if m, ok := room.stored[k]; ok && !s.fires(forgetsNonces, 1) {
		return m
	}
	seq := room.head() + 1
	if s.fires(skipsSeq, 20) {
		seq++
	}
	s.nextID++
	m := Message{Key: k, Seq: seq, ID: s.nextID, Content: p.content}
	if s.fires(changesContent, 20) {
		m.Content += " changed"
	}
	if s.fires(inventsMessage, 20) {
		m.Nonce += "x"
	}
	room.stored[k] = m
	if len(room.pending) > 0 || s.fires(acksBeforeCommit, 20) {
		room.pending = append(room.pending, m)
	} else {
		room.log = append(room.log, m)
	}
	return m
}

func (r *simRoom) head() uint64 {
	switch {
	case len(r.pending) > 0:
		return r.pending[len(r.pending)-1].Seq
	case len(r.log) > 0:
		return r.log[len(r.log)-1].Seq
	}
	return 0
}

// answer hands one answer to w.
func (s *simulation) answer(w *simWriter) {
	if len(w.down) == 0 {
		return
	}
	take := 0
	if len(w.down) > 1 && s.fires(acksOutOfOrder, 5) {
		take = 1
	}
	a := w.down[take]
	w.down = slices.Delete(w.down, take, take+1)
	k := Key{w.room, w.user, a.nonce}
	w.unacked = slices.DeleteFunc(w.unacked, func(p simPost) bool { return p.nonce == a.nonce })
	if s.fires(acksOtherSeq, 20) {
		a.seq++
	}
	if s.fires(acksOtherID, 20) {
		a.id++
	}
	s.history.Acked(k, a.seq, a.id)
}

// deliver hands the next message to a reader.
func (s *simulation) deliver(r *simReader) {
	log := s.server.rooms[r.room].log
	if r.next >= len(log) {
		return
	}
	m := log[r.next]
	switch {
	case r.next+1 < len(log) && s.fires(swapsDeliveries, 10):
		r.reader.Took(log[r.next+1])
		r.next++
	case r.next+1 < len(log) && s.fires(skipsDelivery, 10):
		r.next++
		m = log[r.next]
	case s.fires(repeatsDelivery, 10):
		r.reader.Took(m)
	case s.fires(tellsReadersDifferently, 10):
		m.ID += 1_000_000
	case s.fires(deliversUnsent, 10):
		m.User = "nobody"
	case s.fires(forgetsReader, 10):
		r.next = 1 << 30
		return
	}
	r.reader.Took(m)
	r.next++
}

// crash ends all connections and what was not committed.
func (s *simulation) crash() {
	for _, w := range s.writers {
		w.up, w.down = nil, nil
		for i := range w.unacked {
			w.unacked[i].again = true
			s.send(w, w.unacked[i])
		}
		s.losePending(w)
	}
	for _, r := range s.readers {
		s.resume(r)
	}
}

// losePending forgets what was not committed. The bug has shown if a client
// counts on it.
func (s *simulation) losePending(w *simWriter) {
	room := s.server.rooms[w.room]
	room.pending = slices.DeleteFunc(room.pending, func(m Message) bool {
		acked := !slices.ContainsFunc(w.unacked, func(p simPost) bool { return p.nonce == m.Nonce })
		if m.User != w.user {
			return false
		}
		if acked {
			s.fired++
		}
		delete(room.stored, m.Key)
		return true
	})
}

func (s *simulation) resume(r *simReader) {
	log := s.server.rooms[r.room].log
	if r.next == 0 || r.next > len(log) {
		return
	}
	after := log[r.next-1].Seq
	switch {
	case r.next < len(log) && s.fires(resumesAhead, 3):
		after++
		r.next++
	case s.fires(redeliversAfterResume, 3):
		r.next--
	}
	r.reader.Connected(after)
}

// finishTraffic brings everything that is under way to its end.
func (s *simulation) finishTraffic() {
	s.crash()
	for _, w := range s.writers {
		for len(w.up) > 0 {
			s.process(w)
		}
		for len(w.down) > 0 {
			s.answer(w)
		}
	}
	s.crash() // and what was acknowledged too early is gone
	for _, r := range s.readers {
		for r.next < len(s.server.rooms[r.room].log) {
			s.deliver(r)
		}
	}
}

func (s *simulation) tellStore() Report {
	heads := make(map[chat.RoomID]uint64)
	for id, room := range s.server.rooms {
		for _, m := range room.log {
			s.history.Stored(m)
			heads[id] = m.Seq
		}
		if s.fires(headIsAhead, 1) {
			heads[id]++
		}
	}
	return s.history.Finish(heads)
}

func TestSoundServerHasNoAnomaly(t *testing.T) {
	for seed := range uint64(1000) {
		report, _ := run(seed, sound)
		if report.Anomalies() > 0 {
			t.Fatalf("seed %d: %s\n%s", seed, &report, report.Details())
		}
		if report.Acked == 0 || report.Stored == 0 || report.Delivered < report.Stored {
			t.Fatalf("seed %d: %s, want some of each", seed, &report)
		}
	}
}

// TestEverySaboteurIsCaught: whenever a bug has shown, the checker says so,
// and by the right name.
func TestEverySaboteurIsCaught(t *testing.T) {
	caught := make(map[Anomaly]bool)
	for _, test := range []struct {
		name string
		bug  bug
		want Anomaly
	}{
		{"acknowledges before the commit", acksBeforeCommit, Lost},
		{"forgets a reader", forgetsReader, Undelivered},
		{"forgets nonces", forgetsNonces, Double},
		{"delivers twice", repeatsDelivery, DupDelivery},
		{"delivers again after a resume", redeliversAfterResume, DupDelivery},
		{"invents a message", inventsMessage, Phantom},
		{"stores what it refused", storesWhatItRefused, Phantom},
		{"delivers what nobody sent", deliversUnsent, Phantom},
		{"skips a seq", skipsSeq, Hole},
		{"has a head beyond its log", headIsAhead, Hole},
		{"skips a delivery", skipsDelivery, Hole},
		{"resumes too far ahead", resumesAhead, Hole},
		{"swaps two deliveries", swapsDeliveries, Swap},
		{"tells two readers different things", tellsReadersDifferently, Divergence},
		{"acknowledges another seq", acksOtherSeq, AckMismatch},
		{"acknowledges another id", acksOtherID, AckMismatch},
		{"changes content", changesContent, AckMismatch},
		{"lets a post overtake another", overtakesWithin, FIFO},
		{"acknowledges out of order", acksOutOfOrder, FIFO},
	} {
		t.Run(test.name, func(t *testing.T) {
			shown := 0
			for seed := range uint64(60) {
				report, fired := run(seed, test.bug)
				if fired == 0 {
					continue
				}
				shown++
				caught[test.want] = caught[test.want] || report.Count[test.want] > 0
				if report.Count[test.want] == 0 {
					t.Fatalf("seed %d: the bug has shown %d times, and the checker found no %s\n%s\n%s", seed, fired, test.want, &report, report.Details())
				}
			}
			if shown == 0 {
				t.Error("the bug has shown in no history")
			}
		})
	}
	for a := range anomalies {
		if !caught[a] {
			t.Errorf("no saboteur has led to %s", a)
		}
	}
}
