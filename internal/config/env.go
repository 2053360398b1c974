package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const envPrefix = "TERTULIA_"

// fileSuffix marks a variable that names a file with the value, which is how
// orchestrators hand over secrets: TERTULIA_X_FILE stands for TERTULIA_X.
const fileSuffix = "_FILE"

// maxValueBytes bounds a value that is read from such a file.
const maxValueBytes = 64 << 10

// environment is what the TERTULIA_ variables say.
type environment struct {
	found   []assignment
	strange []Problem // variables that nobody knows
	wrong   []Problem
}

// readEnv takes the TERTULIA_ variables out of environ. A variable that is
// empty counts as not set, so that a deployment may pass on what it does not
// have. Variables that are neither a key's nor in others are unknown.
func readEnv(environ, others []string) environment {
	var e environment
	names := slices.Clone(others)
	for _, k := range everyKey {
		names = append(names, k.Env())
	}
	given := make(map[string]string) // by key, the variable that gave it
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || isServiceLink(name) {
			continue
		}
		src := Source{Name: name}
		k, inFile, ok := keyOfVariable(name)
		if !ok {
			if !slices.Contains(others, name) {
				e.strange = append(e.strange, unknown("variable", name, src, names))
			}
			continue
		}
		if other := given[k.Name]; other != "" {
			e.wrong = append(e.wrong, Problem{src, "is set beside " + other + "; give one of them"})
			continue
		}
		given[k.Name] = name
		if inFile {
			var err error
			if text, err = readValue(text); err != nil {
				e.wrong = append(e.wrong, Problem{src, err.Error()})
				continue
			}
		}
		e.found = append(e.found, assignment{k, k.split(text), src})
	}
	return e
}

// keyOfVariable returns the key that a variable is for, and whether the
// variable names a file with the value.
func keyOfVariable(name string) (k Key, inFile, ok bool) {
	for _, k := range everyKey {
		switch name {
		case k.Env():
			return k, false, true
		case k.Env() + fileSuffix:
			return k, true, true
		}
	}
	return Key{}, false, false
}

// readValue reads a value from a file. The line break that editors put at the
// end is not part of it.
func readValue(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the value: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxValueBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the value: %w", err)
	case len(b) > maxValueBytes:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxValueBytes)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// isServiceLink reports whether an orchestrator, not a person, has set the
// variable: Kubernetes and container links give every container such
// variables for a service that is called tertulia.
func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}
