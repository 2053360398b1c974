package chat

import "unicode/utf8"

// MessageBody returns the stored form of a message, {"content":…}. Further
// fields of a message (format, reply_to, …) become further members of the
// same object, and reach the wire without being looked at.
func MessageBody(content string) []byte {
	b := make([]byte, 0, len(content)+len(`{"content":""}`)+8)
	b = append(b, `{"content":`...)
	b = AppendQuote(b, content)
	return append(b, '}')
}

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
