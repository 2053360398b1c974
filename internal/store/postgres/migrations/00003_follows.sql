-- append says which event each one follows in its log, so that a node that
-- hears of one after a failover can tell that its past is not the log's any
-- more; see chat.Event. Who asks has locked the room, so the answer is of the
-- instant of storing. It is read from the log itself: a column beside the head
-- would have to be kept by all that store, also by what comes after a failover
-- to a server without this migration.

-- +goose Up

-- append is as in 00001, but that have is the tag of the event before, NULL if
-- there is none any more, of a row that is stored or a duplicate. Nodes of the
-- version before make nothing of it there.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION append(
    p_rooms text[], p_creates boolean[], p_ends integer[],
    p_room integer[], p_actor text[], p_name text[], p_nonce text[], p_body text[],
    p_digest bigint[], p_tag integer[], p_flags integer[], p_x text[])
RETURNS TABLE (ord integer, fate text, epoch text, have bigint, seq bigint, id bigint, at bigint, msgs bigint, event events)
LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    made    bigint[];
    nos     bigint[];
    stamp   bigint;
    first   integer := 1;
    last    integer;
    changed rooms[]; -- by other rows, and not written yet; NULL if not changed
    room    rooms;
    other   record;
    refused boolean := false;
BEGIN
    IF true = ANY (p_creates) THEN
        WITH m AS (
            INSERT INTO rooms (id) SELECT u.id FROM unnest(p_rooms, p_creates) u(id, may)
                WHERE may AND NOT EXISTS (SELECT FROM rooms r WHERE r.id = u.id) ORDER BY u.id
                ON CONFLICT DO NOTHING RETURNING no)
        SELECT array_agg(no) INTO made FROM m;
    END IF;
    -- What others have committed while this waits for the locks is seen by the
    -- statements after this one, and not by it.
    PERFORM FROM rooms r WHERE r.id = ANY (p_rooms) ORDER BY r.id FOR UPDATE;
    SELECT array_agg(r.no ORDER BY u.i) INTO nos FROM unnest(p_rooms) WITH ORDINALITY u(id, i) LEFT JOIN rooms r ON r.id = u.id;
    stamp := now_ms();

    FOREACH last IN ARRAY p_ends LOOP
        IF p_x[first] = '' THEN
            IF changed IS NOT NULL THEN
                PERFORM append_rooms(changed);
                changed := NULL;
            END IF;
            RETURN QUERY
            WITH b AS MATERIALIZED (
                SELECT first - 1 + u.i::integer AS ord, u.*, r.no, r.head, r.msgs AS before, greatest(stamp, r.last_at) AS at, r.epoch,
                    m.room_no IS NOT NULL AS known, d.seq AS repeats, CASE
                    WHEN r.no IS NULL OR r.head = 0 AND u.flags & 1 = 0 THEN 'room_not_found'
                    WHEN d.digest = u.digest THEN 'duplicate'
                    WHEN d.digest <> u.digest THEN 'idempotency_conflict'
                    WHEN u.flags >> 2 > 0 AND m.state = 'banned' THEN 'banned'
                    WHEN u.flags >> 2 > greatest((r.access = 'open')::integer, CASE WHEN m.state = 'joined' THEN rank(m.role) END) THEN 'forbidden'
                    WHEN u.flags & 2 <> 0 AND r.archived THEN 'room_read_only' END AS fate
                FROM unnest(p_room[first:last], p_actor[first:last], p_name[first:last], p_nonce[first:last], p_body[first:last],
                        p_digest[first:last], p_tag[first:last], p_flags[first:last])
                    WITH ORDINALITY u(room, actor, name, nonce, body, digest, tag, flags, i)
                LEFT JOIN rooms r ON r.no = nos[u.room]
                LEFT JOIN LATERAL (SELECT * FROM members m WHERE m.room_no = r.no AND m."user" = u.actor LIMIT 1) m ON true
                LEFT JOIN events d ON d.nonce = u.nonce AND d.room_no + 0 = r.no AND d.actor = u.actor
            ), placed AS MATERIALIZED (
                SELECT s.*, s.head + s.n AS seq, s.before + s.n AS msgs, nextval('event_ids') AS id,
                    CASE WHEN s.n > 1 THEN s.above ELSE (SELECT e.tag FROM events e WHERE e.room_no = s.no AND e.seq = s.head) END AS follows
                FROM (SELECT b.*, row_number() OVER w AS n, lag(b.tag) OVER w AS above FROM b WHERE b.fate IS NULL
                    WINDOW w AS (PARTITION BY b.no ORDER BY b.ord) ORDER BY b.no, b.ord) s
            ), inserted AS (
                INSERT INTO events (room_no, seq, id, at, msgs, digest, tag, kind, actor, actor_name, nonce, body)
                SELECT p.no, p.seq, p.id, p.at, p.msgs, p.digest, p.tag, 'message', p.actor, p.name, p.nonce, p.body FROM placed p
            ), heads AS (
                UPDATE rooms r SET head = p.seq, msgs = p.msgs, last_at = p.at, created_at = CASE WHEN r.head = 0 THEN p.at ELSE r.created_at END
                FROM (SELECT no, max(seq) AS seq, max(msgs) AS msgs, max(at) AS at FROM placed GROUP BY no) p WHERE r.no = p.no
            ), marks AS (
                UPDATE members m SET read = p.seq, delivered = p.seq, read_msgs = p.msgs, name = coalesce(p.name, m.name)
                FROM (SELECT no, actor, max(seq) AS seq, max(msgs) AS msgs, (array_agg(name ORDER BY seq DESC) FILTER (WHERE name <> ''))[1] AS name
                    FROM placed WHERE known GROUP BY no, actor) p
                WHERE m.room_no = p.no AND m."user" = p.actor
            )
            SELECT p.ord, 'stored', p.epoch, p.follows::bigint, p.seq, p.id, p.at, p.msgs, NULL::events FROM placed p
            UNION ALL
            SELECT b.ord, b.fate, b.epoch,
                CASE b.fate WHEN 'duplicate' THEN (SELECT o.tag FROM events o WHERE o.room_no = b.no AND o.seq = b.repeats - 1) ELSE b.flags >> 2 END::bigint,
                NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, e
            FROM b LEFT JOIN events e ON e.room_no = b.no AND e.seq = b.repeats WHERE b.fate IS NOT NULL;
        ELSE
            room := changed[p_room[first]];
            IF room.no IS NULL THEN
                SELECT * INTO room FROM rooms r WHERE r.no = nos[p_room[first]];
            END IF;
            SELECT * INTO other FROM append_other(stamp, p_actor[first], p_name[first], p_nonce[first], p_body[first],
                p_digest[first], p_tag[first], p_flags[first], p_x[first]::jsonb, refused, room);
            refused := other.fate NOT IN ('stored', 'duplicate');
            IF other.fate = 'stored' THEN
                changed[p_room[first]] := other.r;
            END IF;
            RETURN QUERY SELECT first, other.fate, room.epoch,
                CASE WHEN other.fate IN ('stored', 'duplicate')
                    THEN (SELECT e.tag FROM events e WHERE e.room_no = room.no AND e.seq = (other.event).seq - 1) ELSE other.have END,
                (other.event).seq, (other.event).id, (other.event).at, (other.event).msgs,
                CASE WHEN other.fate IN ('stored', 'duplicate') THEN other.event ELSE NULL::events END;
        END IF;
        first := last + 1;
    END LOOP;
    PERFORM append_rooms(changed);
    DELETE FROM rooms r WHERE r.no = ANY (made) AND r.head = 0;
END;
$$;
-- +goose StatementEnd
