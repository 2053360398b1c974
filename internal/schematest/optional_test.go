package schematest

import (
	"regexp"
	"slices"
	"strings"
)

// What is optional in frames and commands, by their type: a schema does not
// miss it. Indices of arrays are left out of the paths.
var (
	optionalInFrames = map[string]string{
		"message":        "/data/nonce",
		"message_edited": "/data/nonce /data/content", "message_deleted": "/data/reason",
		"connected": "/data/resumed",
		"error":     "/re /room /data/nonce /data/retry_after_ms",
		"pong":      "/re /data/id /data/t",
		"hello":     "/re /data/expires_at /data/user/name",
		"history":   "/re", "inbox": "/re", "unsubscribed": "/re",
		"message_sent": "/re /data/nonce /data/duplicate",
		"ok":           "/re /room /data/nonce /data/duplicate /data/private /data/expires_at",
		"presence":     "/re /data/users /data/users/name /data/degraded", "room_changed": "/data/settings",
		"presence_diff": "/data/count /data/joined/name /data/left/name",
		"receipt":       "/data/user/name", "typing": "/data/user/name",
		"subscribed": "/re /data/resumed /data/presence /data/presence/users /data/presence/users/name /data/receipts/user/name",
	}
	optionalInCommands = map[string]string{
		"message": "/id /room /nonce", "edit": "/room /nonce /if_changed", "delete": "/room /reason /if_changed",
		"ping": "/id /t", "typing": "/room", "read": "/room /private", "delivered": "/room", "presence": "/id /room",
		"hello": "/id /client /cursors /cursors/1 /cursors/sala:ñ", "unsubscribe": "/id",
		"subscribe": "/id /rooms/after /rooms/history /rooms/presence /rooms/receipts",
		"history":   "/id /room /before /after /around /limit /only",
	}
)

var index = regexp.MustCompile(`/\d+(/|$)`)

// isHarmless reports whether a frame of this type is still good with a change.
func isHarmless(optional map[string]string, typ, change string) bool {
	what, path, _ := strings.Cut(change, " /")
	path = "/" + path
	if typ == "ping" && path == "/t" || typ == "pong" && (path == "/data/t" || path == "/data/id") {
		return true // any value
	}
	if typ != "hello" || !strings.HasPrefix(path, "/cursors") {
		path = index.ReplaceAllString(path, "$1")
	}
	return what == "no" && slices.Contains(strings.Fields(optional[typ]), path)
}
