package websocket

import "unicode/utf8"

// textPrefix reports whether b can be the beginning of valid UTF-8, and
// returns how many bytes of it are whole characters.
func textPrefix(b []byte) (whole int, ok bool) {
	whole = len(b)
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if !utf8.RuneStart(b[i]) {
			continue
		}
		// FullRune is false only where more bytes could still make a
		// valid character.
		if !utf8.FullRune(b[i:]) {
			whole = i
		}
		break
	}
	return whole, utf8.Valid(b[:whole])
}
