package postgres

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tertulia/internal/services/servicetest"
)

// Every message can be read with the SQL of docs/operations.md.
func TestDocumentedSQL(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "### Reading it with SQL\n")
	_, rest, found := strings.Cut(rest, "```sql\n")
	query, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/operations.md has no SQL for messages")
	}
	url := servicetest.Database(t)
	s := openAt(t, Config{URL: url})
	results, err := s.Append(t.Context(), posts("plaza", "hola", 2))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	type message struct {
		Room      string
		Seq       int64
		MessageID int64
		UserID    string
		Username  string
		Content   string
		CreatedAt time.Time
	}
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByName[message])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("the query gives %+v, want two messages", got)
	}
	e := results[1].Event
	want := message{"plaza", 2, e.ID, "ana", "Ana", "hola 1", e.At}
	got[1].CreatedAt = got[1].CreatedAt.UTC()
	if got[1] != want {
		t.Errorf("the second message is %+v, want %+v", got[1], want)
	}
}
