package peer

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

var proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8:1::/48")}

func request(remote string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr, r.Host = remote, "inner:8000"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestPeer(t *testing.T) {
	const proxy, client = "10.0.0.1:4000", "203.0.113.7:5000"
	for _, c := range []struct {
		name    string
		r       *http.Request
		want    string // address
		seen    string // scheme and host, http://inner:8000 if empty
		trusted Proxies
	}{
		{"direct", request(client), "203.0.113.7", "", proxies},
		{"headers of a stranger", request(client, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "chat.example.org"), "203.0.113.7", "", proxies},
		{"Forwarded of a stranger", request(client, "Forwarded", "for=192.0.2.1;proto=https;host=chat.example.org"), "203.0.113.7", "", proxies},
		{"nobody is trusted", request(proxy, "X-Forwarded-For", "192.0.2.1"), "10.0.0.1", "", nil},
		{"one proxy", request(proxy, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "chat.example.org"), "192.0.2.1", "https://chat.example.org", proxies},
		{"a client's own claim", request(proxy, "X-Forwarded-For", "198.51.100.1, 192.0.2.1"), "192.0.2.1", "", proxies},
		{"a claim to be a proxy", request(proxy, "X-Forwarded-For", "10.9.9.9, 192.0.2.1"), "192.0.2.1", "", proxies},
		{"two proxies", request(proxy, "X-Forwarded-For", "198.51.100.1, 192.0.2.1, 10.0.0.2"), "192.0.2.1", "", proxies},
		{"two lines", request(proxy, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-For", "10.0.0.2"), "192.0.2.1", "", proxies},
		{"proxies all the way", request(proxy, "X-Forwarded-For", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "", proxies},
		{"no address behind a proxy", request(proxy, "X-Forwarded-For", "192.0.2.1, nonsense, 10.0.0.2"), "10.0.0.2", "", proxies},
		{"with ports", request(proxy, "X-Forwarded-For", "[2001:db8:2::1]:5000, 10.0.0.2:80"), "2001:db8:2::1", "", proxies},
		{"mapped addresses", request("[::ffff:10.0.0.1]:4000", "X-Forwarded-For", "::ffff:192.0.2.1"), "192.0.2.1", "", proxies},
		{"an unknown scheme", request(proxy, "X-Forwarded-Proto", "gopher"), "10.0.0.1", "", proxies},
		{"the nearest scheme", request(proxy, "X-Forwarded-Proto", "http, HTTPS"), "10.0.0.1", "https://inner:8000", proxies},
		{"Forwarded", request(proxy, "Forwarded", `for=192.0.2.1;proto=https;host="chat.example.org:8443"`), "192.0.2.1", "https://chat.example.org:8443", proxies},
		{"Forwarded twice", request(proxy, "Forwarded", `For="[2001:db8:2::1]:99";Proto=https;host=outer, for="[2001:db8:1::5]";proto=http;host=middle`), "2001:db8:2::1", "https://outer", proxies},
		{"Forwarded with a claim", request(proxy, "Forwarded", `for=10.1.1.1;host=evil, for=192.0.2.1;host=outer`), "192.0.2.1", "http://outer", proxies},
		{"Forwarded for a name", request(proxy, "Forwarded", `for=_hidden;host=evil`), "10.0.0.1", "", proxies},
		{"both kinds", request(proxy, "Forwarded", "for=192.0.2.1;host=a", "X-Forwarded-For", "198.51.100.1"), "10.0.0.1", "", proxies},
		{"no address", request("@", "X-Forwarded-For", "192.0.2.1"), "invalid IP", "", proxies},
		{"a zone", request("[fe80::1%eth0]:1"), "fe80::1", "", proxies},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := c.trusted.Of(c.r)
			if who.Addr.String() != c.want {
				t.Errorf("address %s, want %s", who.Addr, c.want)
			}
			remote := c.want
			if addrOf(c.r.RemoteAddr).String() == c.want {
				remote = c.r.RemoteAddr
			}
			if who.Remote != remote {
				t.Errorf("the log has %s, want %s", who.Remote, remote)
			}
			if c.seen == "" {
				c.seen = "http://inner:8000"
			}
			if got := who.Scheme + "://" + who.Host; got != c.seen {
				t.Errorf("the client has asked %s, want %s", got, c.seen)
			}
		})
	}
}

func TestSchemeOfTLS(t *testing.T) {
	r := request("203.0.113.7:5000")
	r.TLS = new(tls.ConnectionState)
	if who := proxies.Of(r); who.Scheme != "https" {
		t.Errorf("scheme %s, want https", who.Scheme)
	}
	r = request("10.0.0.1:5000", "X-Forwarded-Proto", "http")
	r.TLS = new(tls.ConnectionState)
	if who := proxies.Of(r); who.Scheme != "http" {
		t.Errorf("scheme %s, want what the proxy says", who.Scheme)
	}
}
