package chat

import (
	"errors"
	"fmt"
	"time"
)

// Code is a stable word for one kind of refusal; docs/protocol.md §7 has the
// table. Clients may branch on it; the sentence beside it is for people.
type Code string

// The codes. Numbers and retry hints are in [Code.Num] and [Code.Retryable].
const (
	InvalidJSON         Code = "invalid_json"
	InvalidEvent        Code = "invalid_event"
	UnknownType         Code = "unknown_type"
	MissingParameter    Code = "missing_parameter"
	ConflictingFields   Code = "conflicting_fields"
	EmptyContent        Code = "empty_content"
	TooLarge            Code = "too_large"
	InvalidParameter    Code = "invalid_parameter"
	UnsupportedMedia    Code = "unsupported_media_type"
	MethodNotAllowed    Code = "method_not_allowed"
	PathNotFound        Code = "path_not_found"
	Unauthenticated     Code = "unauthenticated"
	TokenExpired        Code = "token_expired"
	Forbidden           Code = "forbidden"
	Banned              Code = "banned"
	RoomNotFound        Code = "room_not_found"
	ReservedRoom        Code = "reserved_room"
	InvalidRoom         Code = "invalid_room"
	IdempotencyConflict Code = "idempotency_conflict"
	CursorInvalid       Code = "cursor_invalid"
	MessageNotFound     Code = "message_not_found"
	VersionConflict     Code = "version_conflict"
	RoomReadOnly        Code = "room_read_only"
	NotSubscribed       Code = "not_subscribed"
	MemberNotFound      Code = "member_not_found"
	UserNotFound        Code = "user_not_found"
	RoomExists          Code = "room_exists"
	TooManyRooms        Code = "too_many_rooms"
	TooManyErrors       Code = "too_many_errors"
	RateLimited         Code = "rate_limited"
	TooManyConnections  Code = "too_many_connections"
	StoreUnavailable    Code = "store_unavailable"
	ShuttingDown        Code = "shutting_down"
	Internal            Code = "internal"
)

var codes = map[Code]struct {
	num       int
	retryable bool
}{
	InvalidJSON:         {1001, false},
	InvalidEvent:        {1002, false},
	UnknownType:         {1003, false},
	MissingParameter:    {1004, false},
	ConflictingFields:   {1005, false},
	EmptyContent:        {1006, false},
	TooLarge:            {1007, false},
	InvalidParameter:    {1008, false},
	UnsupportedMedia:    {1009, false},
	MethodNotAllowed:    {1010, false},
	PathNotFound:        {1011, false},
	Unauthenticated:     {1101, false},
	TokenExpired:        {1102, true},
	Forbidden:           {1103, false},
	Banned:              {1104, false},
	RoomNotFound:        {1201, false},
	ReservedRoom:        {1202, false},
	InvalidRoom:         {1203, false},
	MessageNotFound:     {1204, false},
	VersionConflict:     {1205, false},
	IdempotencyConflict: {1206, false},
	CursorInvalid:       {1207, false},
	RoomReadOnly:        {1208, false},
	NotSubscribed:       {1209, false},
	MemberNotFound:      {1210, false},
	UserNotFound:        {1211, false},
	RoomExists:          {1212, false},
	RateLimited:         {1301, true},
	TooManyErrors:       {1305, false},
	TooManyConnections:  {1306, false},
	TooManyRooms:        {1307, false},
	StoreUnavailable:    {1401, true},
	ShuttingDown:        {1403, true},
	Internal:            {1500, true},
}

// Num is the code's number, for clients that prefer integers.
func (c Code) Num() int { return codes[c].num }

// Retryable reports whether the same request may succeed later unchanged;
// for [TokenExpired] that is with a new token.
func (c Code) Retryable() bool { return codes[c].retryable }

// Codes calls yield for every code, in no order, until it returns false.
func Codes(yield func(Code) bool) {
	for c := range codes {
		if !yield(c) {
			return
		}
	}
}

// Error is a refusal that its peer is told about. Everything else that goes
// wrong is internal, and its text stays with us.
type Error struct {
	Code Code
	// Message is a sentence for people that says what to do.
	Message string
	// RetryAfter is how long to wait before the same request; 0 is unknown.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an [*Error] from a format.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AsError returns what may be told about err: the [*Error] in its chain, or
// [Internal] with a sentence that gives nothing away.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Errorf(Internal, "The server failed to do this; try again.")
}
