package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"sync"
)

// checkpointPages is how long the write-ahead log grows before it is moved
// into the database file: 4,000 pages are 16 MB. At 1,000, SQLite's own
// number, an appended row costs a third more CPU, because a page that is
// written often is moved as often; above 4,000 nothing more is gained.
const checkpointPages = 4000

// checkpointer moves the write-ahead log into the database file, so that the
// log is begun anew and stays short. It does so beside the writer, whose
// commits then never wait for the syncing of megabytes, and it sees the
// errors that SQLite's own checkpoints at commit would swallow.
type checkpointer struct {
	store *Store
	pages int      // written before a checkpoint is due; replaced by tests
	file  *os.File // the database, open for syncing. See close.
	conn  *conn    // nil until open
	pass  *stmt

	wake    chan struct{} // one slot
	ended   chan struct{} // closed by stop
	joined  sync.WaitGroup
	pending int // pages written since the last wake; owned by lane's holder
}

func newCheckpointer(s *Store, file *os.File) *checkpointer {
	return &checkpointer{
		store: s,
		pages: checkpointPages,
		file:  file,
		wake:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
}

func (c *checkpointer) open(source string) (err error) {
	if c.conn, err = connect(source); err != nil {
		return err
	}
	c.pass, err = c.conn.prepare(`PRAGMA wal_checkpoint(PASSIVE)`)
	return err
}

// start begins the goroutine that stop ends.
func (c *checkpointer) start() { c.joined.Go(c.run) }

// stop waits for a checkpoint under way.
func (c *checkpointer) stop() {
	close(c.ended)
	c.joined.Wait()
}

// close comes after all other connections have closed: closing any
// descriptor of the file drops the locks that this process has on it, which
// is how POSIX has it.
func (c *checkpointer) close() error {
	var err error
	if c.conn != nil {
		err = c.conn.close()
	}
	return errors.Join(err, c.file.Close())
}

// wrote notes that a commit put so many pages into the log. The caller has
// lane.
func (c *checkpointer) wrote(pages int) {
	c.pending += pages
	if c.pending < c.pages {
		return
	}
	c.pending = 0
	select {
	case c.wake <- struct{}{}:
	default: // one is due already
	}
}

func (c *checkpointer) run() {
	for {
		select {
		case <-c.ended:
			return
		case <-c.wake:
		}
		if err := c.checkpoint(); err != nil {
			// Nobody waits for this error: a broken store says it to the
			// next caller, and anything else is tried again.
			_ = c.store.refuse("checkpoint", err)
		}
	}
}

// checkpoint moves most of the log while the writer goes on, and then, with
// the writer stopped, the little that came meanwhile: the log can only begin
// anew if all of it has been moved. The sync between the two keeps the second
// part short.
func (c *checkpointer) checkpoint() error {
	if err := c.once(); err != nil {
		return err
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	select {
	case c.store.lane <- struct{}{}:
	case <-c.ended:
		return nil
	}
	defer c.store.giveLane()
	return c.once()
}

// once moves what no reader still needs in the log.
func (c *checkpointer) once() error {
	var vals [3]driver.Value // busy, pages in the log, pages moved
	_, err := c.pass.queryRow(vals[:])
	return err
}

// last empties the log when the store closes.
func (c *checkpointer) last() error {
	if c.conn == nil {
		return nil
	}
	if err := c.once(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
