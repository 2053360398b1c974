package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Flags are the keys as flags of a command line. They keep apart what was
// given from what was not, and leave the reading of values to [Load].
type Flags struct {
	keys   []Key
	target reflect.Value // pointer to a struct with one pointer field for each key
}

// NewFlags makes flags for the keys of these names, or for all keys if none
// is named.
func NewFlags(names ...string) *Flags {
	f := &Flags{}
	var fields []reflect.StructField
	for _, k := range keys {
		if len(names) > 0 && !slices.Contains(names, k.Name) {
			continue
		}
		f.keys = append(f.keys, k)
		fields = append(fields, k.flagField())
	}
	f.target = reflect.New(reflect.StructOf(fields))
	return f
}

// flagField describes the key to the command line parser: a *bool that may
// be negated, or a *string. It stays nil if the flag is not given.
func (k Key) flagField() reflect.StructField {
	typ, extra := reflect.TypeFor[*string](), fmt.Sprintf(` placeholder:%q`, k.flagPlaceholder())
	if k.isBool() {
		typ, extra = reflect.TypeFor[*bool](), ` negatable:""`
	}
	tag := fmt.Sprintf(`name:%q help:%q`, k.Flag(), k.Help+" ($"+k.Env()+")") + extra
	return reflect.StructField{
		Name: "F_" + strings.ReplaceAll(k.Flag(), "-", "_"),
		Type: typ,
		Tag:  reflect.StructTag(tag),
	}
}

func (k Key) flagPlaceholder() string {
	switch {
	case k.Default != "":
		return k.Default
	case k.isList():
		return "LIST"
	}
	return "TEXT"
}

// Struct returns the pointer to a struct that a kong command embeds.
func (f *Flags) Struct() any { return f.target.Interface() }

// given returns the flags that were given. Nil flags have none.
func (f *Flags) given() []assignment {
	if f == nil {
		return nil
	}
	var given []assignment
	for i, k := range f.keys {
		field := f.target.Elem().Field(i)
		if field.IsNil() {
			continue
		}
		text := fmt.Sprint(field.Elem().Interface())
		given = append(given, assignment{k, k.split(text), Source{Name: "--" + k.Flag()}})
	}
	return given
}
