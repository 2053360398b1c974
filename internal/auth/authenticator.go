package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/internal/count"
)

// Config says whom an [Authenticator] believes.
type Config struct {
	// Open believes the URL of a request that has no credential. Nil is token
	// mode, in which such a request is nobody's.
	Open *Open
	// Issuers are those whose tokens are taken. A token that is presented is
	// checked in open mode too.
	Issuers []Issuer
	// ServiceKeys are the credentials of back ends, each of
	// [MinSecretBytes] or more.
	ServiceKeys []string
	// Tickets are those that requests may bring; nil takes none.
	Tickets *Tickets
	// Revocations are asked about every token; nil revokes none.
	Revocations Revocations
	// Log is told when an issuer's keys cannot be fetched. Nil is silent.
	Log *slog.Logger
}

// Authenticator knows who is asking. Its methods may be called from any
// goroutine. Close it when no more of them will be.
type Authenticator struct {
	open        *Open
	issuers     map[string]*issuer // by the iss of their tokens; "" alone stands for any
	service     serviceKeys
	tickets     *Tickets
	revocations Revocations
	now         func() time.Time
	failures    *count.Set
}

// New makes an authenticator. The error says which part of cfg cannot be
// used; it holds no secret.
func New(cfg Config) (*Authenticator, error) { return newAt(cfg, time.Now) }

func newAt(cfg Config, now func() time.Time) (*Authenticator, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	service, err := newServiceKeys(cfg.ServiceKeys)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{
		open:        cfg.Open,
		issuers:     make(map[string]*issuer),
		service:     service,
		tickets:     cfg.Tickets,
		revocations: cfg.Revocations,
		now:         now,
		failures:    newFailures(),
	}
	for _, c := range cfg.Issuers {
		if err := a.add(c, cfg.Log); err != nil {
			return nil, fmt.Errorf("issuer %q: %w", c.Name, err)
		}
	}
	if a.issuers[""] != nil && len(a.issuers) > 1 {
		return nil, errors.New("of several issuers each needs a name")
	}
	if err := a.divideUsers(); err != nil {
		return nil, err
	}
	return a, nil
}

// divideUsers tells each issuer which user ids are not its own.
func (a *Authenticator) divideUsers() error {
	for name, i := range a.issuers {
		for other, o := range a.issuers {
			switch {
			case i == o || !strings.HasPrefix(o.prefix, i.prefix):
			case i.prefix == o.prefix:
				return fmt.Errorf("the users of the issuers %q and %q would have the same ids; give them different prefixes", min(name, other), max(name, other))
			default:
				i.foreign = append(i.foreign, o.prefix)
			}
		}
	}
	return nil
}

func (a *Authenticator) add(c Issuer, log *slog.Logger) error {
	if a.issuers[c.Name] != nil {
		return errors.New("is there twice")
	}
	i, err := newIssuer(c, a.now, log)
	if err != nil {
		return err
	}
	a.issuers[c.Name] = i
	return nil
}

// Close ends the fetching of keys and waits for it.
func (a *Authenticator) Close() {
	for _, i := range a.issuers {
		if keys, ok := i.keys.(*remoteKeys); ok {
			keys.close()
		}
	}
}

// Verify returns whom a token stands for. It is for tokens that come by other
// ways than a request's head, such as an auth frame. The error is a
// *chat.Error with code [chat.Unauthenticated], or [chat.TokenExpired] for a
// token that was good; or one that [Authenticator.Recheck] returns; or an
// internal one if the issuer's keys cannot be had, or ctx ends before they
// come, which may be after 5 s.
func (a *Authenticator) Verify(ctx context.Context, text string) (Identity, error) {
	id, err := a.verify(ctx, text)
	a.note(err)
	return id, err
}

func (a *Authenticator) verify(ctx context.Context, text string) (Identity, error) {
	t, err := parseToken(text)
	if err != nil {
		return Identity{}, err
	}
	i, err := a.issuerOf(t)
	if err != nil {
		return Identity{}, err
	}
	id, err := i.verify(ctx, t, a.now())
	if err != nil {
		return Identity{}, err
	}
	if err := a.recheck(ctx, id); err != nil {
		return Identity{}, err
	}
	return id, nil
}

func (a *Authenticator) issuerOf(t *token) (*issuer, error) {
	switch i := a.issuers[t.claims.Issuer]; {
	case len(a.issuers) == 0:
		return nil, chat.Errorf(chat.Unauthenticated, "This server takes no tokens.")
	case i != nil:
		return i, nil
	case a.issuers[""] != nil:
		return a.issuers[""], nil
	}
	return nil, refused("its issuer (iss) is none that this server knows")
}

// refused is the error of a token that is not taken. Why is the end of a
// sentence, and holds nothing of the token.
func refused(why string, args ...any) error {
	return chat.Errorf(chat.Unauthenticated, "The token is refused: "+why+".", args...)
}
