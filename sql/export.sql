-- Taking the log and the records away by COPY. A function that streams has to stand in the select list
-- and runs as the owner (rows); one in FROM would write its result to a temporary file first, unless it
-- is a query that the planner puts in its place (the others: SQL, STABLE, of the caller, without SET).

CREATE FUNCTION clinicq_audit.begin_export(kind text, since text, until text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_begin_export';
COMMENT ON FUNCTION clinicq_audit.begin_export(text, text, text) IS
    'Checks the role and notes the export in the audit log, where audit_exports is on. Errors: 42501; 25006 in a transaction that cannot write. Who: the owner.';

CREATE FUNCTION clinicq_audit.require_kind(kind text) RETURNS void
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'clinicq_require_kind';
COMMENT ON FUNCTION clinicq_audit.require_kind(text) IS 'Checks the role and the kind of a snapshot. Errors: 42501; 22023. Who: the owner.';

CREATE FUNCTION clinicq_audit.spreadsheet_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.strpos(E'=+-@\t\r', pg_catalog.left(value, 1)) OPERATOR(pg_catalog.>) 0
            AND value OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.concat(E'\x27', value) ELSE value END
$$;
COMMENT ON FUNCTION clinicq_audit.spreadsheet_text(text) IS
    'The text with an apostrophe in front where a spreadsheet would take it for a formula: where it begins with = + - @, a tab or a carriage return. Who: admin, auditor.';

-- By the BRIN index on time: OFFSET 0 keeps min and max from walking the whole tree by position.
CREATE FUNCTION clinicq_audit.export_span(since timestamptz, until timestamptz, OUT first bigint, OUT after bigint)
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
    WITH leaf AS MATERIALIZED (SELECT min(p.position) AS first, max(p.position) AS last FROM (
        SELECT l.position FROM clinicq.audit_leaf l
        WHERE l.event_at >= coalesce(since, '-infinity') AND l.event_at < coalesce(until, 'infinity') OFFSET 0) p)
    SELECT CASE WHEN since IS NULL THEN 0 WHEN (SELECT leaf.first IS NOT NULL FROM leaf) THEN coalesce((
            SELECT max(s.size) FROM clinicq.audit_seal s WHERE s.size <= (SELECT leaf.first FROM leaf)), 0) END,
        CASE WHEN until IS NULL THEN (SELECT max(s.size) FROM clinicq.audit_seal s) ELSE (
            SELECT min(s.size) FROM clinicq.audit_seal s WHERE s.size > (SELECT leaf.last FROM leaf)) END
$$;
COMMENT ON FUNCTION clinicq_audit.export_span(timestamptz, timestamptz) IS
    'The positions of the tree, the last one excluded, of all seals with events of that time. Who: the owner.';

CREATE FUNCTION clinicq_audit.export_rows(since timestamptz, until timestamptz, safe boolean)
RETURNS TABLE ("position" bigint, id bigint, at timestamptz, transaction_id text, actor_id bigint, actor_name text, roles text, door text, client text, request_id text, action text, entity text, entity_id text, changes text, outcome text)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_hashjoin = off SET jit = off SET timezone = 'UTC' AS $$
    SELECT clinicq_audit.begin_export('audit', since::text, until::text);
    SELECT x."position",
        x.id,
        x.at,
        x.transaction_id,
        x.actor_id,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.actor_name) ELSE x.actor_name END,
        x.roles,
        x.door,
        x.client,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.request_id) ELSE x.request_id END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.action) ELSE x.action END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.entity) ELSE x.entity END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.entity_id) ELSE x.entity_id END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.changes) ELSE x.changes END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.outcome) ELSE x.outcome END
    FROM clinicq_audit.exported_event x
    WHERE x.at >= coalesce(since, '-infinity') AND x.at < coalesce(until, 'infinity')
    ORDER BY x.at, x.id
$$;
COMMENT ON FUNCTION clinicq_audit.export_rows(timestamptz, timestamptz, boolean) IS
    'What clinicq_audit.export() gives; it streams where it stands in the select list. Errors: 42501; 25006; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.export(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, safe boolean DEFAULT false)
RETURNS TABLE ("position" bigint, id bigint, at timestamptz, transaction_id text, actor_id bigint, actor_name text, roles text, door text, client text, request_id text, action text, entity text, entity_id text, changes text, outcome text)
LANGUAGE sql STABLE AS $$
    SELECT (s.r)."position", (s.r).id, (s.r).at, (s.r).transaction_id, (s.r).actor_id, (s.r).actor_name, (s.r).roles, (s.r).door, (s.r).client, (s.r).request_id, (s.r).action, (s.r).entity, (s.r).entity_id, (s.r).changes, (s.r).outcome
    FROM (SELECT clinicq_audit.export_rows(since, until, safe) AS r) AS s
