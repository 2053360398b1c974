package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Upgraded is a connection taken over from net/http.
type Upgraded struct {
	// Conn is the caller's to close. It has no deadlines set.
	Conn net.Conn
	// Early holds what the client sent on the heels of its handshake, nil if
	// nothing; it belongs in front of what Conn gives.
	Early []byte
	// Protocol is the subprotocol chosen, "" for none.
	Protocol string
}

// HandshakeError is a handshake refused; the client has been told. It is
// about the request alone, unless Status is 500.
type HandshakeError struct {
	Status int // of the HTTP answer
	// Reason is the sentence that the client was given.
	Reason string
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("websocket handshake: %d %s", e.Status, e.Reason)
}

// handshakeWriteTime bounds the write of the 101 answer. It is 150 bytes and
// the first thing on its connection, so that it never waits in practice.
const handshakeWriteTime = 5 * time.Second

// Upgrade answers a WebSocket handshake (RFC 6455 §4.2). Of the subprotocols
// that the client offers, the first one that is in protocols is chosen;
// extensions offered are declined by silence.
//
// A bad handshake has been answered when Upgrade returns its
// [*HandshakeError]; any other error means that the connection broke, and has
// been closed.
//
// Nothing that is returned refers to the request or to the buffers of
// net/http. To let go of them, about 10 KB, the handler returns and the
// connection is served by another goroutine. How long a client may take to
// send its request is the business of http.Server (ReadHeaderTimeout); whether
// it may connect at all, its Origin included, is the caller's.
func Upgrade(w http.ResponseWriter, r *http.Request, protocols ...string) (Upgraded, error) {
	if refusal := checkHandshake(r); refusal != nil {
		refusal.answer(w)
		return Upgraded{}, refusal
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refusal := &HandshakeError{http.StatusInternalServerError, "This server cannot take the connection over."}
		refusal.answer(w)
		return Upgraded{}, fmt.Errorf("take over connection: %w (%w)", err, refusal)
	}
	up := Upgraded{Conn: conn, Protocol: chooseProtocol(r.Header, protocols)}
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			conn.Close()
			return Upgraded{}, fmt.Errorf("take early bytes: %w", err)
		}
		up.Early = slices.Clone(early)
	}
	if err := writeAnswer(conn, AcceptKey(r.Header.Get(headerKey)), up.Protocol); err != nil {
		conn.Close()
		return Upgraded{}, fmt.Errorf("answer handshake: %w", err)
	}
	return up, nil
}

const (
	headerKey      = "Sec-Websocket-Key" // in the canonical form of net/http
	headerVersion  = "Sec-Websocket-Version"
	headerProtocol = "Sec-Websocket-Protocol"
)

// checkHandshake holds a request against RFC 6455 §4.2.1. It returns nil if it
// may be upgraded.
func checkHandshake(r *http.Request) *HandshakeError {
	h := r.Header
	switch {
	case r.Method != http.MethodGet:
		return &HandshakeError{http.StatusMethodNotAllowed, "A WebSocket handshake is a GET request."}
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return &HandshakeError{http.StatusHTTPVersionNotSupported, "A WebSocket handshake takes HTTP/1.1."}
	case !hasToken(h["Upgrade"], "websocket"):
		return &HandshakeError{http.StatusUpgradeRequired, "This is a WebSocket address: connect with a WebSocket client, or send \"Upgrade: websocket\"."}
	case !hasToken(h["Connection"], "upgrade"):
		return &HandshakeError{http.StatusBadRequest, "The header \"Connection: Upgrade\" is missing; a proxy on the way may have removed it."}
	case len(h[headerVersion]) != 1 || h[headerVersion][0] != "13":
		return &HandshakeError{http.StatusUpgradeRequired, "This server speaks WebSocket version 13: send \"Sec-WebSocket-Version: 13\"."}
	case len(h[headerKey]) != 1 || !isKey(h[headerKey][0]):
		return &HandshakeError{http.StatusBadRequest, "Sec-WebSocket-Key must be given once: 16 random bytes in base64."}
	case r.ContentLength != 0:
		return &HandshakeError{http.StatusBadRequest, "A WebSocket handshake has no body."}
	}
	return nil
}

func (e *HandshakeError) answer(w http.ResponseWriter) {
	switch e.Status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired: // RFC 9110 §15.5.22, RFC 6455 §4.4
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	http.Error(w, e.Reason, e.Status)
}

// isKey reports whether s is exactly 16 bytes in base64. The unused bits at
// its end may be anything: they are set in the RFC's own example (§4.1).
func isKey(s string) bool {
	var key [18]byte // what 24 characters may decode to
	if len(s) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(key[:], []byte(s))
	return err == nil && n == 16
}

// hasToken reports whether the comma-separated lists name token, in any case.
func hasToken(lists []string, token string) bool {
	for item := range items(lists) {
		if strings.EqualFold(item, token) {
			return true
		}
	}
	return false
}

// items yields the elements of comma-separated header lines.
func items(lists []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, list := range lists {
			for item := range strings.SplitSeq(list, ",") {
				if item = strings.Trim(item, " \t"); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// Protocols returns the subprotocols that a client offers, its favourite
// first. They are substrings of the header.
func Protocols(h http.Header) []string {
	var offered []string
	for item := range items(h[headerProtocol]) {
		offered = append(offered, item)
	}
	return offered
}

// chooseProtocol returns the client's favourite among ours, as our string: the
// client's own would keep its request in memory.
func chooseProtocol(h http.Header, ours []string) string {
	for item := range items(h[headerProtocol]) {
		if i := slices.Index(ours, item); i >= 0 {
			return ours[i]
		}
	}
	return ""
}

// AcceptKey returns the Sec-WebSocket-Accept for a Sec-WebSocket-Key
// (RFC 6455 §4.2.2).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func writeAnswer(conn net.Conn, accept, protocol string) error {
	b := make([]byte, 0, 256)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, accept...)
	if protocol != "" {
		b = append(b, "\r\nSec-WebSocket-Protocol: "...)
		b = append(b, protocol...)
	}
	b = append(b, "\r\n\r\n"...)
	if err := conn.SetWriteDeadline(time.Now().Add(handshakeWriteTime)); err != nil {
		return err
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}
