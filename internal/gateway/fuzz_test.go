package gateway

import (
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"tertulia/chat"
	"tertulia/internal/peer"
	"tertulia/internal/session"
)

// Whatever stands in the address, it is understood within the limits or
// refused with a code that is the client's fault.
func FuzzReadHello(f *testing.F) {
	for _, s := range [][2]string{
		{"1", "user_id=1&username=Juan"},
		{"sala", "user_id=u&username=Jos%C3%A9+P&history=7"},
		{"1", "user_id=1&username=a&history=events&after=k3v9x0ab:12:1a2b3c4d"},
		{"1", "user_id=1&user_id=2&username=a&after=:&history=-1"},
		{"stats", "%zz"}, {"dm:1", ""}, {"..", "user_id=%00&username=%ff"}, {"a b", ";;&&=="},
	} {
		f.Add(s[0], s[1])
	}
	g := &Gateway{cfg: Config{Origins: peer.Origins{Any: true}, History: 50}}
	f.Fuzz(func(t *testing.T, room, query string) {
		r := httptest.NewRequest("GET", "/ws/x", nil)
		r.SetPathValue("room_id", room)
		r.URL.RawQuery = query
		hello, err := g.readHello(r, peer.Proxies(nil).Of(r))
		if err != nil {
			if told := chat.AsError(err); told.Code == chat.Internal || told.Code.Retryable() {
				t.Fatalf("readHello(%q, %q): %v, want an error of the client's", room, query, err)
			}
			return
		}
		if _, err := chat.ParseRoomID(string(hello.Room)); err != nil {
			t.Errorf("room %q was let in: %v", hello.Room, err)
		}
		if u, err := chat.ParseUser(string(hello.User.ID), hello.User.Name); err != nil || u != hello.User || !utf8.ValidString(u.Name) {
			t.Errorf("user %+v was let in: %v", hello.User, err)
		}
		if hello.History < 0 || hello.History > session.MaxHistory {
			t.Errorf("history %d was let in", hello.History)
		}
	})
}
