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
	c.Tickets, c.Revocations, c.Log = tickets, accounts, log
	who, err := auth.New(c)
	if err != nil {
		return nil, fmt.Errorf("set up tokens: %w", err)
	}
	return who, nil
}

// watchOf looks after the sessions of those who came with a token; nil in open
// mode.
func watchOf(tokens *auth.Authenticator, b bus.Bus, log *slog.Logger) *session.Watch {
	if tokens == nil {
		return nil
	}
	recheck := func(ctx context.Context, sessions []session.Identity) []error {
		ids := make([]auth.Identity, len(sessions))
		for i, id := range sessions {
			ids[i] = auth.Identity(id)
		}
		return tokens.Recheck(ctx, ids)
	}
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
