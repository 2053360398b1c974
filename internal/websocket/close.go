package websocket

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Close codes (RFC 6455 §7.4.1, and its registry for 1012).
const (
	CodeNormal        uint16 = 1000
	CodeGoingAway     uint16 = 1001
	CodeProtocolError uint16 = 1002
	CodeUnsupported   uint16 = 1003
	// CodeNone stands for a close frame without a code; it never travels.
	CodeNone        uint16 = 1005
	CodeInvalidText uint16 = 1007
	CodePolicy      uint16 = 1008
	CodeTooBig      uint16 = 1009
	CodeInternal    uint16 = 1011
	CodeRestart     uint16 = 1012
)

// CloseError is a fault of the peer. The connection is to be closed with Code
// and Reason; what came before the fault has been handed out.
type CloseError struct {
	Code uint16
	// Reason is a sentence for people, short enough for a close frame.
	Reason string
}

func (e *CloseError) Error() string { return fmt.Sprintf("websocket: %d %s", e.Code, e.Reason) }

func closef(code uint16, format string, args ...any) *CloseError {
	return &CloseError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// parseClose reads the payload of a close frame (RFC 6455 §5.5.1).
func parseClose(payload []byte) (code uint16, reason []byte, err error) {
	switch len(payload) {
	case 0:
		return CodeNone, nil, nil
	case 1:
		return 0, nil, closef(CodeProtocolError, "a close frame has no payload or at least two bytes")
	}
	code, reason = binary.BigEndian.Uint16(payload), payload[2:]
	if !mayTravel(code) {
		return 0, nil, closef(CodeProtocolError, "close code %d is not to be sent", code)
	}
	if !utf8.Valid(reason) {
		return 0, nil, closef(CodeInvalidText, "the reason for closing is not valid UTF-8")
	}
	return code, reason, nil
}

// mayTravel reports whether a close frame may carry code: one that the
// protocol or its registry defines for endpoints, or one that is left to
// libraries and applications (RFC 6455 §7.4).
func mayTravel(code uint16) bool {
	return code >= 1000 && code <= 1003 ||
		code >= 1007 && code <= 1014 ||
		code >= 3000 && code <= 4999
}
