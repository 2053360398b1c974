//go:build linux

package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// readsEvery is how often the nodes are asked how much they have read.
const readsEvery = 100 * time.Millisecond

// reads follows what nodes read from their database, by their metrics. What a
// node reads between the last question and its end is not seen.
type reads struct {
	client *http.Client
	nodes  []*lives

	mu      sync.Mutex
	samples []sample // in the order of time
}

// sample is what nodes had read at an instant, since they were first asked.
type sample struct {
	at    time.Time
	nodes []readCounts
}

// readCounts are statements that read.
type readCounts struct {
	all     float64
	history float64 // those that read a part of a log
}

func (c readCounts) plus(d readCounts) readCounts {
	return readCounts{c.all + d.all, c.history + d.history}
}

func (c readCounts) minus(d readCounts) readCounts {
	return readCounts{c.all - d.all, c.history - d.history}
}

// lives is one node, whose counts begin anew with each life.
type lives struct {
	url     string
	started float64    // when this life began
	before  readCounts // of the lives before
	last    readCounts // of this one
}

func newReads(addrs []netip.AddrPort) *reads {
	r := &reads{client: &http.Client{Transport: new(http.Transport), Timeout: 5 * time.Second}}
	for _, addr := range addrs {
		r.nodes = append(r.nodes, &lives{url: "http://" + addr.String() + "/metrics"})
	}
	return r
}

func (r *reads) close() { r.client.CloseIdleConnections() }

// followReads asks until ctx ends; wait returns after that.
func followReads(ctx context.Context, addrs []netip.AddrPort) (r *reads, wait func()) {
	r = newReads(addrs)
	r.ask(ctx) // so that there is a sample
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(readsEvery)
		defer tick.Stop()
		defer r.close()
		for {
			r.ask(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return r, asking.Wait
}

// ask takes one sample. A node that does not answer has read nothing more.
func (r *reads) ask(ctx context.Context) {
	s := sample{nodes: make([]readCounts, len(r.nodes))}
	for i, n := range r.nodes {
		n.ask(ctx, r.client)
		s.nodes[i] = n.before.plus(n.last)
	}
	s.at = time.Now()
	r.mu.Lock()
	r.samples = append(r.samples, s)
	r.mu.Unlock()
}

func (n *lives) ask(ctx context.Context, client *http.Client) {
	m, err := metricsOf(ctx, client, n.url)
	if err != nil {
		return
	}
	if started := m["tertulia_start_time_seconds"]; started != n.started {
		n.before, n.started = n.before.plus(n.last), started
	}
	n.last = readCounts{m[`tertulia_db_query_duration_seconds_count{op="read"}`], m[`tertulia_db_reads_total{of="history"}`]}
}

// metricsOf reads the metrics of a node, by name with labels.
func metricsOf(ctx context.Context, client *http.Client, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	m := make(map[string]float64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	return m, lines.Err()
}

// between is what was read from one instant to another, or a moment longer: by
// each node, and by all of them a second.
func (r *reads) between(from, to time.Time) (nodes []readCounts, rate float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	for _, s := range r.samples {
		if !s.at.After(from) {
			first = s
		}
		if !s.at.Before(to) {
			last = s
			break
		}
	}
	nodes = make([]readCounts, len(r.nodes))
	sum := 0.0
	for i := range nodes {
		nodes[i] = last.nodes[i].minus(first.nodes[i])
		sum += nodes[i].all
	}
	return nodes, sum / max(last.at.Sub(first.at).Seconds(), readsEvery.Seconds())
}

// histories is how often the node that did it most read a part of a log.
func (r *reads) histories(from, to time.Time) (most float64) {
	nodes, _ := r.between(from, to)
	for _, n := range nodes {
		most = max(most, n.history)
	}
	return most
}
