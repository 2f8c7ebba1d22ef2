-- Proves the exports: events as a table and as the lines that were hashed, seals, snapshots of patients,
-- visits and queues, by COPY and in pages over HTTP; who may; that each is an event, once, and no page
-- comes without it; what spreadsheets would take for formulas; that COPY streams.
SELECT no_plan();

CREATE FUNCTION tap.copied(who text, statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS copied (line text);
    PERFORM set_config('session_authorization', tap.role_of(who), true);
    RETURN QUERY EXECUTE statement;
    PERFORM set_config('session_authorization', me, true);
END
$$;
SELECT tap.user('audrey', '{auditor}') AS audrey, tap.user('adam', '{admin}') AS adam, tap.user('dora', '{doctor}') AS dora \gset
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')'), tap.act('admin', 'SELECT clinicq.create_queue(''=Eye'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L, %L)', n, p)) FROM (VALUES ('Ada "the" Lovelace, Lady', '+92 300'), ('=1+1', ''), ('Émile', NULL), ('Grace', '1')) AS f (n, p) \g /dev/null
SELECT tap.act('assistant', 'SELECT clinicq.open_visit(''01-00-001'', 1)'), tap.act('assistant', 'SELECT clinicq.open_visit(''01-00-002'', 2)'), tap.act('admin', 'SELECT clinicq.restrict_patient(''01-00-004'')') \g /dev/null
SELECT is((SELECT restricted FROM clinicq.patient WHERE id = 4), true, 'a restricted patient is among them');
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null

-- Who.
SELECT is(tap.state(r, s), CASE WHEN r IN ('admin', 'auditor') THEN '00000' ELSE '42501' END, r || ': ' || s)
FROM unnest(ARRAY['admin', 'auditor', 'doctor', 'assistant', 'reporter', 'nobody', 'shim']) AS r, unnest(ARRAY['SELECT * FROM clinicq_audit.export()', 'SELECT * FROM clinicq_audit.snapshot_patients()',
    'SELECT * FROM clinicq_audit.snapshot_visits()', 'SELECT * FROM clinicq_audit.snapshot_queues()', 'SELECT clinicq_audit.snapshot(''visits'')', 'SELECT clinicq_audit.export_rows(NULL, NULL, false)']) AS s ORDER BY s, r;
SELECT is(tap.state(r, 'SELECT * FROM clinicq_audit.' || v), '42501', r || ' does not read ' || v) FROM unnest(ARRAY['admin', 'auditor', 'doctor']) AS r, unnest(ARRAY['exported_event', 'exported_patient', 'exported_visit', 'exported_queue']) AS v;
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.begin_export(''x'', NULL, NULL)'), '42501', 'nobody notes an export that is none');

-- Events as a table.
SELECT results_eq('SELECT id, at, actor_name, action, entity, entity_id, outcome FROM clinicq_audit.export() WHERE action <> ''EXPORT''',
    'SELECT id, at, actor_name, action, entity, entity_id, outcome FROM clinicq.audit_event WHERE action <> ''EXPORT'' ORDER BY at, id', 'every event, by time');
SELECT results_eq('SELECT "position", id FROM clinicq_audit.export() WHERE "position" IS NOT NULL ORDER BY 1', 'SELECT position, event_id FROM clinicq.audit_leaf ORDER BY 1', 'with its place in the tree');
SELECT is((SELECT count(*) FROM clinicq_audit.export() WHERE "position" IS NULL) > 0, true, 'which those have not that are not sealed');
SELECT is((SELECT changes::jsonb->'name' FROM clinicq_audit.export() WHERE entity = 'patient' AND entity_id = '1' AND action = 'INSERT'), '{"new": "Ada \"the\" Lovelace, Lady"}'::jsonb, 'with what stands beside it');
SELECT is((SELECT count(*) FROM clinicq_audit.export(t, t)), 0::bigint, 'from a time on and before another') FROM (SELECT min(at) AS t FROM clinicq.audit_event) AS f;
SELECT is((SELECT array_agg(id) FROM clinicq_audit.export(t, t + interval '1 microsecond')), ARRAY[1::bigint], 'the first one included') FROM (SELECT min(at) AS t FROM clinicq.audit_event) AS f;

