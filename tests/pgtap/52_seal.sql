-- Proves sealing: each event's line is its own and always the same; each event is sealed once, in a tree whose
-- seals follow each other; who may do it; that nobody changes what is sealed; and the proofs of the tree.
SELECT no_plan();

-- An event's line: every column, nulls, and what JSON has to escape.
CREATE FUNCTION tap.line(id bigint, at timestamptz, transaction_id xid8, actor_id bigint, actor_name text, roles text[], door text, client inet,
    request_id text, action text, entity text, entity_id text, changes jsonb, outcome text) RETURNS text LANGUAGE sql AS $$
    SELECT clinicq_audit.event_line(ROW(id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id, action, entity, entity_id, changes, outcome))
$$;
SELECT is(tap.line(1, '2026-01-02 03:04:05+00', '7', NULL, 'ada', '{admin,doctor}', 'psql', NULL, NULL, 'INSERT', 'patient', '9', NULL, 'done'),
    '{"id":1,"at":"2026-01-02T03:04:05.000000Z","transaction_id":7,"actor_id":null,"actor_name":"ada","roles":["admin","doctor"],"door":"psql","client":null,"request_id":null,"action":"INSERT","entity":"patient","entity_id":"9","changes":null,"outcome":"done"}',
    'the line of an event');
SET timezone = 'Asia/Karachi';
SET datestyle = 'German';
SELECT is(tap.line(2, '2026-01-02 03:04:05.1+00', '18446744073709551615', 3, E'a"b\\c\n\u0001é', '{}', 'http', '10.0.0.1',
        'r', 'UPDATE', 'patient', NULL, '{"b": {"new": 1.50}, "a": {"old": "\"", "new": null}}', 'done'),
    E'{"id":2,"at":"2026-01-02T03:04:05.100000Z","transaction_id":18446744073709551615,"actor_id":3,"actor_name":"a\\"b\\\\c\\n\\u0001é","roles":[],"door":"http","client":"10.0.0.1","request_id":"r","action":"UPDATE","entity":"patient","entity_id":null,"changes":{"a": {"new": null, "old": "\\""}, "b": {"new": 1.50}},"outcome":"done"}',
    'does not hang on the session''s settings, and escapes');
RESET timezone;
RESET datestyle;
SELECT is(tap.line(3, 'infinity', '7', NULL, 'a', ARRAY['x', NULL], 'psql', NULL, NULL, 'I', 'e', NULL, NULL, 'd')::json->>'at',
    'microseconds 9223372036854775807', 'any time has a line');
SELECT is(clinicq_audit.event_line(NULL), NULL, 'no event has none');
SELECT throws_ok($$ SELECT clinicq_audit.event_line(ROW(1, 2)) $$, '42804', NULL, 'nor has another record');
SELECT throws_ok($$ SELECT clinicq_audit.event_line(ROW(1, now(), '1'::xid8, 3, 'a', '{}', 'psql', NULL, NULL, 'I', 'e', NULL, NULL, 'd')) $$, '42804', NULL, 'of other types');

-- Who.
SELECT is(tap.state(r, s), CASE WHEN r IN ('admin', 'auditor') THEN '00000' ELSE '42501' END, format('%s: %s', r, s))
FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter', 'nobody']) AS r,
    unnest(ARRAY['SELECT clinicq_audit.seal_now()', 'SELECT clinicq_audit.verify()', 'SELECT clinicq_audit.consistency(0, 0)',
        'SELECT clinicq_audit.export_events()', 'SELECT clinicq_audit.export_seals()']) AS s;
SELECT is(tap.state(r, s), '42501', format('%s: %s', r, s))
FROM unnest(ARRAY['admin', 'auditor', 'nobody']) AS r,
    unnest(ARRAY['SELECT clinicq_audit.event_line(ROW(1))', 'SELECT clinicq_audit.seal_line(1)', 'SELECT clinicq_audit.peaks_line(1)',
        'SELECT * FROM clinicq.audit_leaf', 'DELETE FROM clinicq.audit_seal']) AS s;
