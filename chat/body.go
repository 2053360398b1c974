package chat

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// MessageBody returns the stored form of a message, {"content":…}. Further
// fields of a message (format, reply_to, …) become further members of the
// same object, and reach the wire without being looked at.
func MessageBody(content string) []byte {
	b := make([]byte, 0, len(content)+len(`{"content":""}`)+8)
	b = append(b, `{"content":`...)
	b = AppendQuote(b, content)
	return append(b, '}')
}

// ReasonBody is the body of a deletion, {"reason":…}, and {} without a reason.
func ReasonBody(reason string) []byte {
	if reason == "" {
		return []byte("{}")
	}
	return append(AppendQuote([]byte(`{"reason":`), reason), '}')
}

// SettingsBody is the body of [KindRoomCreated] and [KindRoomUpdated]: all
// settings of the room as they are from then on,
// {"access":…,"title":…,"topic":…,"archived":…,"keep_seconds":…,"keep_events":…};
// the last two only if they bound something.
func SettingsBody(s Settings) []byte {
	b := append([]byte(`{"access":"`), s.Access.String()...)
	b = AppendQuote(append(b, `","title":`...), s.Title)
	b = AppendQuote(append(b, `,"topic":`...), s.Topic)
	b = strconv.AppendBool(append(b, `,"archived":`...), s.Archived)
	if s.Keep.Age > 0 {
		b = strconv.AppendInt(append(b, `,"keep_seconds":`...), int64(s.Keep.Age/time.Second), 10)
	}
	if s.Keep.Events > 0 {
		b = strconv.AppendInt(append(b, `,"keep_events":`...), s.Keep.Events, 10)
	}
	return append(b, '}')
}

// MemberBody is the body of the kinds about membership,
// {"member":{"user_id":…,"username":…,"state":…,"role":…},"reason":…};
// without a reason that member is left out.
func MemberBody(m Member, reason string) []byte {
	b := AppendQuote([]byte(`{"member":{"user_id":`), string(m.User.ID))
	b = AppendQuote(append(b, `,"username":`...), m.User.Name)
	b = append(append(b, `,"state":"`...), m.State.String()...)
	b = append(append(b, `","role":"`...), m.Role.String()...)
	b = append(b, `"}`...)
	if reason != "" {
		b = AppendQuote(append(b, `,"reason":`...), reason)
	}
	return append(b, '}')
}

// MarkBody is the body of [KindReceipt], {"read":…,"delivered":…}.
func MarkBody(m Mark) []byte {
	b := strconv.AppendUint([]byte(`{"read":`), m.Read, 10)
	b = strconv.AppendUint(append(b, `,"delivered":`...), m.Delivered, 10)
	return append(b, '}')
}

// ParseMarkBody reads the body of a [KindReceipt].
func ParseMarkBody(b []byte) (m Mark, err error) {
	_, err = fmt.Sscanf(string(b), `{"read":%d,"delivered":%d}`, &m.Read, &m.Delivered)
	return m, err
}

// RevokedBody is the body of [KindRevoked]: {"token_id":…} if only the
// sessions end that came with this token, {} if all of the user's do.
func RevokedBody(tokenID string) []byte {
	if tokenID == "" {
		return []byte("{}")
	}
	return append(AppendQuote([]byte(`{"token_id":`), tokenID), '}')
}

// DisabledBody is the body of a [KindRevoked] for a user whose account is
// disabled: all of the user's sessions end.
func DisabledBody() []byte { return []byte(`{"disabled":true}`) }

// AppendQuote appends s as a JSON string (RFC 8259 §7). It escapes only what
// must be escaped, so that text stays readable on the wire; invalid UTF-8
// becomes U+FFFD.
func AppendQuote(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
