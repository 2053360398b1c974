package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// maxStateBytes bounds the file: 1,000 posts at the limit of their length, and
// as much again for what JSON adds.
const maxStateBytes = 64 << 20

// FileStore keeps things in a file. Each Save writes a new file beside it,
// brings that to stable storage and renames it over the old one, so that after
// a crash the file is the old or the new one and never half of each.
type FileStore struct{ path string }

// NewFileStore returns the store in the file at path, which need not exist.
// Its directory must.
func NewFileStore(path string) *FileStore { return &FileStore{path: path} }

// stateFile is the form of the file.
type stateFile struct {
	Version int               `json:"version"`
	Cursors map[string]string `json:"cursors"`
	Posts   []statePost       `json:"posts"`
}

type statePost struct {
	Room      chat.RoomID `json:"room"`
	Kind      string      `json:"kind"`
	Nonce     chat.Nonce  `json:"nonce"`
	Text      string      `json:"text"`
	MessageID int64       `json:"message_id,omitzero"`
	IfChanged *uint64     `json:"if_changed,omitzero"`
	ExpiresAt time.Time   `json:"expires_at,omitzero"`
	Unknown   bool        `json:"unknown,omitzero"`
}

// stateVersion is the form that this code reads and writes.
const stateVersion = 1

// Load is [Store.Load]. A file that is not what Save writes is an error, not
// an empty state.
func (f *FileStore) Load() (Kept, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Kept{}, nil
	}
	if err == nil && info.Size() > maxStateBytes {
		err = fmt.Errorf("%s is larger than %d bytes", f.path, maxStateBytes)
	}
	if err != nil {
		return Kept{}, err
	}
	b, err := os.ReadFile(f.path)
	if err != nil {
		return Kept{}, err
	}
	k, err := decodeState(b)
	if err != nil {
		return Kept{}, fmt.Errorf("read state %s: %w", f.path, err)
	}
	return k, nil
}

func decodeState(b []byte) (Kept, error) {
	var s stateFile
	if err := json.Unmarshal(b, &s); err != nil {
		return Kept{}, err
	}
	if s.Version != stateVersion {
		return Kept{}, fmt.Errorf("version %d is not %d", s.Version, stateVersion)
	}
	k := Kept{Cursors: map[chat.RoomID]chat.Cursor{}}
	for room, text := range s.Cursors {
		c, err := chat.ParseCursor(text)
		if err != nil {
			return Kept{}, fmt.Errorf("room %q: %w", room, err)
		}
		k.Cursors[chat.RoomID(room)] = c
	}
	for _, p := range s.Posts {
		k.Posts = append(k.Posts, KeptPost(p))
	}
	return k, nil
}

// Save is [Store.Save].
func (f *FileStore) Save(k Kept) error {
	s := stateFile{Version: stateVersion, Cursors: map[string]string{}}
	for room, c := range k.Cursors {
		s.Cursors[string(room)] = c.String()
	}
	for _, p := range k.Posts {
		s.Posts = append(s.Posts, statePost(p))
	}
	b, err := json.Marshal(s, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return replaceFile(f.path, append(b, '\n'))
}

// replaceFile makes path hold b, or leaves it as it was.
func replaceFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return syncDir(dir)
}

// syncDir brings the rename to stable storage. Systems that cannot open a
// directory do so by themselves.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
