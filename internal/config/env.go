package config

import (
	"slices"
	"strings"
)

const envPrefix = "TERTULIA_"

// readEnv takes the TERTULIA_ variables out of environ. A variable that is
// empty counts as not set, so that a deployment may pass on what it does not
// have. Variables that are neither a key's nor in others are unknown.
func readEnv(environ, others []string) (found []assignment, strange []Problem) {
	names := slices.Clone(others)
	for _, k := range keys {
		names = append(names, k.Env())
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || isServiceLink(name) {
			continue
		}
		src := Source{Name: name}
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Env() == name })
		switch {
		case i >= 0:
			found = append(found, assignment{keys[i], keys[i].split(text), src})
		case !slices.Contains(others, name):
			strange = append(strange, unknown("variable", name, src, names))
		}
	}
	return found, strange
}

// isServiceLink reports whether an orchestrator, not a person, has set the
// variable: Kubernetes and container links give every container such
// variables for a service that is called tertulia.
func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}
