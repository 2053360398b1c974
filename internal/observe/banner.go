package observe

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// Greeting is what a server says about itself when it has started.
type Greeting struct {
	Build Build
	// Listen is where it listens, and Host how a client on this machine
	// writes that.
	Listen, Host string
	// Data is where the messages are: a folder or a database.
	Data string
	// TLS says that clients come by https and wss.
	TLS bool
	// Open says that users are who they say they are, and OthersReach that
	// Listen is reachable from other machines.
	Open, OthersReach bool
	// Next is the command to try now.
	Next string
}

// Banner is the greeting for a person at a terminal.
func (g Greeting) Banner() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", g.Build)
	secure := ""
	if g.TLS {
		secure = "s"
	}
	who := ""
	if g.Open {
		who = "?user_id=1&username=Juan"
	}
	fmt.Fprintf(&b, "  WebSocket   ws%s://%s/ws/{room_id}%s\n", secure, g.Host, who)
	fmt.Fprintf(&b, "  API         http%s://%s/docs\n", secure, g.Host)
	fmt.Fprintf(&b, "  Statistics  http%s://%s/ws/stats\n", secure, g.Host)
	fmt.Fprintf(&b, "  Health      http%s://%s/health\n", secure, g.Host)
	fmt.Fprintf(&b, "  Data        %s\n\n", g.Data)
	switch {
	case g.Open && g.OthersReach:
		fmt.Fprintf(&b, "  Warning: whoever reaches %s can speak under any name.\n", g.Listen)
	case g.Open:
		b.WriteString("  Everyone is who they say they are; this server listens on loopback only.\n")
	}
	fmt.Fprintf(&b, "  Next: in another terminal, run   %s\n\n", g.Next)
	return b.String()
}

// Log writes the greeting as one line, for machines.
func (g Greeting) Log(log *slog.Logger) {
	level := slog.LevelInfo
	if g.Open && g.OthersReach {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "serving", "listen", g.Listen, "tls", g.TLS, "data", g.Data, "open", g.Open,
		"version", g.Build.Version, "commit", g.Build.Commit, "go", g.Build.Go)
}
