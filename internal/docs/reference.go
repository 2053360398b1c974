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

// reference is what the page shows.
type reference struct {
	Version  string
	Tags     []tag
	Channels []channel
	Groups   []group
	Closes   []closeCode
	Schemas  []shape
}

// tag is the operations of REST about one thing.
type tag struct {
	Name       string
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary, About string
	Open                             bool // nobody need say who they are
	Parameters                       []row
	Body                             *body
	Responses                        []response
}

// Segments are the parts of the path, between which a line may break.
func (o operation) Segments() []string { return strings.Split(o.Path, "/")[1:] }

type response struct {
	Status, About string
	Codes         []string
	Body          *body
}

// body is what a request or an answer holds.
type body struct {
	Kind string // media type
	Type term
	Rows []row
}

// channel is a URL for WebSockets.
type channel struct {
	ID, Address, Title, About string
	Query                     []row
}

// group is the messages of a profile in one direction.
type group struct {
	ID, Title string
	Messages  []message
}

type message struct {
	ID, Name, About string
	Rows            []row
	Example         string
	Answers         []link // what answers a command
}

type link struct{ ID, Name string }

type closeCode struct {
	Code     int    `json:"code"`
	ComeBack bool   `json:"come_back"`
	When     string `json:"when"`
}

// shape is a schema that others refer to.
type shape struct {
	ID, Name, About string
	Type            term
	Rows            []row
}

// anyCase has fields take the members of their names, which begin small.
var anyCase = json.MatchCaseInsensitiveNames(true)

// read makes the reference of both documents.
func read(openAPI, asyncAPI []byte) (*reference, error) {
	var rest openDocument
	if err := json.Unmarshal(openAPI, &rest, anyCase); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var socket asyncDocument
	if err := json.Unmarshal(asyncAPI, &socket, anyCase); err != nil {
		return nil, fmt.Errorf("read the AsyncAPI document: %w", err)
	}
	all := schemas(maps.Clone(rest.Components.Schemas))
	maps.Copy(all, socket.Components.Schemas)
	r := &reference{Version: rest.Info.Version, Closes: socket.Closes}
	r.Tags = rest.tags(all)
	r.Channels = socket.channels(all)
	r.Groups = socket.groups(all)
	r.Schemas = all.shapes()
	return r, nil
}

// openDocument is what the page shows of an OpenAPI document.
type openDocument struct {
	Info       struct{ Version string } `json:"info"`
	Tags       []struct{ Name string }  `json:"tags"`
	Paths      map[string]map[string]openOperation
	Components struct{ Schemas schemas }
}

type openOperation struct {
	OperationID, Summary, Description string
	Tags                              []string
	Security                          *[]any
	Parameters                        []struct {
		Name, In, Description string
		Required              bool
		Schema                schema
	}
	RequestBody *content
	Responses   map[string]struct {
		Description string
		Codes       []string `json:"x-codes"`
		content
	}
}

type content struct {
	Content map[string]struct{ Schema schema }
}

var methods = []string{"get", "post", "put", "patch", "delete"}

func (d *openDocument) tags(all schemas) []tag {
	byName := make(map[string][]operation)
	for _, at := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range methods {
			if op, ok := d.Paths[at][method]; ok && len(op.Tags) > 0 {
				byName[op.Tags[0]] = append(byName[op.Tags[0]], op.shown(all, method, at))
			}
		}
	}
	var tags []tag
	for _, t := range d.Tags {
		if operations := byName[t.Name]; operations != nil {
			tags = append(tags, tag{t.Name, operations})
		}
	}
	return tags
}

func (op *openOperation) shown(all schemas, method, at string) operation {
	o := operation{
		ID: op.OperationID, Method: strings.ToUpper(method), Path: at, Summary: op.Summary, About: op.Description,
		Open: op.Security != nil && len(*op.Security) == 0,
		Body: op.RequestBody.shown(all),
	}
	for _, p := range op.Parameters {
		o.Parameters = append(o.Parameters, row{
			Name: p.Name, Where: p.In, Required: p.Required, About: cmp.Or(p.Description, p.Schema.Description), Type: all.term(&p.Schema),
		})
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		o.Responses = append(o.Responses, response{Status: status, About: r.Description, Codes: r.Codes, Body: r.content.shown(all)})
	}
	return o
}

