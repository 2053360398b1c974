package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what scenarios came to.
type Report []Figure

// Figure is one measured number.
type Figure struct {
	Scenario string `json:"scenario"`
	// Load says under which load it was measured, in full: figures compare
	// if these words are equal.
	Load  string  `json:"load"`
	Name  string  `json:"figure"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is what the project aims for under this very load, nil if
	// nothing is published for it.
	Target *Goal `json:"target,omitempty"`
}

// Goal is a number to reach.
type Goal struct {
	Value   float64 `json:"value"`
	AtLeast bool    `json:"at_least"` // otherwise at most
}

// Met reports whether a measured value reaches the goal.
func (g Goal) Met(v float64) bool {
	if g.AtLeast {
		return v >= g.Value
	}
	return v <= g.Value
}

func (g Goal) String() string {
	if g.AtLeast {
		return "≥ " + number(g.Value)
	}
	return "≤ " + number(g.Value)
}

// goals are the figures that docs/performance.md promises, by scenario, load
// and figure.
var goals = map[[3]string]Goal{
	{"idle", "10,000 connections in rooms of 10", rssPerConnection}:             {Value: 6},
	{"fanout", "1,000 members, 32 messages in flight of 64 B", cpuPerDelivery}:  {Value: 1.2},
	{"ack", "100 senders, 16 messages in flight each of 64 B", ackedPerSecond}:  {Value: 25_000, AtLeast: true},
	{"ack", "100 senders, 5,000 messages/s of 64 B", "until acknowledged, p99"}: {Value: 20},

	{"ack", "100 senders, 16 messages in flight each of 64 B; 1 node, PostgreSQL and Redis", ackedPerSecond}:           {Value: 20_000, AtLeast: true},
	{"hot room", "100 senders, 16 messages in flight each of 64 B; 1 node, PostgreSQL and Redis", ackedPerSecond}:      {Value: 12_000, AtLeast: true},
	{"rooms", "500 rooms of 2, 2,000 messages/s of 64 B; 2 nodes, PostgreSQL and Redis", crossingP99}:                  {Value: 20},
	{"reconnect", "5,000 clients in 500 rooms, 50 messages of 64 B each; 2 nodes, PostgreSQL and Redis", allBack}:      {Value: 3},
	{"reconnect", "5,000 clients in 500 rooms, 50 messages of 64 B each; 2 nodes, PostgreSQL and Redis", historyReads}: {Value: 1},

	{"rolling restart", rolled, lastMoved + ", worst"}: {Value: 10},
	{"rolling restart", rolled, readRatio}:             {Value: 2},
	{"rolling restart", rolled, historyReads}:          {Value: 1},
	{"rolling restart", rolled, toldOfMoved}:           {Value: 0},
}

const rolled = "4,500 clients in 450 rooms, 450 messages/s of 64 B; 3 nodes, PostgreSQL and Redis"

// The names of figures that have a goal, or stand in several scenarios.
const (
	rssPerConnection = "server RSS per connection"
	cpuPerDelivery   = "server CPU per delivery"
	cpuPerMessage    = "server CPU per message"
	ackedPerSecond   = "acknowledged"
	crossingP99      = "from acknowledged until at the other nodes, p99"
	allBack          = "until all have history"
	lastMoved        = "from SIGTERM until the last client is elsewhere"
	readRatio        = "store reads during a restart, of those before"
	historyReads     = "history reads of one node for each room, most"
	toldOfMoved      = "told of those who moved"
)

// section gathers the figures of one scenario under one load.
type section struct {
	scenario, load string
	report         *Report
}

func (s section) add(name string, value float64, unit string) {
	f := Figure{Scenario: s.scenario, Load: s.load, Name: name, Value: value, Unit: unit}
	if g, ok := goals[[3]string{s.scenario, s.load, name}]; ok {
		f.Target = &g
	}
	*s.report = append(*s.report, f)
}

func (s section) addTime(name string, d time.Duration) {
	s.add(name, float64(d)/float64(time.Millisecond), "ms")
}

// addPer adds the share of total that falls on each of n, in microseconds.
func (s section) addPer(name string, total time.Duration, n uint64) {
	s.add(name, per(float64(total)/float64(time.Microsecond), n), "µs")
}

// per is total/n, and 0 where there was nothing to share among.
func per(total float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return total / float64(n)
}

// WriteTable writes the report for people: one line a figure, under a heading
// for each load.
func (r Report) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heading := ""
	for _, f := range r {
		if h := f.Scenario + ": " + f.Load; h != heading {
			if heading != "" {
				fmt.Fprintln(tw)
			}
			fmt.Fprintln(tw, h)
			heading = h
		}
		fmt.Fprintf(tw, "  %s\t%s%s\n", f.Name, strings.TrimSpace(number(f.Value)+" "+f.Unit), f.verdict())
	}
	return tw.Flush()
}

// verdict puts the target beside the measured value.
func (f Figure) verdict() string {
	switch {
	case f.Target == nil:
		return ""
	case f.Target.Met(f.Value):
		return fmt.Sprintf("\ttarget %s: met", f.Target)
	}
	return fmt.Sprintf("\ttarget %s: missed", f.Target)
}

// number writes v with three digits that count, and whole thousands grouped.
func number(v float64) string {
	switch {
	case v >= 100:
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 10:
		return trimmed(v, 1)
	case v >= 1 || v == 0:
		return trimmed(v, 2)
	}
	return trimmed(v, 3)
}

func trimmed(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// grouped puts commas into the digits of a whole number.
func grouped(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// count writes a whole number as headings have it.
func count(n int) string { return grouped(strconv.Itoa(n)) }
