CREATE FUNCTION clinicq_audit.event_line(event record) RETURNS text
LANGUAGE C STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_event_line';
COMMENT ON FUNCTION clinicq_audit.event_line(record) IS
    'A record of all columns of clinicq.audit_event as the line of JSON that is hashed. Errors: 42804 a record of something else. Who: the owner.';

CREATE FUNCTION clinicq_audit.seal_line(number bigint) RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_seal_line';
COMMENT ON FUNCTION clinicq_audit.seal_line(bigint) IS
    'A seal as the line of JSON that is exported; NULL where there is none. Who: the owner.';

CREATE FUNCTION clinicq_audit.seal_now(OUT size bigint, OUT root text)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_seal_now';
COMMENT ON FUNCTION clinicq_audit.seal_now() IS
    'Seals every event that is committed and not sealed yet; returns size and root of the tree. The keeper does the same by itself. '
    'Errors: 25001 in a transaction of REPEATABLE READ or SERIALIZABLE; 25006 in one that only reads, as on a standby; XX001 the tree is not what the last seal says, or the seal that this server made last is gone; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.peaks_line(size bigint) RETURNS text
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'clinicq_peaks_line';
COMMENT ON FUNCTION clinicq_audit.peaks_line(bigint) IS
    'The complete subtrees of the tree of this size, as the first line of an export that begins there. Errors: XX001 some are missing. Who: the owner.';

CREATE FUNCTION clinicq_audit.verify(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, trusted_seal text DEFAULT NULL,
    OUT problem text, OUT seal bigint, OUT "position" bigint, OUT event_at timestamptz, OUT event_id bigint, OUT detail text)
RETURNS SETOF record
LANGUAGE C STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS 'MODULE_PATHNAME', 'clinicq_verify';
COMMENT ON FUNCTION clinicq_audit.verify(timestamptz, timestamptz, text) IS
    'A row for each way in which the audit log is not what its seals say, and none where all holds. '
    'since, until: only events of that time are compared with their leaves, and only the tree of the seals that hold them is built again, on the stored nodes before it, which have to give the root that was sealed; of the other seals that each follows the one before, and the newest one''s signature. NULL: without bound. '
    'What was done to leaves and nodes outside the period, to hide it from there too, takes a call without bounds. '
    'trusted_seal: a seal that was kept elsewhere (its line of JSON), which a restored old backup does not have. '
    'What retention took away is lawful where the seals that held it were seven years older than that of the event which says so. A notice tells which seals at the beginning are not signed. '
    'Events that are not sealed yet are not looked at. Errors: 22023 trusted_seal is no seal, 22P02 nor JSON; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.proof(event bigint) RETURNS json
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_proof';
COMMENT ON FUNCTION clinicq_audit.proof(bigint) IS
    'Proof that an event is in the tree of the last seal: its position, the path of hashes (RFC 9162, section 2.1.3), the event as it was hashed and the seal. '
    'Errors: P0002 no such event is sealed; XX001 parts of the tree are missing; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.consistency(old_size bigint, new_size bigint) RETURNS text[]
LANGUAGE C STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_consistency';
COMMENT ON FUNCTION clinicq_audit.consistency(bigint, bigint) IS
    'Proof that the tree of new_size events grew from that of old_size (RFC 9162, section 2.1.4), as hashes. '
    'Errors: 22023 no such sizes; XX001 parts of the tree are missing; 55000 before migrate(). Who: admin, auditor.';

-- In the order of an index, whatever statistics say: a sort would need a temporary file.
CREATE FUNCTION clinicq_audit.event_lines(since timestamptz, until timestamptz, personal boolean) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_bitmapscan = off SET enable_hashjoin = off SET jit = off
AS $function$
    WITH span AS MATERIALIZED (SELECT first, after FROM clinicq_audit.export_span(since, until))
    SELECT clinicq_audit.peaks_line(first) FROM span WHERE first > 0 AND first < after
    UNION ALL
    SELECT * FROM (
        SELECT '{"position":' || l.position || ',"leaf":"' || encode(l.hash, 'hex') || '"'
            || coalesce((SELECT ',"personal":' || p.contents::text FROM clinicq.audit_personal p WHERE personal AND p.event_id = x.id), '')
            || ',"event":' || coalesce(clinicq_audit.event_line(x.event), 'null') || '}'
        FROM clinicq.audit_leaf l LEFT JOIN LATERAL (
            SELECT ROW(e.id, e.at, e.transaction_id, e.actor_id, e.actor_name, e.roles, e.door, e.client, e.request_id,
                e.action, e.entity, e.entity_id, e.changes, e.outcome) AS event, e.id
            FROM clinicq.audit_event e WHERE e.at = l.event_at AND e.id = l.event_id LIMIT 1) x ON true
        WHERE l.position >= (SELECT first FROM span) AND l.position < (SELECT after FROM span)
        ORDER BY l.position) AS line
$function$;
COMMENT ON FUNCTION clinicq_audit.event_lines(timestamptz, timestamptz, boolean) IS
    'What clinicq_audit.export_events() gives; personal: with the values that can be erased. Who: the owner.';

-- Both stream where they stand in the select list: COPY (SELECT clinicq_audit.export_events()) TO ...
CREATE FUNCTION clinicq_audit.export_events(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $function$
    SELECT clinicq_audit.begin_export('events', since::text, until::text);
    SELECT clinicq_audit.event_lines(since, until, 'auditor' = ANY (a.roles)) FROM clinicq.current_actor() AS a
$function$;
COMMENT ON FUNCTION clinicq_audit.export_events(timestamptz, timestamptz) IS
    'The sealed events, one line of JSON each, in the order of the tree and in the bytes that were hashed; clinicq-audit verify reads them. '
    'Names, telephone numbers and terms of searches stand beside them for auditors; who is no auditor gets the events alone, which are proven all the same. '
    'since, until: by the time of the events, widened to whole seals; NULL for all. Errors: 42501; 25006 in a transaction that cannot write; 55000 before migrate(). Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.export_seals() RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT clinicq.require_role('admin', 'auditor');
    SELECT clinicq_audit.seal_line(s.id) FROM clinicq.audit_seal s ORDER BY s.id
$function$;
COMMENT ON FUNCTION clinicq_audit.export_seals() IS
    'The seals, one line of JSON each, as they stand in the server''s log. They tell of no person, so this export is not noted. Errors: 42501; 55000 before migrate(). Who: admin, auditor.';
