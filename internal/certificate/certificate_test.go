package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// files is a folder with a certificate in it.
type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T) *files {
	dir := t.TempDir()
	return &files{t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// issue makes a certificate with this serial number, in PEM.
func (f *files) issue(serial int64) (cert, key []byte) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		f.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		f.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// write replaces a file, as tools that renew certificates do.
func (f *files) write(path string, content []byte) {
	f.t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) renew(serial int64) {
	cert, key := f.issue(serial)
	f.write(f.cert, cert)
	f.write(f.key, key)
}

func wantSerial(t *testing.T, p *Pair, want int64) {
	t.Helper()
	got, err := p.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Leaf.SerialNumber.Int64() != want {
		t.Errorf("certificate %v is served, want %d", got.Leaf.SerialNumber, want)
	}
}

func TestReplacedFilesAreTaken(t *testing.T) {
	f := newFiles(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f.renew(1)
		p, err := Open(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		wantSerial(t, p, 1)
		f.renew(2)
		wantSerial(t, p, 1) // not looked at again within a second
		time.Sleep(lookEvery)
		wantSerial(t, p, 2)
		time.Sleep(lookEvery)
		wantSerial(t, p, 2)
		if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "not_after") {
			t.Errorf("the log has %q, want one line on the new certificate", log.String())
		}
	})
}

func TestBrokenFilesAreNotTaken(t *testing.T) {
	f := newFiles(t)
	cert, key := f.issue(2)
	for _, c := range []struct {
		name  string
		spoil func()
	}{
		{"no certificate", func() { f.write(f.cert, []byte("nothing")) }},
		{"half a key", func() { f.write(f.key, key[:len(key)/2]) }},
		{"a certificate of another key", func() { f.write(f.cert, cert) }},
		{"missing", func() { os.Remove(f.key) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				f.renew(1)
				p, err := Open(f.cert, f.key, slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				c.spoil()
				for range 3 {
					time.Sleep(lookEvery)
					wantSerial(t, p, 1)
				}
				if got := strings.Count(log.String(), "level=WARN"); got != 1 || strings.Count(log.String(), "\n") != 1 {
					t.Errorf("the log has %q, want one warning", log.String())
				}
				if strings.Contains(log.String(), "PRIVATE") {
					t.Errorf("the log has the key: %s", log.String())
				}
				f.write(f.cert, cert)
				f.write(f.key, key)
				time.Sleep(lookEvery)
				wantSerial(t, p, 2)
			})
		})
	}
}

func TestOpenFails(t *testing.T) {
	f := newFiles(t)
	if p, err := Open(f.cert, f.key, slog.New(slog.DiscardHandler)); p != nil || err == nil || !strings.Contains(err.Error(), f.cert) {
		t.Errorf("Open of files that do not exist = %v, want an error that names the file", err)
	}
	f.renew(1)
	f.write(f.key, []byte("no key"))
	if p, err := Open(f.cert, f.key, slog.New(slog.DiscardHandler)); p != nil || err == nil || !strings.Contains(err.Error(), f.key) {
		t.Errorf("Open without a key = %v, want an error that names the file", err)
	}
}
