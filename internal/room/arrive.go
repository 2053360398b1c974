package room

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/gather"
	"tertulia/internal/limit"
	"tertulia/internal/store"
)

// arrivalRate is how many reads the arrivals of users are. When a node ends,
// hundreds of clients a second come to the others: they cost the store no more
// than ten reads a second on each, and wait a tenth of a second for that. What
// is below the rate waits for nothing.
var arrivalRate = limit.Rate{Count: 10, Per: time.Second, Burst: 20}

// arrivals reads the standings of users who come into rooms.
type arrivals = gather.Gather[store.Arrival, store.Arrived]

func newArrivals(s *Service) *arrivals {
	return gather.New(arrivalRate, readLimit, s.log, s.readArrivals)
}

func (s *Service) readArrivals(ctx context.Context, asked []store.Arrival) ([]store.Arrived, error) {
	changes := s.admissions.mark()
	arrived, err := s.store.Arrivals(ctx, asked)
	if err != nil {
		return nil, err
	}
	for i, a := range asked {
		s.admissions.learn(a.User, arrived[i].Disabled, changes)
	}
	return arrived, nil
}

func (s *Service) readHurried(ctx context.Context, asked ...store.Arrival) ([]store.Arrived, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	return s.readArrivals(ctx, asked)
}

// Entrance is what [Service.EnterAll] returns of one room.
type Entrance struct {
	store.Standing
	Err error
}

// EnterAll is Enter for several rooms, at most 1,000: an entrance for each, in
// their order. In a storm they are read together with those of others, for which
// the caller waits a tenth of a second; not if it is in a hurry.
func (s *Service) EnterAll(ctx context.Context, by chat.Principal, ids []chat.RoomID, hurry bool) []Entrance {
	asked := make([]store.Arrival, len(ids))
	for i, id := range ids {
		asked[i] = store.Arrival{Room: id, User: by.User.ID}
	}
	entrances := make([]Entrance, len(ids))
	read := s.arrivals.Get
	if hurry {
		read = s.readHurried
	}
	arrived, err := read(ctx, asked...)
	for i := range entrances {
		if err != nil {
			entrances[i].Err = s.unreadable("who comes into a room", err)
			continue
		}
		entrances[i] = s.entrance(by, &arrived[i])
	}
	return entrances
}

// entrance judges an arrival as allow does.
func (s *Service) entrance(by chat.Principal, a *store.Arrived) Entrance {
	err := error(nil)
	switch {
	case a.Disabled && !by.Service:
		err = errDisabled
	case !a.Room.Exists && !s.mayCreate(a.Room.ID):
		err = notFound(a.Room.ID)
	default:
		err = Can(by, ActRead, a.Room, a.Member)
	}
	if err != nil {
		return Entrance{Err: err}
	}
	s.entered(by, a.Standing)
	return Entrance{Standing: a.Standing}
}

// entered remembers who may post in a room, and so may type there.
func (s *Service) entered(by chat.Principal, at store.Standing) {
	if !by.Service && Can(by, ActPost, at.Room, at.Member) == nil {
		s.writers.add(writer{at.Room.ID, by.User.ID})
	}
}
