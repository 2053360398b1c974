package redis

import (
	"context"
	"strings"
	"testing"

	"tertulia/chat"
)

// What is published before Redis is found was never sent; what Redis dies
// under is not known to have been.
func TestWhatIsNotPublishedIsCounted(t *testing.T) {
	r, cfg := private(t)
	r.Kill()
	b := nodes(t, 1, cfg)[0]
	own := listen(t, b, room)
	b.Publish(room, []chat.Event{{ID: 1}})
	if got := b.Counts().Dropped.Value(); got != 1 {
		t.Errorf("Dropped = %d before Redis is found, want 1", got)
	}
	if err := r.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	quiet(t, b, own)
	if b.Counts().Published.Value() == 0 {
		t.Error("Published = 0 although heartbeats are heard")
	}
	r.Kill()
	b.Publish(room, []chat.Event{{ID: 2}})
	until(t, "a publication to have failed", func() bool { return b.Counts().Failed.Value() > 0 })
}

// A node whose handlers are too slow throws away what does not fit, counts it,
// and tells of it.
func TestWhatOverflowsIsCounted(t *testing.T) {
	b := nodes(t, 1, shared(t))[0]
	told := listen(t, b, room)
	quiet(t, b, told)
	blocked, release := make(chan struct{}), make(chan struct{})
	if _, err := b.Subscribe(t.Context(), room, func(events []chat.Event) {
		if len(events) > 0 && events[0].ID == 1 {
			close(blocked)
			<-release
		}
	}); err != nil {
		t.Fatal(err)
	}
	g := (*b.groups.Load())[0]
	receive := func(number uint64, body string) {
		events := []chat.Event{{ID: int64(number), Body: []byte(body)}}
		g.receive(string(b.key.Seal(appendAbout(nil, publisher{1}, number, room, events))))
	}
	receive(1, "")
	<-blocked
	large := strings.Repeat("x", 60<<10)
	const sent = 2 * inboxBytes / (60 << 10)
	for n := range uint64(sent) {
		receive(n+2, large)
	}
	if got := b.Counts().Overflowed.Value(); got == 0 || got == sent {
		t.Errorf("Overflowed = %d of %d, want some of them", got, sent)
	}
	close(release)
	told.wantTold(t, "messages were thrown away")
	until(t, "the rest to be handed on", func() bool { return b.Counts().Received.Value()+b.Counts().Overflowed.Value() == sent+1 })
}
