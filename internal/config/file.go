package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// searched are the files looked for, in this order, when none is named. Only
// the first that exists is read.
var searched = []string{"tertulia.toml", "/etc/tertulia/tertulia.toml"}

// readFile reads the file at path, or the first in search that exists if
// path is empty. Having no file at all is not an error; used is empty then.
func readFile(path string, search []string) (data []byte, used string, err error) {
	if path != "" {
		search = []string{path}
	}
	for _, name := range search {
		data, err := os.ReadFile(name)
		if path == "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, name, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
		}
		return data, name, nil
	}
	return nil, "", nil
}

// fileReader walks through one TOML document and keeps what it finds.
type fileReader struct {
	name    string
	parser  unstable.Parser
	issuers int // sections [[auth.issuers]] so far
	found   []assignment
	strange []Problem // unknown keys
	wrong   []Problem
}

// read takes the keys out of a document. The parser gives each key with its
// place; whether the document is TOML at all, no key given twice, was settled
// by the decoder before.
func (r *fileReader) read(data []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // editors on Windows put a byte order mark
	if err := toml.Unmarshal(data, new(map[string]any)); err != nil {
		r.wrong = append(r.wrong, r.syntaxProblem(err))
		return
	}
	r.parser.Reset(data)
	var table []string
	for r.parser.NextExpression() {
		switch node := r.parser.Expression(); node.Kind {
		case unstable.Table:
			var src Source
			if table, src = r.path(node.Key()); strings.Join(table, ".") == issuersName {
				r.wrong = append(r.wrong, Problem{src, "there may be several of this section, so it stands in double brackets; write [[" + issuersName + "]]"})
			}
		case unstable.ArrayTable:
			var src Source
			table, src = r.path(node.Key())
			table = r.repeated(table, src)
		case unstable.KeyValue:
			r.keyValue(table, node)
		}
	}
}

// repeated returns the name of a section in double brackets.
func (r *fileReader) repeated(table []string, src Source) []string {
	name := strings.Join(table, ".")
	if name != issuersName {
		r.wrong = append(r.wrong, Problem{src, fmt.Sprintf("a section stands in single brackets; write [%s]", name)})
		return table
	}
	if r.issuers++; r.issuers > maxIssuers {
		r.wrong = append(r.wrong, Problem{src, fmt.Sprintf("there are more than %d of [[%s]]", maxIssuers, issuersName)})
	}
	return append(table, strconv.Itoa(r.issuers))
}

func (r *fileReader) syntaxProblem(err error) Problem {
	src := Source{Name: r.name}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		src.Line, src.Column = e.Position()
	}
	return Problem{src, strings.TrimPrefix(err.Error(), "toml: ")}
}

// path returns the parts of a key, and where it begins. A part that holds a
// dot itself is quoted, so that it is not taken for two.
func (r *fileReader) path(key unstable.Iterator) (parts []string, src Source) {
	src.Name = r.name
	for key.Next() {
		node := key.Node()
		if src.Line == 0 {
			at := r.parser.Shape(node.Raw).Start
			src.Line, src.Column = at.Line, at.Column
		}
		part := string(node.Data)
		if strings.Contains(part, ".") {
			part = strconv.Quote(part)
		}
		parts = append(parts, part)
	}
	return parts, src
}

func (r *fileReader) keyValue(table []string, node *unstable.Node) {
	parts, src := r.path(node.Key())
	parts = append(table[:len(table):len(table)], parts...)
	value := node.Value()
	if value.Kind == unstable.InlineTable {
		for members := value.Children(); members.Next(); {
			r.keyValue(parts, members.Node())
		}
		return
	}
	name := strings.Join(parts, ".")
	k, ok := find(name)
	if !ok && name == issuersName {
		r.wrong = append(r.wrong, Problem{src, "each issuer is a section; write [[" + issuersName + "]]"})
		return
	}
	if !ok {
		r.strange = append(r.strange, unknown("key", name, src, names()))
		return
	}
	items, ok := k.fromTOML(value)
	if !ok {
		text := fmt.Sprintf("%s is written differently, for instance %s", name, k.literal(k.example()))
		r.wrong = append(r.wrong, Problem{src, text})
		return
	}
	r.found = append(r.found, assignment{k, items, src})
}

func names() []string {
	all := make([]string, len(everyKey))
	for i, k := range everyKey {
		all[i] = k.Name
	}
	return all
}

// example is a value to show: the default, or for an empty list something in
// its place.
func (k Key) example() []string {
	if items := k.defaultItems(); len(items) > 0 {
		return items
	}
	return []string{"…"}
}

// fromTOML spells a value for set; ok is false if it is not of the TOML type
// that the key wants.
func (k Key) fromTOML(value *unstable.Node) (items []string, ok bool) {
	if k.isList() {
		return stringsOf(value)
	}
	want := unstable.String
	switch {
	case k.isBool():
		want = unstable.Bool
	case k.isNumber():
		want = unstable.Integer
	}
	return []string{string(value.Data)}, value.Kind == want
}

func stringsOf(array *unstable.Node) (items []string, ok bool) {
	if array.Kind != unstable.Array {
		return nil, false
	}
	for it := array.Children(); it.Next(); {
		if it.Node().Kind != unstable.String {
			return nil, false
		}
		items = append(items, string(it.Node().Data))
	}
	return items, true
}
