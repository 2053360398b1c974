// Package tickettest holds keepers of tickets to the contract of
// auth.TicketKeeper: each sentence of it is a named case.
package tickettest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
)

// Run holds the keepers that open makes to the contract. Each call of open
// returns several handles on one place that is empty, as the nodes of a
// cluster have them; they may all be the same.
func Run(t *testing.T, open func(t *testing.T) []auth.TicketKeeper) {
	for _, c := range []struct {
		name string
		run  func(k *keepers)
	}{
		{"a ticket that one node keeps is taken at another, once", takenOnce},
		{"of many that come with one ticket one gets it", takenByOne},
		{"a lifetime ends", expires},
		{"a user has so many tickets and no more", boundedByUser},
		{"bytes come back as they were", anyBytes},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&keepers{t: t, all: open(t)}) })
	}
}

const long = time.Hour

type keepers struct {
	t   *testing.T
	all []auth.TicketKeeper
}

func (k *keepers) first() auth.TicketKeeper { return k.all[0] }
func (k *keepers) last() auth.TicketKeeper  { return k.all[len(k.all)-1] }

func hash() (h [sha256.Size]byte) {
	rand.Read(h[:])
	return h
}

func (k *keepers) put(user chat.UserID, lifetime time.Duration, most int) (h [sha256.Size]byte, kept bool) {
	k.t.Helper()
	h = hash()
	kept, err := k.first().PutTicket(k.t.Context(), h, user, h[:8], lifetime, most)
	if err != nil {
		k.t.Fatalf("PutTicket: %v", err)
	}
	return h, kept
}

func (k *keepers) wantTake(at auth.TicketKeeper, h [sha256.Size]byte, want []byte) {
	k.t.Helper()
	if got, err := at.TakeTicket(k.t.Context(), h); err != nil || !bytes.Equal(got, want) {
		k.t.Errorf("TakeTicket = %x, %v, want %x", got, err, want)
	}
}

func takenOnce(k *keepers) {
	h, _ := k.put("1", long, 2)
	other, _ := k.put("1", long, 2)
	k.wantTake(k.last(), hash(), nil)
	k.wantTake(k.last(), h, h[:8])
	k.wantTake(k.last(), h, nil)
	k.wantTake(k.first(), h, nil)
	k.wantTake(k.first(), other, other[:8])
}

func takenByOne(k *keepers) {
	h, _ := k.put("1", long, 1)
	var taken atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			sealed, err := k.all[i%len(k.all)].TakeTicket(context.Background(), h)
			if err != nil {
				k.t.Errorf("TakeTicket: %v", err)
			}
			if sealed != nil {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		k.t.Errorf("the ticket was taken %d times, want once", taken.Load())
	}
}

func expires(k *keepers) {
	const short = 50 * time.Millisecond
	h, _ := k.put("1", short, 1)
	time.Sleep(2 * short) // the keeper's clock may be another machine's: nothing else makes it go on
	k.wantTake(k.last(), h, nil)
	if h, kept := k.put("1", long, 1); !kept {
		k.t.Error("a ticket that has expired still counts")
	} else {
		k.wantTake(k.last(), h, h[:8])
	}
}

// boundedByUser puts at all nodes at once.
func boundedByUser(k *keepers) {
	const most = 5
	var kept atomic.Int32
	var all sync.WaitGroup
	for i := range 4 * most {
		all.Go(func() {
			ok, err := k.all[i%len(k.all)].PutTicket(context.Background(), hash(), "1", []byte("x"), long, most)
			if err != nil {
				k.t.Errorf("PutTicket: %v", err)
			}
			if ok {
				kept.Add(1)
			}
		})
	}
	all.Wait()
	if kept.Load() != most {
		k.t.Errorf("%d tickets of a user were kept, want %d", kept.Load(), most)
	}
	if _, ok := k.put("2", long, most); !ok {
		k.t.Error("a ticket of another user was not kept")
	}
}

func anyBytes(k *keepers) {
	h := hash()
	sealed := make([]byte, 700)
	rand.Read(sealed)
	sealed[0], sealed[1] = 0, 0xff
	if kept, err := k.first().PutTicket(k.t.Context(), h, "señora:1", sealed, long, 1); err != nil || !kept {
		k.t.Fatalf("PutTicket = %v, %v", kept, err)
	}
	k.wantTake(k.last(), h, sealed)
}
