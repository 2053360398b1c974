package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"tertulia/internal/config"
	"tertulia/internal/observe"
	"tertulia/internal/server"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
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
	if e, ok := errors.AsType[*sqlite.LockedError](err); ok {
		return errorWithHint(exitFailure, "stop the other server, or give this one a folder of its own with --data-dir",
			"the data folder %s is in use by another server%s", e.Dir, process(e.PID))
	}
	if e, ok := errors.AsType[*sqlite.NewerSchemaError](err); ok {
		return errorWithHint(exitFailure, "run the newer version that wrote it, or choose another folder with --data-dir",
			"%s has schema %d, and this program knows none above %d", e.Path, e.Have, e.Known)
	}
	if e, ok := errors.AsType[*sqlite.UnfinishedError](err); ok {
		hint := "run tertulia restore again"
		if e.Before != "" {
			hint += ", or delete tertulia.db.restoring there to go on with what was there before"
		}
		return errorWithHint(exitFailure, hint, "a restore into the data folder %s was interrupted", e.Dir)
	}
	if e, ok := errors.AsType[*sqlite.MovedError](err); ok {
		return errorWithHint(exitFailure, "serve that one, or take the folder back with: tertulia migrate --from "+e.Dir+" --undo",
			"the data folder %s was moved to %s, or is being moved there", e.Dir, e.To)
	}
	if e, ok := errors.AsType[*postgres.ImportingError](err); ok {
		return errorWithHint(exitFailure, "run tertulia migrate again to its end, or give it up with: DROP SCHEMA "+e.Schema+" CASCADE",
			"a migration into the schema %s has not ended", e.Schema)
	}
	if e, ok := errors.AsType[*sqlite.FolderError](err); ok {
		return errorWithHint(exitFailure, "make the folder writable for this user, or choose another with --data-dir",
			"cannot use the data folder %s: %w", e.Dir, e.Err)
	}
	if e, ok := errors.AsType[*postgres.DurabilityError](err); ok {
		return errorWithHint(exitFailure, "change the database's settings, or give --"+allowWeak+" if losing messages is all right",
			"the database may lose messages that it has acknowledged: %s", strings.Join(e.Weak, ", "))
	}
	if e, ok := errors.AsType[*postgres.NewerSchemaError](err); ok {
		return errorWithHint(exitFailure, "run the newer version that wrote it, or choose another schema with --database-schema",
			"the database's schema %s has version %d, and this program knows none above %d", e.Schema, e.Have, e.Known)
	}
	if e, ok := errors.AsType[*server.CertificateError](err); ok {
		return errorWithHint(exitFailure, "tls.cert and tls.key name two files in PEM that this user can read and that belong together", "%w", e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "listen" {
		return listenError(e, cfg.Listen)
	}
	return err
}

const allowWeak = "database-allow-weak-durability"

// process names a process in brackets, or not at all if it is unknown.
func process(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
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
