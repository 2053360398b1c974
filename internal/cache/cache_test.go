package cache

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/redis"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

const room = chat.RoomID("tertulia")

// counted is a store that counts the reads of events.
type counted struct {
	store.Store
	pages        int
	rooms, heads atomic.Int64 // reads of one room's state, of several
}

func (c *counted) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	c.rooms.Add(1)
	return c.Store.Room(ctx, id)
}

func (c *counted) Heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	c.heads.Add(1)
	return c.Store.Heads(ctx, ids)
}

func (c *counted) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	c.pages++
	return c.Store.Before(ctx, id, before, limit)
}

func (c *counted) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	c.pages++
	return c.Store.After(ctx, id, after, limit)
}

func connect(t *testing.T, cfg redis.Config) *redis.Client {
	t.Helper()
	c, err := redis.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	<-c.Tried()
	return c
}

// world is a store with a cache that is written when the test says so.
type world struct {
	inner *counted
	*Store
}

func newWorld(t *testing.T, client *redis.Client) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(db, client)
	t.Cleanup(func() {
		w.running.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// worldOf puts another cache before a store.
func worldOf(db store.Store, client *redis.Client) *world {
	w := &world{inner: &counted{Store: db}}
	w.Store = newStore(Config{Store: w.inner, Redis: client, Secret: []byte("secret")})
	w.within = time.Minute // on a busy machine Redis is late, and the store would be read
	return w
}

type fataler interface{ Fatalf(string, ...any) }

func add(t fataler, to store.Appender, room chat.RoomID, a store.Append) chat.Event {
	a.Room, a.MayCreate = room, true
	if a.Actor.ID == "" {
		a.Actor = chat.User{ID: "ana", Name: "Ana"}
	}
	results, err := to.Append(context.Background(), []store.Append{a})
	if err != nil {
		t.Fatalf("Append = %v", err)
	}
	return results[0].Event
}

func say(t fataler, to store.Appender, text string) chat.Event {
	return add(t, to, room, store.Append{Kind: chat.KindMessage, Body: chat.MessageBody(text)})
}

var all = store.Limit{Events: 50, Bytes: 1 << 20}

// last reads the end of the log, and reports whether the store was asked for
// it.
func (w *world) last(t *testing.T) (page store.Page, asked bool) {
	t.Helper()
	before := w.inner.pages
	page, err := w.Before(t.Context(), room, 0, all)
	if err != nil {
		t.Fatal(err)
	}
	asked = w.inner.pages != before
	want, err := w.inner.Store.Before(t.Context(), room, 0, all)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(page, want) {
		t.Errorf("got %+v, want %+v", page, want)
	}
	return page, asked
}

// S-080: when the cache is warm no events are read from the store.
func TestWarmCacheAnswers(t *testing.T) {
	w := newWorld(t, connect(t, redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: servicetest.Prefix()}))
	for i := range 10 {
		say(t, w, fmt.Sprint(i))
	}
	if _, asked := w.last(t); !asked {
		t.Error("a cold cache answered")
	}
	w.flush()
	if _, asked := w.last(t); asked {
		t.Error("the store was read although the cache was warm")
	}
	say(t, w.inner, "by a node that cannot write to Redis")
	if _, asked := w.last(t); !asked {
		t.Error("the cache answered for an event that it does not have")
	}
	w.flush() // of what was read
	if _, asked := w.last(t); asked {
		t.Error("the store was read although the cache had been refreshed")
	}
	page, err := w.After(t.Context(), room, 8, all)
	if err != nil || len(page.Events) != 3 {
		t.Errorf("After(8) = %d events, %v, want 3", len(page.Events), err)
	}
	if hits, misses := w.Counts().Hits.Value(), w.Counts().Misses.Value(); hits != 3 || misses != 2 {
		t.Errorf("%d hits and %d misses, want 3 and 2", hits, misses)
	}
}

// text returns all that Redis has of the room.
func (w *world) text(t *testing.T) string {
	t.Helper()
	client := w.redis.Commands()
	members, err := client.Do(t.Context(), client.B().Zrange().Key(w.keyOf(room, w.Epoch())).Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(members, "\n")
}

// What is taken back leaves Redis, and what another node has written at the
// same time a moment later.
func TestTakenBackTextLeaves(t *testing.T) {
	for name, back := range map[string]store.Append{
		"edited":  {Kind: chat.KindMessageEdited, Target: 1, Body: chat.MessageBody("nothing")},
		"deleted": {Kind: chat.KindMessageDeleted, Target: 1, Body: []byte("{}")},
		"erased":  {Kind: chat.KindMessagesErased, Member: &chat.Member{User: chat.User{ID: "ana"}}, Body: []byte("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, connect(t, redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: servicetest.Prefix()}))
			e := say(t, w, "regrettable")
			w.flush()
			if !strings.Contains(w.text(t), "regrettable") {
				t.Fatal("the text is not there to begin with")
			}
			add(t, w, room, back)
			w.flush()
			if strings.Contains(w.text(t), "regrettable") {
				t.Error("the text is still in Redis")
			}
			w.mu.Lock()
			w.wait(room, e.Epoch, false, entry{e, e.Seq}) // late, by another node
			w.mu.Unlock()
			w.flush()
			if page, asked := w.last(t); !asked || strings.Contains(string(page.Events[0].Body), "regrettable") {
				t.Errorf("the text was given out again: %s", page.Events[0].Body)
			}
			for i := range w.again {
				w.again[i].at = time.Time{}
			}
			w.rooms = make(map[chat.RoomID]*change)
			w.flush()
			if strings.Contains(w.text(t), "regrettable") {
				t.Error("the text is in Redis for good")
			}
		})
	}
}

// A failover has taken events away, Redis has them still, and others have their
// seqs: here or written by a node that cannot write to Redis.
func TestEventsThatTheStoreHasLost(t *testing.T) {
	for name, written := range map[string]bool{"both are in Redis": true, "one is in Redis": false} {
		for seq := range 3 {
			t.Run(fmt.Sprint(name, " at ", seq+1), func(t *testing.T) {
				w := newWorld(t, connect(t, redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: servicetest.Prefix()}))
				for i := range 3 {
					e := say(t, w.inner, fmt.Sprint(i))
					lost := e
					lost.Tag, lost.Body = ^e.Tag, chat.MessageBody("lost")
					w.mu.Lock()
					if i == seq {
						w.wait(room, e.Epoch, false, entry{lost, e.Seq})
					}
					if written || i != seq {
						e.Follows = w.tagAt(t, e.Seq-1)
						w.wait(room, e.Epoch, false, entry{e, e.Seq})
					}
					w.mu.Unlock()
				}
				w.flush()
				w.last(t)
				w.flush()
				if _, asked := w.last(t); asked {
					t.Error("the cache does not know better afterwards")
				}
			})
		}
	}
}

// tagAt is the tag of the event at seq, 0 if there is none.
func (w *world) tagAt(t *testing.T, seq uint64) uint32 {
	if seq == 0 {
		return 0
	}
	page, err := w.inner.Store.After(t.Context(), room, seq-1, store.Limit{Events: 1})
	if err != nil {
		t.Fatal(err)
	}
	return page.Events[0].Tag
}

func TestWithoutRedis(t *testing.T) {
	r, err := services.StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := newWorld(t, connect(t, redis.Config{URLs: []string{"redis://" + r.Addr}}))
	w.within = answerWithin
	say(t, w, "hola")
	w.flush()
	w.last(t)
	r.Stop()
	w.last(t) // after a moment
	if !w.resting() {
		t.Error("Redis is asked although it has just not answered")
	}
	r.Continue()
	r.Kill()
	say(t, w, "adiós")
	w.flush()
	w.last(t)
	if w.Counts().Failed.Value() == 0 {
		t.Error("no failure was counted")
	}
}

// Whatever is stored, changed, erased and trimmed, by this node or by another,
// and whatever is lost, doubled, late or wrong in Redis: every answer is the
// store's.
func TestAnswersAreTheStores(t *testing.T) {
	client := connect(t, redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: servicetest.Prefix()})
	db, rooms := newWorld(t, client).inner.Store, 0
	rapid.Check(t, func(rt *rapid.T) {
		rooms++
		checkAnswers(t, rt, worldOf(db, client), chat.RoomID(fmt.Sprint("room-", rooms)))
	})
}

