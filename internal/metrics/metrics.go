// Package metrics shows operators what a node does, in the text format of
// Prometheus.
//
// It owns the registry and every name. Layers know nothing of it: they keep
// counters of package count in their own words, and what is here reads those
// when somebody asks. A metric is named after the rules of Prometheus; no
// label grows with users or rooms, so neither does the number of series.
package metrics

import (
	"iter"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tertulia/internal/auth"
	busredis "tertulia/internal/bus/redis"
	"tertulia/internal/cache"
	"tertulia/internal/count"
	"tertulia/internal/gateway"
	"tertulia/internal/hub"
	"tertulia/internal/limit"
	"tertulia/internal/observe"
	"tertulia/internal/presence"
	presenceredis "tertulia/internal/presence/redis"
	"tertulia/internal/room"
)

// Sources are what the metrics are read from. All are required.
type Sources struct {
	Build    observe.Build
	Gateway  *gateway.Gateway
	Rooms    *room.Service
	Hub      *hub.Hub
	Presence *presence.Tracker
	Who      *auth.Authenticator
	Limits   *limit.Limiter
	Store    StoreCounts
	// StoreUp says whether the store can be used now. It returns within a
	// few seconds.
	StoreUp func() bool
	// RedisUp says whether Redis answers; true where there is none.
	RedisUp func() bool
	// Bus, Cache and Ledger are those in Redis; without it they stay zero.
	Bus    *busredis.Counts
	Cache  *cache.Counts
	Ledger *presenceredis.Counts
	// BusUp says whether all that other nodes publish is heard; true where
	// there is no Redis.
	BusUp func() bool
	// PresenceDegraded says whether it is not known who is at other nodes.
	PresenceDegraded func() bool
}

// StoreCounts are what a store counts, whichever it is.
type StoreCounts struct {
	// Backend names it: sqlite or postgres.
	Backend string
	*count.Store
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
	for _, family := range connectionFamilies(s) {
		m.registry.MustRegister(family)
	}
	for _, family := range messageFamilies(s) {
		m.registry.MustRegister(family)
	}
	for _, family := range clusterFamilies(s) {
		m.registry.MustRegister(family)
	}
	return m
}

// nodeFamilies are about the node as a whole.
func nodeFamilies(s Sources) []prometheus.Collector {
	started := float64(time.Now().UnixNano()) / float64(time.Second)
	build := prometheus.Labels{"version": s.Build.Version, "commit": s.Build.Commit, "goversion": s.Build.Go}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "build_info", Help: "Which program this is; always 1.", ConstLabels: build,
		}, func() float64 { return 1 }),
		gauge("start_time_seconds", "When the server started, in seconds since 1970.", func() float64 { return started }),
		newOnline(s.Presence),
		gauge("database_up", "Whether a message could be stored now: 1 or 0.", oneIf(s.StoreUp)),
		gauge("redis_up", "Whether Redis answers: 1 or 0; 1 without redis.urls, for then nothing is missing.", oneIf(s.RedisUp)),
		newHistogram("db_query_duration_seconds", "How long the database took for one transaction or read.", "op",
			buckets{"append", one(s.Store.Append)}, buckets{"read", one(s.Store.Read)}),
		newCounters("db_reads_total", "Reads by what was read: history (a part of a log), room (the state of rooms), member (standings), account; of others tells db_query_duration_seconds alone.",
			"of", s.Store.Reads.All),
	}
}

