package api

import (
	"net/url"
	"strings"
)

// places are the parameters that say where a page is.
var places = []string{"after", "before", "around", "around_id"}

// link is a link (RFC 8288) to another page of the list at u: the same URL
// with one other place. It is relative to the server.
func link(u *url.URL, rel, place, value string) string {
	query := u.Query()
	for _, name := range places {
		query.Del(name)
	}
	query.Set(place, value)
	return "<" + u.EscapedPath() + "?" + query.Encode() + `>; rel="` + rel + `"`
}

// links joins those that there are.
func links(all ...string) string {
	var there []string
	for _, l := range all {
		if l != "" {
			there = append(there, l)
		}
	}
	return strings.Join(there, ", ")
}
