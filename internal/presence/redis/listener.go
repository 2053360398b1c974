package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// listener takes what other nodes say.
type listener struct {
	// Fixed after construction.
	cfg    Config
	health *health
	seals  *seals
	inbox  *inbox

	// Owned by run.
	peers *peers
}

func newListener(cfg Config, h *health, s *seals) *listener {
	return &listener{
		cfg:    cfg,
		health: h,
		seals:  s,
		inbox:  newInbox(cfg.Node),
		peers:  newPeers(cfg.Tracker, cfg.Node, max(cfg.Grace, cfg.Lease/2)),
	}
}

// begin reads all nodes, if Redis answers.
func (l *listener) begin(ctx context.Context) {
	if l.look(ctx) == nil {
		l.read(ctx)
	}
}

// run takes announcements as they come, and looks ten times in the life of a
// lease; at once if something was lost, but not more often than a hundred
// times.
func (l *listener) run(ctx context.Context) {
	next := time.NewTimer(l.cfg.Lease / 10)
	defer next.Stop()
	looked := time.Now()
	for {
		looking := false
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			looking = true
		case <-l.inbox.woken:
		}
		heard, lost := l.inbox.take()
		for i := range heard {
			l.peers.announced(&heard[i])
		}
		pause := l.cfg.Lease/100 - time.Since(looked)
		switch {
		case looking || lost && pause <= 0:
			_ = l.look(ctx) // else the next one is soon
			looked = time.Now()
			next.Reset(l.cfg.Lease / 10)
		case lost:
			next.Reset(pause)
		}
		l.read(ctx)
	}
}

// look finds out which nodes live and which of them have said more than was
// heard.
func (l *listener) look(ctx context.Context) error {
	answers, err := l.do(ctx, l.cfg.Client.B().Smembers().Key(nodesKey(l.cfg.Prefix)).Build())
	if err != nil {
		return err
	}
	listed, err := answers[0].AsStrSlice()
	if err != nil {
		return err
	}
	nodes := l.others(listed)
	if len(nodes) == 0 {
		return nil
	}
	b := l.cfg.Client.B()
	var commands []rueidis.Completed
	for _, node := range nodes {
		k := keysOf(l.cfg.Prefix, node)
		commands = append(commands, b.Get().Key(k.lease).Build(), b.Pttl().Key(k.lease).Build(),
			b.Hmget().Key(k.page).Field(fieldVersion, fieldWhole).Build())
	}
	if answers, err = l.do(ctx, commands...); err != nil {
		return err
	}
	for i, node := range nodes {
		lease, left, fields := answers[3*i], answers[3*i+1], answers[3*i+2]
		g, alive := l.glance(node, lease, left)
		if !alive {
			l.missed(ctx, node, slices.Contains(listed, node))
			continue
		}
		g.version = l.version(node, fields)
		l.peers.saw(node, g)
	}
	return nil
}

// others returns all nodes but this one that are listed or known.
func (l *listener) others(listed []string) []string {
	nodes := slices.Clone(listed)
	for node := range l.peers.known {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	return slices.DeleteFunc(slices.Compact(nodes), func(node string) bool { return node == l.cfg.Node })
}

// glance reads a lease; alive is false if there is none that the node has
// sealed.
func (l *listener) glance(node string, lease, left rueidis.RedisResult) (g glance, alive bool) {
	written, err := lease.ToString()
	ms, _ := left.AsInt64()
	if err != nil || ms <= 0 {
		return g, false
	}
	value, ok := l.seals.open(node, placeLease, written)
	if !ok {
		return g, false
	}
	if value == leaseLeaving {
		g.leaving = time.Duration(ms) * time.Millisecond
	}
	return g, true
}

// version returns the version of a page, of which two fields were read; 0 if
// it is no page.
func (l *listener) version(node string, fields rueidis.RedisResult) uint64 {
	values, err := fields.ToArray()
	if err != nil || len(values) != 2 {
		return 0
	}
	page := make(map[string]string, len(values))
	for i, field := range []string{fieldVersion, fieldWhole} {
		if written, err := values[i].ToString(); err == nil {
			page[field] = written
		}
	}
	l.seals.openPage(node, page)
	version, _ := parseVersion(page)
	return version
}

// missed lets go of a node without a lease, and takes it from the list. Should
// it live after all, it puts itself there again. While Redis takes nothing from
// this node it may take nothing from the other one either, and a lease that is
// gone says nothing.
func (l *listener) missed(ctx context.Context, node string, listed bool) {
	if !l.health.tells() {
		return
	}
	l.peers.missed(node)
	if listed {
		_, _ = l.do(ctx, l.cfg.Client.B().Srem().Key(nodesKey(l.cfg.Prefix)).Member(node).Build()) // else at the next look
	}
}

// read reads the pages of nodes of which something was missed. What fails is
// read after the next look.
func (l *listener) read(ctx context.Context) {
	for _, node := range l.peers.stale() {
		if err := l.readPage(ctx, node); err != nil && !errors.Is(err, errNotPage) {
			return
		}
	}
}

func (l *listener) readPage(ctx context.Context, node string) error {
	k, b := keysOf(l.cfg.Prefix, node), l.cfg.Client.B()
	answers, err := l.do(ctx, b.Get().Key(k.lease).Build(), b.Pttl().Key(k.lease).Build(), b.Hgetall().Key(k.page).Build())
	if err != nil {
		return err
	}
	g, alive := l.glance(node, answers[0], answers[1])
	if !alive {
		l.missed(ctx, node, false)
		return nil
	}
	fields, err := answers[2].AsStrMap()
	if err != nil {
		return err
	}
	l.seals.openPage(node, fields)
	p, err := parsePage(fields)
	if err != nil {
		return err
	}
	l.peers.took(node, g, p)
	return nil
}

func (l *listener) do(ctx context.Context, commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	answers, err := do(ctx, l.cfg.Client, commands...)
	l.health.note(ctx, hearing, err)
	return answers, err
}
