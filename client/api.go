package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
)

// maxAPIBytes bounds an answer: the statistics of about 100,000 rooms.
const maxAPIBytes = 8 << 20

// API asks a server over HTTP, for what is no conversation: rooms, members,
// statistics. It keeps nothing between two calls and need not be closed.
type API struct {
	opt  *options
	base *url.URL // http or https
	http *http.Transport
}

// NewAPI returns the API of the server at url, with the options of [Dial] that
// concern requests: [WithUser], [WithToken], [WithHeader], [WithTLS], [WithDialer].
func NewAPI(server string, opts ...Option) (*API, error) {
	o, err := newOptions(server, opts)
	if err != nil {
		return nil, err
	}
	base := *o.servers[0]
	base.Scheme = strings.Replace(base.Scheme, "ws", "http", 1)
	// Past any proxy, as the WebSocket goes.
	return &API{opt: o, base: &base, http: &http.Transport{DisableKeepAlives: true, DialContext: o.dial, TLSClientConfig: o.tls}}, nil
}

// Stats is how many are connected to one node (docs/protocol.md §10.4).
type Stats struct {
	Connections int                  `json:"total_connections"`
	RoomCount   int                  `json:"total_rooms"`
	Rooms       map[string]RoomStats `json:"rooms"`
}

// RoomStats is one room of [Stats]: WebSockets and different users.
type RoomStats struct {
	Connections int `json:"connections"`
	Users       int `json:"users"`
}

// Stats returns the server's statistics.
func (a *API) Stats(ctx context.Context) (*Stats, error) {
	s := new(Stats)
	return s, a.call(ctx, http.MethodGet, "/ws/stats", nil, nil, s)
}

func (a *API) call(ctx context.Context, method, path string, q url.Values, body, into any) error {
	_, err := a.exchange(ctx, method, path, q, body, into)
	return err
}

// exchange makes one request. A refusal is a [*chat.Error] if the server says
// which, else a [*HandshakeError].
func (a *API) exchange(ctx context.Context, method, path string, q url.Values, body, into any) (http.Header, error) {
	req, err := a.request(ctx, method, path, q, body)
	if err != nil {
		return nil, err
	}
	res, err := a.http.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return nil, refusedRequest(res)
	}
	if into == nil {
		return res.Header, nil
	}
	if err := json.UnmarshalRead(io.LimitReader(res.Body, maxAPIBytes), into); err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return res.Header, nil
}

func (a *API) request(ctx context.Context, method, path string, q url.Values, body any) (*http.Request, error) {
	if q == nil {
		q = url.Values{}
	}
	if a.opt.user.ID != "" {
		q.Set("user_id", string(a.opt.user.ID))
		q.Set("username", a.opt.user.Name)
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	target := a.base.String() + path + "?" + q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	if req.Header, err = a.opt.authorized(ctx); err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// refusedRequest reads why a request was refused (RFC 9457).
func refusedRequest(res *http.Response) error {
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		return refusedHandshake(res)
	}
	var p struct {
		Code   chat.Code `json:"code"`
		Detail string    `json:"detail"`
	}
	if err := json.UnmarshalRead(io.LimitReader(res.Body, maxHandshakeBytes), &p); err != nil || p.Code == "" {
		return &HandshakeError{Status: res.StatusCode}
	}
	return &chat.Error{Code: p.Code, Message: p.Detail}
}
