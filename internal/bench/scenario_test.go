//go:build linux

package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"tertulia/internal/services"
	"tertulia/internal/websocket"
)

// brief is long enough for some thousand messages over loopback.
var brief = Times{Warm: 20 * time.Millisecond, Measure: 200 * time.Millisecond}

func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		name     string
		scenario Scenario
		connects int
		positive []string // figures that cannot be zero
	}{
		{"idle", Idle{Connections: 40, RoomsOf: 4}, 40, []string{"connects", "server CPU per connect"}},
		{"fanout", Fanout{Members: 20, Inflight: 4, Size: 64, Rate: 100, Times: brief}, 20,
			[]string{"deliveries", cpuPerDelivery, "until every member has it, p50"}},
		{"ack", Ack{Senders: 5, Inflight: 4, Size: 64, Rate: 500, Times: brief}, 5,
			[]string{ackedPerSecond, cpuPerMessage, "until acknowledged, p50"}},
		{"rooms", Rooms{Rooms: 5, Members: 3, Rate: 500, Size: 64, Times: brief}, 15,
			[]string{"read by all when measuring ended", cpuPerMessage, "until acknowledged, p99"}},
		{"hot", Hot{Senders: 5, Inflight: 4, Size: 64, Times: brief}, 6, []string{ackedPerSecond, cpuPerMessage}},
		{"reconnect", Reconnect{Clients: 20, Rooms: 4, History: 7, Size: 64}, 40,
			[]string{"until all have history", "server CPU"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, target := startPeer(t, nil)
			report, err := test.scenario.Run(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if _, connects := p.counts(); connects != test.connects {
				t.Errorf("the server saw %d connects, want %d", connects, test.connects)
			}
			for _, name := range test.positive {
				for _, f := range report.named(name) {
					if f.Value <= 0 {
						t.Errorf("%s, %s: %v %s, want more than 0", f.Load, f.Name, f.Value, f.Unit)
					}
				}
				if len(report.named(name)) == 0 {
					t.Errorf("no figure %q in %v", name, report)
				}
			}
		})
	}
}

func (r Report) named(name string) (found Report) {
	for _, f := range r {
		if f.Name == name {
			found = append(found, f)
		}
	}
	return found
}

// TestCountsAgree holds what the generator counted against what the server
// did, over a closed and an open phase.
func TestCountsAgree(t *testing.T) {
	p, target := startPeer(t, nil)
	l, err := newLoop(target.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const rooms, members, rate = 3, 4, 300
	c := newCrowd(l, rooms, members, 64, "&history=0")
	if err := c.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, load := range []load{{window: 5, gate: gateRead}, {window: 5, gate: gateAck}, {rate: rate}} {
		before, began := c.totals, time.Now()
		ph, err := c.measure(t.Context(), target, brief, load)
		if err != nil {
			t.Fatal(err)
		}
		all := c.totals.minus(before)
		if all.acked != all.posted || all.completed != all.posted || all.delivered != members*all.posted {
			t.Errorf("%+v: %+v after draining, want all posts acknowledged and with every member", load, all)
		}
		if ph.completed > all.completed || ph.completed == 0 {
			t.Errorf("%+v: %d completed while measuring, %d in all", load, ph.completed, all.completed)
		}
		// A post may be due at the very beginning and at the very end, which comes
		// late on a machine that is busy.
		least, most := rate*(brief.Warm+brief.Measure).Seconds(), 2+rate*time.Since(began).Seconds()
		if posted := float64(all.posted); load.rate > 0 && (posted < least || posted > most) {
			t.Errorf("%d posted at %d/s, want %v to %v", all.posted, rate, least, most)
		}
		if ph.ack.p50 <= 0 || ph.ack.p50 > ph.ack.p999 || ph.read.p999 > time.Minute {
			t.Errorf("%+v: latencies %+v and %+v are impossible", load, ph.ack, ph.read)
		}
	}
	if posted, _ := p.counts(); posted != int(c.posted) {
		t.Errorf("the server got %d posts, the generator counted %d", posted, c.posted)
	}
}

// TestFaultsEndTheRun shows that a figure never stands for a fault.
func TestFaultsEndTheRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		window int // 1: nothing follows the fault
		fault  func(r *peerRoom, from *peerConn)
		want   string
	}{
		{"lost delivery", 4, func(r *peerRoom, from *peerConn) { r.ack(from) }, "got seq 11 after 9"},
		{"double delivery", 4, func(r *peerRoom, from *peerConn) { r.ack(from); r.deliver(r.seq); r.deliver(r.seq) }, "got seq 10 after 10"},
		{"swapped delivery", 4, func(r *peerRoom, from *peerConn) { r.ack(from); r.deliver(r.seq + 1) }, "got seq 11 after 9"},
		{"never posted", 1, func(r *peerRoom, from *peerConn) {
			r.ack(from)
			for i := range 2 { // to one member, so that nobody posts another
				r.deliverTo(from, r.seq+i)
			}
		}, "which was not posted"},
		{"lost acknowledgement", 4, func(r *peerRoom, from *peerConn) { r.deliver(r.seq) }, "got message_sent with seq 11, want 10"},
		{"double acknowledgement", 4, func(r *peerRoom, from *peerConn) { r.ack(from); r.ack(from); r.deliver(r.seq) }, "got message_sent with seq 10, want 11"},
		{"refusal", 1, func(_ *peerRoom, from *peerConn) {
			from.event(`{"type":"error","message":"No.","code":"store_unavailable","data":{}}`)
		}, "refused: {"},
		{"close", 1, func(_ *peerRoom, from *peerConn) {
			from.Write(websocket.AppendClose(nil, 4001, "too slow"))
		}, `closed by the server with 4001 "too slow"`},
		{"close without a code", 1, func(_ *peerRoom, from *peerConn) {
			from.Write(websocket.AppendClose(nil, websocket.CodeNone, ""))
		}, "closed by the server without a code"},
		{"end of the connection", 1, func(_ *peerRoom, from *peerConn) { from.Close() }, "ended by the server without a close frame"},
		{"silence", 1, nil, errLate.Error()}, // until the run is ended
		{"malformed frame", 1, func(_ *peerRoom, from *peerConn) { from.Write([]byte{0x01, 0x00}) }, "want an unfragmented, unmasked frame"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			defer time.AfterFunc(time.Minute, func() { cancel(errLate) }).Stop()
			if test.fault == nil {
				test.fault = func(*peerRoom, *peerConn) { cancel(errLate) }
			}
			_, target := startPeer(t, test.fault)
			_, err := Fanout{Members: 3, Inflight: test.window, Size: 10, Times: brief}.Run(ctx, target)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run = %v, want %q", err, test.want)
			}
		})
	}
}

