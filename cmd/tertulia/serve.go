package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"tertulia/internal/config"
	"tertulia/internal/observe"
	"tertulia/internal/server"
)

// ServeCmd runs the server until a signal ends it.
type ServeCmd struct {
	configFlags
}

func (ServeCmd) Help() string {
	return `The server keeps its messages in one folder and needs nothing else, or in a PostgreSQL database that it may share with others (--database-url, and --redis-urls for more than one). Values come from the flags below, else from the variables in parentheses, else from one TOML file, else they are the defaults shown. It stops in order at SIGINT or SIGTERM, and at once at the second.

Examples:

    tertulia serve
    tertulia serve --listen 127.0.0.1:9000 --data-dir /var/lib/tertulia
    TERTULIA_LOG_LEVEL=debug tertulia serve`
}

func (c *ServeCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	cfg := loaded.Config
	text := cfg.Log.Format == config.LogText || cfg.Log.Format == config.LogAuto && isTerminal(io.Err)
	log := observe.NewLogger(io.Err, observe.LogOptions{Level: cfg.Log.Level, JSON: !text, Color: io.colored(io.Err)})
	for _, problem := range loaded.Unknown {
		log.Warn(problem.String())
	}
	log.Debug("open files", "limit", openFiles())
	srv, err := server.New(ctx, cfg, log)
	if err != nil {
		return startError(err, &cfg)
	}
	if greeting := greet(io, &cfg, srv.Addr().String()); text && isTerminal(io.Err) {
		fmt.Fprint(io.Err, greeting.Banner())
	} else {
		greeting.Log(log)
	}
	return srv.Run(ctx)
}

func greet(io IO, cfg *config.Config, listen string) observe.Greeting {
	host := dialable(listen)
	next := io.Name + " chat 1"
	switch {
	case cfg.Auth.Mode == config.AuthToken:
		next = io.Name + " token create --user 1 --name Juan --secret-file FILE"
	case cfg.TLS.On():
		next = io.Name + " chat --server wss://" + host + " 1"
	case host != config.Default().Listen:
		next = io.Name + " chat --server ws://" + host + " 1"
	}
	return observe.Greeting{
		Build:       observe.ReadBuild(),
		Listen:      listen,
		Host:        host,
		TLS:         cfg.TLS.On(),
		Data:        dataOf(cfg),
		Open:        cfg.Auth.Mode == config.AuthOpen,
		OthersReach: !cfg.ListensOnLoopback(),
		Next:        next,
	}
}

// dataOf says where the messages are; the URL of a database has a password.
func dataOf(cfg *config.Config) string {
	if cfg.Database.Shared() {
		return "PostgreSQL, schema " + cfg.Database.Schema
	}
	return cfg.DataDir
}

// dialable is a listen address as a client on the same machine writes it: a
// listener on all addresses is reached on loopback.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// startError says why the server could not start, and what to do about it.
func startError(err error, cfg *config.Config) error {
	if said := cmp.Or(folderError(err), databaseError(err)); said != nil {
		return said
	}
	if e, ok := errors.AsType[*server.CertificateError](err); ok {
		return errorWithHint(exitFailure, "tls.cert and tls.key name two files in PEM that this user can read and that belong together", "%w", e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "listen" {
		return listenError(e, cfg.Listen)
	}
	return err
}

func listenError(err *net.OpError, listen string) error {
	hint := "choose another address with --listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errorWithHint(exitFailure, "stop the program that has it, or choose another with --listen, such as --listen 127.0.0.1:8001",
			"the address %s is taken by another program", listen)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return errorWithHint(exitFailure, hint, "this machine does not have the address %s", listen)
	case errors.Is(err, syscall.EACCES):
		return errorWithHint(exitFailure, "choose a port from 1024 on with --listen, or give the program the right to use lower ones",
			"this user may not listen on %s", listen)
	}
	return errorWithHint(exitFailure, hint, "cannot listen on %s: %w", listen, err.Err)
}
