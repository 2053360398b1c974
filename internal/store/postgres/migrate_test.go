package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"tertulia/internal/services/servicetest"
)

func TestNodesThatStartTogetherShareOneStore(t *testing.T) {
	c := Config{URL: servicetest.Database(t)}
	var (
		stores [4]*Store
		errs   [4]error
		opens  sync.WaitGroup
	)
	for i := range stores {
		opens.Go(func() { stores[i], errs[i] = Open(t.Context(), c) })
	}
	opens.Wait()
	for i, s := range stores {
		if errs[i] != nil {
			t.Errorf("Open %d = %v", i, errs[i])
			continue
		}
		defer s.Close()
		if first := stores[0]; first != nil && (s.Epoch() != first.Epoch() || !bytes.Equal(s.Secret(), first.Secret()) || len(s.Secret()) != 32) {
			t.Errorf("store %d has epoch %s and %d bytes of secret, want those of the first, %s", i, s.Epoch(), len(s.Secret()), first.Epoch())
		}
	}
}

func TestSchemasAreStoresOfTheirOwn(t *testing.T) {
	url := servicetest.Database(t)
	one, two := openAt(t, Config{URL: url}), openAt(t, Config{URL: url, Schema: `Other "one"`})
	if one.Epoch() == two.Epoch() || bytes.Equal(one.Secret(), two.Secret()) {
		t.Error("two schemas have one epoch or secret")
	}
	if _, err := one.Append(t.Context(), posts("r", "n", 1)); err != nil {
		t.Fatal(err)
	}
	if room, err := two.Room(t.Context(), "r"); err != nil || room.Exists {
		t.Errorf("Room = %+v, %v, want none", room, err)
	}
}

// as is a URL with another user, whose password is the user's name.
func as(t *testing.T, address, user string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, user)
	return u.String()
}

func TestRoleThatMayNotChangeTheSchema(t *testing.T) {
	address := servicetest.Database(t)
	conn := superuser(t, address)
	mustExec(t, conn, `CREATE ROLE runner LOGIN PASSWORD 'runner'`)
	c := Config{URL: as(t, address, "runner")}
	_, err := Open(t.Context(), c)
	if e, ok := errors.AsType[*SchemaError](err); !ok || e.Role != "runner" || e.Have != 0 || e.Needed != SchemaVersion || !strings.Contains(err.Error(), "start this version once with a role") {
		t.Errorf("Open without tables = %v, want what to do", err)
	}

	openAt(t, Config{URL: address})
	mustExec(t, conn, `GRANT USAGE ON SCHEMA tertulia TO runner`)
	mustExec(t, conn, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tertulia TO runner`)
	mustExec(t, conn, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA tertulia TO runner`)
	s := openAt(t, c)
	if _, err := s.Append(t.Context(), posts("r", "n", 3)); err != nil {
		t.Errorf("Append as runner = %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping as runner = %v", err)
	}
}

func TestNewerSchema(t *testing.T) {
	url := servicetest.Database(t)
	c := Config{URL: url}
	openAt(t, c)
	conn := superuser(t, url)
	mustExec(t, conn, `INSERT INTO tertulia.goose_db_version (version_id, is_applied) VALUES ($1, true)`, SchemaVersion+1)
	openAt(t, c) // a newer node has added something that this one need not know
	mustExec(t, conn, `UPDATE tertulia.meta SET value = $1::text WHERE key = 'compatible'`, fmt.Sprint(SchemaVersion+1))
	_, err := Open(t.Context(), c)
	if e, ok := errors.AsType[*NewerSchemaError](err); !ok || e.Have != SchemaVersion+1 || e.Known != SchemaVersion {
		t.Errorf("Open of a newer schema = %v, want %T", err, e)
	}
}
