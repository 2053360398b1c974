package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/room"
)

// roomJSON is a room: what its owners decide, and what never changes. It says
// nothing of the log, so that it changes, and its ETag with it, only when
// somebody changes the room.
type roomJSON struct {
	ID        string   `json:"id"`
	Access    string   `json:"access" enum:"open,public,private,direct"`
	Title     string   `json:"title"`
	Topic     string   `json:"topic"`
	Archived  bool     `json:"archived" doc:"An archived room can be read and not written."`
	Keep      keepJSON `json:"keep"`
	CreatedAt string   `json:"created_at,omitempty" format:"date-time" doc:"Absent while the room has not begun."`
	Version   uint64   `json:"version" doc:"The seq of the event that gave the room its settings; 0 if it began with a message."`
}

// keepJSON bounds a room's log. A bound that is absent is none: the server's
// own counts.
type keepJSON struct {
	Seconds int64 `json:"seconds,omitzero" minimum:"0" maximum:"3153600000" doc:"How long events are kept."`
	Events  int64 `json:"events,omitzero" minimum:"0" doc:"How many events are kept."`
}

// logJSON is the state of a room's log.
type logJSON struct {
	Epoch    string `json:"epoch"`
	Head     uint64 `json:"head" doc:"The highest seq, 0 if the log is empty."`
	Floor    uint64 `json:"floor" doc:"The lowest seq that is kept."`
	Messages uint64 `json:"messages" doc:"How many messages there were since the beginning."`
}

// foundJSON is a room of the directory.
type foundJSON struct {
	Room    roomJSON `json:"room"`
	Members int      `json:"members" doc:"How many have joined."`
	Log     logJSON  `json:"log"`
}

func roomOf(r *chat.Room) roomJSON {
	return roomJSON{
		ID:     string(r.ID),
		Access: r.Access.String(),
		Title:  r.Title, Topic: r.Topic, Archived: r.Archived,
		Keep:      keepJSON{Seconds: int64(r.Keep.Age / time.Second), Events: r.Keep.Events},
		CreatedAt: instant(r.CreatedAt),
		Version:   r.Version,
	}
}

func logOf(r *chat.Room) logJSON {
	return logJSON{Epoch: r.Epoch, Head: r.Head, Floor: r.Floor, Messages: r.Msgs}
}

func foundOf(r chat.Room) foundJSON {
	return foundJSON{Room: roomOf(&r), Members: r.Members, Log: logOf(&r)}
}

// instant writes an instant as the frames do, empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// taggedRoom is the output of what answers with one room.
type taggedRoom struct {
	Status   int
	Location string `header:"Location" doc:"Where a new room is."`
	Replayed string `header:"Idempotent-Replayed" doc:"true if the room was made before under this key."`
	Tagged
	Body roomJSON
}

func taggedRoomOf(status int, r *chat.Room) *taggedRoom {
	return &taggedRoom{Status: status, Tagged: newTagged("%s.%d", r.Epoch, r.Version), Body: roomOf(r)}
}

func roomPath(id chat.RoomID) string { return prefix + "/rooms/" + url.PathEscape(string(id)) }

