package server

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"tertulia/internal/config"
	"tertulia/internal/packed"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/websocket"
)

// translator stands between two nodes whose channels have different prefixes.
// What the one publishes the other hears as it is translated.
type translator struct {
	client   rueidis.Client
	prefixes [2]string
	heard    chan rueidis.PubSubMessage

	mu        sync.Mutex
	translate func(message string) []byte
	sent      map[string]bool // by the translator, which hears itself
}

func startTranslator(t *testing.T, prefixes [2]string) *translator {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{servicetest.Redis(t).Addr}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	tr := &translator{client: client, prefixes: prefixes, heard: make(chan rueidis.PubSubMessage, 1<<16), sent: make(map[string]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		patterns := client.B().Psubscribe().Pattern(prefixes[0]+"bus:*", prefixes[1]+"bus:*").Build()
		_ = client.Receive(ctx, patterns, func(m rueidis.PubSubMessage) { tr.heard <- m })
	})
	running.Go(func() { tr.run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		client.Close()
	})
	return tr
}

func (tr *translator) run(ctx context.Context) {
	for {
		select {
		case m := <-tr.heard:
			tr.pass(ctx, m)
		case <-ctx.Done():
			return
		}
	}
}

func (tr *translator) pass(ctx context.Context, m rueidis.PubSubMessage) {
	from, to := tr.prefixes[0], tr.prefixes[1]
	if !strings.HasPrefix(m.Channel, from) {
		from, to = to, from
	}
	tr.mu.Lock()
	translate, own := tr.translate, tr.sent[m.Message]
	tr.mu.Unlock()
	if translate == nil || own {
		return
	}
	text := string(translate(m.Message))
	tr.mu.Lock()
	tr.sent[text] = true
	tr.mu.Unlock()
	tr.client.Do(ctx, tr.client.B().Publish().Channel(to+strings.TrimPrefix(m.Channel, from)).Message(text).Build())
}

func (tr *translator) set(translate func(message string) []byte) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.translate = translate
}

// poked takes the events out of a message, as internal/bus/redis draws it: the
// second byte is the type, after ten comes a number, and a topic.
func poked(data string) []byte {
	if data[1] != 1 {
		return []byte(data)
	}
	_, rest, _ := packed.Number(data[10:])
	_, rest, _ = packed.Text(rest)
	b := []byte(data[:len(data)-len(rest)])
	b[1] = 2
	return b
}

// Two nodes hear that there is something, and cannot read or are not told what
// it is: their keys are different, one is of a newer version, no text passes
// through Redis. Messages arrive by the store, once and in order, and the
// metrics say why.
func TestNodesThatCannotReadEachOther(t *testing.T) {
	prefixes := [2]string{servicetest.Prefix(), servicetest.Prefix()}
	tr := startTranslator(t, prefixes)
	cfg := onPostgres(t)
	var at [2]*running
	for i := range at {
		cfg.Redis.URLs, cfg.Redis.Prefix = []config.Secret{config.Secret("redis://" + servicetest.Redis(t).Addr)}, prefixes[i]
		at[i] = start(t, cfg)
	}
	ours, theirs := packed.NewKey(at[0].store.secret, "bus"), packed.NewKey([]byte("another"), "bus")
	reading, writing := at[1].connect("1"), at[0].connect("1")
	reading.want("connected")
	writing.want("connected")
	open := func(m string) string {
		data, ok := ours.Open(m)
		if !ok {
			t.Errorf("a node has published what it has not sealed")
		}
		return data
	}
	counts := at[1].bus.counts
	for _, test := range []struct {
		name      string
		translate func(m string) []byte
		moved     func() uint64
	}{
		{"another key", func(m string) []byte { return theirs.Seal([]byte(open(m))) }, counts.Forged.Value},
		{"another version", func(m string) []byte {
			data := []byte(open(m))
			data[0]++
			return ours.Seal(data)
		}, counts.Unknown.Value},
		{"no sense", func(m string) []byte { return bytes.Repeat([]byte("x"), len(m)%20) }, counts.Forged.Value},
		{"pokes alone", func(m string) []byte { return ours.Seal(poked(open(m))) }, counts.Received.Value},
	} {
		before, told := test.moved(), counts.Told.Value()
		tr.set(test.translate)
		for i := range 2 {
			text := fmt.Sprint(test.name, " ", i)
			began := time.Now()
			writing.send(websocket.Text, `{"type":"message","content":"`+text+`"}`)
			writing.want("message_sent")
			writing.want("message")
			if got := reading.want("message"); !strings.Contains(got, `"content":"`+text+`"`) {
				t.Errorf("%s: the next message is %s, want %q", test.name, got, text)
			}
			t.Logf("%s: after %v", text, time.Since(began).Round(time.Millisecond))
		}
		if test.moved() == before {
			t.Errorf("%s: no metric shows it", test.name)
		}
		if test.name != "pokes alone" && counts.Told.Value() == told {
			t.Errorf("%s: nobody was told to look at the store", test.name)
		}
	}
	reading.Close()
	writing.Close()
	for i := range at {
		at[i].wantReady("[+] store ok", "[+] redis ok")
		if err := at[i].stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}
