package authtest

import "tertulia/chat"

// The columns of the table. The first six are nobody: their answers do not
// depend on the room. The other key is that of another issuer than the token
// says. The stranger is a user of that issuer, who is called there what the
// owner is called here.
var principals = []string{
	"anonymous", "bad token", "expired token", "revoked", "disabled", "other key",
	"stranger", "invited", "member", "moderator", "owner", "banned", "left", "removed", "service", "acting",
}

// The lines of each row. What is not about a room has one line, or none that
// differ.
var kinds = []string{"open", "public", "private", "direct", "archived", "nonexistent", "reserved"}

// answer is what a letter of the table stands for.
type answer struct {
	code   chat.Code
	status int
	close  int // of a WebSocket, if the refusal ends it
}

var answers = map[byte]answer{
	'.': {}, // goes well
	'a': {chat.Unauthenticated, 401, 4501},
	'e': {chat.TokenExpired, 401, 4003},
	'A': {chat.RoomReadOnly, 409, 0},
	'B': {chat.Banned, 403, 4503},
	'F': {chat.Forbidden, 403, 4503},
	'M': {chat.MemberNotFound, 404, 0},
	'N': {chat.RoomNotFound, 404, 4504},
	'G': {chat.MessageNotFound, 404, 0},
	'R': {chat.ReservedRoom, 422, 4500},
	'S': {chat.NotSubscribed, 409, 0},
	'U': {chat.UserNotFound, 404, 0},
	'V': {chat.InvalidParameter, 400, 0},
	'X': {chat.RoomExists, 409, 0},
}

// row is a line of the table for each kind of room, and what is asked for. A
// line without the columns of those who are nobody has their usual answers.
// The words ROOM, USER, BAD, NEW, MESSAGE and FOREIGN in query and body stand for
// the room, its victim, who is banned there, somebody new, the member's message
// and a message of another room.
type row struct {
	rights []string
	anyone bool   // nobody need say who they are
	user   string // for {user} in the path: USER if empty
	query  string
	body   string
}

func (r row) strangers() string {
	if r.anyone {
		return "......"
	}
	return "aaeaFa"
}

