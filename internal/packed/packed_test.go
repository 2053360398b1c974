package packed

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// full has every field of a durable event.
func full(seq uint64) chat.Event {
	at := time.Date(2026, 5, 4, 3, 2, 1, 987654321, time.UTC)
	return chat.Event{
		Room: "tertulia", Kind: chat.KindMessageEdited, Actor: chat.User{ID: "u-1", Name: "Inés ✨"}, At: at, Seq: seq, ID: 1<<53 - 1, Epoch: "e7",
		Tag: math.MaxUint32, Nonce: "n-1", Target: 3, TargetID: 4, Subject: "u-2", Changed: 5, ChangedAt: at.Add(-time.Hour), Deleted: true, Count: 6,
		Msgs: math.MaxUint64, Body: []byte(`{"content":"¿qué tal?"}`), Follows: 1 << 31,
	}
}

// passing has every field of a passing event.
func passing(seq uint64) chat.Event {
	e := full(seq)
	e.Kind, e.Follows, e.Version = chat.KindReceipt, 0, math.MaxUint64
	return e
}

func runs() map[string][]chat.Event {
	other := full(2)
	other.Room, other.Epoch = "otra", ""
	old := full(9)
	old.At = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)
	return map[string][]chat.Event{
		"none":        {},
		"one":         {full(1)},
		"zero":        {{}},
		"two alike":   {full(1), full(2)},
		"two sorts":   {full(1), passing(2), full(3)},
		"two rooms":   {full(1), other, full(3)},
		"long ago":    {old},
		"passing":     {{Room: "r", Kind: chat.KindTyping, Actor: chat.User{ID: "u"}, At: time.UnixMilli(1).UTC()}},
		"many":        many(200),
		"large":       {{Room: "r", Body: bytes.Repeat([]byte("x"), 100<<10)}},
		"negative id": {{ID: -1, Count: math.MaxInt}},
	}
}

func many(n int) (events []chat.Event) {
	for i := range n {
		events = append(events, full(uint64(i)))
	}
	return events
}

func TestEventsKeepEveryField(t *testing.T) {
	if n := reflect.TypeFor[chat.Event]().NumField(); n != 20 {
		t.Fatalf("chat.Event has %d fields; the packed form knows 20", n)
	}
	v, other := reflect.ValueOf(full(1)), reflect.ValueOf(passing(1))
	for i := range v.NumField() {
		if v.Field(i).IsZero() && other.Field(i).IsZero() {
			t.Fatalf("the test's event has no %s", v.Type().Field(i).Name)
		}
	}
	for name, want := range runs() {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(string(Append(nil, want)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// What a program wrote before events said what they follow is read as before,
// and what is written now has nothing that such a program does not know.
func TestFormOfBeforeFollows(t *testing.T) {
	for data, want := range map[string]chat.Event{
		"\x01\xa1\x01\x01\x01r\x02\x07":         {Room: "r", Kind: chat.KindMessage, Seq: 2, Tag: 7},
		"\x01\xa1\x81\x10\x01\x01r\x02\x07\x09": {Room: "r", Kind: chat.KindMessage, Seq: 2, Tag: 7, Follows: 9},
		"\x01\x81\x80\x10\x04\x01r\x09":         {Room: "r", Kind: chat.KindTyping, Version: 9},
	} {
		if got, err := Parse(data); err != nil || !reflect.DeepEqual(got, []chat.Event{want}) {
			t.Errorf("%q is %+v, %v, want %+v", data, got, err, want)
		}
		if got := string(Append(nil, []chat.Event{want})); got != data {
			t.Errorf("%+v is %q, want %q", want, got, data)
		}
	}
}

// Every part of a run of events is refused: nothing is read beyond the end.
func TestPartsAreRefused(t *testing.T) {
	whole := string(Append(nil, []chat.Event{full(1), full(2)}))
	for i := range len(whole) {
		if events, err := Parse(whole[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are %d events", i, len(whole), len(events))
		}
	}
	for _, wrong := range []string{whole + "x", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff\xff\xff\x7f", "\x01\xff\xff\xff\x7f\x01"} {
		if _, err := Parse(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestBodiesDoNotRunIntoEachOther(t *testing.T) {
	events, err := Parse(string(Append(nil, []chat.Event{full(1), full(2)})))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(events[0].Body, "overwritten"...)
	if got, want := events[1], full(2); !reflect.DeepEqual(got, want) {
		t.Errorf("after an append to its neighbour's body the event is %+v", got)
	}
}

func TestSeal(t *testing.T) {
	secret := []byte("secret")
	key := NewKey(secret, "bus")
	sealed := string(key.Seal([]byte("hola")))
	if got, ok := key.Open(sealed); got != "hola" || !ok {
		t.Errorf("Open = %q, %t, want hola", got, ok)
	}
	if got, ok := NewKey(secret, "bus").Open(sealed); got != "hola" || !ok {
		t.Errorf("another node's Open = %q, %t, want hola", got, ok)
	}
	for i := range len(sealed) {
		b := []byte(sealed)
		b[i] ^= 1
		if _, ok := key.Open(string(b)); ok {
			t.Errorf("a change of byte %d is not seen", i)
		}
		if _, ok := key.Open(sealed[:i]); ok {
			t.Errorf("the first %d bytes are taken for whole", i)
		}
	}
	for _, other := range []*Key{NewKey(secret, "cache"), NewKey([]byte("other"), "bus")} {
		if _, ok := other.Open(sealed); ok {
			t.Error("another key opens it")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, events := range runs() {
		if data := string(Append(nil, events)); len(data) < 1<<10 {
			f.Add(data)
		}
	}
	f.Add(strings.Repeat("\x00", 100))
	f.Fuzz(func(t *testing.T, data string) {
		events, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(string(Append(nil, events)))
		if err != nil || !reflect.DeepEqual(again, events) {
			t.Errorf("%+v became %+v, %v", events, again, err)
		}
	})
}

func message() []chat.Event {
	e := full(1)
	e.Kind, e.Deleted, e.Changed, e.ChangedAt, e.Target, e.TargetID, e.Subject, e.Count = chat.KindMessage, false, 0, time.Time{}, 0, 0, "", 0
	e.Body = chat.MessageBody(strings.Repeat("x", 100))
	return []chat.Event{e}
}

func BenchmarkAppend(b *testing.B) {
	events, buf := message(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], events)
	}
}

func BenchmarkParse(b *testing.B) {
	data := string(Append(nil, message()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	key, data := NewKey([]byte("secret"), "bus"), Append(nil, message())
	b.ReportAllocs()
	for b.Loop() {
		key.Seal(data)
	}
}

func BenchmarkOpen(b *testing.B) {
	key := NewKey([]byte("secret"), "bus")
	sealed := string(key.Seal(Append(nil, message())))
	b.ReportAllocs()
	for b.Loop() {
		key.Open(sealed)
	}
}