-- What can be erased is for auditors: names of restricted patients are among it.
SELECT is((tap.act(r, s)::int > 0), r = 'auditor', format('%s sees names and numbers: %s', r, s)) FROM unnest(ARRAY['admin', 'auditor']) AS r, unnest(ARRAY['SELECT count(*) FROM clinicq_audit.export() WHERE changes ~ ''Grace|Lovelace|92 300''',
    'SELECT count(*) FROM clinicq_audit.export_events() AS e WHERE e ~ ''Grace|Lovelace|92 300|"personal"''']) AS s;
SELECT is(tap.act('admin', 'SELECT count(*) FROM clinicq_audit.export() WHERE entity = ''patient'' AND changes::jsonb->''name''->''new'' ? ''erasable'''), '4', 'an administrator gets the hashes');
SELECT is(tap.act('admin', 'SELECT count(*) FROM clinicq_audit.export_events()'), tap.act('auditor', 'SELECT count(*) FROM clinicq_audit.export_events()'), 'and every event');
SELECT format('SELECT is(p->>''status'' || ((p->>''body'') ~ %L)::text, %L, %L) FROM (SELECT tap.http(''GET /api/audit/export/'', %L, NULL, NULL, %L) AS p) AS f', pattern, '200' || (t = :'audrey')::text, format('over HTTP: %s, %s', CASE t WHEN :'audrey' THEN 'auditor' ELSE 'admin' END, q), t, q)
FROM (VALUES ('{"format": "csv"}', 'Grace|Lovelace|92 300'), ('{"format": "jsonl"}', 'Grace|Lovelace|92 300|"personal"')) AS f (q, pattern), unnest(ARRAY[:'adam', :'audrey']) AS t
\gexec

-- Snapshots.
SELECT results_eq('SELECT registration_number, name, phone, restricted FROM clinicq_audit.snapshot_patients()', $$ VALUES
    ('01-00-001', 'Ada "the" Lovelace, Lady', '+92 300', false), ('01-00-002', '=1+1', '', false), ('01-00-003', 'Émile', NULL, false), ('01-00-004', NULL, NULL, true) $$, 'patients; of a restricted one no name');
UPDATE clinicq.patient SET created_at = '2020-05-05 23:59:59+00' WHERE id <> 4;
UPDATE clinicq.visit SET service_day = '2021-06-06' WHERE id = 1;
SELECT is((SELECT array_agg(registration_number) FROM clinicq_audit.snapshot_patients(f::date, t::date)), r::text[], format('patients from %s to %s', f, t)) FROM (VALUES
    ('2020-05-05', '2020-05-05', '{01-00-001,01-00-002,01-00-003}'), ('2020-05-06', '2021-06-05', NULL), ('2021-06-06', '2021-06-06', '{01-00-001}'), (NULL, '2020-05-05', '{01-00-001,01-00-002,01-00-003}'), ('2021-06-07', NULL, '{01-00-002,01-00-004}')) AS f (f, t, r);
SELECT is((SELECT array_agg(id) FROM clinicq_audit.snapshot_visits(f::date, t::date)), r::bigint[], format('visits from %s to %s', f, t)) FROM (VALUES ('2021-06-06', '2021-06-06', '{1}'), ('2021-06-07', NULL, '{2}'), (NULL, NULL, '{1,2}'), (NULL, '2021-06-05', NULL)) AS f (f, t, r);
SELECT results_eq('SELECT queue, token_number, registration_number, status FROM clinicq_audit.snapshot_visits()', $$ VALUES ('General', 1, '01-00-001', 'WAITING'), ('=Eye', 1, '01-00-002', 'WAITING') $$, 'visits, without names');
SELECT results_eq('SELECT name, visits FROM clinicq_audit.snapshot_queues(NULL, ''2021-12-31'')', $$ VALUES ('General', 1::bigint), ('=Eye', 0) $$, 'queues with their visits');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.snapshot(''doctors'')'), '22023', 'no other kind');
SELECT is((SELECT array_agg(j::jsonb->>'registration_number') FROM clinicq_audit.snapshot('patients') AS j), '{01-00-001,01-00-002,01-00-003,01-00-004}'::text[], 'as lines of JSON');
SELECT is((SELECT array_agg(j::jsonb->>'status') FROM clinicq_audit.snapshot('visits') AS j), '{WAITING,WAITING}'::text[], 'visits');
SELECT is((SELECT array_agg(j::jsonb->>'visits') FROM clinicq_audit.snapshot('queues', '2022-01-01') AS j), '{0,1}'::text[], 'queues');

