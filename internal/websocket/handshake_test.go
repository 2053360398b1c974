package websocket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// goodHeader is the handshake of RFC 6455 §1.3, without its subprotocols.
var goodHeader = []string{
	"Host: server.example.com",
	"Upgrade: websocket",
	"Connection: Upgrade",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	"Sec-WebSocket-Version: 13",
}

const goodAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

func request(header []string) string {
	return "GET /ws HTTP/1.1\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n"
}

// with returns goodHeader with other lines in place of those of the same name;
// a line that ends with its colon is left out.
func with(lines ...string) []string {
	header := slices.Clone(goodHeader)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		header = slices.DeleteFunc(header, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if value != "" {
			header = append(header, line)
		}
	}
	return header
}

// upgraded is what a server's handler did with one request.
type upgraded struct {
	Upgraded
	err error
}

// serve starts a server whose every request is upgraded.
func serve(t testing.TB, protocols ...string) (*httptest.Server, chan upgraded) {
	t.Helper()
	results := make(chan upgraded, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, err := Upgrade(w, r, protocols...)
		results <- upgraded{up, err}
	}))
	t.Cleanup(server.Close)
	return server, results
}

// send writes a raw request to server and returns the connection and the
// answer.
func send(t testing.TB, server *httptest.Server, request string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return conn, br, resp
}

// dialRaw makes a handshake and returns the bare connection after the 101.
func dialRaw(t testing.TB, server *httptest.Server, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var b [512]byte
	n, err := conn.Read(b[:])
	if err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 101 ") || !strings.HasSuffix(string(b[:n]), "\r\n\r\n") {
		t.Fatalf("answer = %q, %v, want a 101", b[:n], err)
	}
	return conn
}

func TestUpgrade(t *testing.T) {
	tests := []struct {
		name     string
		header   []string
		accept   string
		protocol string
	}{
		{"RFC 6455 §1.3", goodHeader, goodAccept, ""},
		{"RFC 6455 §4.1 key", with("Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="), AcceptKey("AQIDBAUGBwgJCgsMDQ4PEC=="), ""},
		{"other case", with("Upgrade: WebSocket", "Connection: upgrade"), goodAccept, ""},
		{"lists of tokens", with("Upgrade: h2c, websocket", "Connection: keep-alive , Upgrade"), goodAccept, ""},
		{"connection in two lines", append(with("Connection: keep-alive"), "Connection: Upgrade"), goodAccept, ""},
		{"permessage-deflate offered", with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), goodAccept, ""},
		{"our subprotocol", with("Sec-WebSocket-Protocol: tertulia.v1"), goodAccept, "tertulia.v1"},
		{"the client's favourite", with("Sec-WebSocket-Protocol: chat, tertulia.v2,tertulia.v1"), goodAccept, "tertulia.v2"},
		{"in two lines", append(with("Sec-WebSocket-Protocol: bearer.abc"), "Sec-WebSocket-Protocol: tertulia.v1"), goodAccept, "tertulia.v1"},
		{"none that we know", with("Sec-WebSocket-Protocol: chat, TERTULIA.V1"), goodAccept, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, results := serve(t, "tertulia.v1", "tertulia.v2")
			client, br, resp := send(t, server, request(tt.header))
			up := <-results
			if up.err != nil {
				t.Fatalf("Upgrade() = %v", up.err)
			}
			defer up.Conn.Close()
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("status = %d, want 101", resp.StatusCode)
			}
			if up.Protocol != tt.protocol || up.Early != nil {
				t.Errorf("Upgrade() = protocol %q, early %q, want %q and nothing", up.Protocol, up.Early, tt.protocol)
			}
			wantHeader := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {tt.accept}}
			if tt.protocol != "" {
				wantHeader.Set("Sec-WebSocket-Protocol", tt.protocol)
			}
			for name := range resp.Header {
				if got, want := resp.Header[name], wantHeader[name]; !slices.Equal(got, want) {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
				delete(wantHeader, name)
			}
			if len(wantHeader) > 0 {
				t.Errorf("missing in the answer: %v", wantHeader)
			}

			// Frames go both ways.
			if _, err := client.Write([]byte(text("hola"))); err != nil {
				t.Fatal(err)
			}
			want(t, NewReader(up.Conn, up.Early, Server, Limits{}), "text hola")
			if _, err := up.Conn.Write(AppendText(nil, []byte("¿qué tal?"))); err != nil {
				t.Fatal(err)
			}
			want(t, NewReader(br, nil, Client, Limits{}), "text ¿qué tal?")
		})
	}
}

