package server

import (
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
