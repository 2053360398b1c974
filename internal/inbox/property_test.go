package inbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/room"
)

// chance drives a world at random. What is refused is part of the game.
type chance struct {
	*world
	dice    *rand.Rand
	open    []*screen
	players []chat.Principal
	hiding  bool // marks are made private, and shown again
}

var playedRooms = []chat.RoomID{"open", "lobby", "club", "plans"}

func (c *chance) by() chat.Principal { return c.players[c.dice.IntN(len(c.players))] }

func (c *chance) step() {
	ctx := context.Background()
	by, other := c.by(), c.by().User
	id := playedRooms[c.dice.IntN(len(playedRooms))]
	switch n := c.dice.IntN(100); {
	case n < 35:
		_ = c.post(by, id)
	case n < 55:
		r, _ := c.store.Room(ctx, id)
		m := room.Mark{Read: c.dice.Uint64N(r.Head + 1)}
		if c.dice.IntN(4) == 0 {
			m = room.Mark{Delivered: m.Read}
		}
		if c.hiding && c.dice.IntN(4) == 0 {
			hidden := c.dice.IntN(2) == 0
			m.Private = &hidden
		}
		_, _ = c.rooms().Mark(ctx, by, id, m)
	case n < 60:
		_, _ = c.rooms().Join(ctx, by, id)
	case n < 64:
		_ = c.rooms().Leave(ctx, by, id)
	case n < 68:
		_, _ = c.rooms().Invite(ctx, by, id, other)
	case n < 70:
		_ = c.rooms().Remove(ctx, by, id, other.ID, "")
	case n < 72:
		_ = c.rooms().Ban(ctx, by, id, other, "")
	case n < 74:
		_ = c.rooms().Unban(ctx, by, id, other.ID)
	case n < 77:
		_, _ = c.rooms().SetRole(ctx, by, id, other.ID, chat.Role(1+c.dice.IntN(3)))
	case n < 81:
		title, archived := fmt.Sprint("t", n, c.dice.IntN(3)), c.dice.IntN(6) == 0
		_, _ = c.rooms().Update(ctx, by, id, room.Changes{Title: &title, Archived: &archived})
	case n < 86:
		if len(c.open) < 8 {
			c.open = append(c.open, c.world.open(by))
		}
	case n < 90:
		if len(c.open) > 0 {
			i := c.dice.IntN(len(c.open))
			c.open[i].off()
			c.open = append(c.open[:i], c.open[i+1:]...)
		}
	default:
		time.Sleep(time.Duration(c.dice.IntN(600)) * time.Millisecond)
	}
}

// play takes random steps, and compares every device with the store whenever
// settled has passed without one.
func play(t *testing.T, seed uint64, hiding bool, settled time.Duration, between ...func(bus.Bus) bus.Bus) {
	inBubble(t, func(w *world) {
		ctx := context.Background()
		service := chat.Principal{Service: true}
		c := &chance{world: w, dice: rand.New(rand.NewPCG(seed, 1)), players: []chat.Principal{ana, bob, eva}, hiding: hiding}
		for id, access := range map[chat.RoomID]chat.Access{"lobby": chat.AccessOpen, "club": chat.AccessPublic, "plans": chat.AccessPrivate} {
			w.must(w.rooms().Create(ctx, service, room.Create{Room: id, Settings: chat.Settings{Access: access}}))
			w.must(w.rooms().Add(ctx, service, id, ana.User, chat.RoleOwner))
		}
		for round := range 4 {
			for range 60 {
				c.step()
			}
			time.Sleep(settled)
			for _, s := range c.open {
				s.check(fmt.Sprintf("seed %d, round %d", seed, round))
			}
		}
		for _, s := range c.open {
			s.off()
		}
	}, between...)
}

// The state after any sequence is what a look at the store says: within two
// seconds if nothing is lost, but that a mark has become private, within a check.
func TestEveryDeviceShowsTheTruth(t *testing.T) {
	for seed := range uint64(5) {
		play(t, seed, false, 2*tellEvery)
		play(t, seed, true, checkEvery+2*tellEvery)
	}
}

// And within a minute and a bit whatever is lost, doubled, late or turned
// round.
func TestTruthComesBackWithoutTheBus(t *testing.T) {
	for seed := range uint64(5) {
		faults := bustest.Faults{Drop: 0.3, Bare: 0.3, Double: 0.2, Reorder: 0.2, Delay: 0.2, MaxDelay: 300 * time.Millisecond}
		play(t, seed, true, readAllEvery+2*checkEvery, func(b bus.Bus) bus.Bus { return bustest.Chaotic(b, seed, faults) })
	}
}
