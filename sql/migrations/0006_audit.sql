CREATE TABLE clinicq.audit_event (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    transaction_id xid8 NOT NULL,
    actor_id bigint,
    actor_name text NOT NULL,
    roles text[] NOT NULL,
    door text NOT NULL CHECK (door IN ('http', 'psql', 'worker')),
    client inet,
    request_id text,
    action text NOT NULL,
    entity text NOT NULL,
    entity_id text,
    changes jsonb,
    outcome text NOT NULL DEFAULT 'done',
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
COMMENT ON TABLE clinicq.audit_event IS 'Every change of a record, written by a trigger; one partition a month. Nobody may change, delete or truncate it.';
COMMENT ON COLUMN clinicq.audit_event.id IS 'Key, with at; commits may not follow its order.';
COMMENT ON COLUMN clinicq.audit_event.at IS 'When.';
COMMENT ON COLUMN clinicq.audit_event.transaction_id IS 'The transaction that made the change.';
COMMENT ON COLUMN clinicq.audit_event.actor_id IS 'The user over HTTP; NULL from psql.';
COMMENT ON COLUMN clinicq.audit_event.actor_name IS 'User name over HTTP, database role from psql.';
COMMENT ON COLUMN clinicq.audit_event.roles IS 'Roles in force.';
COMMENT ON COLUMN clinicq.audit_event.door IS 'http, psql or worker.';
COMMENT ON COLUMN clinicq.audit_event.client IS 'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN clinicq.audit_event.request_id IS 'X-Request-Id of the HTTP request.';
COMMENT ON COLUMN clinicq.audit_event.action IS 'INSERT, UPDATE, DELETE or TRUNCATE.';
COMMENT ON COLUMN clinicq.audit_event.entity IS 'The table.';
COMMENT ON COLUMN clinicq.audit_event.entity_id IS 'Key of the row.';
COMMENT ON COLUMN clinicq.audit_event.changes IS 'Only the columns that changed: {"column": {"old": ..., "new": ...}}; secrets as "***".';
COMMENT ON COLUMN clinicq.audit_event.outcome IS 'done.';

-- Catches what no month was made for, so that no row is ever lost.
CREATE TABLE clinicq.audit_event_default PARTITION OF clinicq.audit_event DEFAULT;
COMMENT ON TABLE clinicq.audit_event_default IS 'Audit events of a month that has no partition.';
