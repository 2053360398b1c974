package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// keyName is how a token names a key of its issuer's.
type keyName struct{ algorithm, kid string }

// jwk is one public key of a set (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// parseKeySet reads a set of keys. Keys that it cannot use, for what they are
// or what they are for, are left out, symmetric ones among them; a set in which
// none is left is an error. Of two keys with one name the first counts.
func parseKeySet(data []byte, algorithms []string) (map[keyName]any, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("is not a set of keys in JSON")
	}
	keys := make(map[keyName]any)
	for _, text := range set.Keys {
		var k jwk
		if json.Unmarshal(text, &k) != nil {
			continue
		}
		key, algorithm, err := k.public()
		name := keyName{algorithm, k.ID}
		if err == nil && keys[name] == nil && slices.Contains(algorithms, algorithm) {
			keys[name] = key
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("has no key for %v among its %d", algorithms, len(set.Keys))
	}
	return keys, nil
}

// public returns the key, if it is one for checking signatures.
func (k *jwk) public() (key any, algorithm string, err error) {
	if k.Use != "" && k.Use != "sig" || k.Operations != nil && !slices.Contains(k.Operations, "verify") {
		return nil, "", errors.New("is not for signatures")
	}
	switch {
	case k.Type == "RSA":
		key, err = k.rsa()
	case k.Type == "EC" && k.Curve == "P-256":
		key, err = k.p256()
	case k.Type == "OKP" && k.Curve == "Ed25519":
		key, err = k.ed25519()
	default:
		err = errors.New("is of another type")
	}
	if err != nil {
		return nil, "", err
	}
	algorithm, err = algorithmOf(key)
	if err == nil && k.Algorithm != "" && k.Algorithm != algorithm {
		err = errors.New("says that it is for another algorithm")
	}
	return key, algorithm, err
}

func (k *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := decodeSegment(k.N)
	if err != nil {
		return nil, err
	}
	e, err := decodeSegment(k.E)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if len(e) > 4 || exponent.Cmp(big.NewInt(3)) < 0 || exponent.Bit(0) == 0 || exponent.BitLen() > 31 {
		return nil, errors.New("has an unusable exponent")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (k *jwk) p256() (*ecdsa.PublicKey, error) {
	x, err := decodeSegment(k.X)
	if err != nil {
		return nil, err
	}
	y, err := decodeSegment(k.Y)
	if err != nil {
		return nil, err
	}
	if len(x) != 32 || len(y) != 32 {
		return nil, errors.New("has coordinates of another size")
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)) // SEC 1 §2.3.3
}

func (k *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := decodeSegment(k.X)
	if err == nil && len(x) != ed25519.PublicKeySize {
		err = errors.New("has another size")
	}
	return x, err
}
