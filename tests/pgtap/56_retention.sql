-- Proves retention: a month of the audit log goes only when it is old enough, sealed, as its seals say, and when
-- the hash of its export shows that somebody has it; what went is an event, and lawful to verify(), which still
-- finds everything that went in another way.
SELECT no_plan();

-- Months of long ago.
SELECT format('CREATE TABLE clinicq.%I PARTITION OF clinicq.audit_event FOR VALUES FROM (%L) TO (%L); COMMENT ON TABLE clinicq.%1$I IS ''Old.''; ALTER TABLE clinicq.%1$I OWNER TO clinicq_owner',
    to_char(m, '"audit_event_"YYYY_MM'), m || '+00', (m + interval '1 month') || '+00') FROM unnest(ARRAY['2018-01-01', '2018-02-01', '2018-03-01']::timestamp[]) AS m
\gexec
CALL clinicq.migrate();
CREATE TABLE tap.young AS SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date - interval '6 years' AS month;
SELECT format('CREATE TABLE clinicq.%I PARTITION OF clinicq.audit_event FOR VALUES FROM (%L) TO (%L); ALTER TABLE clinicq.%1$I OWNER TO clinicq_owner',
    to_char(month, '"audit_event_"YYYY_MM'), month || '+00', (month + interval '1 month') || '+00') FROM tap.young
\gexec
SET session_replication_role = replica;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, entity_id, changes)
    SELECT m + n * interval '1 minute', pg_current_xact_id(), 'old', '{admin}', 'psql', 'UPDATE', 'patient', n, jsonb_build_object('n', n)
    FROM unnest(ARRAY['2018-01-01 00:00+00', '2018-02-01 00:00+00', '2018-03-01 00:00+00']::timestamptz[]) AS m, generate_series(0, 1499) n;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity) SELECT month AT TIME ZONE 'UTC', pg_current_xact_id(), 'younger', '{}', 'psql', 'UPDATE', 'x' FROM tap.young;
