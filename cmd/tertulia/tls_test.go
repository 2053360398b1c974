package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tertulia/internal/config"
)

// certificate writes a certificate for this machine, and returns its files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A server with a certificate says so, is healthy, and is talked to by wss.
func TestServeWithTLS(t *testing.T) {
	cert, key := certificate(t)
	_, serving, _ := start(t, "--tls-cert", cert, "--tls-key", key)
	listen, _ := serving["listen"].(string)
	if serving["tls"] != true {
		t.Errorf("the first line is %v, want tls in it", serving)
	}
	code, out, stderr := tertulia(t.Context(), nil, "healthcheck", "--listen", listen, "--tls-cert", cert, "--tls-key", key)
	if code != exitOK || !strings.HasPrefix(out, "[+] store ok") {
		t.Errorf("healthcheck = %d, %q, %q, want 0", code, out, stderr)
	}
	if code, _, _ := tertulia(t.Context(), nil, "healthcheck", "--listen", listen); code != exitFailure {
		t.Errorf("healthcheck by http = %d, want %d", code, exitFailure)
	}
	talk := program(t, "main", "chat", "--server", "wss://"+listen, "--user-id", "1", "--username", "Ana", "1")
	talk.Env = append(talk.Env, "SSL_CERT_FILE="+cert) // whom the program trusts
	talk.Stdin = strings.NewReader("hola\n")
	var said bytes.Buffer
	talk.Stdout, talk.Stderr = &said, &said
	if err := talk.Run(); err != nil {
		t.Errorf("chat by wss ended with %v:\n%s", err, said.Bytes())
	}
}

func TestServeWithoutUsableCertificate(t *testing.T) {
	cert, _ := certificate(t)
	code, _, stderr := tertulia(t.Context(), nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--tls-cert", cert, "--tls-key", cert)
	if code != exitFailure || !strings.Contains(stderr, cert) || !strings.Contains(stderr, "hint: tls.cert and tls.key") {
		t.Errorf("serve = %d, %q, want %d, the file and a hint", code, stderr, exitFailure)
	}
}

func TestGreetingWithTLS(t *testing.T) {
	cfg := config.Default()
	cfg.TLS.Cert = "cert.pem"
	banner := greet(IO{Name: "tertulia"}, &cfg, cfg.Listen).Banner()
	for _, want := range []string{"wss://127.0.0.1:8000/ws/", "https://127.0.0.1:8000/health", "tertulia chat --server wss://127.0.0.1:8000 1"} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner lacks %q:\n%s", want, banner)
		}
	}
	for _, wrong := range []string{" ws://", " http://"} {
		if strings.Contains(banner, wrong) {
			t.Errorf("the banner has %q:\n%s", wrong, banner)
		}
	}
}
