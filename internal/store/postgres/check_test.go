package postgres

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
)

func TestWeakServerIsRefused(t *testing.T) {
	p, err := services.StartPostgres(t.Context(), filepath.Join(servicetest.Folder(t), "pg"), "fsync=off", "full_page_writes=off")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	url, err := p.CreateDatabase(t.Context(), "weak")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{URL: url})
	e, ok := errors.AsType[*DurabilityError](err)
	if !ok || !slices.Equal(e.Weak, []string{"fsync = off", "full_page_writes = off"}) || !strings.Contains(err.Error(), "AllowWeakDurability") {
		t.Errorf("Open = %v, want what is weak and the flag", err)
	}
	s := openAt(t, Config{URL: url, AllowWeakDurability: true})
	if _, err := s.Append(t.Context(), posts("r", "n", 1)); err != nil {
		t.Errorf("Append to the weak server, which is allowed: %v", err)
	}
	_ = s.Close()
}

func TestWeakSessionIsRefused(t *testing.T) {
	url := servicetest.Database(t)
	mustExec(t, superuser(t, url), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	_, err := Open(t.Context(), Config{URL: url})
	if e, ok := errors.AsType[*DurabilityError](err); !ok || !slices.Equal(e.Weak, []string{"synchronous_commit = off"}) {
		t.Errorf("Open = %v, want that synchronous_commit is off", err)
	}
}

func TestWeak(t *testing.T) {
	strong := server{fsync: "on", fullPages: "on", commit: "on"}
	for _, c := range []struct {
		name string
		make func(s *server)
		want []string
	}{
		{"as it comes", func(*server) {}, nil},
		{"fsync", func(s *server) { s.fsync = "off" }, []string{"fsync = off"}},
		{"full pages", func(s *server) { s.fullPages = "off" }, []string{"full_page_writes = off"}},
		{"off", func(s *server) { s.commit = "off" }, []string{"synchronous_commit = off"}},
		{"local, alone", func(s *server) { s.commit = "local" }, nil},
		{"local beside standbys", func(s *server) { s.commit, s.standbys = "local", "one" }, []string{"synchronous_commit = local"}},
		{"remote_apply", func(s *server) { s.commit, s.standbys = "remote_apply", "one" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := strong
			c.make(&s)
			if got := s.weak(); !slices.Equal(got, c.want) {
				t.Errorf("weak = %q, want %q", got, c.want)
			}
		})
	}
}

func TestReplacedServerIsRefused(t *testing.T) {
	d, err := newDialer(Config{URL: "postgres://localhost/"}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	at := func(timeline, system string) server {
		return server{fsync: "on", fullPages: "on", commit: "on", version: 150000, timeline: timeline, system: system}
	}
	for _, c := range []struct {
		name   string
		server server
		want   string
	}{
		{"the first", at("00000001", "7"), ""},
		{"promoted", at("00000002", "7"), ""},
		{"the old primary", at("00000001", "7"), "primary that was replaced"},
		{"another cluster", at("00000002", "8"), "another cluster"},
		{"a role that may not know", at("00000002", ""), ""},
	} {
		err := d.follow(c.server)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