SELECT is(tap.state('doctor', 'SELECT clinicq_audit.proof(1)'), '42501', 'a doctor gets no proof');

-- A first seal, of what there is.
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''General'')'), '1', 'an event');
SELECT is(tap.act('auditor', 'SELECT size FROM clinicq_audit.seal_now()'), (SELECT count(*)::text FROM clinicq.audit_event), 'all events are sealed');
SELECT is((SELECT count(*) FROM clinicq.audit_seal), 1::bigint, 'by one seal');
SELECT is(tap.act('auditor', 'SELECT size FROM clinicq_audit.seal_now()'), (SELECT count(*)::text FROM clinicq.audit_event), 'once more');
SELECT is((SELECT count(*) FROM clinicq.audit_seal), 1::bigint, 'there is nothing to seal');
SELECT is((SELECT id || ' ' || previous_size || ' ' || encode(previous_hash, 'hex') FROM clinicq.audit_seal), '1 0 ' || repeat('0', 64), 'the first seal follows none');
SELECT is((SELECT system_identifier FROM clinicq.audit_seal), (SELECT system_identifier::text FROM pg_control_system()), 'it names the cluster');

-- The hashes by other means.
SELECT is((SELECT encode(hash, 'hex') FROM clinicq.audit_leaf ORDER BY position DESC LIMIT 1),
    (SELECT encode(sha256('\x00' || convert_to(clinicq_audit.event_line(e), 'UTF8')), 'hex') FROM clinicq.audit_event e ORDER BY id DESC LIMIT 1),
    'a leaf is the SHA-256 of a zero byte and the line');
SELECT is((SELECT encode(hash, 'hex') FROM clinicq.audit_seal), (SELECT encode(sha256(convert_to(
    format('{"number":%s,"size":%s,"previous_size":0,"root":"%s","previous":"%s","at":"%s","floor":%s,"system":"%s","key":null}', id, size, encode(root, 'hex'), repeat('0', 64),
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), floor, system_identifier), 'UTF8')), 'hex') FROM clinicq.audit_seal), 'a seal''s hash is that of its text');
CREATE FUNCTION tap.mth(hashes bytea[]) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    n int := cardinality(hashes);
    k int := 1;
BEGIN
    IF n = 1 THEN RETURN hashes[1]; END IF;
    WHILE 2 * k < n LOOP k := 2 * k; END LOOP;
    RETURN sha256('\x01' || tap.mth(hashes[1:k]) || tap.mth(hashes[k + 1:n]));
END
$$;
SELECT is((SELECT encode(root, 'hex') FROM clinicq.audit_seal), (SELECT encode(tap.mth(array_agg(hash ORDER BY position)), 'hex') FROM clinicq.audit_leaf), 'and its root that of RFC 6962');

-- Many, in several seals; then the tree goes on past stored nodes.
UPDATE clinicq.queue SET name = 'a' FROM generate_series(1, 2);
SELECT clinicq_audit.seal_now() \g /dev/null
DO $$ BEGIN FOR n IN 1..2200 LOOP UPDATE clinicq.queue SET name = 'n' || n; END LOOP; END $$;
SELECT clinicq_audit.seal_now() \g /dev/null
UPDATE clinicq.queue SET name = 'b';
SELECT clinicq_audit.seal_now() \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.audit_seal), 4::bigint, 'four seals');
SELECT is((SELECT array_agg(id ORDER BY id) FROM clinicq.audit_seal), ARRAY[1, 2, 3, 4]::bigint[], 'have numbers without gap');
SELECT is((SELECT bool_and(previous_hash = h AND previous_size = s) FROM (SELECT *, lag(hash, 1, decode(repeat('0', 64), 'hex')) OVER w AS h, lag(size, 1, 0::bigint) OVER w AS s
    FROM clinicq.audit_seal WINDOW w AS (ORDER BY id)) AS chain), true, 'and each follows the one before');
