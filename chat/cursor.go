package chat

import (
	"strconv"
	"strings"
)

// ParseCursor reads the text form of a [Cursor]. The error is an [*Error]
// with code [CursorInvalid].
func ParseCursor(s string) (Cursor, error) {
	bad := Errorf(CursorInvalid, "A cursor is written epoch:seq or epoch:seq:tag, as the server gave it.")
	if len(s) > 64 {
		return Cursor{}, bad
	}
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !isAlphanumeric(parts[0]) || !IsCanonicalInteger(parts[1]) {
		return Cursor{}, bad
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Cursor{}, bad
	}
	c := Cursor{Epoch: parts[0], Seq: seq}
	if len(parts) == 3 {
		if len(parts[2]) != 8 {
			return Cursor{}, bad
		}
		tag, err := strconv.ParseUint(parts[2], 16, 32)
		if err != nil {
			return Cursor{}, bad
		}
		c.Tag, c.HasTag = uint32(tag), true
	}
	return c, nil
}

func isAlphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}
