package metrics

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tertulia/internal/auth"
	"tertulia/internal/config"
)

// Handler serves the metrics to whom the configuration lets see them: 403
// with a sentence for others, 404 for everyone if they are off.
func (m *Metrics) Handler(access config.Metrics) http.Handler {
	refuse := refuseRemote
	switch access.Access {
	case config.MetricsOff:
		return http.NotFoundHandler()
	case config.MetricsToken:
		refuse = refuseWithout(string(access.Token))
	}
	page := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if why := refuse(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		page.ServeHTTP(w, r)
	})
}

func refuseRemote(r *http.Request) string {
	if auth.IsLocal(r) {
		return ""
	}
	return "The metrics are shown to programs on this machine only; metrics.access in the configuration can change that."
}

// refuseWithout wants the token in the Authorization header (RFC 6750 §2.1).
// Comparing digests takes the same time however much of the token is right.
func refuseWithout(token string) func(*http.Request) string {
	want := sha256.Sum256([]byte(token))
	return func(r *http.Request) string {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return ""
		}
		return "The metrics need the token of metrics.token: send \"Authorization: Bearer\" and the token."
	}
}
