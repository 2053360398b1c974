package observe

import (
	"io"
	"log/slog"
)

// LogOptions says how a log is written.
type LogOptions struct {
	// Level is the least important level that is written.
	Level slog.Level
	// JSON writes one JSON object a line, for machines; otherwise lines are
	// for people.
	JSON bool
	// Color paints the level of lines for people.
	Color bool
}

// NewLogger makes a log that writes to w. The keys used on its lines are
// room_id, user_id, remote, code, duration_ms and error. Of warnings with the
// same message a few are written a second, and then how many were left_out.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	if o.JSON {
		return slog.New(newBoundHandler(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level})))
	}
	return slog.New(newBoundHandler(newTextHandler(w, o.Level, o.Color)))
}