func TestRefusedHandshakeEndsTheRun(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "full", http.StatusServiceUnavailable)
	}))
	defer s.Close()
	target := Target{Addr: netip.MustParseAddrPort(s.Listener.Addr().String()), PID: os.Getpid()}
	_, err := Idle{Connections: 1, RoomsOf: 1}.Run(t.Context(), target)
	if want := `handshake answered with "HTTP/1.1 503 Service Unavailable"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run = %v, want %s", err, want)
	}
}

func TestNobodyListens(t *testing.T) {
	addr, err := services.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Idle{Connections: 1, RoomsOf: 1}.Run(t.Context(), Target{Addr: netip.MustParseAddrPort(addr), PID: os.Getpid()})
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Run = %v, want connection refused", err)
	}
}

func TestImpossibleLoadIsRefused(t *testing.T) {
	for _, test := range []struct {
		name     string
		scenario Scenario
		want     string
	}{
		{"files", Idle{Connections: 1 << 30, RoomsOf: 1}, "ulimit"},
		{"rooms that do not divide", Idle{Connections: 10, RoomsOf: 3}, "do not divide"},
		{"no member", Idle{}, "do not divide"},
		{"window", Fanout{Members: 1, Inflight: 65, Size: 1}, "want 1 to 64"},
		{"no window", Ack{Senders: 1, Size: 1}, "want 1 to 64"},
		{"size", Ack{Senders: 1, Inflight: 1, Size: 16<<10 + 1}, "want 1 to 16384"},
		{"rate", Ack{Senders: 1, Inflight: 1, Size: 1, Rate: -1}, "want 0 to"},
		{"no rate", Rooms{Rooms: 1, Members: 1, Size: 1}, "is no load"},
		{"no room", Rooms{Members: 1, Size: 1, Rate: 1}, "at least one"},
		{"no sender", Ack{Inflight: 1, Size: 1}, "0 connections"},
		{"clients that do not divide", Reconnect{Clients: 10, Rooms: 3, History: 1, Size: 1}, "do not divide"},
		{"servers of somebody else", Roll{Clients: 4, Rooms: 2, Rate: 1, Size: 1}, "servers of its own"},
		{"nobody to move", Roll{Rooms: 2, Rate: 1, Size: 1}, "do not divide"},
		{"history", Reconnect{Clients: 10, Rooms: 2, History: 65, Size: 1}, "want 1 to 64"},
	} {
		if _, err := test.scenario.Run(t.Context(), Target{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Run = %v, want %q", test.name, err, test.want)
		}
	}
}

// TestPublishedLoadsHaveTheGoals keeps the headings that goals are found by in
// step with the scenarios.
func TestPublishedLoadsHaveTheGoals(t *testing.T) {
	var report Report
	for _, s := range Published() {
		switch s := s.(type) {
		case Idle:
			section{"idle", s.load(), &report}.add(rssPerConnection, 1, "")
		case Fanout:
			s.report(section{"fanout", s.closed(), &report}, phase{})
		case Ack:
			s.report(section{"ack", s.closed(), &report}, phase{})
			s.report(section{"ack", s.open(), &report}, phase{})
		}
	}
	for _, stage := range Clustered() {
		for _, s := range stage.Scenarios {
			var one Report
			switch s := s.(type) {
			case Ack:
				s.report(section{"ack", s.closed(), &one}, phase{})
			case Hot:
				s.report(&one, phase{})
			case Rooms:
				s.report(section{"rooms", s.load(), &one}, phase{}, true)
			case Reconnect:
				s.report(section{"reconnect", s.load(), &one}, phase{}, 0)
			case Roll:
				(&roll{Roll: s, herd: new(herd)}).report(section{"rolling restart", s.load(), &one})
			}
			report = append(report, one.On(stage.Setup)...)
		}
	}
	with := 0
	for _, f := range report {
		if f.Target != nil {
			with++
		}
	}
	if with != len(goals) {
		t.Errorf("%d figures have a goal, want %d", with, len(goals))
	}
}
