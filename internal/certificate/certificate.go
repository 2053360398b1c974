// Package certificate serves a TLS certificate from two files that may be
// replaced while it is in use, as tools that renew certificates do.
//
// It starts no goroutine: the files are looked at when a client comes.
package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// Pair is a certificate with its key. Its methods may be called from any
// goroutine.
type Pair struct {
	// Fixed after construction.
	paths [2]string // certificate chain and key, in PEM
	log   *slog.Logger

	current atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // held by the handshake that looks; others do not wait
	looked time.Time
	seen   [2]os.FileInfo // of what is current
	broken string         // why the files cannot be used, empty if they can
}

// Open reads the files, which hold a certificate chain and its private key in
// PEM.
func Open(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{paths: [2]string{certFile, keyFile}, log: log, looked: time.Now()}
	info, err := p.stat()
	if err != nil {
		return nil, err
	}
	if err := p.load(info); err != nil {
		return nil, err
	}
	return p, nil
}

// Config is TLS 1.2 and later with this certificate.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.Get}
}

// Get implements tls.Config.GetCertificate. It returns the certificate that
// was there a second ago at the latest. Files that cannot be used are told to
// the log once, and the certificate of before is kept.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p.mu.TryLock() {
		p.look()
		p.mu.Unlock()
	}
	return p.current.Load(), nil
}

// look takes new files. Those that could not be used are tried again each
// time: they may have been read half written.
func (p *Pair) look() {
	now := time.Now()
	if now.Sub(p.looked) < lookEvery {
		return
	}
	p.looked = now
	info, err := p.stat()
	if err == nil {
		if p.broken == "" && same(p.seen[0], info[0]) && same(p.seen[1], info[1]) {
			return
		}
		err = p.load(info)
	}
	switch {
	case err == nil:
		p.broken = ""
		p.log.Info("the certificate was replaced", "file", p.paths[0], "not_after", p.current.Load().Leaf.NotAfter.UTC())
	case err.Error() != p.broken:
		p.broken = err.Error()
		p.log.Warn("the new certificate cannot be used; the old one is kept", "error", err)
	}
}

func (p *Pair) stat() (info [2]os.FileInfo, err error) {
	for i, path := range p.paths {
		if info[i], err = os.Stat(path); err != nil {
			return info, fmt.Errorf("read certificate: %w", err)
		}
	}
	return info, nil
}

func (p *Pair) load(info [2]os.FileInfo) error {
	loaded, err := tls.LoadX509KeyPair(p.paths[0], p.paths[1])
	if err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", p.paths[0], p.paths[1], err)
	}
	p.current.Store(&loaded)
	p.seen = info
	return nil
}

// same reports whether a file has not been written or exchanged.
func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
