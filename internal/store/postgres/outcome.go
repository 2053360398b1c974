package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"tertulia/internal/store"
)

// errNotSent marks a failure before anything was sent.
var errNotSent = errors.New("no connection")

// errSilent means that the server did not answer within answerLimit.
var errSilent = errors.New("the server does not answer")

// warningError is a statement that has succeeded with a warning: the server may
// have committed without its synchronous standby.
type warningError struct{ notice *pgconn.Notice }

func (e *warningError) Error() string {
	return "the server warns: " + e.notice.Message + " (" + e.notice.Code + ")"
}

// fate is what a failed statement means: nothing was stored, or nobody knows.
//
// A server that answers with an error has undone the transaction; after a
// fatal one it may not have: the connection ended before, during or after the
// commit.
func fate(err error) error {
	if errors.Is(err, errNotSent) {
		return store.ErrUnavailable
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if e.SeverityUnlocalized == "ERROR" && !ends(e.Code) {
			return store.ErrUnavailable
		}
		return store.ErrUnknown
	}
	if pgconn.SafeToRetry(err) {
		return store.ErrUnavailable
	}
	return store.ErrUnknown
}

// ends reports whether a code is about the connection or the server's end:
// class 08 and 57P01 to 57P05.
func ends(code string) bool { return code[:2] == "08" || code[:3] == "57P" }

// isUndone reports whether err is the server's word that it has undone a
// statement that may succeed at once: it was chosen to end a deadlock or met a
// change that it could not follow (40), or the server has forgotten or outgrown
// the prepared statement (26000, 0A000).
func isUndone(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.SeverityUnlocalized != "ERROR" {
		return false
	}
	return e.Code[:2] == "40" || e.Code == "26000" || e.Code == "0A000"
}