$$;
COMMENT ON FUNCTION clinicq_audit.export(timestamptz, timestamptz, boolean) IS
    'The audit log as a table, from since on and before until (NULL: without bound), by time: COPY (SELECT * FROM clinicq_audit.export(''2026-01-01'', ''2027-01-01'')) TO STDOUT (FORMAT csv, HEADER). It streams, without a temporary file. position: place in the sealed tree, NULL for what is not sealed yet. safe: texts that a spreadsheet would take for formulas get an apostrophe in front. For the lines that clinicq-audit verifies see export_events(). Who is no auditor gets hashes of names, telephone numbers and terms of searches. Errors: 42501; 25006 in a transaction that cannot write; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.patient_rows(since date, until date, safe boolean)
RETURNS TABLE (registration_number text, name text, phone text, gender text, category text, restricted boolean, created_at timestamptz, updated_at timestamptz, removed_at timestamptz, erased_at timestamptz)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_hashjoin = off SET timezone = 'UTC' AS $$
    SELECT clinicq_audit.begin_export('patients', since::text, until::text);
    SELECT x.registration_number,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.name) ELSE x.name END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.phone) ELSE x.phone END,
        x.gender,
        x.category,
        x.restricted,
        x.created_at,
        x.updated_at,
        x.removed_at,
        x.erased_at
    FROM clinicq_audit.exported_patient x
    WHERE (x.created_at::date BETWEEN coalesce(since, '-infinity') AND coalesce(until, 'infinity')
        OR EXISTS (SELECT FROM clinicq.visit v WHERE v.patient_id = x.key
            AND v.service_day BETWEEN coalesce(since, '-infinity') AND coalesce(until, 'infinity')))
    ORDER BY x.key
$$;
COMMENT ON FUNCTION clinicq_audit.patient_rows(date, date, boolean) IS
    'What clinicq_audit.snapshot_patients() gives; it streams where it stands in the select list. Errors: 42501; 25006; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.snapshot_patients(since date DEFAULT NULL, until date DEFAULT NULL, safe boolean DEFAULT false)
RETURNS TABLE (registration_number text, name text, phone text, gender text, category text, restricted boolean, created_at timestamptz, updated_at timestamptz, removed_at timestamptz, erased_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT (s.r).registration_number, (s.r).name, (s.r).phone, (s.r).gender, (s.r).category, (s.r).restricted, (s.r).created_at, (s.r).updated_at, (s.r).removed_at, (s.r).erased_at
    FROM (SELECT clinicq_audit.patient_rows(since, until, safe) AS r) AS s
$$;
COMMENT ON FUNCTION clinicq_audit.snapshot_patients(date, date, boolean) IS
    'Patients who were registered (by days of UTC) or had a visit from since to until, both included (NULL: without bound), as they are now. Name and phone of restricted patients are left out. safe: as in export(). Errors: 42501; 25006 in a transaction that cannot write; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.visit_rows(since date, until date, safe boolean)
RETURNS TABLE (id bigint, service_day date, queue_id bigint, queue text, token_number integer, registration_number text, status text, priority smallint, room text, transferred_from bigint, transferred_to bigint, closed_by_system boolean, created_at timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_hashjoin = off SET timezone = 'UTC' AS $$
    SELECT clinicq_audit.begin_export('visits', since::text, until::text);
    SELECT x.id,
        x.service_day,
        x.queue_id,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.queue) ELSE x.queue END,
        x.token_number,
        x.registration_number,
        x.status,
        x.priority,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.room) ELSE x.room END,
        x.transferred_from,
        x.transferred_to,
        x.closed_by_system,
        x.created_at,
        x.updated_at
    FROM clinicq_audit.exported_visit x
    WHERE x.service_day BETWEEN coalesce(since, '-infinity') AND coalesce(until, 'infinity')
    ORDER BY x.key
$$;
COMMENT ON FUNCTION clinicq_audit.visit_rows(date, date, boolean) IS
    'What clinicq_audit.snapshot_visits() gives; it streams where it stands in the select list. Errors: 42501; 25006; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.snapshot_visits(since date DEFAULT NULL, until date DEFAULT NULL, safe boolean DEFAULT false)
RETURNS TABLE (id bigint, service_day date, queue_id bigint, queue text, token_number integer, registration_number text, status text, priority smallint, room text, transferred_from bigint, transferred_to bigint, closed_by_system boolean, created_at timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT (s.r).id, (s.r).service_day, (s.r).queue_id, (s.r).queue, (s.r).token_number, (s.r).registration_number, (s.r).status, (s.r).priority, (s.r).room, (s.r).transferred_from, (s.r).transferred_to, (s.r).closed_by_system, (s.r).created_at, (s.r).updated_at
    FROM (SELECT clinicq_audit.visit_rows(since, until, safe) AS r) AS s
$$;
COMMENT ON FUNCTION clinicq_audit.snapshot_visits(date, date, boolean) IS
    'Visits of the service days from since to until, both included (NULL: without bound), as they are now. safe: as in export(). Errors: 42501; 25006 in a transaction that cannot write; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.queue_rows(since date, until date, safe boolean)
RETURNS TABLE (id bigint, clinic text, name text, token_prefix text, closed_at timestamptz, created_at timestamptz, updated_at timestamptz, visits bigint)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_hashjoin = off SET timezone = 'UTC' AS $$
    SELECT clinicq_audit.begin_export('queues', since::text, until::text);
    SELECT x.id,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.clinic) ELSE x.clinic END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.name) ELSE x.name END,
        CASE WHEN safe THEN clinicq_audit.spreadsheet_text(x.token_prefix) ELSE x.token_prefix END,
        x.closed_at,
        x.created_at,
        x.updated_at,
        x.visits
    FROM (SELECT q.*, (SELECT count(*) FROM clinicq.visit v WHERE v.queue_id = q.key
            AND v.service_day BETWEEN coalesce(since, '-infinity') AND coalesce(until, 'infinity')) AS visits
        FROM clinicq_audit.exported_queue q) x
    ORDER BY x.key
