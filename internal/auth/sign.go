package auth

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
)

// Grant is what a token is to say.
type Grant struct {
	User chat.User
	// Issuer and Audience are left out of the token if empty.
	Issuer   string
	Audience []string
	IssuedAt time.Time
	Lifetime time.Duration
}

// Sign makes a token with an id of its own, signed by HS256. The error says
// what of the grant or of the secret no server would accept; it holds no
// secret.
func Sign(secret []byte, g Grant) (string, error) {
	if len(secret) < MinSecretBytes {
		return "", fmt.Errorf("the secret has %d bytes; it needs %d", len(secret), MinSecretBytes)
	}
	if g.Lifetime < time.Second || g.Lifetime > MaxLifetime {
		return "", fmt.Errorf("a token is good for 1s to %s, not for %s", MaxLifetime, g.Lifetime)
	}
	user, err := chat.ParseUser(string(g.User.ID), g.User.Name)
	if err != nil {
		return "", fmt.Errorf("the user id has 1 to %d bytes and the display name 1 to %d, without control characters", chat.MaxUserIDBytes, chat.MaxUserNameBytes)
	}
	c := jwt.MapClaims{
		"sub":  user.ID,
		"name": user.Name,
		"iat":  g.IssuedAt.Unix(),
		"exp":  g.IssuedAt.Add(g.Lifetime).Unix(),
		"jti":  rand.Text(),
	}
	if g.Issuer != "" {
		c["iss"] = g.Issuer
	}
	if len(g.Audience) > 0 {
		c["aud"] = g.Audience
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(secret)
}
