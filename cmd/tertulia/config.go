package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"

	"tertulia/internal/config"
)

// configFlags are the flags of a command that reads the configuration.
type configFlags struct {
	File string `name:"config" placeholder:"FILE" help:"Read this file. Otherwise it is ./tertulia.toml or /etc/tertulia/tertulia.toml, whichever exists."`
	kong.Plugins

	keys *config.Flags
}

// newConfigFlags makes flags for the keys of these names, or for all keys.
func newConfigFlags(names ...string) configFlags {
	keys := config.NewFlags(names...)
	return configFlags{Plugins: kong.Plugins{keys.Struct()}, keys: keys}
}

func (c *configFlags) load(io IO, others otherEnv) (*config.Loaded, error) {
	return loadConfig(config.Input{Flags: c.keys, Env: io.Env, OtherEnv: others, File: c.File})
}

func loadConfig(in config.Input) (*config.Loaded, error) {
	loaded, err := config.Load(in)
	if err != nil {
		return nil, errorWithHint(exitUsage, "the keys and their values: tertulia config init", "%w", err)
	}
	return loaded, nil
}

// ConfigCmd holds the commands about the configuration.
type ConfigCmd struct {
	Init  ConfigInitCmd  `cmd:"" help:"Write a configuration file with every key, its meaning and its default."`
	Check ConfigCheckCmd `cmd:"" help:"Check the configuration file and the environment."`
	Show  ConfigShowCmd  `cmd:"" help:"Show the value of every key, and where it comes from."`
}

func (ConfigCmd) Help() string {
	return `Examples:

    tertulia config init > tertulia.toml
    tertulia config check`
}

// ConfigInitCmd writes a file to start from.
type ConfigInitCmd struct{}

func (ConfigInitCmd) Help() string {
	return `Examples:

    tertulia config init > tertulia.toml`
}

func (ConfigInitCmd) Run(io IO) error {
	_, err := fmt.Fprint(io.Out, config.File())
	return err
}

// ConfigCheckCmd checks more strictly than serve does: it does not accept
// keys that nobody knows.
type ConfigCheckCmd struct {
	File string `name:"config" placeholder:"FILE" help:"Check this file. Otherwise it is ./tertulia.toml or /etc/tertulia/tertulia.toml, whichever exists."`
}

func (ConfigCheckCmd) Help() string {
	return `Ends with exit code 2 and the place of every mistake. Keys and variables that are unknown are mistakes here, while the server only warns of them.

Examples:

    tertulia config check
    tertulia config check --config /etc/tertulia/tertulia.toml`
}

func (c *ConfigCheckCmd) Run(io IO, others otherEnv) error {
	loaded, err := loadConfig(config.Input{Env: io.Env, OtherEnv: others, File: c.File})
	if err == nil && len(loaded.Unknown) > 0 {
		err = &config.Error{Problems: loaded.Unknown}
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		return errorWithHint(exitUsage, "the keys and their values: tertulia config init", "%w", e)
	}
	file := loaded.File
	if file == "" {
		file = "no file"
	}
	_, err = fmt.Fprintf(io.Out, "%s: ok\n", file)
	return err
}

// ConfigShowCmd shows the configuration as the server would use it.
type ConfigShowCmd struct {
	JSON bool `help:"Write JSON."`
	configFlags
}

func (ConfigShowCmd) Help() string {
	return `Takes the flags of serve, and shows what they would come to.

Examples:

    tertulia config show
    tertulia config show --json --log-level debug`
}

func (c *ConfigShowCmd) Run(io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	for _, problem := range loaded.Unknown {
		fmt.Fprintf(io.Err, "warning: %s\n", problem)
	}
	if c.JSON {
		return writeJSON(io, settingsJSON(loaded.Settings))
	}
	table := tabwriter.NewWriter(io.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE\tSOURCE")
	for _, s := range loaded.Settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Key, s.Value, s.Source)
	}
	return table.Flush()
}

// setting is one key in the JSON that config show writes.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func settingsJSON(settings []config.Setting) []setting {
	all := make([]setting, len(settings))
	for i, s := range settings {
		all[i] = setting{s.Key, s.Value, s.Source.String()}
	}
	return all
}

// writeJSON writes v to io.Out, one line to a value.
func writeJSON(io IO, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.Out.Write(append(data, '\n'))
	return err
}
