package config

// Input is where a configuration is looked for.
type Input struct {
	// Flags are those given on the command line, which come first.
	Flags *Flags
	// Env is the environment as KEY=value, like [os.Environ].
	Env []string
	// OtherEnv names the TERTULIA_ variables that are not for the server, so
	// that they are not taken for mistakes.
	OtherEnv []string
	// File is the path of the file. Empty takes the first that exists of
	// ./tertulia.toml and /etc/tertulia/tertulia.toml, or none.
	File string
}

// Loaded is a configuration and how it came about.
type Loaded struct {
	Config
	// File is the file that was read, empty for none.
	File string
	// Settings has every key, in the order of the file.
	Settings []Setting
	// Unknown are keys and variables that nobody knows. The server warns
	// about them and starts; `config check` does not accept them.
	Unknown []Problem
}

// Setting is the value that one key has, and who gave it.
type Setting struct {
	Key    string
	Value  string // as a variable would give it; a mark for a secret
	Source Source
}

// assignment is one value given to one key.
type assignment struct {
	key    Key
	items  []string
	source Source
}

// Load reads the configuration and checks it. The error is an [*Error] that
// names all that is wrong; what is merely unknown is in it only if something
// else is wrong as well.
func Load(in Input) (*Loaded, error) {
	return load(in, searched)
}

func load(in Input, search []string) (*Loaded, error) {
	data, file, err := readFile(in.File, search)
	if err != nil {
		return nil, &Error{[]Problem{{Source{Name: file}, err.Error()}}}
	}
	r := fileReader{name: file}
	r.read(data)
	env := readEnv(in.Env, in.OtherEnv)

	l := &Loaded{Config: Default(), File: file, Unknown: append(r.strange, env.strange...)}
	sources := make(map[string]Source)
	wrong := append(r.wrong, env.wrong...)
	for _, layer := range [][]assignment{r.found, env.found, in.Flags.given()} {
		for _, a := range layer {
			if err := a.key.set(&l.Config, a.items); err != nil {
				wrong = append(wrong, Problem{a.source, err.Error()})
			}
			sources[a.key.Name] = a.source
		}
	}
	if len(wrong) == 0 {
		wrong = l.validate(sources)
	}
	if len(wrong) > 0 {
		return nil, &Error{append(wrong, l.Unknown...)}
	}
	for _, k := range l.settable() {
		l.Settings = append(l.Settings, Setting{k.Name, k.text(&l.Config), sources[k.Name]})
	}
	return l, nil
}
