package peer

import (
	"testing"

	"tertulia/chat"
)

// docs/protocol.md §2.4
func TestOrigins(t *testing.T) {
	const listed = "https://app.example.org"
	plain := Peer{Scheme: "http", Host: "Localhost:8000"}
	public := Peer{Scheme: "https", Host: "chat.example.org"}
	for _, c := range []struct {
		name   string
		who    Peer
		header []string
		ok     bool
	}{
		{"no browser", plain, nil, true},
		{"a cookie and no origin", plain, []string{"Cookie", "a=b"}, false},
		{"the server's page reads", plain, []string{"Cookie", "a=b", "Sec-Fetch-Site", "same-origin"}, true},
		{"the user has typed it", plain, []string{"Sec-Fetch-Site", "none"}, true},
		{"a foreign page embeds", plain, []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a page of the same site embeds", plain, []string{"Sec-Fetch-Site", "same-site"}, false},
		{"own", plain, []string{"Origin", "http://localhost:8000"}, true},
		{"own by another scheme", plain, []string{"Origin", "https://localhost:8000"}, false},
		{"own at another port", plain, []string{"Origin", "http://localhost:8001"}, false},
		{"own at the usual port", plain, []string{"Origin", "http://localhost"}, false},
		{"public", public, []string{"Origin", "https://chat.example.org"}, true},
		{"public with its port", public, []string{"Origin", "https://chat.example.org:443"}, true},
		{"public at the port of http", public, []string{"Origin", "https://chat.example.org:80"}, false},
		{"public without TLS", public, []string{"Origin", "http://chat.example.org"}, false},
		{"longer name", public, []string{"Origin", "https://chat.example.org.evil.example"}, false},
		{"a user in it", public, []string{"Origin", "https://chat.example.org@evil.example"}, false},
		{"a path in it", public, []string{"Origin", "https://chat.example.org/"}, false},
		{"listed", public, []string{"Origin", listed}, true},
		{"listed in other letters", public, []string{"Origin", "https://APP.example.org"}, false},
		{"null", public, []string{"Origin", "null"}, false},
		{"null from the own page", public, []string{"Origin", "null", "Sec-Fetch-Site", "same-origin"}, false},
		{"empty", public, []string{"Origin", ""}, false},
		{"two", public, []string{"Origin", listed, "Origin", listed}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request("203.0.113.7:1", c.header...)
			err := Origins{Listed: []string{listed}}.Check(r, c.who)
			if (err == nil) != c.ok || err != nil && chat.AsError(err).Code != chat.Forbidden {
				t.Errorf("Check = %v, want it to pass: %v", err, c.ok)
			}
			if err := (Origins{Any: true}).Check(r, c.who); err != nil {
				t.Errorf("Check with Any = %v, want none", err)
			}
		})
	}
}
