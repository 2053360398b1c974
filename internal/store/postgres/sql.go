package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements are the SQL of the store, in its schema.
type statements struct {
	append, mark, trim                                       string
	room, heads, after, before                               string
	member, arrivals, members, standings                     string
	rooms, find, wrote                                       string
	putAccount, seen, revoke, revokeToken, account, accounts string
	validity, ping                                           string
	putTicket, takeTicket                                    string
}

// statementsIn returns the statements for a schema. Here @ stands before the
// name of what is in it, so that no search_path matters.
func statementsIn(schema string) statements {
	in := func(parts ...string) string {
		return strings.ReplaceAll(strings.Join(parts, ""), "@", pgx.Identifier{schema}.Sanitize()+".")
	}
	event, room, member := of("e", eventColumns), of("r", roomColumns), of("m", memberColumns)
	// A page is cut by events where they are found, and then by bytes: the event
	// that does not fit any more is left out, unless it is the first. A room
	// without such events is one row with no event in it.
	page := func(where, order string) string {
		return in(`SELECT `, room, `, `, event, ` FROM @rooms r LEFT JOIN LATERAL (
			SELECT * FROM (
				SELECT f.*, row_number() OVER w AS place, sum(octet_length(f.body)) OVER w AS bytes FROM (
					SELECT * FROM @events WHERE room_no = r.no AND `, where, ` AND ($4::text IS NULL OR kind = $4) ORDER BY seq `, order, ` LIMIT $3) f
				WINDOW w AS (ORDER BY f.seq `, order, ` ROWS UNBOUNDED PRECEDING)) g
			WHERE g.place = 1 OR g.bytes <= $5 AND g.bytes - octet_length(g.body) < $5) e ON true
			WHERE r.id = $1 ORDER BY e.seq`)
	}
	return statements{
		append: in(`SELECT ord, fate, epoch, have, `, "a.seq, a.id, a.at, a.msgs, ", of("(a.event)", eventColumns),
			` FROM @append($1::text[], $2::boolean[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::bigint[], $10::integer[], $11::integer[], $12::text[]) a`),
		mark: in(`SELECT fate, moved, `, of("(k.m)", memberColumns), ` FROM @mark($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
			$6::integer[], $7::boolean[]) k`),
		trim: in(`SELECT `, of("(t.r)", roomColumns), `, more FROM @trim_room($1, $2, $3, $4) t`),

		room: in(`SELECT `, room, ` FROM @rooms r WHERE r.id = $1`),
		// Not a join, which the planner may make a walk through all events.
		heads:  in(`SELECT `, room, `, (SELECT tag FROM @events WHERE room_no = r.no AND seq = r.head) FROM @rooms r WHERE r.id = ANY ($1::text[])`),
		after:  page(`seq > $2`, ``),
		before: page(`seq < $2`, `DESC`),

		member: in(`SELECT `, room, `, `, member, ` FROM @rooms r LEFT JOIN @members m ON m.room_no = r.no AND m."user" = $2 WHERE r.id = $1`),
		// Each is looked up by itself: what the planner thinks of the lists would
		// make it read whole tables.
		arrivals: in(`SELECT a.place, coalesce((SELECT disabled FROM @accounts WHERE id = a."user"), false), `, room, `, `, member, `
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY a(room, "user", place)
			LEFT JOIN LATERAL (SELECT * FROM @rooms WHERE id = a.room OFFSET 0) r ON true
			LEFT JOIN LATERAL (SELECT * FROM @members WHERE room_no = r.no AND "user" = a."user" OFFSET 0) m ON true`),
		members: in(`SELECT `, member, ` FROM @rooms r JOIN @members m ON m.room_no = r.no WHERE r.id = $1 AND m."user" > $2
			AND m.state = ANY ($3::text[]) ORDER BY m."user" LIMIT $4`),
		standings: in(`SELECT `, room, `, `, member, ` FROM @members m JOIN @rooms r ON r.no = m.room_no
			WHERE m."user" = $1 AND r.id > $2 AND (m.state IN ('invited', 'joined') OR m.delivered > 0 OR m.private) ORDER BY r.id LIMIT $3`),

		// One arm for each access, each of them in the order of an index.
		rooms: in(`SELECT `, room, ` FROM unnest($1::text[]) a(access) CROSS JOIN LATERAL (
			SELECT * FROM @rooms WHERE access = a.access AND id > $2 ORDER BY id LIMIT $3) r ORDER BY r.id LIMIT $3`),
		// Ids rise with the seqs of a room, so halving its log finds one without
		// an index.
		find: in(`WITH RECURSIVE r AS (SELECT * FROM @rooms WHERE id = $1), half AS (
				SELECT r.no, r.floor AS low, r.head AS high FROM r
				UNION ALL
				SELECT h.no, CASE WHEN e.id < $2 THEN e.seq + 1 ELSE h.low END, CASE WHEN e.id < $2 THEN h.high ELSE e.seq END
				FROM half h JOIN @events e ON e.room_no = h.no AND e.seq = (h.low + h.high) / 2 WHERE h.low < h.high)
			SELECT `, room, `, `, event, ` FROM r LEFT JOIN @events e ON e.room_no = r.no AND e.seq = (SELECT max(low) FROM half) AND e.id = $2`),
		wrote: in(`SELECT r.id FROM @rooms r WHERE r.id > $2 AND EXISTS (
				SELECT FROM @events e WHERE e.room_no = r.no AND e.actor = $1 AND e.kind = 'message' AND NOT e.deleted)
			ORDER BY r.id LIMIT $3`),

		putAccount: in(`INSERT INTO @accounts (id, name, created_at, disabled) VALUES ($1, $2, @now_ms(), $3)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, disabled = excluded.disabled RETURNING `, accountColumns),
		seen: in(`INSERT INTO @accounts AS a (id, name, created_at, disabled, seen_at)
			SELECT id, name, @now_ms(), false, $3 FROM unnest($1::text[], $2::text[]) u(id, name) ORDER BY id
			ON CONFLICT (id) DO UPDATE SET seen_at = greatest(a.seen_at, excluded.seen_at), name = coalesce(nullif(a.name, ''), excluded.name)`),
		revoke: in(`INSERT INTO @accounts AS a (id, name, created_at, disabled, revoked_before) VALUES ($1, '', @now_ms(), false, $2)
			ON CONFLICT (id) DO UPDATE SET revoked_before = greatest(a.revoked_before, excluded.revoked_before)`),
		revokeToken: in(`WITH forgotten AS (DELETE FROM @revoked_tokens WHERE until < @now_ms() AND id <> $1)
			INSERT INTO @revoked_tokens AS t (id, until) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET until = greatest(t.until, excluded.until)`),
		account:    in(`SELECT `, accountColumns, ` FROM @accounts WHERE id = $1`),
		accounts:   in(`SELECT `, accountColumns, ` FROM @accounts WHERE id > $1 ORDER BY id LIMIT $2`),
		putTicket:  in(`SELECT @put_ticket($1, $2, $3, $4, $5)`),
		takeTicket: in(`DELETE FROM @tickets WHERE hash = $1 RETURNING sealed, expires_at > @now_ms()`),
		validity: in(`SELECT a.disabled, a.revoked_before, EXISTS (SELECT FROM @revoked_tokens WHERE id = c.token)
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY c("user", token, place) LEFT JOIN @accounts a ON a.id = c."user" ORDER BY c.place`),
		ping: in(`INSERT INTO @meta (key, value) VALUES ('checked_at', @now_ms()::text) ON CONFLICT (key) DO UPDATE SET value = excluded.value`),
	}
}
