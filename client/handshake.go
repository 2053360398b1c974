package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tertulia/internal/websocket"
)

const (
	// dialTimeout bounds an attempt up to the end of the handshake.
	dialTimeout = 10 * time.Second
	// maxHandshakeBytes bounds the HTTP answer to the handshake.
	maxHandshakeBytes = 16 << 10
	// maxReasonBytes bounds what is kept of an answer that refuses.
	maxReasonBytes = 512
)

// dialer makes sockets. It is fixed after construction.
type dialer struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	tls  *tls.Config
}

// open connects to u, whose scheme is ws or wss, and does the opening
// handshake (RFC 6455 §4.1) with the subprotocol of v1 and this header. ctx ends
// it, but not the socket that it returns.
func (d *dialer) open(ctx context.Context, u *url.URL, header http.Header) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port, secure := "80", u.Scheme == "wss"
	if secure {
		port = "443"
	}
	if p := u.Port(); p != "" {
		port = p
	}
	raw, err := d.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	s, err := d.handshake(ctx, raw, upgradeRequest(u, header), secure)
	if !stop() && err == nil { // the deadline above may stand by now
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("handshake with %s: %w", u.Host, context.Cause(ctx))
		}
		return nil, err
	}
	return s, nil
}

func (d *dialer) handshake(ctx context.Context, raw net.Conn, req *http.Request, secure bool) (*socket, error) {
	conn, u := raw, req.URL
	if secure {
		t := tls.Client(raw, tlsConfig(d.tls, u.Hostname()))
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake with %s: %w", u.Host, err)
		}
		conn = t
	}
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("handshake with %s: %w", u.Host, err)
	}
	in := bufio.NewReader(io.LimitReader(conn, maxHandshakeBytes))
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, fmt.Errorf("handshake with %s: %w", u.Host, err)
	}
	if err := checkUpgrade(resp, req.Header.Get("Sec-WebSocket-Key")); err != nil {
		return nil, err
	}
	return newSocket(raw, conn, in), nil
}

// tlsConfig speaks HTTP/1.1 only: the handshake is not defined for HTTP/2
// connections that were not asked for it.
func tlsConfig(c *tls.Config, host string) *tls.Config {
	if c == nil {
		c = &tls.Config{}
	}
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}

// subprotocol is v1 (docs/protocol.md §12.1).
const subprotocol = "tertulia.v1"

func upgradeRequest(u *url.URL, header http.Header) *http.Request {
	target := *u
	target.Scheme = "http"
	header.Set("Upgrade", "websocket")
	header.Set("Connection", "Upgrade")
	header.Set("Sec-WebSocket-Key", websocketKey())
	header.Set("Sec-WebSocket-Version", "13")
	header.Set("Sec-WebSocket-Protocol", subprotocol)
	return &http.Request{Method: http.MethodGet, URL: &target, Host: u.Host, Header: header}
}

func websocketKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// checkUpgrade checks the answer by RFC 6455 §4.1.
func checkUpgrade(resp *http.Response, key string) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return refusedHandshake(resp)
	}
	h := resp.Header
	switch {
	case !strings.EqualFold(h.Get("Upgrade"), "websocket") || !hasToken(h, "Connection", "upgrade"):
		return errors.New("handshake: the answer does not upgrade to WebSocket")
	case h.Get("Sec-WebSocket-Accept") != websocket.AcceptKey(key):
		return errors.New("handshake: the answer is not to our key")
	case h.Get("Sec-WebSocket-Extensions") != "":
		return errors.New("handshake: the server chose what was not offered")
	}
	switch h.Get("Sec-WebSocket-Protocol") {
	case subprotocol:
	case "": // it says why, in an error and a close
	default:
		return errors.New("handshake: the server chose what was not offered")
	}
	return nil
}

func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func refusedHandshake(resp *http.Response) error {
	e := &HandshakeError{Status: resp.StatusCode}
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxReasonBytes))
	for len(body) > 0 && !utf8.Valid(body) {
		body = body[:len(body)-1]
	}
	e.Reason = strings.TrimSpace(string(body))
	return e
}
