package cache

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"tertulia/chat"
	"tertulia/internal/store"
)

// change is what waits to be written of a room.
type change struct {
	epoch   string
	drop    bool // text was taken back: what is there goes first
	replace bool // what is there goes first too, but does no harm
	entries []entry
}

// dropped is a room to be dropped once more.
type dropped struct {
	key string
	at  time.Time
}

// Append is store.Appender's Append. What it stored is in the cache within a
// moment.
func (s *Store) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	results, err := s.Store.Append(ctx, batch)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range results {
		r := &results[i]
		if r.Err != nil {
			continue
		}
		switch e := &r.Event; {
		case e.Kind == chat.KindMessageEdited, e.Kind == chat.KindMessageDeleted, e.Kind == chat.KindMessagesErased:
			// What it takes back must not stay.
			s.wait(e.Room, e.Epoch, true)
		case !r.Duplicate:
			s.wait(e.Room, e.Epoch, false, entry{*e, e.Seq})
		}
	}
	return results, nil
}

// refresh has the cache take a page that was read, if that is the end of a
// log.
func (s *Store) refresh(p *store.Page, err error) {
	n := len(p.Events)
	if err != nil || n == 0 || p.Events[n-1].Seq != p.Room.Head {
		return
	}
	var entries []entry
	for i := max(0, n-keepEvents); i < n; i++ {
		e := entry{p.Events[i], p.Room.Head}
		if i > 0 {
			e.event.Follows = p.Events[i-1].Tag
		}
		entries = append(entries, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.rooms[p.Room.ID]; c != nil { // what was stored since
		entries = append(entries, slices.DeleteFunc(c.entries, func(e entry) bool { return e.event.Seq <= p.Room.Head })...)
		c.entries = nil
	}
	s.wait(p.Room.ID, p.Room.Epoch, false, entries...)
	if c := s.rooms[p.Room.ID]; c != nil {
		c.replace = true
	}
}

// wait notes what is to be written. The caller holds mu.
func (s *Store) wait(id chat.RoomID, epoch string, drop bool, entries ...entry) {
	if s.closed {
		return
	}
	c := s.rooms[id]
	if c == nil {
		if len(s.rooms) >= maxRooms && !drop {
			return
		}
		c = &change{epoch: epoch}
		s.rooms[id] = c
	}
	if c.epoch != epoch {
		*c = change{epoch: epoch, drop: true}
	}
	if drop {
		c.drop, c.entries = true, nil
	}
	c.entries = append(c.entries, entries...)
	if len(c.entries) >= 2*keepEvents {
		c.entries = append(c.entries[:0], c.entries[len(c.entries)-keepEvents:]...)
	}
}

// fill writes what waits until ctx ends.
func (s *Store) fill(ctx context.Context) {
	tick := time.NewTicker(fillEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush()
		case <-ctx.Done():
			s.flush()
			return
		}
	}
}

// flushTimeout bounds one writing.
const flushTimeout = time.Second

// flush writes what waits. What Redis does not take is forgotten: it is a hole
// that is read from the store.
func (s *Store) flush() {
	client, now := s.redis.Commands(), time.Now()
	commands, drops := s.commands(client, now)
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	for part := range slices.Chunk(commands, 500) {
		for _, r := range client.DoMulti(ctx, part...) {
			if err := r.Error(); err != nil {
				s.failed(err)
				s.dropLater(drops, now)
				return
			}
		}
	}
}

// dropLater has keys dropped in a moment, for the first time or once more.
func (s *Store) dropLater(keys []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if len(s.again) < maxRooms {
			s.again = append(s.again, dropped{key, now.Add(dropAgain)})
		}
	}
}

// takeDue returns the keys that are to be dropped by now.
func (s *Store) takeDue(now time.Time) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.again) > 0 && !now.Before(s.again[0].at) {
		keys = append(keys, s.again[0].key)
		s.again = s.again[1:]
	}
	return keys
}

func (s *Store) takeRooms() map[chat.RoomID]*change {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := s.rooms
	s.rooms = make(map[chat.RoomID]*change, len(rooms))
	return rooms
}

// commands takes what waits and returns how it is written, and which of the
// keys must be dropped.
func (s *Store) commands(client rueidis.Client, now time.Time) (commands []rueidis.Completed, drops []string) {
	drops = s.takeDue(now)
	for _, key := range drops {
		commands = append(commands, client.B().Del().Key(key).Build())
	}
	var first []string
	for id, c := range s.takeRooms() {
		key := s.keyOf(id, c.epoch)
		if c.drop {
			first = append(first, key)
		}
		if c.drop || c.replace {
			commands = append(commands, client.B().Del().Key(key).Build())
		}
		if add, ok := s.zadd(client, key, c.entries); ok {
			commands = append(commands, add,
				client.B().Zremrangebyrank().Key(key).Start(0).Stop(-keepEvents-1).Build(),
				client.B().Expire().Key(key).Seconds(int64(keepFor/time.Second)).Build())
		}
	}
	s.dropLater(first, now)
	return commands, drops
}

// zadd returns the command that adds the newest of entries.
func (s *Store) zadd(client rueidis.Client, key string, entries []entry) (rueidis.Completed, bool) {
	args := make([]string, 0, 2*keepEvents)
	for i := max(0, len(entries)-keepEvents); i < len(entries); i++ {
		if sealed, ok := s.pack(&entries[i]); ok {
			args = append(args, strconv.FormatUint(entries[i].event.Seq, 10), rueidis.BinaryString(sealed))
		}
	}
	if len(args) == 0 {
		return rueidis.Completed{}, false
	}
	return client.B().Arbitrary("ZADD").Keys(key).Args(args...).Build(), true
}