func (a *API) describeRooms(to *routes) {
	register(to, operation{
		id: "list-rooms", method: http.MethodGet, path: "/rooms", tag: "rooms", needs: user,
		summary: "List the rooms that anybody may see",
		about:   "Open and public rooms by their ids; for a service all rooms. With a filter a page may hold fewer than limit rooms, or none, while there is a next one.",
		codes:   []chat.Code{chat.StoreUnavailable},
	}, a.listRooms)
	register(to, operation{
		id: "create-room", method: http.MethodPost, path: "/rooms", tag: "rooms", needs: user,
		status: http.StatusCreated, also: []int{http.StatusOK},
		summary: "Make a room",
		about:   "Whoever makes it owns it. A service that acts for nobody makes one without an owner. 200: it was made before, under the same Idempotency-Key.",
		codes:   []chat.Code{chat.InvalidRoom, chat.ReservedRoom, chat.RoomExists, chat.UserNotFound, chat.IdempotencyConflict, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.createRoom)
	register(to, operation{
		id: "open-direct-room", method: http.MethodPost, path: "/rooms/direct", tag: "rooms", needs: user,
		summary: "Get the room of oneself and another user", about: "It is made if there is none. Such a room is for these two, and for ever.",
		codes: []chat.Code{chat.UserNotFound, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.directRoom)
	register(to, operation{
		id: "get-room", method: http.MethodGet, path: "/rooms/{room}", tag: "rooms", needs: see, also: []int{http.StatusNotModified},
		summary: "Get a room",
		codes:   []chat.Code{chat.Banned, chat.StoreUnavailable},
	}, a.getRoom)
	register(to, operation{
		id: "update-room", method: http.MethodPatch, path: "/rooms/{room}", tag: "rooms", needs: manage,
		summary: "Change a room", about: "What is absent stays as it is.",
		codes: []chat.Code{chat.Banned, chat.VersionConflict, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.updateRoom)
}

type listRoomsInput struct {
	Paged
	Access   string         `query:"access" enum:"open,public,private,direct" doc:"Only rooms with this access."`
	Archived optional[bool] `query:"archived" doc:"Only rooms that are archived, or are not."`
}

func (a *API) listRooms(ctx context.Context, in *listRoomsInput) (*list[foundJSON], error) {
	rec := recordOf(ctx)
	rooms, err := a.cfg.Rooms.Rooms(ctx, rec.by, chat.RoomID(in.After), in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := listOf(rec, in.Paged, rooms, func(r chat.Room) string { return string(r.ID) }, foundOf)
	kept := out.Body.Items[:0]
	for _, r := range out.Body.Items {
		if (in.Access == "" || r.Room.Access == in.Access) && (!in.Archived.IsSet || r.Room.Archived == in.Archived.Value) {
			kept = append(kept, r)
		}
	}
	out.Body.Items = kept
	return out, nil
}

// Retried is a part of the input of what may be sent again.
type Retried struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"1 to 64 visible ASCII characters: sending the same again under the same key does it once. It is the nonce of the frames, and taken as it stands, quotes included."`
}

// nonce returns the key as one; there need not be any.
func (r Retried) nonce() (chat.Nonce, error) {
	if r.IdempotencyKey == "" {
		return "", nil
	}
	nonce, err := chat.ParseNonce(r.IdempotencyKey)
	if err != nil {
		return "", chat.Errorf(chat.InvalidParameter, "An Idempotency-Key has 1 to %d visible ASCII characters.", chat.MaxNonceBytes)
	}
	return nonce, nil
}

type newRoomJSON struct {
	ID      string     `json:"id,omitempty" doc:"The room's id for ever; if absent, a random one. Needed with an Idempotency-Key."`
	Access  string     `json:"access" enum:"open,public,private" doc:"open: everybody, without joining; public: everybody may join; private: by invitation. Open rooms are a service's to make."`
	Title   string     `json:"title,omitempty" doc:"At most 128 bytes."`
	Topic   string     `json:"topic,omitempty" doc:"At most 1,024 bytes."`
	Members []userJSON `json:"members,omitempty" maxItems:"200" doc:"Who joins at once."`
	Keep    keepJSON   `json:"keep,omitzero" doc:"A service's to say."`
}

type createRoomInput struct {
	Retried
	Body newRoomJSON
}

func (a *API) createRoom(ctx context.Context, in *createRoomInput) (*taggedRoom, error) {
	create, err := in.parse()
	if err != nil {
		return nil, err
	}
	by := recordOf(ctx).by
	if err := a.allow(by, limit.Use{Class: limit.MakeRoom, User: by.User.ID}); err != nil {
		return nil, err
	}
	made, err := a.cfg.Rooms.Create(ctx, by, create)
	if err != nil {
		return nil, err
	}
	out := taggedRoomOf(http.StatusCreated, &made.Room)
	out.Location = roomPath(made.ID)
	if made.Duplicate {
		out.Status, out.Replayed = http.StatusOK, "true"
	}
	return out, nil
}

func (in *createRoomInput) parse() (room.Create, error) {
	nonce, err := in.nonce()
	if err != nil {
		return room.Create{}, err
	}
	body := &in.Body
	if nonce != "" && body.ID == "" {
		return room.Create{}, chat.Errorf(chat.InvalidParameter, "Give the room an id beside the Idempotency-Key: it is by both that a repeat is known.")
	}
	access, _ := chat.ParseAccess(body.Access) // the schema has the words
	create := room.Create{
		Nonce:    nonce,
		Settings: chat.Settings{Access: access, Title: body.Title, Topic: body.Topic, Keep: body.Keep.retention()},
	}
	if body.ID != "" {
		if create.Room, err = chat.ParseRoomID(body.ID); err != nil {
			return room.Create{}, err
		}
	}
	for _, m := range body.Members {
		u, err := m.parse()
		if err != nil {
			return room.Create{}, err
		}
		create.Members = append(create.Members, u)
	}
	return create, nil
}

func (k keepJSON) retention() chat.Retention {
	return chat.Retention{Age: time.Duration(k.Seconds) * time.Second, Events: k.Events}
}

type directRoomInput struct{ Body userJSON }

func (a *API) directRoom(ctx context.Context, in *directRoomInput) (*taggedRoom, error) {
	with, err := in.Body.parse()
	if err != nil {
		return nil, err
	}
	r, err := a.cfg.Rooms.Direct(ctx, recordOf(ctx).by, with)
	if err != nil {
		return nil, err
	}
	out := taggedRoomOf(http.StatusOK, &r)
	out.Location = roomPath(r.ID)
	return out, nil
}

type getRoomInput struct {
	InRoom
	Conditional
}

func (a *API) getRoom(ctx context.Context, in *getRoomInput) (*taggedRoom, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	standing, err := a.cfg.Rooms.Room(ctx, recordOf(ctx).by, id)
	if err != nil {
		return nil, err
	}
	out := taggedRoomOf(http.StatusOK, &standing.Room)
	if in.unchanged(out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out, nil
}

type roomChangesJSON struct {
	Access   *string   `json:"access,omitempty" enum:"public,private"`
	Title    *string   `json:"title,omitempty" doc:"At most 128 bytes."`
	Topic    *string   `json:"topic,omitempty" doc:"At most 1,024 bytes."`
	Archived *bool     `json:"archived,omitempty"`
	Keep     *keepJSON `json:"keep,omitempty" doc:"Both bounds; a service's to say."`
}

type updateRoomInput struct {
	InRoom
	Unless
	Body roomChangesJSON
}

func (a *API) updateRoom(ctx context.Context, in *updateRoomInput) (*taggedRoom, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	by := recordOf(ctx).by
	changes := in.Body.changes()
	if in.IfMatch != "" {
		standing, err := a.cfg.Rooms.Room(ctx, by, id)
		if err != nil {
			return nil, err
		}
		now := taggedRoomOf(0, &standing.Room)
		if err := in.check(now.ETag); err != nil {
			return nil, err
		}
		changes.IfVersion = &now.Body.Version
	}
	r, err := a.cfg.Rooms.Update(ctx, by, id, changes)
	if err != nil {
		return nil, err
	}
	return taggedRoomOf(http.StatusOK, &r), nil
}

func (c *roomChangesJSON) changes() room.Changes {
	changes := room.Changes{Title: c.Title, Topic: c.Topic, Archived: c.Archived}
	if c.Access != nil {
		access, _ := chat.ParseAccess(*c.Access) // the schema has the words
		changes.Access = &access
	}
	if c.Keep != nil {
		keep := c.Keep.retention()
		changes.Keep = &keep
	}
	return changes
}
