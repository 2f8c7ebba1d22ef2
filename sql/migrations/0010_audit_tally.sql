-- A row lives for minutes and is counted up in place: room for that in the page.
CREATE TABLE clinicq.audit_tally (
    key bytea PRIMARY KEY,
    actor_id bigint,
    actor_name text NOT NULL,
    roles text[] NOT NULL,
    door text NOT NULL CHECK (door IN ('http', 'psql', 'worker')),
    client inet,
    request_id text,
    action text NOT NULL,
    entity text NOT NULL,
    entity_id text,
    detail jsonb,
    outcome text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE clinicq.audit_tally IS 'Audit events that are still being counted: equal looks and refusals of the last minutes. Each becomes one row of clinicq.audit_event when its time is over.';
COMMENT ON COLUMN clinicq.audit_tally.key IS 'SHA-256 of what makes two of them equal: all but request_id, count and times.';
COMMENT ON COLUMN clinicq.audit_tally.actor_id IS 'The user over HTTP; NULL from psql.';
COMMENT ON COLUMN clinicq.audit_tally.actor_name IS 'User name over HTTP, database role from psql.';
COMMENT ON COLUMN clinicq.audit_tally.roles IS 'Roles in force.';
COMMENT ON COLUMN clinicq.audit_tally.door IS 'http, psql or worker.';
COMMENT ON COLUMN clinicq.audit_tally.client IS 'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN clinicq.audit_tally.request_id IS 'X-Request-Id of the first HTTP request.';
COMMENT ON COLUMN clinicq.audit_tally.action IS 'READ, SEARCH or REFUSED.';
COMMENT ON COLUMN clinicq.audit_tally.entity IS 'The table; of a refusal the route or function.';
COMMENT ON COLUMN clinicq.audit_tally.entity_id IS 'Key of the row; of a refusal the first value in the path.';
COMMENT ON COLUMN clinicq.audit_tally.detail IS 'Of a search the term and how many matched; of a refusal the roles that would do.';
COMMENT ON COLUMN clinicq.audit_tally.outcome IS 'done, or the SQLSTATE of a refusal.';
COMMENT ON COLUMN clinicq.audit_tally.count IS 'How many times so far.';
COMMENT ON COLUMN clinicq.audit_tally.first_at IS 'The first time.';
COMMENT ON COLUMN clinicq.audit_tally.last_at IS 'The last time.';
COMMENT ON COLUMN clinicq.audit_tally.until IS 'When the event is written; what comes later is another one.';
CREATE INDEX audit_tally_until ON clinicq.audit_tally (until);
COMMENT ON INDEX clinicq.audit_tally_until IS 'For close_tallies(): what is over.';

ALTER TABLE clinicq.problem ADD COLUMN audited boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN clinicq.problem.audited IS 'Whether the refusal goes to the audit log, though its transaction was rolled back.';

COMMENT ON TABLE clinicq.audit_event IS 'Every change of a record, written by a trigger, and every look, refusal and log-in; one partition a month. Nobody may change, delete or truncate it.';
COMMENT ON COLUMN clinicq.audit_event.at IS 'When; of a counted event when it was written, and changes says from when to when.';
COMMENT ON COLUMN clinicq.audit_event.transaction_id IS 'The transaction that made the change, or wrote the event.';
COMMENT ON COLUMN clinicq.audit_event.actor_name IS 'User name over HTTP, database role from psql, the keeper''s name from its own work.';
COMMENT ON COLUMN clinicq.audit_event.request_id IS 'X-Request-Id of the HTTP request, the first one of a counted event.';
COMMENT ON COLUMN clinicq.audit_event.action IS 'INSERT, UPDATE, DELETE or TRUNCATE of a table; READ, SEARCH, REFUSED (counted); LOG_IN, LOG_OUT, REFRESH_REUSED, TOTP, RECOVERY_CODE, EMERGENCY, EXPORT, ERASE.';
COMMENT ON COLUMN clinicq.audit_event.entity IS 'The table; of a refusal the route (HTTP) or the function (psql).';
COMMENT ON COLUMN clinicq.audit_event.entity_id IS 'Key of the row; of a refusal the first value in the path.';
COMMENT ON COLUMN clinicq.audit_event.changes IS 'Only the columns that changed: {"column": {"old": ..., "new": ...}}; secrets as "***". Of a counted event {"count", "first", "last"}; of a search also "term" and "matched"; of a refusal from psql also "needs", the roles that would do.';
COMMENT ON COLUMN clinicq.audit_event.outcome IS 'done; failed, locked and so on of a log-in; the SQLSTATE of a refusal.';
