package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tertulia/internal/store"
)

// answerLimit is how long a statement that writes may take until its
// connection is given up. The server ends it earlier by itself, see settings;
// so this is for a server that has stopped, and for a network that loses
// everything.
const answerLimit = 30 * time.Second

// closeLimit is how long the goodbye to a server may take.
const closeLimit = time.Second

// lanes are the connections that write.
type lanes struct {
	rest chan *lane // those at rest
}

func newLanes(d *dialer, n int) *lanes {
	l := &lanes{rest: make(chan *lane, n)}
	for range n {
		l.rest <- &lane{dialer: d}
	}
	return l
}

// take waits for a lane at rest. The caller gives it back if the error, which
// is the context's, is nil.
func (l *lanes) take(ctx context.Context) (*lane, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case lane := <-l.rest:
		return lane, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lanes) give(lane *lane) { l.rest <- lane }

// close closes all lanes, which are at rest, and takes them away.
func (l *lanes) close() {
	for range cap(l.rest) {
		(<-l.rest).hangUp()
	}
}

// lane is one connection, opened when it is needed. One goroutine at a time
// has it.
type lane struct {
	dialer  *dialer
	conn    *pgx.Conn // nil: not open
	wire    net.Conn  // of conn
	warning *pgconn.Notice
}

// run runs a statement that writes. ctx ends the wait for a connection and
// nothing after that. A connection whose statement had no definite end is
// closed.
func (l *lane) run(ctx context.Context, st statement) error {
	if l.conn == nil || l.conn.IsClosed() || !l.dialer.isCurrent(l.conn) {
		if err := l.connect(ctx); err != nil {
			return fmt.Errorf("%w: %w", errNotSent, err)
		}
	}
	l.warning = nil
	silent := make(chan struct{})
	watch := time.AfterFunc(answerLimit, func() { close(silent); _ = l.wire.Close() })
	err := runOn(context.WithoutCancel(ctx), l.conn, st)
	if !watch.Stop() {
		<-silent
		err = errSilent
	}
	if err == nil && l.warning != nil {
		err = &warningError{l.warning}
	}
	if err != nil && (l.conn.IsClosed() || errors.Is(fate(err), store.ErrUnknown)) {
		l.hangUp()
	}
	return err
}

func (l *lane) connect(ctx context.Context) error {
	l.hangUp()
	conn, wire, err := l.dialer.writer(ctx, func(n *pgconn.Notice) { l.warning = n })
	if err != nil {
		return err
	}
	l.conn, l.wire = conn, wire
	return nil
}

// hangUp closes the connection, if there is one.
func (l *lane) hangUp() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	_ = l.conn.Close(ctx)
	_ = l.wire.Close()
	<-l.conn.PgConn().CleanupDone()
	l.conn, l.wire = nil, nil
}
