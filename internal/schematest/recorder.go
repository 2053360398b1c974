package schematest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
)

// Recorder holds one connection's frames to the schemas, in both directions.
// A test's client calls it with everything that it sends and gets. It may be
// called from any goroutine.
type Recorder struct {
	t       testing.TB
	profile Profile

	mu sync.Mutex
	// asked are the commands that may still be answered, oldest first.
	asked []asked
}

type asked struct {
	typ   string
	wrong error // why it is none by the schema
}

// Record returns a recorder for a new connection.
func Record(t testing.TB, profile Profile) *Recorder { return &Recorder{t: t, profile: profile} }

// answers are the commands that have one answer, by the type of the answer.
// Answers come in the order of the commands, docs/protocol.md §5.
var answers = map[string][]string{
	"message_sent": {"message"},
	"pong":         {"ping"},
	"history":      {"history"},
	"presence":     {"presence"},
}

// maxAsked bounds what is remembered of commands that are never answered.
const maxAsked = 256

// Sent notes a frame of the client. What the schemas refuse the server has to
// refuse too; that shows by the answers.
func (r *Recorder) Sent(frame []byte) {
	var command struct{ Type string }
	_ = json.Unmarshal(frame, &command) // a test may send anything
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, asked{command.Type, r.profile.Command(frame)})
	if len(r.asked) > maxAsked {
		r.asked = slices.Delete(r.asked, 0, len(r.asked)-maxAsked)
	}
}

// Received holds a frame of the server to the schemas, and an answer to what
// was asked.
func (r *Recorder) Received(frame []byte) {
	r.t.Helper()
	if err := r.profile.Frame(frame); err != nil {
		r.t.Errorf("the server sent %.500s, which has no place in the schemas of %s: %v", frame, r.profile, err)
		return
	}
	var answer struct{ Type string }
	if err := json.Unmarshal(frame, &answer); err != nil {
		r.t.Errorf("%.500s: %v", frame, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer.Type == "error" {
		r.refused()
	} else if commands := answers[answer.Type]; commands != nil {
		r.answered(commands, answer.Type)
	}
}

// refused takes one command away that the schemas refuse as the server does.
func (r *Recorder) refused() {
	if i := slices.IndexFunc(r.asked, func(a asked) bool { return a.wrong != nil }); i >= 0 {
		r.asked = slices.Delete(r.asked, i, i+1)
	}
}

// answered takes the command away that an answer is for, and those before it.
func (r *Recorder) answered(commands []string, answer string) {
	r.t.Helper()
	i := slices.IndexFunc(r.asked, func(a asked) bool { return slices.Contains(commands, a.typ) })
	if i < 0 {
		return // its command was forgotten
	}
	if wrong := r.asked[i].wrong; wrong != nil {
		r.t.Errorf("the server answered %s to a command that has no place in the schemas of %s: %v", answer, r.profile, wrong)
	}
	r.asked = slices.Delete(r.asked, 0, i+1)
}