-- Formulas.
SELECT is(clinicq_audit.spreadsheet_text(v), r, 'safe: ' || coalesce(v, 'NULL')) FROM (VALUES ('=1', '''=1'), ('+1', '''+1'), ('-1', '''-1'), ('@a', '''@a'), (E'\ta', E'''\ta'), (E'\ra', E'''\ra'), ('1=', '1='), (' =', ' ='), ('', ''), ('''', ''''), (NULL, NULL)) AS f (v, r);
SELECT results_eq('SELECT name, phone FROM clinicq_audit.snapshot_patients(safe => true) LIMIT 2', $$ VALUES ('Ada "the" Lovelace, Lady', '''+92 300'), ('''=1+1', '') $$, 'an argument of each');
SELECT is((SELECT queue FROM clinicq_audit.snapshot_visits(safe => true) WHERE id = 2), '''=Eye', 'of all texts that people write');

-- The characters stand in C as well, for exports over HTTP.
SELECT tap.act('admin', format('SELECT clinicq.create_queue(%L)', chr(n) || 'q')) FROM generate_series(33, 126) AS n WHERE chr(n) <> '=' \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.queue WHERE name ~ '^.q$') > 60, true, 'queues named by every character that begins a name');
SELECT set_eq(format($$ SELECT (regexp_match(l, '^\d+,[^,]*,("?''?(?:""|[^"]){1,2}"?),'))[1] FROM regexp_split_to_table(%L, E'\r\n') AS l WHERE l ~ '^\d+,[^,]*,"?''?(""|[^"])q"?,' $$, tap.http('GET /api/audit/snapshot/', :'adam', NULL, NULL, '{"kind": "queues", "format": "csv"}')->>'body'),
    $$ SELECT CASE WHEN n ~ '[",]' THEN '"' || replace(clinicq_audit.spreadsheet_text(n), '"', '""') || '"' ELSE clinicq_audit.spreadsheet_text(n) END FROM (SELECT name AS n FROM clinicq.queue WHERE name ~ '^.q$') AS q $$, 'both put an apostrophe before the same ones');
DELETE FROM clinicq.queue WHERE name ~ '^.q$';

-- Each is an event.
CREATE TABLE tap.seen AS SELECT max(id) AS id FROM clinicq.audit_event;
CREATE FUNCTION tap.noted() RETURNS jsonb LANGUAGE sql AS $$
    WITH new AS (SELECT id, actor_name, changes FROM clinicq.audit_event WHERE id > (SELECT id FROM tap.seen) AND action = 'EXPORT'),
        moved AS (UPDATE tap.seen SET id = (SELECT max(id) FROM clinicq.audit_event))
    SELECT jsonb_agg(changes || jsonb_build_object('by', actor_name) ORDER BY id) FROM new
$$;
SELECT is(tap.state('auditor', $$ SELECT count(*) FROM clinicq_audit.export('2026-01-01 00:00+00', NULL) $$) || tap.noted()::text,
    '00000[{"by": "test_auditor", "to": null, "from": "2026-01-01 00:00:00+00", "kind": "audit", "format": "sql"}]', 'an export is an event: who, of what, of when');
SELECT is(tap.state('admin', $$ SELECT clinicq_audit.snapshot('visits', '2026-01-01', '2026-02-01') $$) || tap.noted()::text,
    '00000[{"by": "test_admin", "to": "2026-02-01", "from": "2026-01-01", "kind": "visits", "format": "sql"}]', 'a snapshot too, one');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.export_events(NULL, ''2026-01-01 00:00+05'')') || tap.noted()::text,
    '00000[{"by": "test_auditor", "to": "2025-12-31 19:00:00+00", "from": null, "kind": "events", "format": "sql"}]', 'so is one of sealed events');
SELECT is(tap.state('auditor', 'SELECT clinicq_audit.export_seals()') || coalesce(tap.noted()::text, ''), '00000', 'seals tell of nobody');
SELECT is(tap.state('auditor', 'SET LOCAL transaction_read_only = on; SELECT * FROM clinicq_audit.' || f), '25006', 'what cannot be noted is not given: ' || f) FROM unnest(ARRAY['export()', 'export_events()']) AS f;

-- Over HTTP, in pages.
CREATE FUNCTION tap.page(token text, route text, query jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT tap.http('GET /api/audit/' || route || '/', token, NULL, NULL, query) $$;
SELECT tap.noted() \g /dev/null
SELECT tap.page(:'audrey', 'export', '{"format": "csv", "from": "2026-01-01"}') AS page \gset
SELECT is((:'page'::jsonb)->>'status', '200', 'the log as CSV');
SELECT is((:'page'::jsonb)->'headers'->>'Content-Type', 'text/csv; charset=utf-8', 'says that it is');
SELECT is((:'page'::jsonb)->'headers'->>'Content-Disposition', 'attachment; filename="audit.csv"', 'with a name');
SELECT is((:'page'::jsonb)->'headers'->>'Next-Page', NULL, 'and all of it here');
SELECT is(split_part((:'page'::jsonb)->>'body', E'\r\n', 1), 'position,id,at,transaction_id,actor_id,actor_name,roles,door,client,request_id,action,entity,entity_id,changes,outcome', 'a line of names');
SELECT is(tap.noted(), '[{"by": "audrey", "from": "2026-01-01", "kind": "audit", "format": "csv"}]', 'noted');
SELECT tap.page(:'audrey', 'snapshot', '{"kind": "patients", "format": "csv"}')->>'body' AS csv \gset
SELECT is(regexp_replace(:'csv', ',\d{4}-[-0-9:.TZ]+', ',T', 'g'), E'registration_number,name,phone,gender,category,restricted,created_at,updated_at,removed_at,erased_at\r\n'
    || E'01-00-001,"Ada ""the"" Lovelace, Lady",''+92 300,OTHER,01,false,T,T,,\r\n01-00-002,''=1+1,"",OTHER,01,false,T,T,,\r\n01-00-003,Émile,,OTHER,01,false,T,T,,\r\n01-00-004,,,OTHER,01,true,T,T,,\r\n', 'patients as CSV');
SELECT is(tap.page(:'audrey', 'snapshot', '{"kind": "patients", "format": "csv", "safe": "off"}')->>'body' ~ '002,=1\+1,', true, 'safe=off leaves texts as they are');
SELECT is((SELECT array_agg(l::jsonb->'name') FROM regexp_split_to_table(rtrim(tap.page(:'adam', 'snapshot', '{"kind": "patients"}')->>'body', E'\n'), E'\n') AS l), ARRAY['"Ada \"the\" Lovelace, Lady"', '"=1+1"', '"Émile"', 'null']::jsonb[], 'as lines of JSON');
SELECT format('SELECT is(tap.page(%L, ''snapshot'', %L)->>''status'', ''200'', %L)', :'adam', q, 'snapshot ' || q) FROM unnest(ARRAY['{"kind": "visits", "from": "2026-01-01", "to": "2026-01-02"}', '{"kind": "queues"}', '{"kind": "visits", "format": "csv"}']) AS q
\gexec
SELECT format('SELECT is(tap.page(%L, %L, %L)->''detail'', %L, %L)', :'adam', r, q, d, r || ' ' || q) FROM (VALUES
    ('snapshot', '{}', to_jsonb('{"kind":["must be one of patients, visits, queues"]}'::text)),
    ('snapshot', '{"kind": "x", "format": "xml", "from": "y"}', to_jsonb('{"kind":["must be one of patients, visits, queues"],"format":["must be jsonl or csv"],"from":["must be a day, as 2026-11-20"]}'::text)),
    ('export', '{"cursor": "x"}', to_jsonb('{"cursor":["must be one that a page named"]}'::text)),
    ('export', '{"cursor": "1.2.3.4"}', to_jsonb('{"cursor":["must be one that a page named"]}'::text)),
    ('export', '{"cursor": "0.0.0.0.0"}', to_jsonb('{"cursor":["belongs to no export of yours of the last day"]}'::text)),
    ('export', '{"cursor": "9999999999999999999.0.0.0.0"}', to_jsonb('{"cursor":["must be one that a page named"]}'::text))) AS f (r, q, d)
\gexec

-- The whole way through the pages of a longer log.
SET session_replication_role = replica;
INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, changes)
    SELECT now() - interval '1 hour' + n * interval '1 millisecond', pg_current_xact_id(), 'load', '{admin}', 'psql', 'INSERT', 'load', jsonb_build_object('n', n, 'long', repeat('x', n % 3000)) FROM generate_series(1, 3500) n;
RESET session_replication_role;
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
CREATE TABLE tap.way (number int, page jsonb);
CREATE PROCEDURE tap.walk(token text, route text, query jsonb) LANGUAGE plpgsql AS $$
DECLARE
    cursor text;
BEGIN
    DELETE FROM tap.way;
    FOR n IN 1..100 LOOP
        INSERT INTO tap.way SELECT n, tap.page(token, route, query || CASE WHEN cursor IS NULL THEN '{}' ELSE jsonb_build_object('cursor', cursor) END);
        cursor := (SELECT page->'headers'->>'Next-Page' FROM tap.way WHERE number = n);
        COMMIT;
        EXIT WHEN cursor IS NULL;
    END LOOP;
END
$$;
SELECT tap.noted() \g /dev/null
CALL tap.walk(:'audrey', 'export', '{}');
SELECT cmp_ok((SELECT count(*) FROM tap.way), '>=', 4::bigint, 'several pages');
SELECT is((SELECT count(*) FROM tap.way WHERE page->>'status' <> '200' OR octet_length(page->>'body') > 300000), 0::bigint, 'none of them large');
SELECT is((SELECT string_agg(page->>'body', '' ORDER BY number) FROM tap.way), (SELECT string_agg(e || E'\n', '' ORDER BY n) FROM clinicq_audit.export_events() WITH ORDINALITY AS f (e, n)), 'are the lines of export_events(), each once');
SELECT is((SELECT count(*) FROM jsonb_array_elements(tap.noted()) AS e WHERE e->>'kind' = 'audit'), 1::bigint, 'and one event');
SELECT is((SELECT count(*) FROM tap.way, regexp_split_to_table(rtrim(page->>'body', E'\n'), E'\n') AS l WHERE l::jsonb->'personal'->'name' IS NOT NULL), 4::bigint, 'what can be erased stands beside what was hashed');
CALL tap.walk(:'audrey', 'export', '{"format": "csv"}');
SELECT is((SELECT count(*) FROM tap.way, regexp_split_to_table(page->>'body', E'\r\n') AS l WHERE l ~ ',load,'), 3500::bigint, 'as CSV every event once');
SELECT is((SELECT count(*) FROM tap.way WHERE page->>'body' ~ '^position,'), 1::bigint, 'with one line of names');
CALL tap.walk(:'audrey', 'seals', '{}');
SELECT is((SELECT string_agg(page->>'body', '' ORDER BY number) FROM tap.way), (SELECT string_agg(e || E'\n', '' ORDER BY n) FROM clinicq_audit.export_seals() WITH ORDINALITY AS f (e, n)), 'the seals');
CALL tap.walk(:'audrey', 'export', jsonb_build_object('from', to_char((now() - interval '1 minute') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')));
SELECT is((SELECT string_agg(page->>'body', '' ORDER BY number) FROM tap.way), (SELECT string_agg(e || E'\n', '' ORDER BY n) FROM clinicq_audit.export_events(date_trunc('second', now() - interval '1 minute')) WITH ORDINALITY AS f (e, n)), 'of a period, widened to whole seals');
INSERT INTO clinicq.patient (registration_number, name) SELECT 'P' || n, 'Many ' || n FROM generate_series(1, 2500) n;
CALL tap.walk(:'adam', 'snapshot', '{"kind": "patients"}');
SELECT is((SELECT count(DISTINCT l) FROM tap.way, regexp_split_to_table(rtrim(page->>'body', E'\n'), E'\n') AS l WHERE l <> ''), 2504::bigint, 'patients, each once');
CALL tap.walk(:'adam', 'snapshot', '{"kind": "patients", "from": "2019-01-01", "to": "2020-12-31"}');
SELECT is((SELECT string_agg(page->>'body', '') FROM tap.way) ~ '^\{[^\n]*01-00-001[^\n]*\n\{[^\n]*\n\{[^\n]*01-00-003[^\n]*\n$', true, 'those of a period alone');

-- A cursor belongs to its export.
CALL tap.walk(:'audrey', 'export', '{"format": "csv"}');
SELECT page->'headers'->>'Next-Page' AS cursor FROM tap.way WHERE number = 1 \gset
SELECT format('SELECT is(tap.page(%L, %L, %L)->>''sqlstate'', %L, %L)', t, r, q::jsonb || jsonb_build_object('cursor', :'cursor'), s, format('a cursor of another: %s %s', r, q)) FROM (VALUES
    (:'audrey', 'export', '{"format": "csv"}', NULL), (:'adam', 'export', '{"format": "csv"}', '22023'), (:'audrey', 'export', '{}', '22023'), (:'audrey', 'export', '{"format": "csv", "from": "2020-01-01"}', '22023'),
    (:'audrey', 'snapshot', '{"kind": "patients", "format": "csv"}', '22023'), (:'audrey', 'seals', '{}', '22023'), (:'dora', 'export', '{"format": "csv"}', '42501')) AS f (t, r, q, s)
\gexec
-- Nor does one that was made by hand lead out of what was noted.
CREATE FUNCTION tap.forged(key text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s.%s.%s', (extract(epoch FROM at) * 1000000)::bigint - 946684800000000, id, key) FROM clinicq.audit_event WHERE action = 'EXPORT' AND actor_name = 'audrey' ORDER BY id DESC LIMIT 1
$$;
SELECT pg_sleep(1.1) \g /dev/null
CREATE TABLE tap.since AS SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at;
SELECT tap.act('admin', 'SELECT clinicq.rename_queue(1, ''Late'')') \g /dev/null
SELECT tap.act('admin', 'SELECT clinicq_audit.seal_now()') \g /dev/null
SELECT tap.page(:'audrey', 'export', jsonb_build_object('from', at)) AS page FROM tap.since \gset
SELECT is(split_part(tap.page(:'audrey', 'export', jsonb_build_object('from', at, 'cursor', tap.forged('-1.99999999.0')))->>'body', E'\n', 1), split_part((:'page'::jsonb)->>'body', E'\n', 2), 'of sealed events') FROM tap.since;
SELECT ok((SELECT (changes->>'first')::bigint > 0 AND changes->>'after' = (SELECT max(size)::text FROM clinicq.audit_seal) FROM clinicq.audit_event WHERE action = 'EXPORT' ORDER BY id DESC LIMIT 1), 'which the event tells with their positions');
SELECT tap.page(:'audrey', 'export', jsonb_build_object('from', at, 'format', 'csv')) AS page FROM tap.since \gset
SELECT is(tap.page(:'audrey', 'export', jsonb_build_object('from', at, 'format', 'csv', 'cursor', tap.forged('0.0.0')))->>'body' ~ ',load,', false, 'nor of the table') FROM tap.since;
SELECT is(tap.state('admin', 'SELECT clinicq.set_setting(''audit_exports'', ''off'')'), '00000', 'exports need not be noted');
SELECT tap.noted() \g /dev/null
CALL tap.walk(:'audrey', 'export', '{"format": "csv"}');
SELECT is((SELECT count(*) FROM tap.way) > 3 AND tap.noted() IS NULL, true, 'then they are not, and go on all the same');
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''audit_exports'', ''on'')') \g /dev/null

-- COPY streams: the planner puts the query in the place of the function, and no node keeps rows.
CREATE FUNCTION tap.plan(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement LOOP plan := plan || line || E'\n'; END LOOP;
    RETURN plan;
END
$$;
SELECT is(tap.plan('SELECT * FROM clinicq_audit.' || f) ~ 'ProjectSet' AND tap.plan('SELECT * FROM clinicq_audit.' || f) !~ 'Function Scan|Materialize|Sort', true, f || ' streams')
FROM unnest(ARRAY['export()', 'export(now() - interval ''1 day'', now())', 'export(NULL, NULL, true)', 'snapshot_patients()', 'snapshot_visits()', 'snapshot_queues()']) AS f;

SELECT * FROM finish();
