package server

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"testing"
)

// A stream goes on where it was when the server comes back, and has what was
// said when nobody listened.
func TestStreamGoesOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, configFor(dir))
	resp := getFrom(t, t.Context(), s.addr(), "/api/v1/stream?"+rosa+"&room=1")
	in := bufio.NewReader(resp.Body)
	wantLine(t, in, "id: ")
	s.say("uno")
	wantLine(t, in, "uno")
	id := wantLine(t, in, "id: ")
	s.say("dos") // may or may not come before the end
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	resp.Body.Close()

	s = start(t, configFor(dir))
	defer s.stop()
	s.say("tres")
	resp = getFrom(t, t.Context(), s.addr(), "/api/v1/stream?"+rosa+"&room=1", "Last-Event-ID", id)
	defer resp.Body.Close()
	in = bufio.NewReader(resp.Body)
	wantLine(t, in, `"resumed":true`)
	wantLine(t, in, `"seq":2`)
	wantLine(t, in, `"seq":3`)
}

// Over TLS a stream comes by HTTP/2, beside others on one connection.
func TestStreamsOverHTTP2(t *testing.T) {
	s := start(t, configWithTLS(t))
	defer s.stop()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var streams []*bufio.Reader
	for range 10 { // more than a browser opens by HTTP/1.1
		resp, err := client.Get("https://" + s.addr() + "/api/v1/stream?" + rosa + "&room=1")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Fatalf("the answer is %s %s, want 200 by HTTP/2", resp.Proto, resp.Status)
		}
		in := bufio.NewReader(resp.Body)
		wantLine(t, in, "id: ")
		streams = append(streams, in)
	}
	s.say("para todos")
	for _, in := range streams {
		wantLine(t, in, "para todos")
	}
}
