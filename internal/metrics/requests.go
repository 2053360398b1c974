package metrics

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests measures HTTP requests. A handshake is a request that ends with
// the upgrade.
type requests struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newRequests() *requests {
	return &requests{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "http_request_duration_seconds",
			Help: "How long HTTP requests took, handshakes included.",
			// The buckets that OpenTelemetry advises for this.
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
		}, []string{"method", "route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "http_requests_in_flight",
			Help: "HTTP requests being served, without connections that were upgraded.",
		}),
	}
}

func (m *requests) Describe(out chan<- *prometheus.Desc) {
	m.duration.Describe(out)
	m.inFlight.Describe(out)
}

func (m *requests) Collect(out chan<- prometheus.Metric) {
	m.duration.Collect(out)
	m.inFlight.Collect(out)
}

func (m *requests) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &answer{ResponseWriter: w}
		m.inFlight.Inc()
		defer func() {
			m.inFlight.Dec()
			m.duration.WithLabelValues(method(r.Method), route(r.Pattern), answer.code()).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(answer, r)
	})
}

// answer notes the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status != http.StatusEarlyHints {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Hijack notes an upgrade, whose answer is not written through a.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap lets an http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() string {
	if a.status == 0 {
		return strconv.Itoa(http.StatusOK)
	}
	return strconv.Itoa(a.status)
}

// route is the path of a pattern; what nothing has matched is one route.
func route(pattern string) string {
	_, path, ok := strings.Cut(pattern, " ")
	switch {
	case ok:
		return path
	case pattern == "":
		return "none"
	}
	return pattern
}

// methods are those of RFC 9110 §9 and RFC 5789. A client may make up others,
// and must not make labels by that.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

func method(name string) string {
	if slices.Contains(methods, name) {
		return name
	}
	return "other"
}
