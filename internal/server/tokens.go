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
	return session.NewWatch(recheck, func(user chat.UserID, heard func(string, time.Time)) func() {
		return listen(b, user, heard, log)
	})
}

// listenTime bounds the wait for a topic. Without it a revocation is found by
// looking.
const listenTime = 5 * time.Second

// listen has heard called for the revocations on a user's topic.
func listen(b bus.Bus, user chat.UserID, heard func(tokenID string, before time.Time), log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithTimeout(context.Background(), listenTime)
	defer cancel()
	sub, err := b.Subscribe(ctx, bus.UserTopic(user), func(events []chat.Event) {
		for i := range events {
			if events[i].Kind == chat.KindRevoked {
				heard(tokenOf(&events[i]), events[i].At)
			}
		}
	})
	if err != nil {
		log.Warn("listen for revocations", "user_id", user, "error", err)
		return func() {}
	}
	return sub.Close
}

// tokenOf returns the token that a revocation is about, empty for all of the
// user's.
func tokenOf(e *chat.Event) string {
	var body struct {
		TokenID string `json:"token_id"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return "" // cannot be: the server has written it
	}
	return body.TokenID
}
