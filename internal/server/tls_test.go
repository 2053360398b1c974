package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tertulia/internal/config"
	"tertulia/internal/websocket"
)

// issue writes a self-signed certificate for this machine with a serial number
// into the files of the configuration.
func issue(t *testing.T, files config.TLS, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func configWithTLS(t *testing.T) config.Config {
	cfg := configFor(t.TempDir())
	dir := t.TempDir()
	cfg.TLS = config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	issue(t, cfg.TLS, 1)
	return cfg
}

// dialTLS speaks the first protocol of ALPN that the server knows too.
func (r *running) dialTLS(protocols ...string) *tls.Conn {
	r.t.Helper()
	nc, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// With TLS, requests come by HTTP/2 where the client can, and WebSockets
// beside them by HTTP/1.1.
func TestTLS(t *testing.T) {
	cfg := configWithTLS(t)
	pool := x509.NewCertPool()
	chain, err := os.ReadFile(cfg.TLS.Cert)
	if err != nil || !pool.AppendCertsFromPEM(chain) {
		t.Fatal("no certificate", err)
	}
	s := start(t, cfg)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	get := func() {
		t.Helper()
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + s.Addr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Errorf("/readyz = %s by %s, want 200 by HTTP/2", resp.Status, resp.Proto)
		}
		if got := resp.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("a server on loopback binds browsers to TLS: %q", got)
		}
	}
	get()
	for _, protocols := range [][]string{{"http/1.1"}, nil} {
		c := s.upgrade(s.dialTLS(protocols...), "1")
		c.want("connected")
		c.send(websocket.Text, `{"type":"message","content":"hola"}`)
		c.want("message_sent")
		c.want("message")
		get()
		c.Close()
	}
	if nc, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		nc.Close()
		t.Error("the server speaks TLS 1.1")
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A certificate is replaced while clients come and go: all are served, those
// who are there stay, and newcomers soon see the new one.
func TestCertificateIsReplaced(t *testing.T) {
	cfg := configWithTLS(t)
	s := start(t, cfg)
	resident := s.upgrade(s.dialTLS(), "1")
	defer resident.Close()
	resident.want("connected")

	stop := make(chan struct{})
	var visitors sync.WaitGroup
	for range 4 {
		visitors.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				nc, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Errorf("a client is not served: %v", err)
					return
				}
				nc.Close()
			}
		})
	}
	issue(t, cfg.TLS, 2)
	deadline := time.Now().Add(patience)
	for {
		nc := s.dialTLS()
		serial := nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		nc.Close()
		if serial == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate never came")
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	visitors.Wait()
	resident.send(websocket.Text, `{"type":"message","content":"hola"}`)
	resident.want("message_sent")
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A server that others reach binds browsers to TLS.
func TestStrictTransportSecurity(t *testing.T) {
	cfg := configWithTLS(t)
	cfg.Listen, cfg.Auth.AllowOpenOnAnyAddress = "0.0.0.0:0", true
	s := start(t, cfg)
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://127.0.0.1:" + port + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("no Strict-Transport-Security, want it")
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestUnusableCertificate(t *testing.T) {
	cfg := configWithTLS(t)
	if err := os.WriteFile(cfg.TLS.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if _, ok := errors.AsType[*CertificateError](err); !ok {
		t.Errorf("New = %v, want a *CertificateError", err)
	}
	issue(t, cfg.TLS, 1)
	s := start(t, cfg) // address and folder were let go of
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