RESET session_replication_role;
INSERT INTO clinicq.audit_personal (event_id, entity, contents) SELECT id, 'patient', '{}' FROM clinicq.audit_event WHERE at IN ('2018-01-01 00:05+00', '2018-02-01 00:05+00');
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') \g /dev/null
CREATE FUNCTION tap.exported(month date) RETURNS text LANGUAGE sql AS $$
    SELECT encode(sha256(convert_to(string_agg(e || E'\n', '' ORDER BY n), 'UTF8')), 'hex')
    FROM clinicq_audit.export_events(month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC') WITH ORDINALITY AS f (e, n)
$$;
-- Gives every seal another time, as if it had been made then: each hash follows from the one before.
CREATE FUNCTION tap.date_back(by interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before bytea := decode(repeat('0', 64), 'hex');
    number bigint;
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    FOR number IN SELECT id FROM clinicq.audit_seal ORDER BY id LOOP
        UPDATE clinicq.audit_seal SET at = at - by, previous_hash = before WHERE id = number;
        UPDATE clinicq.audit_seal SET hash = sha256(convert_to(substring(clinicq_audit.seal_line(id) FROM '^\{"seal":(\{.*\}),"hash":'), 'UTF8')) WHERE id = number RETURNING hash INTO before;
    END LOOP;
    PERFORM set_config('session_replication_role', 'origin', true);
END
$$;
CREATE FUNCTION tap.apply(month text, exported text) RETURNS text LANGUAGE sql AS $$ SELECT tap.act('admin', format('SELECT clinicq_audit.apply_retention(%L, %L)', month, exported)) $$;

-- Who, and what is asked for.
SELECT is(tap.state(r, 'SELECT clinicq_audit.apply_retention(''2018-01-01'', '''')'), '42501', r || ' may not') FROM unnest(ARRAY['auditor', 'doctor', 'nobody']) AS r;
SELECT is(tap.state('doctor', 'SELECT * FROM clinicq_audit.retention_due()'), '42501', 'nor ask what is due');
SELECT results_eq('SELECT * FROM clinicq_audit.retention_due()', $$ VALUES ('2018-01-01'::date, 1500::bigint), ('2018-02-01', 1500), ('2018-03-01', 1500) $$, 'three months are due, one of six years is not');
SELECT is(tap.apply(m, h), e, e) FROM (VALUES (NULL, 'x', '22004: month must not be null'), ('2018-01-01', NULL, '22004: exported must not be null'), ('2018-01-02', 'x', '22023: month: must be the first day of a month'),
    ('2017-01-01', 'x', 'P0002: no month of the audit log 2017-01'), ('2018-01-01', 'x', 'QC409: 1500 events of 2018-01 are not sealed yet')) AS f (m, h, e);
SELECT is(tap.apply(month::date::text, 'x'), 'QC409: the audit log of ' || to_char(month, 'YYYY-MM') || ' is kept for 7 years', 'seven years at the least') FROM tap.young;
SELECT is(tap.state('admin', 'SELECT clinicq.set_setting(''audit_retention_years'', ''6'')'), '22023', 'which cannot be lowered');
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
-- An event says of itself that it is old; the seals that hold it have to say so too.
SELECT tap.exported('2018-01-01') AS january \gset
SELECT is(tap.apply('2018-01-01', :'january'), 'QC409: the audit log of 2018-01 was sealed less than 7 years ago', 'not while its seals are young');
SELECT tap.date_back('9 years') \g /dev/null
SELECT is_empty('SELECT * FROM clinicq_audit.verify()', 'seals of nine years ago');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(tap.apply('2018-01-01', :'january'), '25001: retention needs the isolation level READ COMMITTED', 'not under an old snapshot');
ROLLBACK;

-- Without its export.
SELECT is(tap.apply('2018-01-01', h), '22023: exported is not the SHA-256 of the export of 2018-01', 'not without its export: ' || h) FROM unnest(ARRAY['', 'x', tap.exported('2018-02-01') || 'x']) AS h;
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE at < '2018-04-01'), 4500::bigint, 'nothing has gone');

-- What differs from its seals stays.
SET session_replication_role = replica;
UPDATE clinicq.audit_event SET entity_id = 'x' WHERE at = '2018-01-01 00:07+00';
RESET session_replication_role;
SELECT is(tap.apply('2018-01-01', tap.exported('2018-01-01')), 'QC409: the audit log is not what its seals say; nothing is removed', 'not while an event differs');
SET session_replication_role = replica;
UPDATE clinicq.audit_event SET entity_id = '7' WHERE at = '2018-01-01 00:07+00';
RESET session_replication_role;
SELECT is(tap.exported('2018-01-01'), :'january', 'the export is the same again');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_retention_years'', ''20'')') \g /dev/null
SELECT is(tap.apply('2018-01-01', :'january'), 'QC409: the audit log of 2018-01 is kept for 20 years', 'nor before the clinic''s own time');
SELECT is((SELECT count(*) FROM clinicq_audit.retention_due()), 0::bigint, 'nothing is due then');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_retention_years'', ''7'')') \g /dev/null

-- It goes.
SELECT size AS size, encode(root, 'hex') AS root FROM clinicq.audit_seal ORDER BY id DESC LIMIT 1 \gset
SELECT is(tap.apply('2018-01-01', upper(:'january')), '1500', 'a month goes');
SELECT is(to_regclass('clinicq.audit_event_2018_01'), NULL, 'as a whole');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE at < '2018-04-01'), 3000::bigint, 'the others stay');
SELECT is((SELECT count(*) FROM clinicq.audit_personal p JOIN clinicq.audit_leaf l ON l.event_id = p.event_id WHERE l.event_at < '2018-03-01'), 1::bigint, 'what stood beside it is gone too');
SELECT results_eq($$ SELECT actor_name, entity, changes - 'exported' - 'root' FROM clinicq.audit_event WHERE action = 'RETENTION' $$,
    format($$ VALUES ('test_admin', 'audit_event', '{"month": "2018-01", "from": "2018-01-01T00:00:00Z", "to": "2018-02-01T00:00:00Z", "first": 0, "last": 1499, "events": 1500, "size": %s}'::jsonb) $$, :'size'), 'an event says what went');
SELECT is((SELECT lower(changes->>'exported') || (changes->>'root') FROM clinicq.audit_event WHERE action = 'RETENTION'), :'january' || :'root', 'with the export and the root before');
SELECT set_eq('SELECT problem FROM clinicq_audit.verify()', ARRAY['partition missing'], 'until it is sealed verify() tells of the gap');
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
SELECT is_empty('SELECT * FROM clinicq_audit.verify()', 'then it is lawful');
SELECT is(tap.apply('2018-01-01', :'january'), 'P0002: no month of the audit log 2018-01', 'it is gone once');
CALL clinicq.migrate();
SELECT is(to_regclass('clinicq.audit_event_2018_01'), NULL, 'migrate() does not bring it back');
SELECT is(tap.state('admin', 'SELECT clinicq.create_queue(''Later'')'), '00000', 'events go on being written');
SELECT is((SELECT count(*) FROM clinicq_audit.export_events() AS e WHERE e LIKE '%"event":null}'), 1500::bigint, 'an export says what is not there');

-- Other ways are found.
BEGIN;
DROP TABLE clinicq.audit_event_2018_02;
SELECT set_eq('SELECT problem, "position" FROM clinicq_audit.verify()', $$ VALUES ('partition missing', 1500::bigint) $$, 'a month dropped without it');
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE clinicq.audit_event SET changes = changes || '{"last": 2999, "to": "2018-03-01T00:00:00Z"}' WHERE action = 'RETENTION';
DROP TABLE clinicq.audit_event_2018_02;
SELECT set_eq('SELECT problem FROM clinicq_audit.verify()', ARRAY['event changed'], 'an event of retention that was made to tell of more is found itself');
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, changes) VALUES (clock_timestamp(), pg_current_xact_id(), 'x', '{}', 'psql', 'RETENTION', 'audit_event',
    '{"from": "2018-02-01T00:00:00Z", "to": "2018-03-01T00:00:00Z", "first": 1500, "last": 2999}');
DROP TABLE clinicq.audit_event_2018_02;
SELECT ok((SELECT bool_or(problem = 'partition missing') FROM clinicq_audit.verify()), 'one that is not sealed proves nothing');
ROLLBACK;
SET session_replication_role = replica;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, changes) SELECT clock_timestamp(), pg_current_xact_id(), 'x', '{}', 'psql', 'RETENTION', 'audit_event',
    jsonb_build_object('from', to_char(month, 'YYYY-MM-DD"T00:00:00Z"'), 'to', to_char(month + interval '1 month', 'YYYY-MM-DD"T00:00:00Z"'), 'first', 0, 'last', 10000) FROM tap.young;
RESET session_replication_role;
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
SELECT format('DELETE FROM clinicq.%I', to_char(month, '"audit_event_"YYYY_MM')) AS younger FROM tap.young \gset
BEGIN;
SET LOCAL session_replication_role = replica;
:younger;
SELECT set_eq('SELECT problem FROM clinicq_audit.verify()', ARRAY['event missing'], 'nor one of a month of less than seven years');
ROLLBACK;

-- Events of retention that were made by hand, and sealed by the server as all are: their own time, the times that stand beside
-- leaves and the month that they name can be anything. What went was sealed only now.
CREATE TABLE tap.victim AS SELECT l.* FROM clinicq.audit_leaf l JOIN clinicq.audit_event e ON e.id = l.event_id WHERE e.changes->'name'->>'new' = 'Later';
CREATE FUNCTION tap.forge(said_at timestamptz, said_from text, said_to text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, changes)
        SELECT said_at, pg_current_xact_id(), 'x', '{}', 'psql', 'RETENTION', 'audit_event', jsonb_build_object('from', said_from, 'to', said_to, 'first', v.position, 'last', v.position) FROM tap.victim v;
    UPDATE clinicq.audit_leaf l SET event_at = said_from::timestamptz + interval '1 hour' FROM tap.victim v WHERE l.position = v.position;
    DELETE FROM clinicq.audit_event WHERE id = (SELECT event_id FROM tap.victim);
    PERFORM clinicq_audit.seal_now();
    RAISE EXCEPTION USING ERRCODE = 'TAMPR', MESSAGE = (SELECT string_agg(DISTINCT problem, ', ') FROM clinicq_audit.verify() WHERE problem ~ '^(event|events|partition) missing$');
EXCEPTION WHEN SQLSTATE 'TAMPR' THEN
    RETURN SQLERRM;
END
$$;
SELECT is(tap.forge(a::timestamptz, f, t) ~ 'missing', true, format('an event of retention at %s, of %s', a, f)) FROM (VALUES (now()::text, '2018-03-01T00:00:00Z', '2018-04-01T00:00:00Z'),
    ('2040-01-01', '2018-03-01T00:00:00Z', '2018-04-01T00:00:00Z'), ('2040-01-01', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-01"T00:00:00Z"'), to_char((now() + interval '1 month') AT TIME ZONE 'UTC', 'YYYY-MM-01"T00:00:00Z"'))) AS x (a, f, t);

-- One that cannot be read makes nothing lawful, and stands in the way of nothing.
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, changes) SELECT clock_timestamp(), pg_current_xact_id(), 'x', '{}', 'psql', 'RETENTION', 'audit_event', c::jsonb
    FROM unnest(ARRAY['{"from": "x", "to": "2018-13-01T00:00:00Z", "first": "a", "last": 1e30}', '{"from": "2018-13-01T00:00:00Z", "to": "infinity", "first": 0, "last": -1}', '[]', '"x"', NULL]) AS c;
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
SELECT results_eq('SELECT DISTINCT problem, count(*) FROM clinicq_audit.verify() GROUP BY 1', $$ VALUES ('retention unreadable', 5::bigint) $$, 'it is told of');
-- The hash of what an administrator who is no auditor can export does as well.
SELECT isnt(tap.exported('2018-02-01'), encode(sha256(convert_to(string_agg(e || E'\n', '' ORDER BY n), 'UTF8')), 'hex'), 'an auditor''s export has more')
    FROM clinicq_audit.event_lines('2018-02-01+00', '2018-03-01+00', false) WITH ORDINALITY AS f (e, n);
SELECT is(tap.apply('2018-02-01', encode(sha256(convert_to(string_agg(e || E'\n', '' ORDER BY n), 'UTF8')), 'hex')), '1500', 'the next one goes with that of an administrator''s')
    FROM clinicq_audit.event_lines('2018-02-01+00', '2018-03-01+00', false) WITH ORDINALITY AS f (e, n);
SELECT is(tap.apply('2018-03-01', tap.exported('2018-03-01')), '1500', 'and one more');
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
SELECT set_eq('SELECT DISTINCT problem FROM clinicq_audit.verify()', ARRAY['retention unreadable'], 'and all else holds');
SELECT isnt(tap.act('auditor', format('SELECT clinicq_audit.proof(%s)', (SELECT max(event_id) FROM clinicq.audit_leaf))), NULL, 'what is left can be proven');

SELECT * FROM finish();
