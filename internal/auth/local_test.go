package auth

import (
	"net/http/httptest"
	"testing"
)

func TestIsLocal(t *testing.T) {
	for _, test := range []struct {
		name, peer, host, header string
		want                     bool
	}{
		{"loopback", "127.0.0.1:4711", "localhost:8000", "", true},
		{"loopback by IPv6", "[::1]:4711", "[::1]:8000", "", true},
		{"IPv4 within IPv6", "[::ffff:127.0.0.1]:4711", "127.0.0.1:8000", "", true},
		{"another machine", "192.0.2.1:4711", "localhost:8000", "", false},
		{"another machine by IPv6", "[2001:db8::1]:4711", "localhost:8000", "", false},
		{"forwarded", "127.0.0.1:4711", "localhost:8000", "X-Forwarded-For", false},
		{"forwarded by RFC 7239", "127.0.0.1:4711", "localhost:8000", "Forwarded", false},
		{"another name", "127.0.0.1:4711", "rebound.example.org:8000", "", false},
		{"no peer", "", "localhost:8000", "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = test.peer, test.host
		if test.header != "" {
			r.Header.Set(test.header, "for=192.0.2.1")
		}
		if got := IsLocal(r); got != test.want {
			t.Errorf("%s: IsLocal = %v, want %v", test.name, got, test.want)
		}
	}
}
