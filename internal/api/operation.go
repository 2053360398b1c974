package api

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/chat"
)

// action says what one must be allowed to do for an operation. Package room
// checks it; here it is what the documents and the tests of rights go by.
type action string

const (
	anyone   action = "anyone"   // no identity is asked for
	user     action = "user"     // somebody, about themselves
	service  action = "service"  // the back end of an application
	see      action = "see"      // room.ActSee, and so on
	read     action = "read"     //
	post     action = "post"     //
	mark     action = "mark"     //
	join     action = "join"     //
	leave    action = "leave"    //
	invite   action = "invite"   //
	moderate action = "moderate" //
	manage   action = "manage"   //
)

// operation describes a route.
type operation struct {
	id, method, path string
	summary, about   string
	tag              string
	needs            action
	// status of success; 0 is 200, or 204 if there is no body.
	status int
	// also are further statuses of success, with the same body (200) or without
	// one (304).
	also []int
	// codes that this operation may answer, beside those that follow from its
	// kind: see codesOf.
	codes []chat.Code
}

// routes are where operations are registered.
type routes struct {
	huma.API
	// identified lets a request in when it is known who asks.
	identified func(huma.Context, func(huma.Context))
	// anonymous lets a request in whoever asks.
	anonymous func(huma.Context, func(huma.Context))
}

// register adds a route. Input and output are described by their types, errors
// by the codes; the handler's errors are translated by problemOf.
func register[I, O any](to *routes, op operation, handler func(context.Context, *I) (*O, error)) {
	in := reflect.TypeFor[I]()
	_, hasBody := in.FieldByName("Body")
	codes := codesOf(op, hasBody)
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.about,
		Tags: []string{op.tag}, DefaultStatus: op.status,
		MaxBodyBytes: maxBodyBytes + 1, // withBody has bounded it
		Responses:    problemsOf(to, codes),
		Extensions:   map[string]any{"x-action": string(op.needs)},
	}
	if op.needs == anyone {
		described.Security = []map[string][]string{} // nobody need say who they are
		described.Middlewares = append(described.Middlewares, to.anonymous)
	} else {
		described.Middlewares = append(described.Middlewares, to.identified)
	}
	described.Middlewares = append(described.Middlewares, withBody)
	huma.Register(to.API, described, handler)
	documentAlso(to, op)
}

// codesOf completes an operation's codes by those of its kind.
func codesOf(op operation, hasBody bool) []chat.Code {
	codes := append([]chat.Code{chat.Internal, chat.InvalidParameter, chat.RateLimited}, op.codes...)
	if op.needs != anyone {
		codes = append(codes, chat.Unauthenticated, chat.TokenExpired, chat.Forbidden)
	}
	if hasBody {
		codes = append(codes, chat.InvalidJSON, chat.InvalidEvent, chat.TooLarge, chat.UnsupportedMedia)
	}
	if strings.Contains(op.path, "{room}") {
		codes = append(codes, chat.InvalidRoom, chat.ReservedRoom, chat.RoomNotFound)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// problemsOf describes the answers that are problems, one for each status. The
// extension x-codes lists what their member code may be.
func problemsOf(to *routes, codes []chat.Code) map[string]*huma.Response {
	byStatus := make(map[int][]chat.Code)
	for _, code := range codes {
		status := answers[code].status
		byStatus[status] = append(byStatus[status], code)
	}
	schema := to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problemJSON](), true, "")
	responses := make(map[string]*huma.Response)
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		var lines []string
		for _, code := range byStatus[status] {
			lines = append(lines, "`"+string(code)+"`: "+answers[code].title+".")
		}
		responses[strconv.Itoa(status)] = &huma.Response{
			Description: strings.Join(lines, " "),
			Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
			Extensions:  map[string]any{"x-codes": byStatus[status]},
		}
	}
	return responses
}

// documentAlso describes the further statuses of success, which huma does not
// know of.
func documentAlso(to *routes, op operation) {
	item := to.OpenAPI().Paths[op.path]
	described := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[op.method]
	success := described.Responses[strconv.Itoa(described.DefaultStatus)]
	for _, status := range op.also {
		also := &huma.Response{Description: http.StatusText(status), Headers: success.Headers}
		if status != http.StatusNotModified {
			also.Content = success.Content
		}
		described.Responses[strconv.Itoa(status)] = also
	}
}

// empty is the input of an operation without one, and the output of one that
// answers with its status alone.
type empty struct{}