// Bytes sent on the heels of the handshake are the first messages.
func TestUpgradeEarlyBytes(t *testing.T) {
	server, results := serve(t)
	send(t, server, request(goodHeader)+text("early")+text(stars(1000)))
	up := <-results
	if up.err != nil {
		t.Fatal(up.err)
	}
	defer up.Conn.Close()
	r := NewReader(up.Conn, up.Early, Server, Limits{})
	want(t, r, "text early")
	want(t, r, "text "+stars(1000))
}

func TestUpgradeRefusals(t *testing.T) {
	tests := []struct {
		name    string
		request string
		status  int
		header  map[string]string // of the answer
		hint    string            // in the answer
	}{
		{"POST", strings.Replace(request(goodHeader), "GET", "POST", 1), 405, map[string]string{"Allow": "GET"}, "GET"},
		{"HEAD", strings.Replace(request(goodHeader), "GET", "HEAD", 1), 405, map[string]string{"Allow": "GET"}, ""},
		{"HTTP/1.0", strings.Replace(request(goodHeader), "HTTP/1.1", "HTTP/1.0", 1), 505, nil, "HTTP/1.1"},
		{"a page visit", request(with("Upgrade:", "Connection:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:")), 426, map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}, "WebSocket client"},
		{"another upgrade", request(with("Upgrade: h2c")), 426, map[string]string{"Upgrade": "websocket"}, "Upgrade: websocket"},
		{"upgrade to a longer word", request(with("Upgrade: websockets")), 426, nil, "Upgrade: websocket"},
		{"no connection token", request(with("Connection: keep-alive")), 400, nil, "proxy"},
		{"no connection header", request(with("Connection:")), 400, nil, "Connection: Upgrade"},
		{"version 8", request(with("Sec-WebSocket-Version: 8")), 426, map[string]string{"Sec-WebSocket-Version": "13"}, "version 13"},
		{"version 13 and 8", request(with("Sec-WebSocket-Version: 13, 8")), 426, map[string]string{"Sec-WebSocket-Version": "13"}, "version 13"},
		{"no version", request(with("Sec-WebSocket-Version:")), 426, map[string]string{"Sec-WebSocket-Version": "13"}, "version 13"},
		{"two versions", request(append(with(), "Sec-WebSocket-Version: 13")), 426, nil, "version 13"},
		{"no key", request(with("Sec-WebSocket-Key:")), 400, nil, "16 random bytes"},
		{"key of 15 bytes", request(with("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0O")), 400, nil, "16 random bytes"},
		{"key of 17 bytes", request(with("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODxA=")), 400, nil, "16 random bytes"},
		{"key not base64", request(with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==")), 400, nil, "16 random bytes"},
		{"key without padding", request(with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ")), 400, nil, "16 random bytes"},
		{"two keys", request(append(with(), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")), 400, nil, "once"},
		{"a body", request(append(with(), "Content-Length: 5")) + "hello", 400, nil, "no body"},
		{"a chunked body", request(append(with(), "Transfer-Encoding: chunked")) + "0\r\n\r\n", 400, nil, "no body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, results := serve(t)
			_, _, resp := send(t, server, tt.request)
			body, _ := io.ReadAll(resp.Body)
			refusal, ok := errors.AsType[*HandshakeError]((<-results).err)
			if !ok || refusal.Status != tt.status || refusal.Reason == "" {
				t.Errorf("Upgrade() = %v, want a HandshakeError with %d", refusal, tt.status)
			}
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.hint) {
				t.Errorf("answer = %d %q, want %d and %q", resp.StatusCode, body, tt.status, tt.hint)
			}
			if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type = %q, want plain text", got)
			}
			for name, want := range tt.header {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A connection that cannot be taken over, as with HTTP/2, is answered.
func TestUpgradeWithoutHijack(t *testing.T) {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request(goodHeader))))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	_, err = Upgrade(w, req)
	if refusal, ok := errors.AsType[*HandshakeError](err); !ok || refusal.Status != 500 || w.Code != 500 {
		t.Errorf("Upgrade() = %v, answer %d, want 500", err, w.Code)
	}
	if !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Upgrade() = %v, want it to wrap http.ErrNotSupported", err)
	}
}

// A client that is gone before its answer leaves no connection open.
func TestUpgradeBrokenConnection(t *testing.T) {
	client, server := net.Pipe()
	client.Close()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request(goodHeader))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Upgrade(&hijackable{conn: server}, req); err == nil {
		t.Error("Upgrade() = nil, want an error")
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Read() = %v, want a closed connection", err)
	}
}

// The deadline of the answer does not stay behind.
func TestUpgradeLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		go io.Copy(io.Discard, client)
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request(goodHeader))))
		if err != nil {
			t.Fatal(err)
		}
		up, err := Upgrade(&hijackable{conn: server}, req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := up.Conn.Write(AppendText(nil, []byte("late"))); err != nil {
			t.Errorf("Write() = %v an hour after the handshake", err)
		}
	})
}

