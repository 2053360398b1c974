package api

import (
	"net/http"

	"tertulia/chat"
)

// answer is how a code is told over HTTP.
type answer struct {
	status int
	// title says what the code means, the same each time (RFC 9457 §3.1.3).
	title string
}

// answers has every code, also those that only a WebSocket can cause: each has
// a page under /problems/ (docs/protocol.md §31).
var answers = map[chat.Code]answer{
	chat.InvalidJSON:         {http.StatusBadRequest, "The body is not JSON"},
	chat.InvalidEvent:        {http.StatusUnprocessableEntity, "The body does not say what is needed"},
	chat.UnknownType:         {http.StatusBadRequest, "The type is not known"},
	chat.MissingParameter:    {http.StatusBadRequest, "A parameter is missing"},
	chat.ConflictingFields:   {http.StatusBadRequest, "Two members contradict each other"},
	chat.EmptyContent:        {http.StatusUnprocessableEntity, "The message is empty"},
	chat.TooLarge:            {http.StatusRequestEntityTooLarge, "Something is larger than allowed"},
	chat.InvalidParameter:    {http.StatusBadRequest, "A parameter is unusable"},
	chat.UnsupportedMedia:    {http.StatusUnsupportedMediaType, "The body is of another kind than JSON"},
	chat.MethodNotAllowed:    {http.StatusMethodNotAllowed, "The path has no such method"},
	chat.PathNotFound:        {http.StatusNotFound, "There is nothing at this path"},
	chat.Unauthenticated:     {http.StatusUnauthorized, "Nobody knows who is asking"},
	chat.TokenExpired:        {http.StatusUnauthorized, "The token has expired"},
	chat.Forbidden:           {http.StatusForbidden, "This is not allowed"},
	chat.Banned:              {http.StatusForbidden, "The user is banned from the room"},
	chat.RoomNotFound:        {http.StatusNotFound, "There is no such room"},
	chat.ReservedRoom:        {http.StatusUnprocessableEntity, "The server keeps this room id"},
	chat.InvalidRoom:         {http.StatusUnprocessableEntity, "This is no room id"},
	chat.MessageNotFound:     {http.StatusNotFound, "There is no such message"},
	chat.VersionConflict:     {http.StatusPreconditionFailed, "It has changed meanwhile"},
	chat.IdempotencyConflict: {http.StatusUnprocessableEntity, "The key was used for other content"},
	chat.CursorInvalid:       {http.StatusBadRequest, "This is no cursor"},
	chat.RoomReadOnly:        {http.StatusConflict, "The room is archived"},
	chat.NotSubscribed:       {http.StatusConflict, "The connection is not subscribed to the room"},
	chat.MemberNotFound:      {http.StatusNotFound, "The user has no standing in the room"},
	chat.UserNotFound:        {http.StatusNotFound, "There is no such user"},
	chat.RoomExists:          {http.StatusConflict, "There is a room with this id"},
	chat.RateLimited:         {http.StatusTooManyRequests, "Too much at a time"},
	chat.TooManyErrors:       {http.StatusTooManyRequests, "Too many requests were wrong"},
	chat.TooManyRooms:        {http.StatusTooManyRequests, "Too many rooms"},
	chat.TooManyConnections:  {http.StatusTooManyRequests, "Too many connections"},
	chat.StoreUnavailable:    {http.StatusServiceUnavailable, "Nothing can be stored or read now"},
	chat.ShuttingDown:        {http.StatusServiceUnavailable, "The server is stopping"},
	chat.Internal:            {http.StatusInternalServerError, "The server failed"},
}
