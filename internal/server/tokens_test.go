package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/config"
	"tertulia/internal/websocket"
)

// docs/protocol.md §2.6, §12.3, §20: in token mode a name in the URL is nobody,
// a token is somebody, and a revocation ends what was opened with it.
func TestTokenMode(t *testing.T) {
	cfg := configFor(t.TempDir())
	secret := strings.Repeat("s", auth.MinSecretBytes)
	cfg.Auth.Mode, cfg.Auth.HS256Secret = config.AuthToken, config.Secret(secret)
	cfg.Auth.MaxLifetime = time.Hour
	s := start(t, cfg)
	defer func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	token, err := auth.Sign([]byte(secret), auth.Grant{User: chat.User{ID: "7", Name: "Ana"}, IssuedAt: time.Now().Add(-time.Minute), Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}

	nobody := dialV1(t, s.addr(), "/ws/1?user_id=7&username=Ana")
	nobody.want(`"code":"unauthenticated"`)
	ana := dialV1(t, s.addr(), "/ws", "Authorization: Bearer "+token, "Sec-WebSocket-Protocol: tertulia.v1")
	ana.want(`"user":{"id":"7","name":"Ana"}`)
	if err := s.rooms.Revoke(t.Context(), chat.Principal{Service: true}, "7"); err != nil {
		t.Fatal(err)
	}
	revokedAt := time.Now()
	ana.want(`"code":"unauthenticated"`)
	if took := time.Since(revokedAt); took > 9*time.Second { // a session looks by itself after 10 s
		t.Errorf("the session ended %v after the revocation, want at once", took)
	}
}

// peerV1 is a client that looks at the text of frames.
type peerV1 struct {
	t  *testing.T
	nc net.Conn
	in *websocket.Reader
}

func dialV1(t *testing.T, addr, target string, header ...string) peerV1 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, header...)
	if _, err := io.WriteString(nc, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	early, _ := br.Peek(br.Buffered())
	return peerV1{t, nc, websocket.NewReader(nc, early, websocket.Client, websocket.Limits{MaxMessageBytes: -1, Idle: patience})}
}

func (p peerV1) send(frame string) {
	p.t.Helper()
	if _, err := p.nc.Write(websocket.AppendMasked(nil, websocket.Text, []byte(frame))); err != nil {
		p.t.Fatal(err)
	}
}

func (p peerV1) close() { p.nc.Close() }

// want takes the next frame, which must hold a text.
func (p peerV1) want(text string) {
	p.t.Helper()
	m, err := p.in.Next()
	if err != nil || !strings.Contains(string(m.Payload), text) {
		p.t.Fatalf("got %s, %v, want a frame with %s", fmt.Sprintf("%.300s", m.Payload), err, text)
	}
}
