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
	for _, i := range cfg.AllIssuers() {
		c.Issuers = append(c.Issuers, auth.Issuer{
			Name:        i.Name,
			Audience:    i.Audience,
			Algorithms:  i.Algorithms,
			MaxLifetime: i.MaxLifetime,
			UserPrefix:  i.UserPrefix,
			Secret:      []byte(i.HS256Secret),
			KeyFiles:    i.PublicKeys,
			JWKS:        i.JWKSURL,
		})
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

// guardStats lets through who may see the statistics of the node: in open mode
// everybody who may ask at all, in token mode services.
func (s *Server) guardStats(next http.Handler) http.Handler {
	if s.cfg.Auth.Mode == config.AuthOpen {
		return s.auth.Guard(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, err := s.identify(r)
		if err == nil && !by.Service {
			err = chat.Errorf(chat.Forbidden, "The statistics are for the back end of the application.")
		}
		if err != nil {
			told := chat.AsError(err)
			http.Error(w, told.Message, statsStatus(told.Code))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// statsStatus is how a refusal of the statistics is told.
func statsStatus(code chat.Code) int {
	switch code {
	case chat.Unauthenticated, chat.TokenExpired:
		return http.StatusUnauthorized
	case chat.InvalidParameter:
		return http.StatusBadRequest
	case chat.Forbidden:
		return http.StatusForbidden
	}
	return http.StatusServiceUnavailable
}

// ticket makes a ticket for whoever asks, good for the page that asks.
func (s *Server) ticket(r *http.Request) (ticket string, expiresAt time.Time, err error) {
	id, err := s.who.Identify(r)
	if err != nil {
		return "", time.Time{}, err
	}
	ticket, err = s.tickets.Issue(r.Context(), id, r.Header.Get("Origin"))
	return ticket, time.Now().Add(auth.TicketLifetime), err
}
