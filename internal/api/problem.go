package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/chat"
)

// problemJSON is the body of every answer that is none of 2xx and 3xx
// (RFC 9457; docs/protocol.md §31).
type problemJSON struct {
	Type         string        `json:"type" format:"uri-reference" doc:"A page about the code, relative to this server."`
	Title        string        `json:"title" doc:"What the code means, for people; always the same."`
	Status       int           `json:"status" doc:"The HTTP status."`
	Detail       string        `json:"detail" doc:"What happened and what to do, for people; it may change."`
	Instance     string        `json:"instance" format:"uri-reference" doc:"The id of the request, as in X-Request-Id and in the server's log."`
	Code         chat.Code     `json:"code" doc:"A stable word for programs."`
	Num          int           `json:"num" doc:"The code as a number."`
	Retryable    bool          `json:"retryable" doc:"Whether the same request may succeed later, unchanged."`
	RetryAfterMS int64         `json:"retry_after_ms,omitzero" doc:"How long to wait before that, if the server knows."`
	Errors       []invalidJSON `json:"errors,omitempty" doc:"What is wrong with the request, one by one."`
}

// invalidJSON is one thing that is wrong with a request: in its body at a
// JSON Pointer, or in a parameter.
type invalidJSON struct {
	Pointer   string `json:"pointer,omitempty" doc:"Where in the body, as a JSON Pointer (RFC 6901)."`
	Parameter string `json:"parameter,omitempty" doc:"Which parameter of the path, the query or the header."`
	Message   string `json:"message" doc:"What is wrong, for people."`
}

// Error and GetStatus make a problem a huma.StatusError.
func (p *problemJSON) Error() string  { return string(p.Code) + ": " + p.Detail }
func (p *problemJSON) GetStatus() int { return p.Status }

// ContentType is asked by huma, which would send application/json.
func (p *problemJSON) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// problemOf says what is told about err.
func problemOf(rec *record, err error) *problemJSON {
	told := chat.AsError(err)
	if told.Code == chat.Internal {
		rec.cause = err
	}
	as := answers[told.Code]
	return &problemJSON{
		Type:         "/problems/" + string(told.Code),
		Title:        as.title,
		Status:       as.status,
		Detail:       told.Message,
		Instance:     rec.id,
		Code:         told.Code,
		Num:          told.Code.Num(),
		Retryable:    told.Code.Retryable(),
		RetryAfterMS: told.RetryAfter.Milliseconds(),
	}
}

// setHeader sets the headers that say the same as p.
func (p *problemJSON) setHeader(set func(name, value string)) {
	if p.RetryAfterMS > 0 {
		wait := time.Duration(p.RetryAfterMS) * time.Millisecond
		set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized {
		set("WWW-Authenticate", "Bearer")
	}
}

// writeProblem answers a request outside of huma.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(recordOf(r.Context()), err)
	p.setHeader(w.Header().Set)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = strictJSON.Marshal(w, p) // who is gone does not read it
}

// huma makes its errors by these functions of the whole process.
func init() {
	huma.NewError = func(status int, msg string, _ ...error) huma.StatusError {
		return &problemJSON{Status: status, Detail: msg}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := problemOfHuma(recordOf(ctx.Context()), status, msg, errs)
		p.setHeader(ctx.SetHeader)
		return p
	}
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true
}

// problemOfHuma translates what huma has to say: an error that a handler has
// returned, or why a request did not get to its handler.
func problemOfHuma(rec *record, status int, msg string, errs []error) *problemJSON {
	if len(errs) == 1 {
		if _, ok := errors.AsType[*huma.ErrorDetail](errs[0]); !ok {
			return problemOf(rec, errs[0])
		}
	}
	list := make([]invalidJSON, 0, len(errs))
	inBody := false
	for _, err := range errs {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			list = append(list, invalidOf(detail))
			inBody = inBody || list[len(list)-1].Parameter == ""
		}
	}
	var told error
	switch {
	case status == http.StatusBadRequest && len(list) == 0:
		told = chat.Errorf(chat.InvalidJSON, "The body is missing; send one JSON object.")
	case status == http.StatusBadRequest:
		told = chat.Errorf(chat.InvalidJSON, "%s", list[len(list)-1].Message)
	case len(list) > 0 && !inBody:
		told = chat.Errorf(chat.InvalidParameter, "A parameter is unusable: %s, %s.", list[0].Parameter, list[0].Message)
	case len(list) > 0:
		told = chat.Errorf(chat.InvalidEvent, "The body does not say what is needed; errors lists what is wrong.")
	default:
		told = errors.New(msg)
	}
	p := problemOf(rec, told)
	p.Errors = list
	return p
}

// invalidOf translates a place as huma has it, "body.members[0].role" or
// "query.limit". Of the value that was sent nothing is repeated.
func invalidOf(detail *huma.ErrorDetail) invalidJSON {
	where, rest, _ := strings.Cut(detail.Location, ".")
	if where != "body" {
		return invalidJSON{Parameter: rest, Message: detail.Message}
	}
	return invalidJSON{Pointer: pointerOf(rest), Message: detail.Message}
}

// pointerOf makes a JSON Pointer (RFC 6901) of a path with dots and indices.
func pointerOf(path string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}
