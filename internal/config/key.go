package config

import (
	"reflect"
	"slices"
	"strings"

	"tertulia/internal/limit"
)

// Key is one thing that can be configured.
type Key struct {
	// Name is the key in the file: a section and a word, or a word alone.
	Name string
	// Help says in sentences what the key does.
	Help string
	// Default is the default in its text form, as a variable would give it.
	Default string

	min, max string   // bounds in text form, empty for none
	oneOf    []string // the words allowed, nil for any
	index    []int    // of the field in Config, or in an Issuer
	issuer   int      // which of Auth.Issuers, from 1; 0 for none
	typ      reflect.Type
}

// keys are all keys, in the order of the struct.
var keys = collect(reflect.TypeFor[Config](), nil)

// Keys returns every key, in the order of the file.
func Keys() []Key { return slices.Clone(keys) }

func collect(t reflect.Type, index []int) []Key {
	var all []Key
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		name, ok := f.Tag.Lookup("key")
		if !ok && f.Type.Kind() != reflect.Struct {
			continue // Auth.Issuers
		}
		if !ok {
			all = append(all, collect(f.Type, at)...)
			continue
		}
		k := Key{
			Name:    name,
			Help:    f.Tag.Get("help"),
			Default: f.Tag.Get("default"),
			min:     f.Tag.Get("min"),
			max:     f.Tag.Get("max"),
			index:   at,
			typ:     f.Type,
		}
		if words := f.Tag.Get("oneof"); words != "" {
			k.oneOf = strings.Split(words, ",")
		}
		all = append(all, k)
	}
	return all
}

// Flag is the key's flag without dashes: ws.ping_interval is
// ws-ping-interval.
func (k Key) Flag() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
}

// Env is the key's variable: ws.ping_interval is TERTULIA_WS_PING_INTERVAL.
func (k Key) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// section is the table of the file that holds the key, empty for none, and
// word is the key's name within it.
func (k Key) section() (section, word string) {
	section, word, ok := strings.Cut(k.Name, ".")
	if !ok {
		return "", k.Name
	}
	return section, word
}

func (k Key) isList() bool   { return k.typ.Kind() == reflect.Slice }
func (k Key) isBool() bool   { return k.typ.Kind() == reflect.Bool }
func (k Key) isNumber() bool { return k.typ == reflect.TypeFor[int]() }

// values says which values are allowed, in words; empty for any.
func (k Key) values() string {
	switch {
	case k.oneOf != nil:
		return strings.Join(k.oneOf, ", ")
	case k.isBool():
		return "true, false"
	case k.typ == reflect.TypeFor[limit.Rate]():
		return "like 10/s burst 30 or 20/h; 0 for no limit"
	case k.min != "":
		return k.min + " to " + k.max
	}
	return ""
}

// everyKey are the keys and those of all issuers that there may be.
var everyKey = slices.Concat(keys, issuerKeys)

func find(name string) (Key, bool) {
	i := slices.IndexFunc(everyKey, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return everyKey[i], true
}
