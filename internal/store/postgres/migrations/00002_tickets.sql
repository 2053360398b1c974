-- One-use credentials that wait to be used, so that a ticket made by one node
-- is good at the next; see auth.TicketKeeper.

-- +goose Up

CREATE TABLE tickets (
    expires_at bigint NOT NULL,
    hash       bytea  PRIMARY KEY,
    "user"     text   COLLATE "C" NOT NULL,
    sealed     bytea  NOT NULL
);

CREATE INDEX tickets_user ON tickets ("user");
CREATE INDEX tickets_expires_at ON tickets (expires_at);

-- put_ticket keeps a ticket unless the user has p_most already, and reports
-- whether it did. The lock, of the user in this schema, lasts as long as the
-- statement: of two that count at the same time both would find room. Each call
-- throws away more that have expired than it adds.
-- +goose StatementBegin
CREATE FUNCTION put_ticket(p_hash bytea, p_user text, p_sealed bytea, p_lifetime bigint, p_most integer) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    stamp bigint := now_ms();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tickets of ' || current_schema()), hashtext(p_user));
    DELETE FROM tickets WHERE hash IN (SELECT t.hash FROM tickets t WHERE t.expires_at <= stamp ORDER BY t.expires_at LIMIT 10 FOR UPDATE SKIP LOCKED);
    IF (SELECT count(*) FROM tickets t WHERE t."user" = p_user AND t.expires_at > stamp) >= p_most THEN
        RETURN false;
    END IF;
    INSERT INTO tickets (expires_at, hash, "user", sealed) VALUES (stamp + p_lifetime, p_hash, p_user, p_sealed);
    RETURN true;
END;
$$;
-- +goose StatementEnd