func checkAnswers(t *testing.T, rt *rapid.T, w *world, room chat.RoomID) {
	commands := w.redis.Commands()
	key := w.keyOf(room, w.Epoch())
	var seen []string // members that once were there
	zadd := func(score int, member string) {
		commands.Do(t.Context(), commands.B().Arbitrary("ZADD").Keys(key).Args(strconv.Itoa(score), member).Build())
	}
	seq := func(rt *rapid.T) uint64 { return rapid.Uint64Range(1, 20).Draw(rt, "seq") }
	by := func(rt *rapid.T) chat.User {
		return rapid.SampledFrom([]chat.User{{ID: "ana", Name: "Ana"}, {ID: "bo", Name: "Bo"}}).Draw(rt, "by")
	}
	to := func(rt *rapid.T) store.Appender {
		if rapid.Bool().Draw(rt, "elsewhere") {
			return w.inner
		}
		return w
	}
	rt.Repeat(map[string]func(*rapid.T){
		"say": func(rt *rapid.T) {
			add(rt, to(rt), room, store.Append{Kind: chat.KindMessage, Actor: by(rt), Body: chat.MessageBody(rapid.StringN(1, 30, 60).Draw(rt, "text"))})
		},
		"edit": func(rt *rapid.T) {
			add(rt, to(rt), room, store.Append{Kind: chat.KindMessageEdited, Actor: by(rt), Target: seq(rt), Body: chat.MessageBody("edited")})
		},
		"delete": func(rt *rapid.T) {
			add(rt, to(rt), room, store.Append{Kind: chat.KindMessageDeleted, Actor: by(rt), Target: seq(rt), Body: []byte("{}")})
		},
		"erase": func(rt *rapid.T) {
			add(rt, to(rt), room, store.Append{Kind: chat.KindMessagesErased, Member: &chat.Member{User: by(rt)}, Body: []byte("{}")})
		},
		"trim": func(rt *rapid.T) {
			if _, _, err := w.Trim(t.Context(), room, chat.Retention{Events: rapid.Int64Range(5, 20).Draw(rt, "keep")}); err != nil {
				rt.Fatal(err)
			}
		},
		"flush": func(*rapid.T) {
			w.flush()
			members, _ := commands.Do(t.Context(), commands.B().Zrange().Key(key).Min("0").Max("-1").Build()).AsStrSlice()
			seen = append(seen, members...)
		},
		"lose": func(*rapid.T) { commands.Do(t.Context(), commands.B().Del().Key(key).Build()) },
		"late": func(rt *rapid.T) {
			if len(seen) > 0 {
				zadd(int(seq(rt)), rapid.SampledFrom(seen).Draw(rt, "member"))
			}
		},
		"garbage": func(rt *rapid.T) { zadd(int(seq(rt)), rapid.String().Draw(rt, "garbage")) },
		"type":    func(*rapid.T) { commands.Do(t.Context(), commands.B().Set().Key(key).Value("x").Build()) },
		"": func(rt *rapid.T) {
			w.rest = time.Time{}
			limit := store.Limit{Events: rapid.IntRange(0, 12).Draw(rt, "events"), Bytes: rapid.IntRange(0, 300).Draw(rt, "bytes")}
			at := rapid.Uint64Range(0, 30).Draw(rt, "at")
			got, err := w.Before(t.Context(), room, at, limit)
			want, wantErr := w.inner.Store.Before(t.Context(), room, at, limit)
			if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
				rt.Fatalf("Before(%d, %+v) = %+v, %v, want %+v, %v", at, limit, got, err, want, wantErr)
			}
			got, err = w.After(t.Context(), room, at, limit)
			want, wantErr = w.inner.Store.After(t.Context(), room, at, limit)
			if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
				rt.Fatalf("After(%d, %+v) = %+v, %v, want %+v, %v", at, limit, got, err, want, wantErr)
			}
		},
	})
	w.running.Wait()
}

// Patient readers of many rooms cost few reads of the store, and get what others
// get.
func TestPatientReadersShare(t *testing.T) {
	w := newWorld(t, connect(t, redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: servicetest.Prefix()}))
	const rooms = 200
	id := func(i int) chat.RoomID { return chat.RoomID(fmt.Sprint("room ", i)) }
	for i := range rooms {
		add(t, w, id(i), store.Append{Kind: chat.KindMessage, Body: chat.MessageBody("hola")})
	}
	w.flush()
	patient := all
	patient.Patient = true
	var readers sync.WaitGroup
	for i := range rooms + 1 { // the last one has no log
		readers.Go(func() {
			got, err := w.Before(t.Context(), id(i), 0, patient)
			want, wantErr := w.inner.Store.Before(t.Context(), id(i), 0, all)
			if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v, want %+v, %v", id(i), got, err, want, wantErr)
			}
		})
	}
	readers.Wait()
	if n := w.inner.heads.Load(); n < 1 || n > 150 {
		t.Errorf("the heads of %d rooms were %d reads, want some twenty", rooms, n)
	}
	if w.inner.rooms.Load() != 0 {
		t.Errorf("%d rooms were read by themselves, want none", w.inner.rooms.Load())
	}
	w.heads.Close()
}
