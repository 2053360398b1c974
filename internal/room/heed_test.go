package room

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
)

// What one node takes away counts on the other: as soon as the bus carries it,
// and at most 10 s later if the bus carries nothing.
func TestRightsOnTwoNodes(t *testing.T) {
	buses := []struct {
		name   string
		faults bustest.Faults
		within time.Duration
	}{
		{"perfect", bustest.Faults{}, 0},
		{"dead", bustest.Faults{Drop: 1}, 2 * admissionsFor},
	}
	rights := []struct {
		name string
		may  func(s *Service) error
		take func(s *Service) error
		want chat.Code
	}{
		{
			"posting with an account",
			func(s *Service) error { return s.Typing(context.Background(), byBob, "r", true) },
			func(s *Service) error {
				_, err := s.PutAccount(context.Background(), service, chat.Account{User: bob, Disabled: true})
				return err
			},
			chat.Forbidden,
		},
		{
			"typing in a room",
			func(s *Service) error { return s.Typing(context.Background(), byBob, "r", true) },
			func(s *Service) error { return s.Ban(context.Background(), service, "r", bob, "") },
			chat.Banned,
		},
		{
			"entering a room",
			func(s *Service) error { return s.EnterAt(context.Background(), byBob, "r", s.Log().Epoch(), 0) },
			func(s *Service) error { return s.Ban(context.Background(), service, "r", bob, "") },
			chat.Banned,
		},
	}
	for _, b := range buses {
		for _, r := range rights {
			t.Run(r.name+", over a bus that is "+b.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					st := openSQLite(t, t.TempDir())
					defer st.Close()
					var nodes []*Service
					for _, b := range bustest.Cluster(func() bus.Bus { return local.New() }, 2, 1, b.faults) {
						defer b.Close()
						s := New(Config{Store: st, Bus: b, AutoCreate: true})
						defer s.Close()
						nodes = append(nodes, s)
					}
					say(t, nodes[0], byAlice, "r", "hola")
					if err := r.may(nodes[1]); err != nil {
						t.Fatalf("before: %v", err)
					}
					if err := r.take(nodes[0]); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if err := r.may(nodes[0]); !hasCode(err, r.want) {
						t.Errorf("on the same node: %v, want %s", err, r.want)
					}
					time.Sleep(b.within)
					synctest.Wait()
					if err := r.may(nodes[1]); !hasCode(err, r.want) {
						t.Errorf("on the other node %v later: %v, want %s", b.within, err, r.want)
					}
				})
			})
		}
	}
}

// An account is remembered for 10 s at the most, however busy its user is.
func TestAdmissionsAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmissions()
		a.learn("u", true, a.mark())
		for since := time.Duration(0); since <= 2*admissionsFor; since += time.Second {
			disabled, known := a.of("u")
			if known != (since < admissionsFor || known && since < 2*admissionsFor) || known && !disabled {
				t.Errorf("after %v: disabled %v, known %v", since, disabled, known)
			}
			a.learn("other", false, a.mark())
			time.Sleep(time.Second)
		}
		if _, known := a.of("u"); known {
			t.Errorf("known after more than %v", 2*admissionsFor)
		}
	})
}

// What was read before a change is not remembered after it.
func TestOldReadsAreNotRemembered(t *testing.T) {
	var o opens
	o.learn("r", openRoom{epoch: "e", at: 5, free: true}, o.mark())
	for _, c := range []struct {
		epoch string
		since uint64
		want  bool
	}{{"e", 0, true}, {"e", 5, true}, {"e", 6, false}, {"other", 5, false}} {
		if _, ok := o.of("r", c.epoch, c.since); ok != c.want {
			t.Errorf("of epoch %s since %d: %v, want %v", c.epoch, c.since, ok, c.want)
		}
	}
	mark := o.mark()
	o.notice(&chat.Event{Room: "r", Kind: chat.KindMemberBanned})
	o.learn("r", openRoom{epoch: "e", at: 5, free: true}, mark)
	if _, ok := o.of("r", "e", 0); ok {
		t.Error("what was read before a ban is remembered after it")
	}
}
