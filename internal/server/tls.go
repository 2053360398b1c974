package server

import (
	"crypto/tls"
	"log/slog"

	"tertulia/internal/certificate"
	"tertulia/internal/config"
)

// CertificateError is a certificate with which no server can start.
type CertificateError struct{ Err error }

func (e *CertificateError) Error() string { return e.Err.Error() }

func (e *CertificateError) Unwrap() error { return e.Err }

// tlsOf returns nil for a server without TLS. The error is a
// *CertificateError.
func tlsOf(cfg *config.Config, log *slog.Logger) (*tls.Config, error) {
	if !cfg.TLS.On() {
		return nil, nil
	}
	pair, err := certificate.Open(cfg.TLS.Cert, cfg.TLS.Key, log)
	if err != nil {
		return nil, &CertificateError{err}
	}
	return pair.Config(), nil
}

// serve serves until the listener is closed. Over TLS a client may speak
// HTTP/2; one that wants a WebSocket asks for HTTP/1.1, as browsers do.
func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "") // the certificate is in the configuration
	}
	return s.http.Serve(s.listener)
}
