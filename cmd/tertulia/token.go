package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	stdio "io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/config"
	"tertulia/internal/server"
)

// TokenCmd holds the commands about tokens.
type TokenCmd struct {
	Create  TokenCreateCmd  `cmd:"" help:"Make a token that the configured server accepts."`
	Inspect TokenInspectCmd `cmd:"" help:"Show what a token says, and whether the configured server accepts it."`
}

func (TokenCmd) Help() string {
	return `Examples:

    tertulia token create --user 1 --name Juan
    tertulia token inspect < token.txt`
}

// TokenCreateCmd signs a token with the server's HS256 secret.
type TokenCreateCmd struct {
	User       chat.UserID   `required:"" placeholder:"ID" help:"The user whom the token stands for, without the user_prefix of its issuer."`
	Name       string        `placeholder:"NAME" help:"The display name; the id if left out."`
	TTL        time.Duration `name:"ttl" default:"1h" help:"How long the token is good for, at most auth.max_lifetime."`
	Issuer     string        `placeholder:"ISS" help:"Which of several configured issuers signs it."`
	SecretFile string        `placeholder:"FILE" help:"Read the secret from this file instead of the configuration."`
	configFlags
}

func (TokenCreateCmd) Help() string {
	return `Writes the token to stdout. The secret is auth.hs256_secret, or in the file that --secret-file names; issuer and audience are the configured ones. Whoever has the token is that user until it expires.

Examples:

    tertulia token create --user 1 --name Juan --ttl 1h
    tertulia token create --user 1 --secret-file /run/secrets/tertulia`
}

func (c *TokenCreateCmd) Run(io IO, others otherEnv) error {
	in := config.Input{Flags: c.keys, Env: io.Env, OtherEnv: others, File: c.File}
	if c.SecretFile != "" {
		in.Env = withSecretFile(io.Env, c.SecretFile)
	}
	loaded, err := loadConfig(in)
	if err != nil {
		return err
	}
	issuer, err := c.signer(&loaded.Auth)
	switch {
	case err != nil:
		return err
	case c.TTL > issuer.MaxLifetime:
		return errorWithHint(exitUsage, "shorten --ttl, or raise auth.max_lifetime", "the server accepts tokens that are good for %s at most, not for %s", issuer.MaxLifetime, c.TTL)
	}
	grant := auth.Grant{User: chat.User{ID: c.User, Name: c.Name}, Issuer: issuer.Name, IssuedAt: time.Now(), Lifetime: c.TTL}
	if grant.User.Name == "" {
		grant.User.Name = string(c.User)
	}
	if len(issuer.Audience) > 0 {
		grant.Audience = issuer.Audience[:1]
	}
	token, err := auth.Sign([]byte(issuer.HS256Secret), grant)
	if err != nil {
		return errorWithHint(exitUsage, "", "%w", err)
	}
	_, err = fmt.Fprintln(io.Out, token)
	return err
}

// signer returns the issuer that signs: that of --secret-file, or else the one
// that has a secret.
func (c *TokenCreateCmd) signer(cfg *config.Auth) (config.Issuer, error) {
	issuers := cfg.AllIssuers()
	if c.SecretFile != "" {
		issuers = issuers[:1]
	}
	issuers = slices.DeleteFunc(issuers, func(i config.Issuer) bool {
		return i.HS256Secret == "" || c.Issuer != "" && i.Name != c.Issuer
	})
	switch len(issuers) {
	case 0:
		return config.Issuer{}, errorWithHint(exitUsage, "give --secret-file, or set auth.hs256_secret", "there is no secret to sign with")
	case 1:
		return issuers[0], nil
	}
	return config.Issuer{}, errorWithHint(exitUsage, "give --issuer", "there are %d issuers with a secret", len(issuers))
}

// withSecretFile has the secret read from a file, whatever the environment
// says of it.
func withSecretFile(env []string, path string) []string {
	const name = "TERTULIA_AUTH_HS256_SECRET"
	var all []string
	for _, entry := range env {
		if !strings.HasPrefix(entry, name+"=") && !strings.HasPrefix(entry, name+"_FILE=") {
			all = append(all, entry)
		}
	}
	return append(all, name+"_FILE="+path)
}

// TokenInspectCmd shows a token and what the server thinks of it.
type TokenInspectCmd struct {
	Token string `arg:"" optional:"" help:"The token. Left out or - it is read from stdin, where nobody else sees it."`
	configFlags
}

// tokenKeys are the flags by which a token is inspected. The secret has none:
// others see a command line.
var tokenKeys = []string{"auth.public_keys", "auth.jwks_url", "auth.algorithms", "auth.issuer", "auth.audience", "auth.max_lifetime"}

func (TokenInspectCmd) Help() string {
	return `Shows header and claims as they are, trusted or not, and below whether a server with this configuration accepts the token, and if not why. Revocations are the running server's and are not looked at. Ends with exit code 0 if it is accepted and 4 if it is refused. Secrets are not shown.

Examples:

    tertulia token create --user 1 | tertulia token inspect
    tertulia token inspect --auth-public-keys issuer.pem < token.txt`
}

func (c *TokenInspectCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	text, err := c.read(io.In)
	if err != nil {
		return err
	}
	for i, part := range strings.SplitN(text, ".", 3) {
		if i < 2 {
			fmt.Fprintf(io.Out, "%s: %s\n", [2]string{"header", "claims"}[i], readable(part))
		}
	}
	who, err := auth.New(server.AuthConfig(loaded.Auth))
	if err != nil {
		return errorWithHint(exitUsage, "see the keys that begin with auth: tertulia config show", "%w", err)
	}
	defer who.Close()
	id, err := who.Verify(ctx, text)
	if err != nil {
		return errorWithHint(exitRefused, "", "%s", chat.AsError(err).Message)
	}
	_, err = fmt.Fprintf(io.Out, "accepted: user %q, display name %q, until %s\n", id.User.ID, id.User.Name, id.ExpiresAt.Format(time.RFC3339))
	return err
}

// read returns the token from the command line or stdin, which is not read
// much farther than a token may be long.
func (c *TokenInspectCmd) read(in stdio.Reader) (string, error) {
	if c.Token != "" && c.Token != "-" {
		return c.Token, nil
	}
	data, err := stdio.ReadAll(stdio.LimitReader(in, 2*auth.MaxTokenBytes))
	switch text := strings.TrimSpace(string(data)); {
	case err != nil:
		return "", err
	case text == "":
		return "", errorWithHint(exitUsage, "give it as an argument, or on stdin", "there is no token")
	default:
		return text, nil
	}
}

// readable is one part of a token for a person: JSON on one line, or else
// what it is not. Nothing in it can act on a terminal.
func readable(part string) string {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "(not base64url)"
	}
	value := jsontext.Value(bytes.TrimSpace(data))
	if value.Compact(jsontext.AllowDuplicateNames(true)) != nil {
		return "(not JSON)"
	}
	return strings.Map(printable, string(value))
}

// printable replaces what is no letter of a line: control characters (JSON
// allows DEL and the C1 ones unescaped), and what turns the direction of text.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
		return '\uFFFD'
	}
	return r
}
