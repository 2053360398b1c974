package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"tertulia/chat"
)

const (
	// fetchTimeout bounds one fetch, from the dial to the last byte.
	fetchTimeout = 5 * time.Second
	// fetchInterval is the least time between two fetches, whatever tokens
	// come: a forger may put any kid into a token.
	fetchInterval = 30 * time.Second
	// firstInterval stands for it while there are no keys at all, so that an
	// issuer that starts together with this server is not missed for long.
	firstInterval = 5 * time.Second
	// freshFor is how long keys are used without asking whether they are still
	// the issuer's.
	freshFor = 10 * time.Minute
)

// remoteKeys are the keys at an issuer's URL, kept until the URL has others.
// While it does not answer, those that are here stay in use.
type remoteKeys struct {
	issuer     string
	url        string
	algorithms []string
	client     *http.Client
	timeout    time.Duration
	now        func() time.Time
	log        *slog.Logger

	ctx     context.Context // ends the fetch in flight
	stop    context.CancelFunc
	fetches sync.WaitGroup

	mu        sync.Mutex
	keys      map[keyName]any // replaced whole; nil until the first success
	fetchedAt time.Time       // the last success
	triedAt   time.Time       // the beginning of the last fetch
	failed    bool            // the last fetch has failed
	flight    chan struct{}   // closed when the fetch in flight has ended; nil if there is none
}

func newRemoteKeys(issuer, address string, algorithms []string, now func() time.Time, log *slog.Logger) (*remoteKeys, error) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopbackHost(u.Host)) {
		return nil, errors.New("the JWKS URL must be https, or http on this machine, and hold no password")
	}
	k := &remoteKeys{issuer: issuer, url: address, algorithms: algorithms, timeout: fetchTimeout, now: now, log: log}
	k.client = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxKeysBytes},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k, nil
}

// close ends a fetch in flight and waits for it. No other is begun after.
func (k *remoteKeys) close() {
	k.mu.Lock()
	k.stop()
	k.mu.Unlock()
	k.fetches.Wait()
}

// find waits for a fetch only if it does not have the key.
func (k *remoteKeys) find(ctx context.Context, algorithm, kid string) ([]any, error) {
	name := keyName{algorithm, kid}
	key, flight := k.look(name)
	if key == nil && flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the keys of issuer %q: %w", k.issuer, ctx.Err())
		}
		key = k.have(name)
	}
	if key == nil {
		return nil, k.missing()
	}
	return []any{key}, nil
}

// look returns the key with this name, nil if it is not here. If the keys
// should be fetched it has that begun; flight ends with the fetch under way.
func (k *remoteKeys) look(name keyName) (key any, flight <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key = k.named(name)
	now := k.now()
	if k.flight == nil && (key == nil || now.Sub(k.fetchedAt) >= freshFor) && now.Sub(k.triedAt) >= k.interval() && k.ctx.Err() == nil {
		k.triedAt = now
		k.flight = make(chan struct{})
		k.fetches.Go(k.refresh)
	}
	return key, k.flight
}

func (k *remoteKeys) have(name keyName) any {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.named(name)
}

// named returns a key, and is called with mu held. A token without kid means the only key that there is
// for its algorithm.
func (k *remoteKeys) named(name keyName) any {
	if name.kid != "" {
		return k.keys[name]
	}
	var only any
	for other, key := range k.keys {
		if other.algorithm != name.algorithm {
			continue
		}
		if only != nil {
			return nil
		}
		only = key
	}
	return only
}

func (k *remoteKeys) interval() time.Duration {
	if k.keys == nil {
		return firstInterval
	}
	return fetchInterval
}

// missing is the error for a key that is not here. If the last fetch has
// failed the issuer may have it nevertheless.
func (k *remoteKeys) missing() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed {
		return &chat.Error{Code: chat.Internal, Message: "The keys that this token is checked with cannot be had at the moment; try again.", RetryAfter: k.interval()}
	}
	return refused("its key (kid) is none of its issuer's")
}

// refresh fetches the keys and puts them in place of those that are here.
func (k *remoteKeys) refresh() {
	keys, err := k.fetch()
	if err != nil && k.ctx.Err() == nil {
		k.log.Warn("an issuer's keys cannot be fetched", "issuer", k.issuer, "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed = err != nil; !k.failed {
		k.keys, k.fetchedAt = keys, k.now()
	}
	close(k.flight)
	k.flight = nil
}

func (k *remoteKeys) fetch() (map[keyName]any, error) {
	ctx, cancel := context.WithTimeout(k.ctx, k.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeysBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxKeysBytes:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxKeysBytes)
	}
	return parseKeySet(data, k.algorithms)
}
