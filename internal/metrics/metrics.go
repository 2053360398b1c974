// Package metrics shows operators what a node does, in the text format of
// Prometheus.
//
// It owns the registry and every name. Layers know nothing of it: they keep
// counters of package count in their own words, and what is here reads those
// when somebody asks. A metric is named after the rules of Prometheus; no
// label grows with users or rooms, so neither does the number of series.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tertulia/internal/count"
	"tertulia/internal/gateway"
	"tertulia/internal/hub"
	"tertulia/internal/observe"
	"tertulia/internal/presence"
	"tertulia/internal/room"
)

// Sources are what the metrics are read from. All are required.
type Sources struct {
	Build    observe.Build
	Gateway  *gateway.Gateway
	Rooms    *room.Service
	Hub      *hub.Hub
	Presence *presence.Tracker
	Store    StoreTimes
	// StoreUp says whether the store can be used now. It returns within a
	// few seconds.
	StoreUp func() bool
	// RedisUp says whether Redis answers; true where there is none.
	RedisUp func() bool
}

// StoreTimes are how long a store took, whichever it is.
type StoreTimes struct {
	// Backend names it: sqlite or postgres.
	Backend string
	// Append is for each transaction or statement that writes, Read for each
	// read.
	Append, Read *count.Histogram
}

// Metrics are a node's metrics. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	requests *requests
}

// New registers the metrics of one node, which is taken to start now.
func New(s Sources) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests,
	)
	for _, family := range nodeFamilies(s) {
		m.registry.MustRegister(family)
	}
	for _, family := range connectionFamilies(s.Gateway) {
		m.registry.MustRegister(family)
	}
	for _, family := range messageFamilies(s) {
		m.registry.MustRegister(family)
	}
	return m
}

// nodeFamilies are about the node as a whole.
func nodeFamilies(s Sources) []prometheus.Collector {
	started := float64(time.Now().UnixNano()) / float64(time.Second)
	build := prometheus.Labels{"version": s.Build.Version, "commit": s.Build.Commit, "goversion": s.Build.Go}
	up := func(is func() bool) func() float64 {
		return func() float64 {
			if is() {
				return 1
			}
			return 0
		}
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "build_info", Help: "Which program this is; always 1.", ConstLabels: build,
		}, func() float64 { return 1 }),
		gauge("start_time_seconds", "When the server started, in seconds since 1970.", func() float64 { return started }),
		newOnline(s.Presence),
		gauge("database_up", "Whether a message could be stored now: 1 or 0.", up(s.StoreUp)),
		gauge("redis_up", "Whether Redis answers: 1 or 0; 1 without redis.urls, for then nothing is missing.", up(s.RedisUp)),
		newHistogram("db_query_duration_seconds", "How long the database took for one transaction or read.", "op",
			buckets{"append", one(s.Store.Append)}, buckets{"read", one(s.Store.Read)}),
	}
}

// connectionFamilies are about clients' connections.
func connectionFamilies(g *gateway.Gateway) []prometheus.Collector {
	const ws = "ws"
	c := g.Counts()
	return []prometheus.Collector{
		newGauges("connections", "Connections there are.", "transport", g.Transports),
		newCounters("connections_opened_total", "Connections that clients have opened.", "protocol", c.Opened.All, constant("transport", ws)),
		newCounters("connections_closed_total", "Connections that have ended, by close code.", "code", c.Closed.All, constant("transport", ws)),
		newHistogram("connection_duration_seconds", "How long connections that have ended lasted.", "transport", buckets{ws, one(c.Lasted)}),
		newCounters("frames_received_total", "Frames from clients.", "type", c.Received),
		newCounters("received_bytes_total", "Bytes in clients' frames, without headers.", "transport", single(ws, &c.ReceivedBytes)),
		newCounters("sent_bytes_total", "Bytes that connections took.", "transport", single(ws, &c.SentBytes)),
	}
}

// messageFamilies are about what is said: posted, stored, delivered.
func messageFamilies(s Sources) []prometheus.Collector {
	rooms, out, in := s.Rooms.Counts(), s.Hub.Counts(), s.Gateway.Counts()
	return []prometheus.Collector{
		newCounters("messages_accepted_total", "Messages stored.", "source", rooms.Accepted),
		counter("messages_deduplicated_total", "Posts that had been stored before under the same nonce.", rooms.Deduplicated.Value),
		newCounters("messages_rejected_total", "Posts that were refused, by error code.", "reason", rooms.Rejected.All),
		newHistogram("message_store_duration_seconds", "How long the store took for one batch of messages.", "backend",
			buckets{s.Store.Backend, one(rooms.StoreTime)}),
		newHistogram("message_batch_size", "Messages stored in one batch.", "", buckets{"", one(rooms.Batch)}),
		newHistogram("message_delivery_duration_seconds", "From the answer to the author until the readers' sockets have the message; sampled.", "hop",
			buckets{"local", out.Delivery}),
		newHistogram("fanout_recipients", "Readers in the room when messages came.", "", buckets{"", one(out.Recipients)}),
		newCounters("frames_sent_total", "Frames handed to connections.", "type", out.Sent),
		counter("slow_consumers_total", "Clients sent away because they took no bytes or fell too far behind.", func() uint64 {
			return out.Slow.Value() + in.Slow.Value()
		}),
		newCounters("resumes_total", "Cursors that clients came back with.", "result", out.Resumes.All),
		counter("typing_events_total", "Events that say who begins or ends to type.", rooms.Typing.Value),
	}
}

// Watch measures the requests that next serves. Routes are told apart by the
// pattern that an http.ServeMux in next has matched.
func (m *Metrics) Watch(next http.Handler) http.Handler { return m.requests.watch(next) }