var (
	seeing     = []string{"..........", "..........", "N....BNN..", "NN.NNNNN..", "..........", "NNNNNNNNNN", "RRRRRRRRRR"}
	reading    = []string{".....B....", "FF...BFF..", "NF...BNN..", "NN.NNNNN..", "FF...BFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	writing    = []string{".....B....", "FF...BFF..", "NF...BNN..", "NN.NNNNN..", "FFAAABFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	editing    = []string{"FF.FFBFF..", "FF.FFBFF..", "NF.FFBNN..", "NN.NNNNN..", "FFAAABFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	deleting   = []string{"FF...BFF..", "FF...BFF..", "NF...BNN..", "NN.NNNNN..", "FFAAABFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	inviting   = []string{"FFFFFBFF..", "FF...BFF..", "NF...BNN..", "NNFNNNNN..", "FF...BFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	moderating = []string{"FFF..BFF..", "FFF..BFF..", "NFF..BNN..", "NNFNNNNN..", "FFF..BFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	managing   = []string{"FFFF.BFF..", "FFFF.BFF..", "NFFF.BNN..", "NNFNNNNN..", "FFFF.BFF..", "NNNNNNNNNN", "RRRRRRRRRR"}
	following  = []string{".....B..F.", "FF...BFFF.", "NF...BNNF.", "NN.NNNNNF.", "FF...BFFF.", "NNNNNNNNFN", "RRRRRRRRFR"}
	serving    = []string{"FFFFFFFF..", "FFFFFFFF..", "FFFFFFFF..", "FFFFFFFF..", "FFFFFFFF..", "FFFFFFFFNN", "RRRRRRRRRR"}
	services   = []string{"FFFFFFFF.."}
	everybody  = []string{".........."}
	ownAffairs = []string{"........V."}
)

// routes has the routes of the API by their operation ids. What stands behind a
// space tells apart what one route does.
var routes = map[string]row{
	"list-rooms":  {rights: everybody},
	"create-room": {rights: []string{"XXXXXXXXXX", "XXXXXXXXXX", "XXXXXXXXXX", "RRRRRRRRRR", "XXXXXXXXXX", "..........", "RRRRRRRRRR"}, body: `{"id":"ROOM","access":"private"}`},
	"create-room open": {rights: []string{"FFFFFFFFXX", "FFFFFFFFXX", "FFFFFFFFXX", "RRRRRRRRRR", "FFFFFFFFXX", "FFFFFFFF..", "RRRRRRRRRR"},
		body: `{"id":"ROOM","access":"open"}`},
	"open-direct-room": {rights: ownAffairs, body: `{"user_id":"USER","username":"New"}`},
	"get-room":         {rights: seeing},
	"update-room":      {rights: managing, body: `{"title":"other"}`},
	"update-room keep": {rights: []string{"FFFFFBFF..", "FFFFFBFF..", "NFFFFBNN..", "NNFNNNNN..", "FFFFFBFF..", "NNNNNNNNNN", "RRRRRRRRRR"},
		body: `{"keep":{"events":10}}`},

	"join-room":  {rights: []string{".....B..V.", ".....B..V.", "N....BNNV.", "NN.NNNNNV.", ".....B..V.", "NNNNNNNNVN", "RRRRRRRRRR"}},
	"leave-room": {rights: []string{"M....BMMV.", "M....BMMV.", "N....BNNV.", "NNFNNNNNV.", "M....BMMV.", "NNNNNNNNVN", "RRRRRRRRRR"}},

	"list-members":          {rights: reading},
	"list-members invited":  {rights: moderating, query: "?states=invited"},
	"list-members banned":   {rights: moderating, query: "?states=joined,banned"},
	"get-member":            {rights: reading},
	"put-member invited":    {rights: inviting, user: "NEW", body: `{"state":"invited","username":"New"}`},
	"put-member added":      {rights: serving, user: "NEW", body: `{"state":"joined","username":"New"}`},
	"put-member role":       {rights: managing, body: `{"role":"moderator"}`},
	"remove-member":         {rights: moderating},
	"ban-member":            {rights: moderating},
	"ban-member who is new": {rights: moderating, user: "NEW", body: `{"username":"New"}`},
	"unban-member": {rights: []string{"FFF..BFF..", "FFF..BFF..", "NFF..BNN..", "NNFNNNNNMM", "FFF..BFF..", "NNNNNNNNNN", "RRRRRRRRRR"},
		user: "BAD"},

	"list-messages":        {rights: reading},
	"list-messages around": {rights: reading, query: "?around_id=MESSAGE"},
	"list-messages elsewhere": {rights: []string{"GGGGGBGGGG", "FFGGGBFFGG", "NFGGGBNNGG", "NNGNNNNNGG", "FFGGGBFFGG", "NNNNNNNNNN", "RRRRRRRRRR"},
		query: "?around_id=FOREIGN"},
	"post-message":   {rights: writing, body: `{"content":"x"}`},
	"get-message":    {rights: reading},
	"edit-message":   {rights: editing, body: `{"content":"y"}`},
	"delete-message": {rights: deleting},
	"list-events":    {rights: reading},

	"list-marks":        {rights: reading},
	"put-mark":          {rights: []string{".....B..V.", "FF...BFFV.", "NF...BNNV.", "NN.NNNNNV.", "FF...BFFV.", "NNNNNNNNVN", "RRRRRRRRRR"}, body: `{"up_to":1}`},
	"get-room-presence": {rights: reading},
	"post-typing":       {rights: []string{".....B..V.", "FF...BFFV.", "NF...BNNV.", "NN.NNNNNV.", "FFAAABFFV.", "NNNNNNNNVN", "RRRRRRRRRR"}, body: `{"is_typing":true}`},

	"get-me":        {rights: everybody},
	"list-my-rooms": {rights: ownAffairs},
	"get-my-unread": {rights: ownAffairs},

	"get-user":          {rights: sharing},
	"get-user-presence": {rights: sharing},
	"list-users":        {rights: services},
	"put-user":          {rights: services, user: "NEW", body: `{"username":"New"}`},
	"revoke-user":       {rights: services},
	"erase-user":        {rights: services},
	"revoke-token":      {rights: services, body: `{"token_id":"x","user_id":"USER"}`},
	"create-ticket":     {rights: ownAffairs},

	"get-stats":   {rights: services},
	"get-version": {rights: everybody, anyone: true},
	"get-openapi": {rights: everybody, anyone: true},

	"get-asyncapi": {rights: everybody, anyone: true},
	"get-schema":   {rights: everybody, anyone: true},

	// A service follows nothing in its own name.
	"follow-rooms": {rights: following, query: "?room=ROOM"},
	"poll-rooms":   {rights: following, body: `{"rooms":["ROOM"],"wait_ms":0}`},
}

// sharing is the row of what is told to whom shares a room with the victim.
var sharing = []string{"U....UUU..", "UU...UUU..", "UU...UUU..", "UU.UUUUU..", "UU...UUU..", "UUUUUUUU..", "UUUUUUUU.."}

// The service as such can be nobody's WebSocket.
var (
	v1Entering = []string{".....B..F.", "FF...BFFF.", "NF...BNNF.", "NN.NNNNNF.", "FF...BFFF.", "NNNNNNNNFN", "RRRRRRRRFR"}
	v1Writing  = []string{".....B..F.", "FF...BFFF.", "NF...BNNF.", "NN.NNNNNF.", "FFAAABFFF.", "NNNNNNNNFN", "RRRRRRRRFR"}
	v1Editing  = []string{"FF.FFBFFF.", "FF.FFBFFF.", "NF.FFBNNF.", "NN.NNNNNF.", "FFAAABFFF.", "NNNNNNNNFN", "RRRRRRRRFR"}
	v1Deleting = []string{"FF...BFFF.", "FF...BFFF.", "NF...BNNF.", "NN.NNNNNF.", "FFAAABFFF.", "NNNNNNNNFN", "RRRRRRRRFR"}
	v1Inside   = []string{".....S..F.", "SS...SSSF.", "SS...SSSF.", "SS.SSSSSF.", "SS...SSSF.", "SSSSSSSSFS", "RRRRRRRRFR"}
	v1Typing   = []string{".....S..F.", "SS...SSSF.", "SS...SSSF.", "SS.SSSSSF.", "SSAAASSSF.", "SSSSSSSSFS", "RRRRRRRRFR"}
	v1All      = []string{"........F."}
)

// commands has the commands of v1 by their types, after a subscribe to the room.
var commands = map[string]row{
	"hello":         {rights: v1All, body: `{"type":"hello","id":"c"}`},
	"hello cursors": {rights: v1All, body: `{"type":"hello","id":"c","cursors":{"ROOM":"x:0"}}`},
	"auth":          {rights: []string{".aeaFa........F."}, body: `{"type":"auth","id":"c","token":"TOKEN"}`},
	"subscribe":     {rights: v1Entering, body: `{"type":"subscribe","id":"c","rooms":[{"room":"ROOM"}]}`},
	"unsubscribe":   {rights: v1Inside, body: `{"type":"unsubscribe","id":"c","rooms":["ROOM"]}`},
	"message":       {rights: v1Writing, body: `{"type":"message","id":"c","room":"ROOM","content":"x","nonce":"n"}`},
	"edit":          {rights: v1Editing, body: `{"type":"edit","id":"c","room":"ROOM","message_id":MESSAGE,"content":"y"}`},
	"delete":        {rights: v1Deleting, body: `{"type":"delete","id":"c","room":"ROOM","message_id":MESSAGE}`},
	"typing":        {rights: v1Typing, body: `{"type":"typing","id":"c","room":"ROOM","is_typing":true}`},
	"read":          {rights: v1Entering, body: `{"type":"read","id":"c","room":"ROOM","up_to":1}`},
	"delivered":     {rights: v1Entering, body: `{"type":"delivered","id":"c","room":"ROOM","up_to":1}`},
	"history":       {rights: v1Entering, body: `{"type":"history","id":"c","room":"ROOM"}`},
	"presence":      {rights: v1Inside, body: `{"type":"presence","id":"c","room":"ROOM"}`},
	"ping":          {rights: v1All, body: `{"type":"ping","id":"c"}`},
}

// seedCommands has those of the seed profile, in the room of the URL. The
// service as such is nobody there.
var seedCommands = map[string]row{
	"message": {rights: seedWriting, body: `{"type":"message","id":"c","content":"x"}`},
	"typing": {rights: seedEntering, // it has no answer; in an archived room nobody hears of it
		body: `{"type":"typing","id":"c","is_typing":true}`},
	"ping": {rights: seedEntering, body: `{"type":"ping","id":"c"}`},
}

// Seed clients can be in no room of two: its id is reserved to them.
// That is seen before anybody is asked who they are (docs/protocol.md §2.1).
var (
	seedEntering = []string{".....B..F.", "FF...BFFF.", "NF...BNNF.", "RRRRRRRRRRRRRRRR", "FF...BFFF.", "NNNNNNNNFN", "RRRRRRRRRRRRRRRR"}
	seedWriting  = []string{".....B..F.", "FF...BFFF.", "NF...BNNF.", "RRRRRRRRRRRRRRRR", "FFAAABFFF.", "NNNNNNNNFN", "RRRRRRRRRRRRRRRR"}
)

// endpoints are what is neither in the API nor a WebSocket.
var endpoints = map[string]row{
	"/ws/stats":           {rights: services},
	"/health":             {rights: everybody, anyone: true},
	"/livez":              {rights: everybody, anyone: true},
	"/readyz":             {rights: everybody, anyone: true},
	"/metrics":            {rights: everybody, anyone: true}, // of programs on this machine
	"/problems/forbidden": {rights: everybody, anyone: true},
}
