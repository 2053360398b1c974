package api

import (
	"fmt"
	"strings"

	"tertulia/chat"
)

// Conditional is a part of the input of a GET that may answer 304.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match" doc:"Answer 304 without a body if the ETag is one of these (RFC 9110 §13.1.2)."`
}

// Unless is a part of the input of a change that may answer 412.
type Unless struct {
	IfMatch string `header:"If-Match" doc:"Change nothing, and answer 412, unless the ETag is one of these (RFC 9110 §13.1.1)."`
}

// Tagged is a part of the output of what has an ETag.
type Tagged struct {
	ETag         string `header:"ETag" doc:"Names this state of the resource."`
	CacheControl string `header:"Cache-Control" doc:"private, no-cache: it may be kept, and is asked for again with If-None-Match."`
}

func newTagged(format string, args ...any) Tagged {
	return Tagged{ETag: `"` + fmt.Sprintf(format, args...) + `"`, CacheControl: "private, no-cache"}
}

// unchanged reports whether the client has this state already: the weak
// comparison of RFC 9110 §8.8.3.2.
func (c Conditional) unchanged(etag string) bool { return listed(c.IfNoneMatch, etag, true) }

// check returns chat.VersionConflict if the client meant another state: the
// strong comparison.
func (u Unless) check(etag string) error {
	if u.IfMatch == "" || listed(u.IfMatch, etag, false) {
		return nil
	}
	return chat.Errorf(chat.VersionConflict, "It has changed meanwhile; read it again.")
}

// listed reports whether a list of ETags holds one. "*" holds all of them.
// None of ours has a comma.
func listed(list, etag string, weak bool) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if weak {
			one = strings.TrimPrefix(one, "W/")
		}
		if one == "*" || one == etag {
			return true
		}
	}
	return false
}
