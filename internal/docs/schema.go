package docs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// schema is what the page shows of a JSON Schema.
type schema struct {
	Ref         string `json:"$ref"`
	Type        any
	Description string
	Format      string
	Const       jsontext.Value
	Enum        []jsontext.Value
	Required    []string
	Properties  map[string]*schema
	Items       *schema
	OneOf       []*schema
	AnyOf       []*schema
	MinLength   *int64
	MaxLength   *int64
	Minimum     *float64
	Maximum     *float64
	MinItems    *int64
	MaxItems    *int64
	Default     jsontext.Value

	// never is the schema false, which nothing fits.
	never bool
}

// UnmarshalJSON takes the schemas true and false too.
func (s *schema) UnmarshalJSON(text []byte) error {
	if text[0] != '{' {
		s.never = text[0] == 'f'
		return nil
	}
	type plain schema
	return json.Unmarshal(text, (*plain)(s), anyCase)
}

// schemas are the components of a document, by name.
type schemas map[string]*schema

// row is a member of an object, or a parameter.
type row struct {
	Name     string // path from the top, with dots
	Where    string // of a parameter
	Required bool
	Type     term
	About    string
	Or       bool // it begins another choice of what may stand here
}

// term is a type in words. Ref is the component that it names, if it has
// members of its own.
type term struct{ Text, Ref, Name string }

const componentPrefix = "#/components/schemas/"

// resolve follows references.
func (all schemas) resolve(s *schema) *schema {
	_, is := all.named(s)
	return is
}

// named follows references, and returns the component at their end too.
func (all schemas) named(s *schema) (name string, is *schema) {
	for s.Ref != "" {
		name = strings.TrimPrefix(s.Ref, componentPrefix)
		if s = all[name]; s == nil {
			return "", &schema{Description: name}
		}
	}
	return name, s
}

// rows are the members of an object, with those of objects inside it that have
// no name of their own. Of alternatives each has its rows.
func (all schemas) rows(s *schema) []row { return all.rowsBelow("", all.resolve(s)) }

func (all schemas) rowsBelow(path string, s *schema) (rows []row) {
	for _, name := range memberOrder(s) {
		m := s.Properties[name]
		if m.never {
			continue
		}
		is := all.resolve(m)
		rows = append(rows, row{
			Name: path + name, Required: slices.Contains(s.Required, name), Type: all.term(m), About: cmp.Or(m.Description, is.Description),
		})
		if m.Ref == "" {
			rows = append(rows, all.rowsBelow(path+name+".", m)...)
		}
		if m.Items != nil && m.Items.Ref == "" {
			rows = append(rows, all.rowsBelow(path+name+"[].", m.Items)...)
		}
	}
	return append(rows, all.choices(path, s)...)
}

// choices are the members of each alternative. Those of commands are the same
// members twice, beside type and inside data: the first is shown.
func (all schemas) choices(path string, s *schema) (rows []row) {
	alternatives := s.OneOf
	if len(s.AnyOf) > 0 && s.Properties != nil {
		alternatives = s.AnyOf[:1]
	}
	for _, a := range alternatives {
		a = all.resolve(a)
		if a.Properties == nil {
			continue
		}
		more := all.rowsBelow(path, a)
		if len(more) > 0 && len(rows) > 0 {
			more[0].Or = true
		}
		rows = append(rows, more...)
	}
	return rows
}

// memberOrder is what must be there in the order of the schema, then the rest.
func memberOrder(s *schema) []string {
	var order []string
	for _, name := range s.Required {
		if s.Properties[name] != nil {
			order = append(order, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order
}

// term says what a schema allows.
func (all schemas) term(s *schema) term {
	name, is := all.named(s)
	if name != "" && is.hasShape() {
		return term{Ref: schemaID(name), Name: name}
	}
	if is.Items != nil {
		of := all.term(is.Items)
		of.Text = strings.TrimSpace("array of " + of.Text)
		return of
	}
	return term{Text: all.words(is)}
}

// hasShape reports whether a schema is too much to be said in a few words.
func (s *schema) hasShape() bool { return s.Properties != nil || s.OneOf != nil || len(s.Enum) > 6 }

func schemaID(name string) string { return "schema-" + name }

func (all schemas) words(s *schema) string {
	switch {
	case s.Const != nil:
		return string(s.Const)
	case s.Enum != nil:
		return "one of " + join(s.Enum, func(v jsontext.Value) string { return string(v) })
	case len(s.OneOf) > 0 && !slices.ContainsFunc(s.OneOf, func(a *schema) bool { return all.resolve(a).Properties == nil }):
		return "object"
	case len(s.OneOf) > 0 && s.Properties == nil:
		return join(s.OneOf, func(a *schema) string { return cmp.Or(all.term(a).Text, all.term(a).Name) })
	}
	var words []string
	switch typ := s.Type.(type) {
	case string:
		words = append(words, typ)
	case []any:
		words = append(words, join(typ, func(v any) string { return fmt.Sprint(v) }))
	default:
		words = append(words, "any value")
	}
	if s.Format != "" {
		words = append(words, s.Format)
	}
	return strings.Join(append(words, s.bounds()...), ", ")
}

// safeInteger is the largest integer that every reader of JSON keeps; it says
// nothing to a reader of the page.
const safeInteger = 1<<53 - 1

func (s *schema) bounds() (words []string) {
	if s.Minimum != nil {
		words = append(words, fmt.Sprintf("≥ %.0f", *s.Minimum))
	}
	if s.Maximum != nil && *s.Maximum != safeInteger {
		words = append(words, fmt.Sprintf("≤ %.0f", *s.Maximum))
	}
	if s.MaxLength != nil {
		words = append(words, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.MaxItems != nil {
		words = append(words, fmt.Sprintf("at most %d items", *s.MaxItems))
	}
	if s.Default != nil {
		words = append(words, "default "+string(s.Default))
	}
	return words
}

func join[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = text(v)
	}
	return strings.Join(words, " | ")
}

// shapes are the schemas that others refer to, by name.
func (all schemas) shapes() (shapes []shape) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		if !s.hasShape() || isMessage(name) {
			continue
		}
		of := shape{ID: schemaID(name), Name: name, About: s.Description, Rows: all.rows(s)}
		if of.Rows == nil {
			of.Type = term{Text: all.words(s)}
		}
		shapes = append(shapes, of)
	}
	return shapes
}

// isMessage reports whether a component is shown whole among the messages.
func isMessage(name string) bool {
	file, _, _ := strings.Cut(name, ".")
	return strings.HasSuffix(file, "_frames") || strings.HasSuffix(file, "_commands")
}
