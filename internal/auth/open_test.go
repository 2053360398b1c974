package auth

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"tertulia/chat"
)

// docs/protocol.md §2.3
func TestRefuse(t *testing.T) {
	cases := []struct {
		host, header string
		refused      bool
	}{
		{"localhost:8000", "", false},
		{"LOCALHOST", "", false},
		{"127.0.0.1:8000", "", false},
		{"127.9.9.9", "", false},
		{"[::1]:8000", "", false},
		{"[::ffff:127.0.0.1]:8000", "", false},
		{"chat.localhost:8000", "", false},
		{"chat.example.org", "", true},
		{"localhost.example.org", "", true},
		{"10.0.0.1:8000", "", true},
		{"[::]:8000", "", true},
		{"0.0.0.0:8000", "", true},
		{"", "", true},
		{"localhost:8000", "X-Forwarded-For", true},
		{"localhost:8000", "Forwarded", true},
		{"localhost:8000", "X-Real-IP", true},
	}
	for _, c := range cases {
		r := httptest.NewRequest("GET", "/ws/1", nil)
		r.Host = c.host
		if c.header != "" {
			r.Header.Set(c.header, "for=192.0.2.1")
		}
		if got := (Open{}).Refuse(r) != ""; got != c.refused {
			t.Errorf("Refuse(Host %q, header %q) = %v, want %v", c.host, c.header, got, c.refused)
		}
		if why := (Open{Anywhere: true}).Refuse(r); why != "" {
			t.Errorf("Refuse(Host %q) with Anywhere = %q, want none", c.host, why)
		}
	}
}

func TestIdentify(t *testing.T) {
	q, _ := url.ParseQuery("user_id=1&username=Jos%C3%A9%20P&user_id=2")
	if u, err := (Open{}).Identify(q); err != nil || u != (chat.User{ID: "1", Name: "José P"}) {
		t.Errorf("Identify = %+v, %v, want user 1, José P", u, err)
	}
	_, err := Open{}.Identify(url.Values{"user_id": {"1"}})
	if e := chat.AsError(err); e.Code != chat.MissingParameter {
		t.Errorf("Identify without username: %v, want code %s", err, chat.MissingParameter)
	}
}
