-- Proves the counted events of the audit log: who looked at what, who searched for what and whom was refused
-- what; equal ones are one event with a count, which nothing hides while it is counted and which is written
-- once, when its time is over; and that what cannot be recorded is not shown.
SELECT no_plan();

SELECT tap.user('ada', '{doctor}') AS ada \gset
SELECT tap.user('bea', '{display}') AS bea \gset
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L, %L)', n, p)) FROM (VALUES ('Ada Lovelace', '0123'), ('Bob Burns', '0456'), ('Bo Diddley', '0789')) AS f (n, p) \g /dev/null
SELECT tap.act('assistant', 'SELECT v.visit_id FROM clinicq.open_visit(''01-00-001'', 1) AS v') \g /dev/null

-- What is counted now, as "action entity id outcome xcount", and forgets it.
CREATE FUNCTION tap.tallies() RETURNS text LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM clinicq.audit_tally RETURNING *)
    SELECT string_agg(concat_ws(' ', action, entity, entity_id, outcome, 'x' || count), '; ' ORDER BY first_at, key) FROM gone
$$;
CREATE FUNCTION tap.get(token text, number text, request_id text DEFAULT NULL, client inet DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.http('GET /api/patients/{registration_number}/', token, ARRAY[number], NULL, NULL, NULL, request_id, client)->>'status'
$$;
CREATE FUNCTION tap.list(token text, query jsonb) RETURNS bigint LANGUAGE sql AS $$
    SELECT jsonb_array_length(tap.http('GET /api/patients/', token, NULL, NULL, query)->'body'->'results')::bigint
$$;

-- Looks.
SELECT is(tap.get(:'ada', '01-00-001', 'r1', '192.0.2.7'), '200', 'a look at a patient');
SELECT results_eq('SELECT actor_id, actor_name, roles, door, client, request_id, action, entity, entity_id, detail, outcome, count, until - first_at FROM clinicq.audit_tally',
    $$ VALUES (1::bigint, 'ada', '{doctor}'::text[], 'http', '192.0.2.7'::inet, 'r1', 'READ', 'patient', '1', NULL::jsonb, 'done', 1::bigint, interval '5 minutes') $$, 'is counted, with who, whence and when');
SELECT tap.get(:'ada', '01-00-001', 'r2', '192.0.2.7') \g /dev/null
SELECT tap.get(:'ada', '01-00-001', 'r3', '192.0.2.7') \g /dev/null
SELECT results_eq('SELECT request_id, count, last_at > first_at FROM clinicq.audit_tally', $$ VALUES ('r1', 3::bigint, true) $$, 'the same again is the same tally, with the first request');
SELECT results_eq($$ SELECT id, at = (changes->>'last')::timestamptz, transaction_id, action, entity_id, changes->'count' FROM clinicq_audit.event WHERE action = 'READ' $$,
    $$ VALUES (NULL::bigint, true, NULL::xid8, 'READ', '1', '3'::jsonb) $$, 'auditors see it while it is counted');
SELECT tap.get(:'ada', '01-00-001', 'r4', '192.0.2.8') \g /dev/null
SELECT tap.get(:'bea', '01-00-001', 'r5', '192.0.2.7') \g /dev/null
SELECT tap.get(:'ada', '01-00-002', 'r6', '192.0.2.7') \g /dev/null
SELECT is(tap.tallies(), 'READ patient 1 done x3; READ patient 1 done x1; READ patient 1 done x1; READ patient 2 done x1', 'another address, user or patient is another');
SELECT is(tap.http('GET /api/visits/{id}/', :'bea', '{1}')->>'status', '200', 'a visit');
SELECT is(tap.http('PATCH /api/visits/{id}/', :'ada', '{1}', '{}')->>'status', '200', 'a transfer that names no queue');
SELECT is(tap.tallies(), 'READ visit 1 done x1; READ visit 1 done x1', 'are looks');
SELECT is(tap.list(:'ada', '{"registration_numbers": "01-00-001,01-00-003,77-77-777"}'), 2::bigint, 'patients by their numbers');
SELECT is(tap.tallies(), 'READ patient 1 done x1; READ patient 3 done x1', 'are looks at each');
SELECT is(tap.http('GET /api/visits/', :'bea', NULL)->>'status', '200', 'a list of visits');
SELECT is(tap.tallies(), NULL, 'is no look at a record');
SELECT is(tap.get(:'ada', '77-77-777'), NULL, 'a patient who is not there');
SELECT is(tap.tallies(), NULL, 'has not been looked at');

-- Searches.
SELECT is(tap.http('GET /api/patients/search/', :'ada', NULL, NULL, '{"q": " bo "}')->>'status', '200', 'a search');
SELECT is((SELECT detail FROM clinicq.audit_tally), '{"term": "bo", "matched": 2}'::jsonb, 'is recorded with its term and how many matched');
SELECT is(tap.tallies(), 'SEARCH patient done x1', 'and is no look');
SELECT is(tap.http('GET /api/patients/search/', :'ada', NULL, NULL, '{"q": "0456"}')->>'status', '200', 'a search by telephone');
SELECT is(tap.tallies(), 'SEARCH patient done x1; READ patient 2 done x1', 'that finds one patient is a look too');
SELECT is(tap.list(:'ada', NULL), 3::bigint, 'the list of all patients');
SELECT is((SELECT detail FROM clinicq.audit_tally), '{"term": "", "matched": 3}'::jsonb, 'is a search without a term');
SELECT is(tap.tallies(), 'SEARCH patient done x1', 'and nothing else');
SELECT is(tap.act('assistant', 'SELECT name FROM clinicq.find_patients(''burns'')'), 'Bob Burns', 'a search in psql');
SELECT results_eq('SELECT actor_id, actor_name, door, action, entity_id FROM clinicq.audit_tally ORDER BY first_at',
    $$ VALUES (NULL::bigint, 'test_assistant', 'psql', 'SEARCH', NULL), (NULL, 'test_assistant', 'psql', 'READ', '2') $$, 'is recorded as well');
SELECT tap.tallies() \g /dev/null
SELECT is(tap.act('assistant', format('SELECT count(*) FROM clinicq.find_patients(%L)', repeat('ü', 2000))), '0', 'a term of any length');
SELECT is((SELECT octet_length(detail->>'term') FROM clinicq.audit_tally), 1020, 'is kept as far as it goes');
SELECT tap.tallies() \g /dev/null

-- When its time is over it is an event.
SELECT tap.get(:'ada', '01-00-001', 'r1') \g /dev/null
SELECT tap.get(:'ada', '01-00-001', 'r2') \g /dev/null
SELECT is(tap.act('admin', 'SELECT clinicq.close_tallies()'), '0', 'not before');
UPDATE clinicq.audit_tally SET first_at = '2026-02-03 04:05:06.000007+00', until = now() - interval '11 seconds';
SELECT is(tap.act('auditor', 'SELECT clinicq.close_tallies()'), '1', 'then, once');
SELECT is(tap.act('admin', 'SELECT clinicq.close_tallies()'), '0', 'and no more');
SELECT is_empty('SELECT * FROM clinicq.audit_tally', 'the tally is gone');
SELECT results_eq($$ SELECT actor_id, actor_name, door, request_id, entity_id, outcome, changes->'count', changes->>'first', (changes->>'last')::timestamptz < at, at > now() - interval '1 minute', transaction_id IS NOT NULL FROM clinicq.audit_event WHERE action = 'READ' $$,
    $$ VALUES (1::bigint, 'ada', 'http', 'r1', '1', 'done', '2'::jsonb, '2026-02-03T04:05:06.000007+00:00', true, true, true) $$, 'the event says who, how often, from when to when');
SELECT results_eq($$ SELECT count(*) FROM clinicq_audit.event WHERE action = 'READ' $$, 'VALUES (1::bigint)', 'auditors see it once');
SELECT tap.get(:'ada', '01-00-001', 'r3') \g /dev/null
UPDATE clinicq.audit_tally SET until = first_at;
SELECT tap.get(:'ada', '01-00-001', 'r4') \g /dev/null
SELECT results_eq($$ SELECT request_id, changes->'count' FROM clinicq_audit.event WHERE action = 'READ' ORDER BY id $$,
    $$ VALUES ('r1', '2'::jsonb), ('r3', '1'), ('r4', '1') $$, 'the next look closes one that is over and begins another');
SELECT tap.tallies() \g /dev/null

-- Settings.
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_read_minutes'', ''60'')') \g /dev/null
SELECT tap.get(:'ada', '01-00-001') \g /dev/null
SELECT is((SELECT until - first_at FROM clinicq.audit_tally), interval '60 minutes', 'how long it is counted is a setting');
SELECT tap.tallies() \g /dev/null
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_reads'', ''off'')') \g /dev/null
SELECT tap.http('GET /api/patients/search/', :'ada', NULL, NULL, '{"q": "burns"}') \g /dev/null
SELECT tap.get(:'ada', '01-00-001') \g /dev/null
SELECT is(tap.tallies(), 'SEARCH patient done x1', 'looks can be turned off');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_searches'', ''off'')') \g /dev/null
SELECT tap.http('GET /api/patients/search/', :'ada', NULL, NULL, '{"q": "burns"}') \g /dev/null
SELECT is(tap.tallies(), NULL, 'and so can searches');
SELECT is((SELECT string_agg(changes->'value'->>'new', ' ' ORDER BY id) FROM clinicq.audit_event WHERE entity = 'setting' AND entity_id ~ '^audit_(reads|searches)$'), 'off off', 'which is itself in the log');
SELECT tap.act('admin', format('SELECT clinicq.set_setting(%L, ''on'')', s)) FROM unnest(ARRAY['audit_reads', 'audit_searches']) AS s \g /dev/null

