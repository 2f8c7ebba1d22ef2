CREATE FUNCTION clinicq.audit_row() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_row';
COMMENT ON FUNCTION clinicq.audit_row() IS
    'Trigger: writes who changed what into clinicq.audit_event. Arguments: key column, or several with commas between, then columns whose values are secret, or with personal: in front those that can be erased. '
    'Errors: 39P01 not called as an AFTER trigger.';

CREATE FUNCTION clinicq.audit_refuse() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_refuse';
COMMENT ON FUNCTION clinicq.audit_refuse() IS 'Trigger: refuses UPDATE, DELETE and TRUNCATE of the audit log. Errors: 42501.';

CREATE FUNCTION clinicq.close_tallies() RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_close_tallies';
COMMENT ON FUNCTION clinicq.close_tallies() IS
    'Writes the counted events (looks and refusals) whose time is over into the audit log, up to 10,000, and those that shared memory holds into clinicq.audit_tally; returns how many events it wrote. '
    'The keeper calls it twice a second. Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.counted(detail jsonb, count bigint, first_at timestamptz, last_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(detail, '{}') OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('count', count,
        'first', pg_catalog.to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
        'last', pg_catalog.to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'))
$$;
COMMENT ON FUNCTION clinicq_audit.counted(jsonb, bigint, timestamptz, timestamptz) IS
    'The changes of a counted event: detail, how often, the first and the last time in UTC. Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.patient_history(registration_number text,
    OUT id bigint, OUT at timestamptz, OUT transaction_id xid8, OUT actor_id bigint, OUT actor_name text, OUT roles text[],
    OUT door text, OUT client inet, OUT request_id text, OUT action text, OUT entity text, OUT entity_id text,
    OUT changes jsonb, OUT outcome text) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_patient_history';
COMMENT ON FUNCTION clinicq_audit.patient_history(text) IS
    'Who looked at a patient, who tried to, what changed and by whom: the events of the record, its visits, how to reach the patient and who may see it, the oldest first; a removed patient''s too. '
    'Columns as of clinicq_audit.event. Who is no auditor gets changes as NULL where they would show a restricted patient. Reading it is a look (outcome history). '
    'Errors: P0002 no such patient. Who: admin, auditor.';
