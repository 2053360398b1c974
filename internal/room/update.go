package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Changes are new settings; nil leaves one as it is.
type Changes struct {
	Access    *chat.Access // public or private
	Title     *string
	Topic     *string
	Archived  *bool
	Keep      *chat.Retention // of a service only
	IfVersion *uint64         // the chat.Room.Version it must still have
}

// Update changes a room's settings, as an owner, and returns the room with
// them. Changes that change nothing store nothing. Errors beside those of
// [Can]: InvalidParameter, VersionConflict.
func (s *Service) Update(ctx context.Context, by chat.Principal, id chat.RoomID, c Changes) (chat.Room, error) {
	if c.IfVersion != nil {
		return s.update(ctx, by, id, c)
	}
	return retry(func() (chat.Room, error) { return s.update(ctx, by, id, c) })
}

func (s *Service) update(ctx context.Context, by chat.Principal, id chat.RoomID, c Changes) (chat.Room, error) {
	at, err := s.allow(ctx, by, ActManage, id)
	if err != nil {
		return chat.Room{}, err
	}
	r := at.Room
	if c.IfVersion != nil && *c.IfVersion != r.Version {
		return chat.Room{}, errVersion
	}
	settings := c.on(r.Settings)
	if settings == r.Settings {
		return r, nil
	}
	if err := checkChanges(by, r, c, settings); err != nil {
		return chat.Room{}, err
	}
	row := store.Append{
		Room:      id,
		Kind:      chat.KindRoomUpdated,
		Actor:     by.User,
		Body:      chat.SettingsBody(settings),
		MayCreate: s.mayCreate(id),
		Settings:  &settings,
		Condition: condition(by, ActManage),
	}
	row.Versioned, row.Version = true, r.Version
	done, err := s.write(ctx, row)
	if err != nil {
		return chat.Room{}, err
	}
	r.Settings, r.Version, r.Exists, r.Head = settings, done.Event.Seq, true, done.Event.Seq
	return r, nil
}

// on returns s with the changes.
func (c *Changes) on(s chat.Settings) chat.Settings {
	take(&s.Access, c.Access)
	take(&s.Title, c.Title)
	take(&s.Topic, c.Topic)
	take(&s.Archived, c.Archived)
	take(&s.Keep, c.Keep)
	return s
}

func take[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// checkChanges returns why by may not make these changes, or nil. Settings
// that stay need no right: the owner of an open room may rename it.
func checkChanges(by chat.Principal, r chat.Room, c Changes, settings chat.Settings) error {
	if r.Access == chat.AccessDirect && settings.Access != chat.AccessDirect {
		return chat.Errorf(chat.InvalidParameter, "A room of two stays one.")
	}
	if r.Access == chat.AccessOpen && settings.Access != chat.AccessOpen && !by.Service {
		return errOpenRooms
	}
	if settings.Access == r.Access {
		settings.Access = chat.AccessPublic
	}
	if settings.Keep == r.Keep && c.Keep == nil {
		settings.Keep = chat.Retention{}
	}
	return checkSettings(by, settings)
}
