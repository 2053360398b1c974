package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

const serviceKey = "a service key of thirty-two characters and more"

// request makes one with a query and with headers, given as name and value.
func request(query string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/ws/1?"+query, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// protocol.md §2.6: where a credential may stand, and which one counts.
func TestIdentifyRequest(t *testing.T) {
	token, other := hs(t, nil, nil), hs(t, nil, object{"sub": "2", "name": "Ana"})
	expired := hs(t, nil, object{"iat": 1000, "nbf": 1000, "exp": 2000})
	juan, ana := chat.Principal{User: chat.User{ID: "1", Name: "Juan"}}, chat.Principal{User: chat.User{ID: "2", Name: "Ana"}}
	const bearer, protocols = "Authorization", "Sec-WebSocket-Protocol"
	service := []string{bearer, "Bearer " + serviceKey}
	for _, test := range []struct {
		name string
		r    *http.Request
		want chat.Principal
		code chat.Code
	}{
		{"header", request("", bearer, "Bearer "+token), juan, ""},
		{"header, scheme in small letters", request("", bearer, "bearer "+token), juan, ""},
		{"header with spaces", request("", bearer, "Bearer   "+token+" "), juan, ""},
		{"subprotocol", request("", protocols, "tertulia.v1, bearer."+token), juan, ""},
		{"subprotocol in a header of its own", request("", protocols, "tertulia.v1", protocols, "bearer."+token), juan, ""},
		{"header before subprotocol", request("", protocols, "bearer."+other, bearer, "Bearer "+token), juan, ""},
		{"header before ticket", request("ticket=x", bearer, "Bearer "+token), juan, ""},
		{"subprotocol before ticket", request("ticket=x", protocols, "bearer."+other), ana, ""},
		{"a bad header before a good subprotocol", request("", bearer, "Bearer x", protocols, "bearer."+token), chat.Principal{}, chat.Unauthenticated},
		{"the same user in the URL", request("user_id=1&username=Pedro", bearer, "Bearer "+token), juan, ""},
		{"another user in the URL", request("user_id=2", bearer, "Bearer "+token), chat.Principal{}, chat.Forbidden},
		{"an empty user in the URL", request("user_id=", bearer, "Bearer "+token), chat.Principal{}, chat.Forbidden},
		{"expired", request("", bearer, "Bearer "+expired), chat.Principal{}, chat.TokenExpired},
		{"two headers", request("", bearer, "Bearer "+token, bearer, "Bearer "+other), chat.Principal{}, chat.Unauthenticated},
		{"two entries", request("", protocols, "bearer."+token+", bearer."+other), chat.Principal{}, chat.Unauthenticated},
		{"an empty header", request("", bearer, "Bearer"), chat.Principal{}, chat.Unauthenticated},
		{"an empty entry", request("", protocols, "bearer."), chat.Principal{}, chat.Unauthenticated},
		{"an empty ticket", request("ticket="), chat.Principal{}, chat.Unauthenticated},
		{"an unknown ticket", request("ticket=" + strings.Repeat("a", 43)), chat.Principal{}, chat.Unauthenticated},
		{"token in the query", request("token=" + token), chat.Principal{}, chat.InvalidParameter},
		{"token in the query beside a good one", request("access_token="+token, bearer, "Bearer "+token), chat.Principal{}, chat.InvalidParameter},
		{"jwt in the query", request("JWT=" + token), chat.Principal{}, chat.InvalidParameter},
		{"a query that is none", request("a=%zz", bearer, "Bearer "+token), chat.Principal{}, chat.InvalidParameter},

		{"service", request("", service...), chat.Principal{Service: true}, ""},
		{"service for a user", request("", append(service, UserHeader, "7", UserNameHeader, "Jos%C3%A9")...), chat.Principal{User: chat.User{ID: "7", Name: "José"}, Service: true}, ""},
		{"service for a user without a name", request("", append(service, UserHeader, "7")...), chat.Principal{User: chat.User{ID: "7", Name: "7"}, Service: true}, ""},
		{"service, and the same user in the URL", request("user_id=7", append(service, UserHeader, "7")...), chat.Principal{User: chat.User{ID: "7", Name: "7"}, Service: true}, ""},
		{"service, and another user in the URL", request("user_id=7", service...), chat.Principal{}, chat.Forbidden},
		{"service with a name alone", request("", append(service, UserNameHeader, "Ana")...), chat.Principal{}, chat.InvalidParameter},
		{"service for an empty user", request("", append(service, UserHeader, "")...), chat.Principal{}, chat.InvalidParameter},
		{"service for two users", request("", append(service, UserHeader, "7", UserHeader, "8")...), chat.Principal{}, chat.InvalidParameter},
		{"service for a user with two names", request("", append(service, UserHeader, "7", UserNameHeader, "a", UserNameHeader, "b")...), chat.Principal{}, chat.InvalidParameter},
		{"service for a user with a line break", request("", append(service, UserHeader, "7%0a")...), chat.Principal{}, chat.InvalidParameter},
		{"service for a user badly written", request("", append(service, UserHeader, "7%")...), chat.Principal{}, chat.InvalidParameter},
		{"service for a user with a name badly written", request("", append(service, UserHeader, "7", UserNameHeader, "100%")...), chat.Principal{}, chat.InvalidParameter},
		{"a key that begins alike", request("", bearer, "Bearer "+serviceKey[:40]), chat.Principal{}, chat.Unauthenticated},
		{"a service key as subprotocol", request("", protocols, "bearer."+serviceKey), chat.Principal{}, chat.Unauthenticated},
		{"a service key in the query", request("token=x", service...), chat.Principal{}, chat.InvalidParameter},
		{"a huge key", request("", bearer, "Bearer "+strings.Repeat("k", 1<<20)), chat.Principal{}, chat.Unauthenticated},
		{"a token that acts for another", request("", bearer, "Bearer "+token, UserHeader, "7"), chat.Principal{}, chat.Forbidden},
		{"a token that gives itself a name", request("", bearer, "Bearer "+token, UserNameHeader, "Ana"), chat.Principal{}, chat.Forbidden},
		{"nobody who acts for somebody", request("", UserHeader, "7"), chat.Principal{}, chat.Forbidden},
	} {
		a := authenticator(t, Config{Issuers: []Issuer{byHMAC()}, ServiceKeys: []string{"another key of thirty-two characters", serviceKey}, Tickets: NewTickets(newTicketMemoryAt(clock))})
		id, err := a.Identify(test.r)
		if codeOf(err) != test.code || id.Principal != test.want {
			t.Errorf("%s: %+v, %v, want %+v, code %q", test.name, id, err, test.want, test.code)
		}
		if err != nil && (strings.Contains(err.Error(), token[20:40]) || strings.Contains(err.Error(), serviceKey[10:20])) {
			t.Errorf("%s: the error has a secret in it: %v", test.name, err)
		}
		if errors.Is(err, ErrNoCredential) {
			t.Errorf("%s: no credential, want it seen", test.name)
		}
	}
}

// A socket that brings nothing may still say who it is, and is told apart
// from one that brings something bad.
func TestNoCredential(t *testing.T) {
	closed := authenticator(t, Config{Issuers: []Issuer{byHMAC()}})
	for name, r := range map[string]*http.Request{
		"nothing":                request(""),
		"a user in the URL":      request("user_id=1&username=Juan"),
		"other subprotocols":     request("", "Sec-WebSocket-Protocol", "tertulia.v1, bearer"),
		"the password of others": request("", "Authorization", "Basic eDp5"),
	} {
		if id, err := closed.Identify(r); err != ErrNoCredential || codeOf(err) != chat.Unauthenticated || id != (Identity{}) {
			t.Errorf("%s: %+v, %v, want ErrNoCredential", name, id, err)
		}
		if why := closed.Refuse(r); why != "" {
			t.Errorf("%s: refused in token mode: %s", name, why)
		}
	}
}

// protocol.md §2.3: in open mode the URL is believed, unless there is a
// credential, which is checked then.
func TestIdentifyInOpenMode(t *testing.T) {
	a := authenticator(t, Config{Open: &Open{}, Issuers: []Issuer{byHMAC()}, ServiceKeys: []string{serviceKey}})
	for _, test := range []struct {
		name string
		r    *http.Request
		want chat.Principal
		code chat.Code
	}{
		{"URL", request("user_id=3&username=Eva"), chat.Principal{User: chat.User{ID: "3", Name: "Eva"}}, ""},
		{"no name", request("user_id=3"), chat.Principal{}, chat.MissingParameter},
		{"a bad id", request("user_id=3%0a&username=Eva"), chat.Principal{}, chat.InvalidParameter},
		{"nothing", request(""), chat.Principal{}, chat.MissingParameter},
		{"behind a password of others", request("user_id=3&username=Eva", "Authorization", "Basic eDp5"), chat.Principal{User: chat.User{ID: "3", Name: "Eva"}}, ""},
		{"a token", request("", "Authorization", "Bearer "+hs(t, nil, nil)), chat.Principal{User: chat.User{ID: "1", Name: "Juan"}}, ""},
		{"a bad token", request("user_id=3&username=Eva", "Authorization", "Bearer x"), chat.Principal{}, chat.Unauthenticated},
		{"a token of another", request("user_id=3&username=Eva", "Authorization", "Bearer "+hs(t, nil, nil)), chat.Principal{}, chat.Forbidden},
		{"a ticket, where there are none", request("ticket=x"), chat.Principal{}, chat.Unauthenticated},
		{"a service", request("", "Authorization", "Bearer "+serviceKey), chat.Principal{Service: true}, ""},
		{"somebody who plays the service", request("user_id=3&username=Eva", UserHeader, "7"), chat.Principal{}, chat.Forbidden},
	} {
		id, err := a.Identify(test.r)
		if codeOf(err) != test.code || id != (Identity{Principal: test.want}) && !strings.HasPrefix(test.name, "a token") {
			t.Errorf("%s: %+v, %v, want %+v, code %q", test.name, id, err, test.want, test.code)
		}
	}
	r := request("user_id=3&username=Eva")
	if why := a.Refuse(r); why == "" {
		t.Errorf("Refuse(Host %s) in open mode = nothing, want a reason", r.Host)
	}
}

// A ticket stands for who fetched it, once, and for no longer than the token.
func TestIdentifyByTicket(t *testing.T) {
	at := now
	tickets, _ := ticketsAt(func() time.Time { return at })
	voided := &revocations{}
	a, err := newAt(Config{Issuers: []Issuer{byHMAC()}, Tickets: tickets, Revocations: voided}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Verify(t.Context(), hs(t, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	fetch := func() string {
		ticket, err := tickets.Issue(t.Context(), id, "https://app.example")
		if err != nil {
			t.Fatal(err)
		}
		return "ticket=" + ticket
	}
	origin := []string{"Origin", "https://app.example"}
	used := fetch()
	if got, err := a.Identify(request(used, origin...)); err != nil || got != id {
		t.Errorf("Identify with a ticket = %+v, %v, want %+v", got, err, id)
	}
	for _, test := range []struct {
		name   string
		r      *http.Request
		before func()
		want   chat.Code
	}{
		{"again", request(used, origin...), func() {}, chat.Unauthenticated},
		{"from another origin", request(fetch(), "Origin", "https://evil.example"), func() {}, chat.Unauthenticated},
		{"from no origin", request(fetch()), func() {}, chat.Unauthenticated},
		{"for another user", request(fetch()+"&user_id=2", origin...), func() {}, chat.Forbidden},
		{"of a token that was revoked since", request(fetch(), origin...), func() { voided.tokens = []string{"t1"} }, chat.Unauthenticated},
		{"after 30 s", request(fetch(), origin...), func() { voided.tokens, at = nil, now.Add(TicketLifetime) }, chat.Unauthenticated},
	} {
		test.before()
		if _, err := a.Identify(test.r); codeOf(err) != test.want {
			t.Errorf("%s: %v, want code %s", test.name, err, test.want)
		}
	}
}