$$;
COMMENT ON FUNCTION clinicq_audit.queue_rows(date, date, boolean) IS
    'What clinicq_audit.snapshot_queues() gives; it streams where it stands in the select list. Errors: 42501; 25006; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.snapshot_queues(since date DEFAULT NULL, until date DEFAULT NULL, safe boolean DEFAULT false)
RETURNS TABLE (id bigint, clinic text, name text, token_prefix text, closed_at timestamptz, created_at timestamptz, updated_at timestamptz, visits bigint)
LANGUAGE sql STABLE AS $$
    SELECT (s.r).id, (s.r).clinic, (s.r).name, (s.r).token_prefix, (s.r).closed_at, (s.r).created_at, (s.r).updated_at, (s.r).visits
    FROM (SELECT clinicq_audit.queue_rows(since, until, safe) AS r) AS s
$$;
COMMENT ON FUNCTION clinicq_audit.snapshot_queues(date, date, boolean) IS
    'All queues as they are now, with the number of visits of the service days from since to until, both included (NULL: without bound). safe: as in export(). Errors: 42501; 25006 in a transaction that cannot write; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.snapshot(kind text, since date DEFAULT NULL, until date DEFAULT NULL) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
    SELECT clinicq_audit.require_kind(kind);
    SELECT row_to_json(p.r)::text FROM (SELECT clinicq_audit.patient_rows(since, until, false) AS r WHERE kind = 'patients') AS p
    UNION ALL SELECT row_to_json(v.r)::text FROM (SELECT clinicq_audit.visit_rows(since, until, false) AS r WHERE kind = 'visits') AS v
    UNION ALL SELECT row_to_json(q.r)::text FROM (SELECT clinicq_audit.queue_rows(since, until, false) AS r WHERE kind = 'queues') AS q
$$;
COMMENT ON FUNCTION clinicq_audit.snapshot(text, date, date) IS
    'A snapshot as lines of JSON: kind is patients, visits or queues, the rest as in snapshot_patients() and its like. It streams in the select list: COPY (SELECT clinicq_audit.snapshot(''visits'')) TO STDOUT (FORMAT csv, QUOTE E''\x01'', DELIMITER E''\x02''), which leaves each line as it is. '
    'Errors: 22023 no such kind; 42501; 25006; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.apply_retention(month date, exported text) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_apply_retention';
COMMENT ON FUNCTION clinicq_audit.apply_retention(date, text) IS
    'Removes a month of the audit log that is older than audit_retention_years, with the personal values beside it; returns how many events went. month: its first day. '
    'exported: SHA-256 in hexadecimal of the file that export_events() of the month gave, to an auditor or to an administrator, as proof that it was taken away. Everything is verified first. '
    'The event RETENTION says what went (positions, size and root of the tree before); from the next seal on verify() and clinicq-audit know the gap as lawful. '
    'No writer waits for more than 50 ms at a time, and sealing goes on meanwhile. Errors: 22023; 25001 in a transaction of REPEATABLE READ or SERIALIZABLE; P0002 no such month; QC409 too young by its name or by its seals, not sealed, or not what its seals say; 55P03 the log was in use all the time. Who: admin.';

CREATE FUNCTION clinicq_audit.retention_due() RETURNS TABLE (month date, events bigint)
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
    SELECT clinicq.require_role('admin', 'auditor');
    SELECT m.month, (SELECT count(*) FROM clinicq.audit_event e WHERE e.at >= m.month AND e.at < m.month + interval '1 month')
    FROM (SELECT to_date(substring(c.relname FROM '_(\d{4}_\d{2})$'), 'YYYY_MM') AS month
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'clinicq.audit_event'::regclass AND c.relname ~ '_\d{4}_\d{2}$') m
    WHERE m.month + interval '1 month' <= now() - make_interval(years => clinicq.setting('audit_retention_years')::integer)
    ORDER BY m.month
$$;
COMMENT ON FUNCTION clinicq_audit.retention_due() IS
    'The months of the audit log that apply_retention() may remove, the oldest first. Errors: 42501; 55000 before migrate(). Who: admin, auditor.';
