package hub

import (
	"strconv"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
)

// A storm: many clients attach at once to rooms that no feed is open of, half of
// them with a cursor, and want the 50 newest events. The log is read once a
// room; of an open feed, not at all.
func TestStormReadsEachRoomOnce(t *testing.T) {
	log := new(counted)
	w := newWorld(t, local.New(), func(c *Config) { log.Reader, c.Log = c.Log, log })
	defer w.close()
	const rooms, clients, messages = 20, 10, 60
	roomN := func(i int) chat.RoomID { return chat.RoomID("r" + strconv.Itoa(i)) }
	cursors := make([]chat.Cursor, rooms)
	for i := range rooms {
		for m := range messages {
			if e := w.post(roomN(i), "a", "a text of some length"); m == messages-50 {
				cursors[i] = e.Cursor()
			}
		}
	}
	for _, storm := range []struct {
		name  string
		reads int64
	}{{"cold", rooms}, {"warm", 0}} {
		before := log.before.Load() + log.after.Load()
		var mu sync.Mutex
		var readers []*reader
		var all sync.WaitGroup
		for i := range rooms * clients {
			all.Go(func() {
				opt := AttachOptions{Recent: 50, RecentBytes: 192 << 10}
				if i/rooms%2 == 0 {
					opt.After = &cursors[i%rooms]
				}
				r := w.reader(userN(i), -1)
				if at := w.join(r, roomN(i%rooms), opt); opt.After == nil && len(at.Recent) != 50 {
					t.Errorf("%s: %d recent events, want 50", storm.name, len(at.Recent))
				}
				mu.Lock()
				readers = append(readers, r)
				mu.Unlock()
			})
		}
		all.Wait()
		for _, r := range readers {
			r.sub.Detach()
		}
		if n := log.before.Load() + log.after.Load() - before; n != storm.reads {
			t.Errorf("%s: the log was read %d times for %d clients, want %d", storm.name, n, rooms*clients, storm.reads)
		}
	}
}
