package storetest

import (
	"fmt"
	"strings"

	"tertulia/chat"
)

// difference says in which fields two events differ; it is empty if in none.
// Times are compared as instants, both in UTC.
func difference(got, want chat.Event) string {
	var d strings.Builder
	add := func(field string, got, want any) {
		if got != want {
			fmt.Fprintf(&d, "%s = %v, want %v; ", field, got, want)
		}
	}
	add("Room", got.Room, want.Room)
	add("Kind", got.Kind, want.Kind)
	add("Actor", got.Actor, want.Actor)
	add("At", got.At, want.At)
	add("Seq", got.Seq, want.Seq)
	add("ID", got.ID, want.ID)
	add("Epoch", got.Epoch, want.Epoch)
	add("Tag", got.Tag, want.Tag)
	add("Nonce", got.Nonce, want.Nonce)
	add("Target", got.Target, want.Target)
	add("TargetID", got.TargetID, want.TargetID)
	add("Subject", got.Subject, want.Subject)
	add("Changed", got.Changed, want.Changed)
	add("ChangedAt", got.ChangedAt, want.ChangedAt)
	add("Deleted", got.Deleted, want.Deleted)
	add("Msgs", got.Msgs, want.Msgs)
	add("Body", string(got.Body), string(want.Body))
	add("Version", got.Version, want.Version)
	return d.String()
}