SELECT is((SELECT encode(root, 'hex') FROM clinicq.audit_seal WHERE id = 4), (SELECT encode(tap.mth(array_agg(hash ORDER BY position)), 'hex') FROM clinicq.audit_leaf), 'the last root is that of all leaves');
SELECT is((SELECT encode(hash, 'hex') FROM clinicq.audit_node WHERE level = 11 AND index = 0), (SELECT encode(tap.mth(array_agg(hash ORDER BY position)), 'hex') FROM clinicq.audit_leaf WHERE position < 2048), 'a stored node is that of its leaves');
SELECT is((SELECT array_agg(level || ':' || index ORDER BY level, index) FROM clinicq.audit_node), ARRAY['10:0', '10:1', '11:0'], 'there is each complete one');
SELECT is((SELECT count(*) FROM clinicq.audit_leaf), (SELECT count(*) FROM clinicq.audit_event), 'each event has one leaf');
SELECT is((SELECT array_agg(event_id ORDER BY position) = array_agg(event_id ORDER BY event_at, event_id) FROM clinicq.audit_leaf), true, 'in the order of time and id');
SELECT is((SELECT max(position) + 1 FROM clinicq.audit_leaf), (SELECT count(*) FROM clinicq.audit_leaf), 'without gap');
SELECT is((SELECT floor FROM clinicq.audit_seal WHERE id = 4) <= (SELECT max(id) FROM clinicq.audit_event), true, 'the floor is not above what there is');

-- Transactions.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.seal_now()'), '25001', 'REPEATABLE READ does not seal');
COMMIT;
BEGIN;
UPDATE clinicq.queue SET name = 'c';
SELECT clinicq_audit.seal_now() \g /dev/null
ROLLBACK;
SELECT is((SELECT count(*) FROM clinicq.audit_seal), 4::bigint, 'what is rolled back is not sealed');
UPDATE clinicq.queue SET name = 'd';
BEGIN;
SELECT clinicq_audit.seal_now() \g /dev/null
COMMIT;
SELECT is((SELECT count(*) FROM clinicq.audit_seal), 5::bigint, 'the next seal has the number');
SELECT is_empty('SELECT * FROM clinicq_audit.verify()', 'all of it holds');

-- Nobody changes it.
SELECT is(tap.act(r, format(s, t)), '42501: the audit log cannot be changed', format(s, t) || ' by the ' || r)
FROM unnest(ARRAY['owner', 'dba']) AS r, unnest(ARRAY['clinicq.audit_leaf', 'clinicq.audit_node', 'clinicq.audit_seal']) AS t,
    unnest(ARRAY['DELETE FROM %s', 'TRUNCATE %s', 'UPDATE %s SET hash = hash']) AS s;

-- Proofs.
SELECT is(tap.act('auditor', 'SELECT clinicq_audit.proof(-1)'), 'P0002: no sealed event -1', 'no proof of an event that is not there');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.proof(NULL)'), '22004', 'nor of null');
CREATE FUNCTION tap.climbs(event bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    p json := clinicq_audit.proof(event);
    fn bigint := (p->>'position')::bigint;
    sn bigint := (p->'sealed'->'seal'->>'size')::bigint - 1;
    r bytea := sha256('\x00' || convert_to(p->>'event', 'UTF8'));
    h text;
BEGIN
    FOR h IN SELECT json_array_elements_text(p->'path') LOOP
        IF fn % 2 = 1 OR fn = sn THEN
            r := sha256('\x01' || decode(h, 'hex') || r);
            WHILE fn % 2 = 0 AND fn <> 0 LOOP fn := fn / 2; sn := sn / 2; END LOOP;
        ELSE
            r := sha256('\x01' || r || decode(h, 'hex'));
        END IF;
        fn := fn / 2; sn := sn / 2;
    END LOOP;
    RETURN sn = 0 AND encode(r, 'hex') = p->'sealed'->'seal'->>'root';
END
$$;
SELECT is((SELECT bool_and(tap.climbs(event_id)) FROM clinicq.audit_leaf WHERE position % 97 = 0 OR position > 2195), true, 'the path of an event leads to the root of the last seal');
SELECT is(tap.act('auditor', 'SELECT clinicq_audit.consistency(0, 5)'), '{}', 'any tree grew from the empty one');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.consistency(5, 4)'), '22023', 'none shrinks');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.consistency(1, 1000000)'), '22023', 'nor is larger than the last seal');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.consistency(NULL, 1)'), '22004', 'sizes are numbers');
-- From a power of two: the old root, then up; RFC 9162, 2.1.4.2, of sizes 2 and 3.
SELECT is((SELECT encode(sha256('\x01' || tap.mth(array_agg(hash ORDER BY position)) || decode((clinicq_audit.consistency(2, 3))[1], 'hex')), 'hex') FROM clinicq.audit_leaf WHERE position < 2),
    (SELECT encode(tap.mth(array_agg(hash ORDER BY position)), 'hex') FROM clinicq.audit_leaf WHERE position < 3), 'a proof of consistency leads from the old root to the new');

