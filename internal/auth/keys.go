package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	// maxKeysBytes bounds a file of keys, and what an issuer's URL returns.
	maxKeysBytes = 64 << 10
	// RSA keys below are too weak, and those above cost too much to check a
	// signature with.
	minRSABits = 2048
	maxRSABits = 8192
)

// localKeys are keys that do not change, by algorithm. The kid of a token
// says nothing about them.
type localKeys map[string][]any

func (k localKeys) find(_ context.Context, algorithm, _ string) ([]any, error) {
	return k[algorithm], nil
}

// readKeyFiles reads public keys. One that goes with none of the algorithms
// is an error, since it was meant to be used.
func readKeyFiles(paths, algorithms []string) (localKeys, error) {
	keys := make(localKeys)
	for _, path := range paths {
		if err := keys.readFile(path, algorithms); err != nil {
			return nil, fmt.Errorf("public key %s: %w", path, err)
		}
	}
	return keys, nil
}

func (k localKeys) readFile(path string, algorithms []string) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeysBytes+1))
	if err != nil {
		return errors.Unwrap(err)
	}
	if len(data) > maxKeysBytes {
		return fmt.Errorf("is longer than %d bytes", maxKeysBytes)
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return errors.New("is not written as PEM")
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		key, algorithm, err := parseBlock(block)
		switch {
		case err != nil:
			return err
		case !slices.Contains(algorithms, algorithm):
			return fmt.Errorf("is for %s, which is not among the algorithms", algorithm)
		}
		k[algorithm] = append(k[algorithm], key)
	}
	return nil
}

func parseBlock(block *pem.Block) (key any, algorithm string, err error) {
	switch {
	case block.Type == "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		err = errors.New("is a private key; the server needs the public one, and nobody else the private one")
	default:
		err = fmt.Errorf("holds a %s, not a PUBLIC KEY", strings.ToLower(block.Type))
	}
	if err != nil {
		return nil, "", err
	}
	algorithm, err = algorithmOf(key)
	return key, algorithm, err
}

// algorithmOf returns the one algorithm that a public key is used with.
func algorithmOf(key any) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", fmt.Errorf("is an RSA key of %d bits; from %d to %d are taken", bits, minRSABits, maxRSABits)
		}
		return RS256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", errors.New("is an elliptic key on another curve than P-256")
		}
		return ES256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	}
	return "", errors.New("is neither an RSA, nor a P-256, nor an Ed25519 key")
}
