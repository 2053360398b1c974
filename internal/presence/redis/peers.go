package redis

import (
	"time"

	"tertulia/internal/presence"
)

// peers is what has been taken of other nodes, and decides what has to be
// read. It belongs to one goroutine and does no input or output.
type peers struct {
	tracker *presence.Tracker
	self    string
	grace   time.Duration // of a node that has died
	known   map[string]*peer
}

// peer is one other node that lives, or is said to.
type peer struct {
	version uint64 // of what the tracker has from it; 0: nothing
	stale   bool   // its page is to be read
}

// glance is what a look shows of a node that lives.
type glance struct {
	version uint64        // of its page; 0 if that is not whole
	leaving time.Duration // what is left of its lease; 0 if the node stays
}

func newPeers(tracker *presence.Tracker, self string, grace time.Duration) *peers {
	return &peers{tracker: tracker, self: self, grace: grace, known: make(map[string]*peer)}
}

// announced takes an announcement.
func (ps *peers) announced(a *announcement) {
	if a.Node == ps.self {
		return
	}
	p := ps.peer(a.Node)
	switch {
	case p.version == 0 || a.What != whatSaid:
		p.stale = true
	case a.Version <= p.version: // old, or doubled
	case a.Version > p.version+1: // one before it is lost
		p.stale = true
	default:
		statements, err := a.statements()
		if err != nil {
			p.stale = true
			return
		}
		ps.tracker.Said(a.Node, statements)
		p.version = a.Version
	}
}

// saw takes a look at a node that has a lease.
func (ps *peers) saw(node string, g glance) {
	p := ps.peer(node)
	if g.version != 0 && g.version != p.version {
		p.stale = true
	}
	if g.leaving > 0 {
		ps.tracker.Void(node, g.leaving)
	}
}

// missed takes a look that found no lease.
func (ps *peers) missed(node string) {
	delete(ps.known, node)
	ps.tracker.Void(node, ps.grace)
}

// took takes the page of a node that was read together with its lease.
func (ps *peers) took(node string, g glance, p page) {
	*ps.peer(node) = peer{version: p.version}
	ps.tracker.Replace(node, p.statements)
	if g.leaving > 0 {
		ps.tracker.Void(node, g.leaving)
	}
}

// stale returns the nodes whose pages are to be read.
func (ps *peers) stale() (nodes []string) {
	for node, p := range ps.known {
		if p.stale {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func (ps *peers) peer(node string) *peer {
	p := ps.known[node]
	if p == nil {
		p = new(peer)
		ps.known[node] = p
	}
	return p
}