// shown returns the first of the media types; the documents have one each.
func (c *content) shown(all schemas) *body {
	if c == nil {
		return nil
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Content)) {
		s := c.Content[kind].Schema
		b := &body{Kind: kind, Type: all.term(&s)}
		if b.Type.Ref == "" {
			b.Rows = all.rows(&s)
		}
		return b
	}
	return nil
}

// asyncDocument is what the page shows of an AsyncAPI document.
type asyncDocument struct {
	Channels map[string]struct {
		Address, Title, Description string
		Bindings                    struct{ WS struct{ Query schema } }
	}
	Operations map[string]struct {
		Messages []pointer
		Reply    struct{ Messages []pointer }
	}
	Components struct {
		Messages map[string]asyncMessage
		Schemas  schemas
	}
	Closes []closeCode `json:"x-close-codes"`
}

type asyncMessage struct {
	Name, Summary string
	Payload       schema
	Examples      []struct{ Payload jsontext.Value }
}

// pointer is a reference; its last part is a name.
type pointer struct {
	Ref string `json:"$ref"`
}

func (p pointer) name() string { return p.Ref[strings.LastIndexByte(p.Ref, '/')+1:] }

func (d *asyncDocument) channels(all schemas) []channel {
	var list []channel
	for _, id := range []string{"v1", "v1_room", "seed"} {
		c := d.Channels[id]
		list = append(list, channel{"channel-" + id, c.Address, c.Title, c.Description, all.rows(&c.Bindings.WS.Query)})
	}
	return list
}

func (d *asyncDocument) groups(all schemas) []group {
	groups := []group{
		{"v1_command", "Commands of tertulia.v1", nil}, {"v1_frame", "Frames of tertulia.v1", nil},
		{"seed_command", "Commands of the seed profile", nil}, {"seed_frame", "Frames of the seed profile", nil},
	}
	for _, id := range slices.Sorted(maps.Keys(d.Components.Messages)) {
		m := d.Components.Messages[id]
		for i := range groups {
			if strings.HasPrefix(id, groups[i].ID+"_") {
				groups[i].Messages = append(groups[i].Messages, message{
					ID: id, Name: m.Name, About: m.Summary, Rows: all.rows(&m.Payload), Example: m.example(), Answers: d.answers(id),
				})
			}
		}
	}
	return groups
}

// answers returns the frames that answer a command.
func (d *asyncDocument) answers(id string) (links []link) {
	for _, name := range slices.Sorted(maps.Keys(d.Operations)) {
		op := d.Operations[name]
		if len(op.Messages) != 1 || op.Messages[0].name() != id {
			continue
		}
		for _, m := range op.Reply.Messages {
			links = append(links, link{m.name(), d.Components.Messages[m.name()].Name})
		}
	}
	return links
}

// example writes a message's example with the members in the order of
// docs/protocol.md; the document has them by name.
func (m *asyncMessage) example() string {
	if len(m.Examples) == 0 {
		return ""
	}
	payload := m.Examples[0].Payload
	var members map[string]jsontext.Value
	if json.Unmarshal(payload, &members) != nil {
		return string(payload)
	}
	names := slices.SortedFunc(maps.Keys(members), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%q:%s", name, members[name])
	}
	text := jsontext.Value("{" + strings.Join(parts, ",") + "}")
	if text.Indent(jsontext.WithIndent("  ")) != nil {
		return string(payload)
	}
	return string(text)
}

// rank is the place of a member of a frame.
func rank(name string) int {
	switch name {
	case "type":
		return 0
	case "id", "re":
		return 1
	case "room":
		return 2
	case "data":
		return 4
	}
	return 3
}
