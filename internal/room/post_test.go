package room

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

func TestContentThatIsRefused(t *testing.T) {
	tests := []struct {
		name    string
		content string
		want    chat.Code
	}{
		{"empty", "", chat.EmptyContent},
		{"spaces, tabs and lines", " \t\r\n ", chat.EmptyContent},
		{"spaces of other scripts", "\u00a0\u3000\u2003", chat.EmptyContent},
		{"one byte too long", strings.Repeat("a", chat.MaxContentBytes+1), chat.TooLarge},
		{"too long before anything else", strings.Repeat("\xff", chat.MaxContentBytes+1), chat.TooLarge},
		{"a cut rune", "hola \xc3", chat.InvalidEvent},
		{"a surrogate", "\xed\xa0\x80", chat.InvalidEvent},
		{"NUL", "ho\x00la", chat.InvalidEvent},
		{"NUL alone", "\x00", chat.InvalidEvent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, newHostile(1))
				var got []string
				s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: test.content}, func(p Posted, err error) {
					got = append(got, outcome(p, err))
				})
				if !slices.Equal(got, []string{string(test.want)}) {
					t.Errorf("Post(%.20q) answered at once %q, want %q", test.content, got, test.want)
				}
				synctest.Wait()
				if len(s.store.calls) != 0 {
					t.Errorf("Post(%.20q) reached the store", test.content)
				}
			})
		})
	}
}

func TestTooLargeNamesTheLimit(t *testing.T) {
	err := checkContent(strings.Repeat("a", chat.MaxContentBytes+1))
	if want := fmt.Sprint(chat.MaxContentBytes); !strings.Contains(err.Message, want) {
		t.Errorf("the refusal says %q, want it to name %s", err.Message, want)
	}
}

func TestContentThatIsTaken(t *testing.T) {
	for _, content := range []string{
		"hola",
		" spaces are kept ",
		strings.Repeat("a", chat.MaxContentBytes),
		"ñ e\u0301 👩‍👩‍👧 שלום \u202e",
		"\ufffd stands for itself",
	} {
		if err := checkContent(content); err != nil {
			t.Errorf("checkContent(%.20q) = %v, want nil", content, err)
		}
	}
}

func TestPostIsStoredAnsweredAndThenPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newHostile(1))
		var order []string
		s.bus.hook = func(events []chat.Event) { order = append(order, "published") }
		var got Posted
		s.Post(Post{Room: "1", By: byBob, Nonce: "n", Content: "¿qué \"tal\"?"}, func(p Posted, err error) {
			order = append(order, "answered")
			got = p
		})
		synctest.Wait()
		if !slices.Equal(order, []string{"answered", "published"}) {
			t.Errorf("order = %q, want answered, published", order)
		}
		e := got.Event
		if e.Room != "1" || e.Actor != bob || e.Nonce != "n" || e.Seq != 1 || e.Kind != chat.KindMessage ||
			string(e.Body) != `{"content":"¿qué \"tal\"?"}` {
			t.Errorf("answered with %+v", e)
		}
		if !slices.Equal(s.bus.topics, []bus.Topic{bus.RoomTopic("1")}) || s.bus.runs[0][0].ID != e.ID {
			t.Errorf("published %v on %q, want the event answered with", s.bus.runs, s.bus.topics)
		}
	})
}

func TestRepeatedPostIsADuplicateAndPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newHostile(1))
		for _, content := range []string{"a", "b", "a"} {
			s.post("1", content)
			synctest.Wait()
		}
		s.wantAnswers("a 1", "b 2", "a again 1")
		s.wantPublished("1:1", "1:2", "1:1")
	})
}

func TestRowsThatTheStoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStageWith(t, newHostile(1), Config{Initial: []chat.RoomID{"1"}})
		s.post("1", "a")
		synctest.Wait()
		s.post("2", "b") // not there
		s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Nonce: "a", Content: "other"}, s.noting("other"))
		s.post("1", "c")
		synctest.Wait()
		s.wantAnswers("a 1", "b room_not_found", "other idempotency_conflict", "c 2")
		s.wantPublished("1:1", "1:2")
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second})
		s := newStageWith(t, h, Config{AutoCreate: true, QueueBytes: 10 * (rowOverhead + 100)})
		s.post("1", "in flight")
		synctest.Wait()
		taken, refused := 0, 0
		for i := range 20 {
			content := fmt.Sprintf("%02d", i)
			s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: content}, func(_ Posted, err error) {
				e, ok := errors.AsType[*chat.Error](err)
				switch {
				case err == nil:
					taken++
				case ok && e.Code == chat.StoreUnavailable && e.RetryAfter > 0:
					refused++
				default:
					t.Errorf("Post answered %v, want %s with a hint", err, chat.StoreUnavailable)
				}
			})
		}
		if refused < 5 || refused > 15 {
			t.Errorf("%d of 20 posts refused at once, want about half", refused)
		}
		pass(2 * time.Second)
		if taken+refused != 20 {
			t.Errorf("%d stored and %d refused of 20", taken, refused)
		}
		s.taken()
		s.post("1", "room again")
		synctest.Wait()
		if got := s.taken(); len(got) != 1 || strings.Contains(got[0], "unavailable") {
			t.Errorf("after the queue was stored Post answered %q, want a seq", got)
		}
	})
}

func TestDebugLineIsWithoutTheText(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
			h := newHostile(1)
			h.fate = fates(fate{before: 3 * time.Millisecond})
			s := newStageWith(t, h, Config{AutoCreate: true, Log: log})
			s.Post(Post{Room: "lounge", By: byBob, Content: "secret"}, s.noting("x"))
			pass(time.Second)
			line := out.String()
			if level == slog.LevelInfo {
				if line != "" {
					t.Errorf("at info the log has %q, want nothing", line)
				}
				return
			}
			for _, want := range []string{"level=DEBUG", "room_id=lounge", "seq=1", "id=1", "user_id=2", "duration_ms=3"} {
				if !strings.Contains(line, want) {
					t.Errorf("the log has %q, want %s in it", line, want)
				}
			}
			if strings.Contains(line, "secret") || strings.Count(line, "\n") != 1 {
				t.Errorf("the log has %q, want one line without the text", line)
			}
		})
	}
}
