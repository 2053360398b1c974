package wire

// CloseCode is a WebSocket close code, docs/protocol.md §8. In the private
// range one comparison tells a client what to do: 4000–4499 come back with
// backoff, 4500–4999 do not.
type CloseCode uint16

// The close codes that the server sends.
const (
	CloseNormal        CloseCode = 1000
	CloseProtocolError CloseCode = 1002
	CloseUnsupported   CloseCode = 1003 // binary frame
	CloseInvalidUTF8   CloseCode = 1007
	ClosePolicy        CloseCode = 1008 // flood of control frames, stalled frame
	CloseTooBig        CloseCode = 1009
	CloseInternal      CloseCode = 1011

	CloseDrain            CloseCode = 4000
	CloseSlow             CloseCode = 4001
	CloseHeartbeat        CloseCode = 4002
	CloseExpired          CloseCode = 4003 // the token is no longer good: get another first
	CloseMoved            CloseCode = 4004 // the log was rewritten below the session
	CloseStoreUnavailable CloseCode = 4005

	CloseBadRequest         CloseCode = 4500
	CloseUnauthenticated    CloseCode = 4501
	CloseRemoved            CloseCode = 4503 // the user may not be in the room, or not any more
	CloseRoomNotFound       CloseCode = 4504
	CloseVersion            CloseCode = 4505 // no version of the protocol that the server speaks
	CloseTooManyErrors      CloseCode = 4509
	CloseTooManyConnections CloseCode = 4510
	CloseOrigin             CloseCode = 4511
)

// Resumable reports whether a client should come back after code. A missing
// close code (1006 in most libraries) is resumable too: a peer that cannot
// take bytes cannot take a close frame.
func (c CloseCode) Resumable() bool {
	switch c {
	case 1001, 1005, 1006, CloseInternal, 1012, 1013:
		return true
	}
	return c >= 4000 && c < 4500
}
