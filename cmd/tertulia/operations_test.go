package main

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tertulia/internal/services/servicetest"
)

var (
	consoleBlock = regexp.MustCompile("(?s)```console\n(.*?)```")
	number       = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
)

// session is a command of a page, and what the page says that it writes.
type session struct {
	command string
	says    []string
}

// sessions are the commands of docs/operations.md that begin with one of these
// words.
func sessions(t *testing.T, words ...string) (found []session) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range consoleBlock.FindAllStringSubmatch(string(page), -1) {
		for part := range strings.SplitSeq(block[1], "$ ") {
			lines := strings.Split(strings.TrimSpace(part), "\n")
			for _, word := range words {
				if strings.HasPrefix(lines[0], "tertulia "+word+" ") {
					found = append(found, session{lines[0], lines[1:]})
				}
			}
		}
	}
	return found
}

// The manual's way from a backup to PostgreSQL works as it stands there, and
// writes what it says but for the numbers.
func TestOperationsAsDocumented(t *testing.T) {
	data, file, database := dataFolder(t), filepath.Join(t.TempDir(), "backup.db"), servicetest.Database(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	restored := data + "-restored"
	all := sessions(t, "backup", "restore", "migrate")
	if len(all) != 3 {
		t.Fatalf("docs/operations.md has %d commands, want backup, restore and migrate", len(all))
	}
	for _, s := range all {
		dir := data
		if strings.Contains(s.command, " restore ") {
			dir = restored
		}
		here := strings.NewReplacer("/var/lib/tertulia", dir, "/backup/tertulia.db", file, "db.example.org:5432, database tertulia", u.Host+", database "+strings.TrimPrefix(u.Path, "/"))
		args := strings.Fields(here.Replace(s.command))[1:]
		code, stdout, stderr := tertulia(t.Context(), []string{"TERTULIA_DATABASE_URL=" + database}, args...)
		if code != exitOK {
			t.Fatalf("%s = %d, %s", s.command, code, stderr)
		}
		wrote := number.ReplaceAllString(stderr+stdout, "N")
		for _, line := range s.says {
			if want := number.ReplaceAllString(here.Replace(line), "N"); !strings.Contains(wrote, want+"\n") {
				t.Errorf("%s wrote\n%s\nand not %s", s.command, wrote, want)
			}
		}
	}
}