-- What cannot be recorded is not shown.
BEGIN READ ONLY;
SELECT is(tap.act('assistant', 'SELECT name FROM clinicq.find_patients(''burns'')'), '25006: this cannot be shown where the look cannot be recorded', 'nothing is shown in a read-only transaction');
ROLLBACK;

-- Refusals, as the shim tells of them in a transaction of their own.
SELECT is(tap.http('REFUSED 42501 DELETE /api/patients/{registration_number}/', :'bea', '{01-00-001}', NULL, NULL, NULL, 'r9', '192.0.2.7')->>'status', '204', 'a refusal');
SELECT tap.http('REFUSED 42501 DELETE /api/patients/{registration_number}/', :'bea', '{01-00-001}', NULL, NULL, NULL, 'r10', '192.0.2.7') \g /dev/null
SELECT results_eq('SELECT actor_name, roles, client, request_id, action, entity, entity_id, outcome, count, until - first_at FROM clinicq.audit_tally',
    $$ VALUES ('bea', '{display}'::text[], '192.0.2.7'::inet, 'r9', 'REFUSED', 'DELETE /api/patients/{registration_number}/', '01-00-001', '42501', 2::bigint, interval '1 minute') $$, 'is counted for a minute');
SELECT tap.tallies() \g /dev/null
SELECT format('SELECT isnt(tap.http(%L, %L, ARRAY[%L]), NULL, ''with any path'')', 'REFUSED QC409 PATCH /api/visits/{id}/done/', :'ada', v) FROM unnest(ARRAY['1', 'Ada Lovelace', repeat('1', 33), '']) AS v
\gexec
SELECT tap.http('REFUSED QC409 PATCH /api/visits/{id}/done/', :'ada', NULL) \g /dev/null
SELECT tap.http('REFUSED QC409 PATCH /api/visits/{id}/done/', :'ada', ARRAY[NULL]::text[]) \g /dev/null
SELECT is(tap.tallies(), 'REFUSED PATCH /api/visits/{id}/done/ 1 QC409 x1; REFUSED PATCH /api/visits/{id}/done/ QC409 x5', 'of the path only what is a number is kept');
SELECT tap.http('REFUSED 42501 GET /api/users/', repeat('0', 64)) \g /dev/null
SELECT tap.http('REFUSED 42501 GET /api/users/', NULL) \g /dev/null
SELECT results_eq('SELECT actor_id, actor_name, count FROM clinicq.audit_tally', $$ VALUES (NULL::bigint, 'anonymous', 2::bigint) $$, 'of one whose token is no longer valid nothing is known');
SELECT tap.tallies() \g /dev/null
SELECT format('SELECT is(tap.http(%L, %L)->>''sqlstate'', ''P0002'', ''"%s" is no route'')', r, :'ada', r) FROM unnest(ARRAY['REFUSED ', 'REFUSED 42501', 'REFUSED 425012', 'REFUSED']) AS r
\gexec
SELECT results_eq('SELECT DISTINCT sqlstate FROM clinicq.problem WHERE audited ORDER BY 1', $$ VALUES ('42501'), ('QC403'), ('QC409'), ('QC423') $$, 'these refusals are recorded');
SELECT is((SELECT jsonb_agg(p->>'sqlstate' ORDER BY p->>'sqlstate') FROM jsonb_array_elements(clinicq_api.catalogue()::jsonb->'problems') AS p WHERE (p->>'audited')::boolean), '["42501", "QC403", "QC409", "QC423"]'::jsonb, 'which the shim is told');

-- In psql, where no keeper works: in the server's log alone, whose lines the suite gather reads.
SELECT is(tap.act('doctor', 'SELECT clinicq.finish_visit(1)'), 'QC409: the visit is WAITING; done is possible from IN_ROOM', 'a rule refuses in psql as well');
SELECT is(tap.tallies(), NULL, 'which is not counted in a transaction that is rolled back');

-- Nothing leaks from one tally's texts into another's.
SELECT is((SELECT count(*) FROM clinicq.audit_tally), 0::bigint, 'nothing is counted');
SELECT format('SELECT is(tap.http(%L, %L, NULL, NULL, jsonb_build_object(''q'', %L))->>''status'', ''200'', ''a term'')', 'GET /api/patients/search/', :'ada', q) FROM unnest(ARRAY['a","matched":3}', 'a', '"', '\', E'a\nb']) AS q
\gexec
SELECT is((SELECT count(*) FROM clinicq.audit_tally WHERE action = 'SEARCH'), 5::bigint, 'terms with quotes and line ends are kept apart');
SELECT is((SELECT count(*) FROM clinicq.audit_tally WHERE detail->>'term' = '"'), 1::bigint, 'and as they were');

SELECT * FROM finish();
