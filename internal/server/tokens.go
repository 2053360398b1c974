package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/bus"
	"tertulia/internal/config"
	"tertulia/internal/session"
	"tertulia/internal/store"
)

// whoOf returns who says who is asking, in both modes.
func whoOf(cfg *config.Config, accounts store.Accounts, tickets *auth.Tickets, log *slog.Logger) (*auth.Authenticator, error) {
	c := AuthConfig(cfg.Auth)
	c.Tickets, c.Revocations, c.Log = tickets, revocations{accounts}, log
	who, err := auth.New(c)
	if err != nil {
		return nil, fmt.Errorf("set up tokens: %w", err)
	}
	return who, nil
}

// revocations are those that the store has.
type revocations struct{ accounts store.Accounts }

// RevokedBefore implements [auth.Revocations]. All tokens of a disabled account
// are void, whenever they were issued.
func (r revocations) RevokedBefore(ctx context.Context, user chat.UserID) (time.Time, error) {
	a, _, err := r.accounts.Account(ctx, user)
	if err == nil && a.Disabled {
		return time.Time{}, chat.Errorf(chat.Forbidden, "This account is disabled; ask who runs the server.")
	}
	return a.RevokedBefore, err
}

// TokenRevoked implements [auth.Revocations].
func (r revocations) TokenRevoked(ctx context.Context, id string) (bool, error) {
	return r.accounts.TokenRevoked(ctx, id)
}

// watchOf looks after the sessions of those who came with a token; nil in open
// mode.
func watchOf(tokens *auth.Authenticator, b bus.Bus, log *slog.Logger) *session.Watch {
	if tokens == nil {
		return nil
	}
	recheck := func(ctx context.Context, id session.Identity) error { return tokens.Recheck(ctx, auth.Identity(id)) }
	return session.NewWatch(recheck, func(user chat.UserID, heard func(session.Revocation), doubt func()) func() {
		return listen(b, user, heard, doubt, log)
	})
}

// listenTime bounds the wait for a topic. Without it a revocation is found by
// looking.
const listenTime = 5 * time.Second

// listen has heard called for the revocations on a user's topic.
func listen(b bus.Bus, user chat.UserID, heard func(session.Revocation), doubt func(), log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithTimeout(context.Background(), listenTime)
	defer cancel()
	sub, err := b.Subscribe(ctx, bus.UserTopic(user), func(events []chat.Event) {
		if len(events) == 0 {
			doubt()
		}
		for i := range events {
			if events[i].Kind == chat.KindRevoked {
				heard(revocationOf(&events[i]))
			}
		}
	})
	if err != nil {
		log.Warn("listen for revocations", "user_id", user, "error", err)
		return func() {}
	}
	return sub.Close
}

// revocationOf returns what an event says is void.
func revocationOf(e *chat.Event) session.Revocation {
	var body struct {
		TokenID  string `json:"token_id"`
		Disabled bool   `json:"disabled"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return session.Revocation{Before: e.At} // cannot be: the server has written it
	}
	return session.Revocation{Disabled: body.Disabled, TokenID: body.TokenID, Before: e.At}
}
