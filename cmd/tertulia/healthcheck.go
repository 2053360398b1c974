package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// HealthcheckCmd asks a server on the same machine whether it is ready. It
// is for containers that hold no other program to do so.
type HealthcheckCmd struct {
	configFlags
}

func (HealthcheckCmd) Help() string {
	return `Asks /readyz of the address that the configuration names. Ends with exit code 0 if the server is ready and 1 in every other case, as container engines want it.

Examples:

    tertulia healthcheck
    tertulia healthcheck --listen 127.0.0.1:9000`
}

// healthcheckTimeout leaves the server time to give up on its own checks,
// which it does after two seconds.
const healthcheckTimeout = 5 * time.Second

func (c *HealthcheckCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return errorWithHint(exitFailure, "", "%w", err)
	}
	address := dialable(loaded.Listen)
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	scheme := "http://"
	if loaded.TLS.On() {
		scheme = "https://"
	}
	status, body, err := get(ctx, scheme+address+"/readyz?verbose")
	if err != nil {
		return errorWithHint(exitFailure, "is the server running, and is this its address?", "no server answers at %s: %w", address, err)
	}
	fmt.Fprint(io.Out, body)
	if status != http.StatusOK {
		return errorWithHint(exitFailure, "the server's log says why", "the server at %s is not ready", address)
	}
	return nil
}

// get fetches a short text from this machine's own server, past any proxy. The
// certificate is for the name under which others know the server, not for the
// address that is asked here, and so it is not looked at: nothing secret is
// said, and the answer is as good as whoever listens on that address.
func get(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	var b strings.Builder
	_, err = io.Copy(&b, io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, b.String(), err
}
