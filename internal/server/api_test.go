package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/internal/config"
)

// ask sends a request to the API and returns its status and its body, read as
// JSON if it is an object.
func (r *running) ask(method, path, body string, header ...string) (int, map[string]any) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := plain.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var object map[string]any
	_ = json.Unmarshal(text, &object) // 204 has none
	return resp.StatusCode, object
}

// In open mode the API believes the URL, of requests that come from here.
func TestAPIInOpenMode(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	defer s.stop()
	for _, c := range []struct {
		name   string
		path   string
		header []string
		status int
		code   any
	}{
		{"named", "/api/v1/me?user_id=1&username=Juan", nil, 200, nil},
		{"nobody", "/api/v1/me", nil, 401, "unauthenticated"},
		{"half a name", "/api/v1/me?user_id=1", nil, 401, "unauthenticated"},
		{"forwarded", "/api/v1/me?user_id=1&username=Juan", []string{"X-Forwarded-For", "10.0.0.1"}, 403, "forbidden"},
		{"a token in the URL", "/api/v1/me?token=x", nil, 400, "invalid_parameter"},
		{"version", "/api/v1/version", nil, 200, nil},
		{"statistics", "/api/v1/stats?user_id=1&username=Juan", nil, 200, nil},
		{"no path", "/api/v2/me", nil, 404, "path_not_found"},
	} {
		if status, body := s.ask("GET", c.path, "", c.header...); status != c.status || body["code"] != c.code {
			t.Errorf("%s: %d %v, want %d %v", c.name, status, body, c.status, c.code)
		}
	}
	if status, body, _ := s.get("/problems/unauthenticated"); status != 200 || !strings.Contains(body, "unauthenticated") {
		t.Errorf("the page of a problem: %d %s", status, body)
	}

	// What is posted here is heard there.
	bob := s.connect("1")
	bob.want("connected")
	if status, body := s.ask("POST", "/api/v1/rooms/1/messages?user_id=1&username=Juan", `{"content":"por REST"}`); status != 201 || body["seq"] != 1.0 {
		t.Errorf("the post: %d %v, want 201 and seq 1", status, body)
	}
	if frame := bob.want("message"); !strings.Contains(frame, "por REST") {
		t.Errorf("bob gets %s, want what was posted", frame)
	}
	// A request is counted when it has been answered.
	eventually(t, "metrics that tell the routes of the API apart", func() bool {
		_, page, _ := s.get("/metrics")
		return strings.Contains(page, `route="/api/v1/rooms/{room}/messages"`)
	})
}

// In token mode nobody is believed who has no credential, and a back end acts
// for its users.
func TestAPIInTokenMode(t *testing.T) {
	const key = "a key of a back end, long enough to be one"
	cfg := configFor(t.TempDir())
	cfg.Auth.Mode = config.AuthToken
	cfg.Auth.HS256Secret = "a secret of 32 bytes or more, as it has to be"
	cfg.Auth.ServiceKeys = append(cfg.Auth.ServiceKeys, key)
	s := start(t, cfg)
	defer s.stop()
	bearer := []string{"Authorization", "Bearer " + key}
	for _, c := range []struct {
		name         string
		method, path string
		body         string
		header       []string
		status       int
	}{
		{"the URL is not believed", "GET", "/api/v1/me?user_id=1&username=Juan", "", nil, 401},
		{"nor is a wrong key", "GET", "/api/v1/me", "", []string{"Authorization", "Bearer x" + key}, 401},
		{"nobody acts for others", "GET", "/api/v1/me", "", []string{"Tertulia-User", "1"}, 403},
		{"a back end provisions users", "PUT", "/api/v1/users/ana", `{"username":"Ana"}`, bearer, 200},
		{"and rooms", "POST", "/api/v1/rooms", `{"id":"plaza","access":"public","members":[{"user_id":"ana"}]}`, bearer, 201},
		{"and posts for users", "POST", "/api/v1/rooms/plaza/messages", `{"content":"hola"}`, append([]string{"Tertulia-User", "ana"}, bearer...), 201},
		{"and sees the statistics", "GET", "/api/v1/stats", "", bearer, 200},
		{"and gets tickets for users", "POST", "/api/v1/tickets", "", append([]string{"Tertulia-User", "ana"}, bearer...), 201},
		{"not for nobody", "POST", "/api/v1/tickets", "", bearer, 400},
	} {
		if status, body := s.ask(c.method, c.path, c.body, c.header...); status != c.status {
			t.Errorf("%s: %d %v, want %d", c.name, status, body, c.status)
		}
	}

	// A ticket opens one WebSocket, and one only.
	_, made := s.ask("POST", "/api/v1/tickets", "", append([]string{"Tertulia-User", "ana"}, bearer...)...)
	for _, want := range []string{`"type":"connected"`, `"code":"unauthenticated"`} {
		nc, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "GET /ws/plaza?ticket=%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", made["ticket"])
		nc.SetReadDeadline(time.Now().Add(patience))
		var got []byte
		for buf := make([]byte, 1024); !strings.Contains(string(got), want); {
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatalf("with a ticket there is %q, %v, want %s", got, err, want)
			}
			got = append(got, buf[:n]...)
		}
		nc.Close()
	}
}