// A client that does not take its answer is given up.
func TestUpgradeAnswerNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request(goodHeader))))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := Upgrade(&hijackable{conn: server}, req); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Upgrade() = %v, want a deadline exceeded", err)
		}
		if got := time.Since(began); got != handshakeWriteTime {
			t.Errorf("given up after %v, want %v", got, handshakeWriteTime)
		}
	})
}

// hijackable is a ResponseWriter over any net.Conn.
type hijackable struct {
	httptest.ResponseRecorder
	conn     net.Conn
	early    string
	hijacked bool
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	br := bufio.NewReader(strings.NewReader(h.early))
	br.Peek(len(h.early))
	return h.conn, bufio.NewReadWriter(br, bufio.NewWriter(h.conn)), nil
}

// A client that is slow with its header meets http.Server's ReadHeaderTimeout,
// and one that is slow after the handshake does not.
func TestSlowHandshake(t *testing.T) {
	results := make(chan upgraded, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, err := Upgrade(w, r)
		results <- upgraded{up, err}
	}))
	const timeout = time.Second // a good handshake is made within it, and half of one waits for it
	server.Config.ReadHeaderTimeout = timeout
	server.Start()
	defer server.Close()

	slow, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	io.WriteString(slow, cut(request(goodHeader), 2))
	slow.SetReadDeadline(time.Now().Add(30 * time.Second))
	if answer, err := io.ReadAll(slow); err != nil || strings.Contains(string(answer), "101") {
		t.Errorf("answer to half a handshake = %q, %v, want none and the end", answer, err)
	}

	client, _, _ := send(t, server, request(goodHeader))
	up := <-results
	if up.err != nil {
		t.Fatal(up.err)
	}
	defer up.Conn.Close()
	// The server's deadline is gone: this wait ends by ours, which is later.
	r := NewReader(up.Conn, up.Early, Server, Limits{Idle: 2 * timeout})
	began := time.Now()
	if _, err := r.Next(); err == nil || time.Since(began) < 2*timeout {
		t.Errorf("Next() = %v after %v, want the idle time of %v", err, time.Since(began), 2*timeout)
	}
	if _, err := client.Write([]byte(text("late"))); err != nil {
		t.Fatal(err)
	}
	want(t, r, "text late")
}

func TestProtocols(t *testing.T) {
	h := http.Header{"Sec-Websocket-Protocol": {"tertulia.v1, bearer.abc.def", " ,chat,"}}
	if got, want := Protocols(h), []string{"tertulia.v1", "bearer.abc.def", "chat"}; !slices.Equal(got, want) {
		t.Errorf("Protocols() = %q, want %q", got, want)
	}
	if got := Protocols(http.Header{}); got != nil {
		t.Errorf("Protocols() = %q, want none", got)
	}
}