-- Gauges.
UPDATE clinicq.queue SET name = 'e';
SELECT is(regexp_match(tap.act('shim', 'SELECT clinicq_api.gauges()'), '\nclinicq_audit_unsealed_events (\S+)\n'), '{1.000}', 'the shim is told how many events are not sealed');
SELECT cmp_ok((regexp_match(tap.act('shim', 'SELECT clinicq_api.gauges()'), '\nclinicq_audit_unsealed_seconds (\S+)\n'))[1]::float8, '>', 0::float8, 'and since when');
SELECT is(regexp_match(tap.act('shim', 'SELECT clinicq_api.gauges()'), '\nclinicq_keeper_running (\S+)\n'), '{0.000}', 'and that no keeper works');
SELECT clinicq_audit.seal_now() \g /dev/null
SELECT is(regexp_match(tap.act('shim', 'SELECT clinicq_api.gauges()'), '\nclinicq_audit_unsealed_(?:events|seconds) (\S+)\n'), '{0.000}', 'none after a seal');

-- Exports.
SELECT is((SELECT count(*) FROM clinicq_audit.export_events() AS l), (SELECT max(size) FROM clinicq.audit_seal), 'an export has every sealed event');
SELECT is((SELECT bool_and(l = format('{"position":%s,"leaf":"%s","event":%s}', a.position, encode(a.hash, 'hex'), clinicq_audit.event_line(e)))
    FROM clinicq_audit.export_events() WITH ORDINALITY AS x (l, n) JOIN clinicq.audit_leaf a ON a.position = n - 1 JOIN clinicq.audit_event e ON e.id = a.event_id), true, 'in its bytes, in the order of the tree');
SELECT is((SELECT array_agg(l ORDER BY n) FROM clinicq_audit.export_seals() WITH ORDINALITY AS x (l, n)), (SELECT array_agg(clinicq_audit.seal_line(id) ORDER BY id) FROM clinicq.audit_seal), 'and every seal');
SELECT is((SELECT l FROM clinicq_audit.export_events((SELECT event_at FROM clinicq.audit_leaf WHERE position = 100)) AS l LIMIT 1),
    (SELECT clinicq_audit.peaks_line(previous_size) FROM clinicq.audit_seal WHERE id = 3), 'a part begins with the subtrees before it, at a seal');
SELECT is((SELECT count(*) - 1 FROM clinicq_audit.export_events((SELECT event_at FROM clinicq.audit_leaf WHERE position = 100), (SELECT event_at FROM clinicq.audit_leaf WHERE position = 101))),
    (SELECT size - previous_size FROM clinicq.audit_seal WHERE id = 3), 'and ends at one');

-- A tree that is not what the last seal says is not gone on with.
SET session_replication_role = replica;
UPDATE clinicq.audit_leaf SET hash = sha256('x') WHERE position = (SELECT max(position) FROM clinicq.audit_leaf);
SET session_replication_role = origin;
SELECT is(tap.act('auditor', 'SELECT clinicq_audit.seal_now()'), 'XX001: the audit log is not what seal 6 says', 'nothing is sealed on a changed tree');

SELECT * FROM finish();
