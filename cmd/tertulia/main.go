// Command tertulia is a real-time chat server, and the tools that go with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	watchSignals(cancel)
	os.Exit(int(run(ctx, os.Args[1:], processIO())))
}

// watchSignals ends the command's context at the first SIGINT or SIGTERM, so
// that it can stop in order. A second one ends the process at once. The
// goroutine that watches is the process's own and ends with it.
func watchSignals(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(int(exitInterrupted))
	}()
}

// processIO is the IO of this process.
func processIO() IO {
	name := "tertulia"
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		name = os.Args[0]
	}
	return IO{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Env:     os.Environ(),
		Name:    name,
		NoColor: os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb",
	}
}

// commands is the tree of commands and the flags that all of them share.
type commands struct {
	NoColor bool `help:"Write no colour codes. A NO_COLOR variable does the same."`

	Serve       ServeCmd       `cmd:"" help:"Run the server."`
	Chat        ChatCmd        `cmd:"" help:"Chat in a room from the terminal."`
	Send        SendCmd        `cmd:"" help:"Send a message, or each line of the input."`
	Tail        TailCmd        `cmd:"" help:"Follow a room."`
	History     HistoryCmd     `cmd:"" help:"Show what was said in a room."`
	Rooms       RoomsCmd       `cmd:"" help:"List and manage rooms and their members."`
	Stats       StatsCmd       `cmd:"" help:"Show how many are connected."`
	Bench       BenchCmd       `cmd:"" help:"Measure a server under load."`
	Backup      BackupCmd      `cmd:"" help:"Copy all messages into one file, also while the server runs."`
	Restore     RestoreCmd     `cmd:"" help:"Make a data folder from a backup."`
	Migrate     MigrateCmd     `cmd:"" help:"Move a data folder into PostgreSQL."`
	Config      ConfigCmd      `cmd:"" help:"Write, check or show the configuration."`
	Token       TokenCmd       `cmd:"" help:"Make a token, or show what one says."`
	Schema      SchemaCmd      `cmd:"" help:"Write the documents that describe REST and WebSocket."`
	Healthcheck HealthcheckCmd `cmd:"" help:"Ask the server on this machine whether it is ready."`
	Version     VersionCmd     `cmd:"" help:"Say which version this is."`
}

func (commands) Help() string {
	return `Examples:

    tertulia serve
    USER_ID=1 USERNAME=Alice tertulia chat 1
    tertulia config init > tertulia.toml`
}

// newParser makes the command line parser. It calls exited where it would
// end the process, after it has written a help page.
func newParser(io IO, exited func()) (*kong.Kong, *commands, error) {
	c := &commands{
		Serve:   ServeCmd{configFlags: newConfigFlags()},
		Backup:  BackupCmd{configFlags: newConfigFlags("data_dir")},
		Restore: RestoreCmd{configFlags: newConfigFlags("data_dir")},
		Migrate: MigrateCmd{configFlags: newConfigFlags("database.url", "database.schema", "database.allow_weak_durability")},
		Config:  ConfigCmd{Show: ConfigShowCmd{configFlags: newConfigFlags()}},
		Token: TokenCmd{
			Create:  TokenCreateCmd{configFlags: newConfigFlags("auth.issuer", "auth.audience", "auth.max_lifetime")},
			Inspect: TokenInspectCmd{configFlags: newConfigFlags(tokenKeys...)},
		},
		Healthcheck: HealthcheckCmd{configFlags: newConfigFlags("listen", "tls.cert", "tls.key")},
	}
	k, err := kong.New(c,
		kong.Name("tertulia"),
		kong.Description("A real-time chat server that loses no message it has acknowledged."),
		kong.Writers(io.Out, io.Err),
		kong.Exit(func(int) { exited() }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	return k, c, err
}

// run runs the command that args name, and returns what to tell the shell.
func run(ctx context.Context, args []string, io IO) exitCode {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	helped := false
	parser, parsed, err := newParser(io, func() { helped = true })
	if err != nil {
		return report(io, err)
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return report(io, usageError(err))
	}
	io.NoColor = io.NoColor || parsed.NoColor
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(io, clientVariables(parser))
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return report(io, err)
}

// usageError makes what the parser says an error with a hint.
func usageError(err error) error {
	help := "tertulia --help"
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context.Selected() != nil {
		help = e.Context.Selected().FullPath() + " --help"
	}
	return errorWithHint(exitUsage, "see "+help, "%w", err)
}

// otherEnv names the TERTULIA_ variables that are not the server's.
type otherEnv []string

// clientVariables returns the variables that flags of commands read by
// themselves.
func clientVariables(k *kong.Kong) otherEnv {
	var names otherEnv
	for _, command := range k.Model.Leaves(false) {
		for _, flags := range command.AllFlags(false) {
			for _, flag := range flags {
				names = append(names, flag.Envs...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// report tells a person what went wrong, and returns the code for the shell.
func report(io IO, err error) exitCode {
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(io.Err, "tertulia: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if e, ok := errors.AsType[*commandError](err); ok && e.hint != "" {
		fmt.Fprintf(io.Err, "hint: %s\n", e.hint)
	}
	return codeOf(err)
}