// connectionFamilies are about clients' connections.
func connectionFamilies(s Sources) []prometheus.Collector {
	const ws, opened, closed = "ws", "Connections that clients have opened.", "Connections that have ended, by close code."
	g, c := s.Gateway, s.Gateway.Counts()
	followed := func(transport string) []prometheus.Collector {
		at := constant("transport", transport)
		return []prometheus.Collector{
			newCounters("connections_opened_total", opened, "protocol", single("v1", c.Began.Of(transport)), at),
			newCounters("connections_closed_total", closed, "code", single("http", c.Ended.Of(transport)), at),
		}
	}
	return append(append(followed("sse"), followed("poll")...),
		newGauges("connections", "Connections there are.", "transport", g.Transports),
		newCounters("connections_opened_total", opened, "protocol", c.Opened.All, constant("transport", ws)),
		newCounters("connections_closed_total", closed, "code", c.Closed.All, constant("transport", ws)),
		newHistogram("connection_duration_seconds", "How long connections that have ended lasted.", "transport", buckets{ws, one(c.Lasted)}),
		newCounters("frames_received_total", "Frames from clients.", "type", c.Received),
		newCounters("received_bytes_total", "Bytes in clients' frames, without headers.", "transport", single(ws, &c.ReceivedBytes)),
		newCounters("sent_bytes_total", "Bytes that connections took.", "transport", single(ws, &c.SentBytes)),
		newCounters("rate_limited_total", "What was refused because it was too much, by kind.", "kind", s.Limits.Refused),
		newCounters("auth_failures_total", "Credentials that were not taken, by error code.", "reason", s.Who.Failures().All),
	)
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
		newCounters("room_checks_total", "Rooms compared with the store for events that the bus may have lost.", "reason", out.Looks.All),
		counter("events_healed_total", "Events that the bus lost, or brought too late, and that were read from the log.", out.Healed.Value),
		counter("logs_rewritten_total", "Logs that were found to be others than what readers had been given.", out.Rewritten.Value),
		counter("read_marks_total", "Read marks that were stored.", rooms.Marks.Value),
		counter("typing_events_total", "Events that say who begins or ends to type.", rooms.Typing.Value),
	}
}

// clusterFamilies are about what goes between nodes, and what lies in Redis.
func clusterFamilies(s Sources) []prometheus.Collector {
	b, c, l := s.Bus, s.Cache, s.Ledger
	const recent = "recent" // messages
	return []prometheus.Collector{
		counter("bus_published_total", "Messages to other nodes that Redis took.", b.Published.Value),
		counter("bus_pokes_total", "Messages to other nodes that say that there is something, and not what: it is too large, or redis.content is false.", b.Pokes.Value),
		counter("bus_received_total", "Messages of other nodes.", b.Received.Value),
		newCounters("bus_errors_total", "Messages between nodes that were lost or not taken.", "reason", busErrors(b)),
		counter("bus_gaps_total", "Losses of messages between nodes that were found by their numbers.", b.Gaps.Value),
		counter("bus_losses_told_total", "How often was told of a loss who listens to other nodes, and looks at the database then.", b.Told.Value),
		counter("bus_subscribes_total", "How often it was subscribed to what other nodes say; more than at the start is a connection that was lost.", b.Subscribed.Value),
		gauge("bus_up", "Whether all that other nodes say is heard: 1 or 0; 1 without redis.urls.", oneIf(s.BusUp)),
		newCounters("cache_hits_total", "Reads of recent messages that Redis answered.", "cache", single(recent, &c.Hits)),
		newCounters("cache_misses_total", "Reads of recent messages that went to the database all the same.", "cache", single(recent, &c.Misses)),
		newCounters("cache_errors_total", "Errors and late answers of Redis to the cache.", "cache", single(recent, &c.Failed)),
		gauge("presence_degraded", "Whether it is not known who is at other nodes: 1 or 0.", oneIf(s.PresenceDegraded)),
		newCounters("presence_errors_total", "Exchanges with Redis about presence that failed, and what was found there that no node has written.", "reason", presenceErrors(l)),
		counter("presence_restatements_total", "How often this node has written all its users to Redis anew; more than at the start is a loss there.", l.Restated.Value),
	}
}

// busErrors are the messages between nodes that came to nothing.
func busErrors(b *busredis.Counts) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		_ = yield("failed", b.Failed.Value()) && yield("dropped", b.Dropped.Value()) && yield("overflowed", b.Overflowed.Value()) &&
			yield("forged", b.Forged.Value()) && yield("unknown_version", b.Unknown.Value())
	}
}

// presenceErrors are what went wrong between the nodes about presence.
func presenceErrors(l *presenceredis.Counts) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		_ = yield("failed", l.Failed.Value()) && yield("forged", l.Forged.Value())
	}
}

// Watch measures the requests that next serves. Routes are told apart by the
// pattern that an http.ServeMux in next has matched.
func (m *Metrics) Watch(next http.Handler) http.Handler { return m.requests.watch(next) }
