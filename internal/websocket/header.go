package websocket

import "github.com/gobwas/ws"

// maskBytes is the length of a masking key.
const maskBytes = 4

// parseHeader reads the frame header that b begins with. size is the header's
// length in bytes, 0 if b ends within it. The error is a [*CloseError] about
// the form of the length (RFC 6455 §5.2); other rules are for
// [Reader.checkHeader].
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	n, size := frameLength(b)
	if size == 0 {
		return h, 0, nil
	}
	switch {
	case size == 10 && n>>63 != 0:
		return h, 0, closef(CodeProtocolError, "the first bit of a 64-bit length must be 0")
	case size == 4 && n < len16, size == 10 && n <= 0xFFFF:
		return h, 0, closef(CodeProtocolError, "a length must take its shortest form")
	}
	h.Fin = b[0]&finBit != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0xF)
	h.Length = int64(n)
	if h.Masked = b[1]&maskBit != 0; h.Masked {
		if len(b) < size+maskBytes {
			return h, 0, nil
		}
		h.Mask = [maskBytes]byte(b[size:])
		size += maskBytes
	}
	return h, size, nil
}

// checkHeader holds a header against the rules and the limits, before any
// memory is taken for its payload. The error is a [*CloseError].
func (r *Reader) checkHeader(h ws.Header) error {
	// Masking, RSV bits, reserved opcodes, the form of control frames, and
	// the order of fragments (RFC 6455 §5.1–§5.5).
	if err := ws.CheckHeader(h, r.state); err != nil {
		return &CloseError{Code: CodeProtocolError, Reason: err.Error()}
	}
	if h.OpCode.IsControl() {
		return nil
	}
	if h.OpCode == ws.OpBinary {
		return closef(CodeUnsupported, "messages are text; binary ones are not understood")
	}
	if most := r.limits.MaxMessageBytes; most >= 0 && h.Length > int64(most-(r.end-r.start)) {
		return closef(CodeTooBig, "a message has at most %d bytes", most)
	}
	if most := r.limits.MaxFragments; most >= 0 && int(r.fragments) >= most {
		return closef(CodePolicy, "a message has at most %d fragments", most)
	}
	return nil
}
