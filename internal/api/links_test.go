package api

import (
	"net/url"
	"testing"
)

func TestLink(t *testing.T) {
	for _, c := range []struct{ name, url, want string }{
		{"first page", "/api/v1/rooms/1/messages", `</api/v1/rooms/1/messages?after=12>; rel="next"`},
		{"keeps what is not a place", "/api/v1/rooms/1/messages?limit=5&before=3&around_id=9&user_id=1&username=J%C3%B3", `</api/v1/rooms/1/messages?after=12&limit=5&user_id=1&username=J%C3%B3>; rel="next"`},
		{"keeps the path encoded", "/api/v1/rooms/a%23b/events?types=message%2Croom_updated", `</api/v1/rooms/a%23b/events?after=12&types=message%2Croom_updated>; rel="next"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := link(u, "next", "after", "12"); got != c.want {
				t.Errorf("link(%s) = %s, want %s", c.url, got, c.want)
			}
		})
	}
	if got := links("", "<a>", "", "<b>"); got != "<a>, <b>" {
		t.Errorf("links = %q, want %q", got, "<a>, <b>")
	}
	if got := links("", ""); got != "" {
		t.Errorf("links of nothing = %q, want nothing", got)
	}
}
