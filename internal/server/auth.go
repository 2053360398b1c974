package server

import (
	"errors"
	"net/http"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/config"
)

// AuthConfig is what the configuration says about who is believed. Tickets,
// revocations and the log are for the caller to add.
func AuthConfig(cfg config.Auth) auth.Config {
	c := auth.Config{}
	if cfg.Mode == config.AuthOpen {
		c.Open = &auth.Open{Anywhere: cfg.AllowOpenOnAnyAddress}
	}
	if cfg.HS256Secret != "" || len(cfg.PublicKeys) > 0 || cfg.JWKSURL != "" {
		c.Issuers = []auth.Issuer{{
			Name:        cfg.Issuer,
			Audience:    cfg.Audience,
			Algorithms:  cfg.Algorithms,
			MaxLifetime: cfg.MaxLifetime,
			Secret:      []byte(cfg.HS256Secret),
			KeyFiles:    cfg.PublicKeys,
			JWKS:        cfg.JWKSURL,
		}}
	}
	for _, key := range cfg.ServiceKeys {
		c.ServiceKeys = append(c.ServiceKeys, string(key))
	}
	return c
}

// identify says who asks by HTTP.
func (s *Server) identify(r *http.Request) (chat.Principal, error) {
	if why := s.who.Refuse(r); why != "" {
		return chat.Principal{}, chat.Errorf(chat.Forbidden, "%s", why)
	}
	id, err := s.who.Identify(r)
	if told, ok := errors.AsType[*chat.Error](err); ok && told.Code == chat.MissingParameter {
		err = chat.Errorf(chat.Unauthenticated, "Say who is asking, with ?user_id=…&username=… in the URL.")
	}
	return id.Principal, err
}

// ticket makes a ticket for whoever asks, good for the page that asks.
func (s *Server) ticket(r *http.Request) (ticket string, expiresAt time.Time, err error) {
	id, err := s.who.Identify(r)
	if err != nil {
		return "", time.Time{}, err
	}
	ticket, err = s.tickets.Issue(id, r.Header.Get("Origin"))
	return ticket, time.Now().Add(auth.TicketLifetime), err
}
