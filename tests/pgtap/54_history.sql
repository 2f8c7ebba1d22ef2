-- Proves that the history of a patient holds all that was done with the record, its visits and who may
-- see it, and nothing of anybody else, however many events there are; and that auditors find events over
-- HTTP by every filter and page by page, each once, while administrators learn nothing of restricted patients.
SELECT no_plan();

SELECT tap.user(r, ARRAY[r]) FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'auditor']) AS r \g /dev/null
SELECT tap.user('both', '{admin,auditor}') \g /dev/null
CREATE FUNCTION tap.token(username text) RETURNS text LANGUAGE sql AS $$ SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') $$;
CREATE FUNCTION tap.ask(who text, route text, path text[] DEFAULT NULL, body text DEFAULT NULL, query jsonb DEFAULT NULL, request_id text DEFAULT NULL, client inet DEFAULT NULL)
RETURNS jsonb LANGUAGE sql AS $$ SELECT tap.http(route, tap.token(who), path, body, query, NULL, request_id, client) $$;
CREATE FUNCTION tap.history(who text, number text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act(who, format('SELECT string_agg(concat_ws('' '', action, entity, entity_id, actor_name, nullif(outcome, ''done'')), ''; '' ORDER BY n)
        FROM clinicq_audit.patient_history(%L) WITH ORDINALITY AS h (id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id, action, entity, entity_id, changes, outcome, n)', number))
$$;

-- Patient 1 has visit 2 and 3, patient 2 visit 1, in queues 1 and 2: keys of one are keys of others elsewhere.
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS queue \gset
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Eye'')') AS eye \gset
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Ada Marsh'', ''0700'')') AS ada \gset
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Bob Burns'')') AS bob \gset
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s) AS v', :'bob', :queue)) AS first \gset
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s) AS v', :'ada', :queue)) AS second \gset
SELECT is(:'first' || :'second', '12', 'two visits');
SELECT tap.act('doctor', format('SELECT v.visit_id FROM clinicq.transfer_visit(2, %s) AS v', :eye)) \g /dev/null
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''sms_account'', ''AC1''), clinicq.set_setting(''sms_from'', ''+14155550100'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.notify_visit(%s, ''sms'', ''+92300123456%s'')', n, n)) FROM unnest(ARRAY[3, 1]) AS n \g /dev/null
SELECT tap.ask('doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'ada'], request_id => 'look-1', client => '192.0.2.7') \g /dev/null
SELECT tap.ask('doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'bob']) \g /dev/null
SELECT tap.ask('doctor', 'GET /api/visits/{id}/', '{3}') \g /dev/null
SELECT tap.ask('doctor', 'REFUSED 42501 DELETE /api/patients/{registration_number}/', ARRAY[:'ada']) \g /dev/null
SELECT tap.ask('doctor', 'REFUSED QC409 PATCH /api/visits/{id}/done/', '{3}') \g /dev/null
SELECT tap.ask('doctor', 'REFUSED QC409 PATCH /api/visits/{id}/done/', '{1}') \g /dev/null
SELECT tap.ask('doctor', 'REFUSED 42501 PATCH /api/users/{id}/', '{1}') \g /dev/null
SELECT tap.act('admin', format('SELECT clinicq.restrict_patient(%L)', :'ada')) \g /dev/null
SELECT tap.act('admin', format('SELECT clinicq.grant_patient_access(%L, ''doctor'')', :'ada')) \g /dev/null

SELECT is(tap.history('auditor', :'ada'), concat_ws('; ',
    'INSERT patient 1 test_assistant', 'INSERT visit 2 test_assistant', 'INSERT visit 3 test_doctor', 'UPDATE visit 2 test_doctor', 'INSERT visit_contact 3 test_assistant', 'READ patient 1 doctor', 'READ visit 3 doctor',
    'REFUSED DELETE /api/patients/{registration_number}/ ' || :'ada' || ' doctor 42501', 'REFUSED PATCH /api/visits/{id}/done/ 3 doctor QC409', 'UPDATE patient 1 test_admin', 'INSERT patient_access 1 test_admin'),
    'the history has what was done, looked at and refused, of the record, its visits and its list, in order of time');
SELECT is(tap.history('auditor', :'bob'), 'INSERT patient 2 test_assistant; INSERT visit 1 test_assistant; INSERT visit_contact 1 test_assistant; READ patient 2 doctor; REFUSED PATCH /api/visits/{id}/done/ 1 doctor QC409',
    'and nothing of another patient');
SELECT matches(tap.history('auditor', replace(:'ada', '-', '')), 'READ patient 1 test_auditor history$', 'reading a history is in the history');
SELECT is(tap.act('auditor', 'SELECT count(*) FROM clinicq_audit.patient_history(''77-77-777'')'), 'P0002: no patient 77-77-777', 'an unknown number');
SELECT is(tap.act('auditor', 'SELECT count(*) FROM clinicq_audit.patient_history(NULL)'), '22004: registration_number must not be null', 'none');
SELECT is(tap.state(r, format('SELECT * FROM clinicq_audit.patient_history(%L)', :'bob')), CASE WHEN r IN ('admin', 'auditor') THEN '00000' ELSE '42501' END, r || CASE WHEN r IN ('admin', 'auditor') THEN ' may' ELSE ' may not' END)
FROM unnest(ARRAY['admin', 'auditor', 'doctor', 'assistant', 'display', 'reporter', 'nobody', 'shim']) AS r;

-- What an administrator learns of a restricted patient.
CREATE FUNCTION tap.names(who text, number text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act(who, format('SELECT string_agg(changes->''name''->>''new'', '','') FROM clinicq_audit.patient_history(%L)', number))
$$;
SELECT is(tap.names('auditor', :'ada'), 'Ada Marsh', 'an auditor sees what stood in the record');
SELECT is(tap.names('admin', :'ada'), NULL, 'an administrator does not while it is restricted');
SELECT is(tap.names('admin', :'bob'), 'Bob Burns', 'of others he does');
SELECT is(tap.act('admin', format('SELECT count(*) FROM clinicq_audit.patient_history(%L) WHERE entity = ''visit'' AND changes IS NULL AND action IN (''INSERT'', ''UPDATE'')', :'ada')), '0', 'visits are as they are');
CREATE FUNCTION tap.numbers(who text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e #>> '{changes,address,new}', ',' ORDER BY e #>> '{changes,address,new}') FROM jsonb_array_elements(tap.ask(who, 'GET /api/audit/', query => '{"entity": "visit_contact"}') #> '{body,results}') AS e
$$;
SELECT is(tap.numbers('auditor'), '+923001234561,+923001234563', 'an auditor sees where messages go');
SELECT is(tap.numbers('admin'), '+923001234561', 'an administrator that of others');
SELECT tap.act('admin', format('SELECT clinicq.emergency_access(%L, ''the auditors are away'')', :'ada')) \g /dev/null
SELECT is(tap.names('admin', :'ada'), 'Ada Marsh', 'in an emergency he sees it');
SELECT matches(tap.history('auditor', :'ada'), 'EMERGENCY patient 1 test_admin flagged', 'which is in the history');

-- Removed patients have one.
SELECT tap.act('doctor', format('SELECT clinicq.cancel_visit(%s)', :first)) \g /dev/null
SELECT is(tap.act('doctor', format('SELECT clinicq.remove_patient(%L)', :'bob')), '', 'a patient is removed');
SELECT matches(tap.history('auditor', :'bob'), 'UPDATE visit 1 test_doctor; UPDATE patient 2 test_doctor', 'the history stays');

-- Among many events, with and without a summary of the pages.
CREATE FUNCTION tap.fill(n int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO clinicq.audit_event (at, transaction_id, actor_name, roles, door, action, entity, entity_id)
        SELECT clock_timestamp(), pg_current_xact_id(), 'filler', '{}', 'psql', 'READ', 'visit', (100 + i % 30000)::text FROM generate_series(1, n) AS i
$$;
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS filled \gset
SELECT tap.fill(105000) \g /dev/null
SELECT tap.history('auditor', :'bob') AS before \gset
SELECT tap.act('doctor', format('SELECT name FROM clinicq.find_patients(%L)', :'ada')) \g /dev/null
VACUUM (ANALYZE) clinicq.audit_event;
SELECT is((SELECT bool_and(a.amname = 'brin') FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relname ~ '^audit_event_[0-9_]+entity_id_idx'), true, 'every month has the index of entities');
SELECT alike(tap.history('auditor', :'bob'), :'before' || '%', 'the summaries lose nothing');
CREATE FUNCTION tap.plan(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    lines text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        lines := lines || line || E'\n';
    END LOOP;
    RETURN lines;
END
$$;
SET enable_seqscan = off; -- so few are read as fast as a summary
SELECT matches(tap.plan('SELECT * FROM clinicq_audit.event WHERE entity_id = ANY (''{2,77}'')'), 'Bitmap Index Scan on audit_event_[0-9_]+entity_id_idx', 'and can find one record among many');
RESET enable_seqscan;

-- Over HTTP: every filter.
CREATE FUNCTION tap.events(who text, query jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT tap.ask(who, 'GET /api/audit/', NULL, NULL, query)->'body' $$;
SELECT is((SELECT array_agg(k ORDER BY n) FROM jsonb_object_keys(tap.events('auditor', '{"page_size": "1"}')->'results'->0) WITH ORDINALITY AS x (k, n)),
    '{at,id,door,roles,action,client,entity,changes,outcome,actor_id,entity_id,actor_name,request_id,transaction_id}'::text[], 'an event has these keys');
SELECT is(jsonb_array_length(tap.events('auditor', '{}')->'results'), 100, 'a page has 100');
CREATE TABLE tap.filter (filter jsonb, condition text);
INSERT INTO tap.filter VALUES
    ('{"actor": "doctor"}', 'actor_name = ''doctor'''), ('{"actor": "test_admin", "action": "INSERT"}', 'actor_name = ''test_admin'' AND action = ''INSERT'''),
    ('{"entity": "queue"}', 'entity = ''queue'''), ('{"entity": "visit", "entity_id": "1"}', 'entity = ''visit'' AND entity_id = ''1'''), ('{"entity_id": "1"}', 'entity_id = ''1'''),
    ('{"outcome": "QC409"}', 'outcome = ''QC409'''), ('{"door": "http", "action": "REFUSED"}', 'door = ''http'' AND action = ''REFUSED'''), ('{"client": "192.0.2.7"}', 'client = ''192.0.2.7'''),
    ('{"client": "2001:db8::1"}', 'client = ''2001:db8::1'''), ('{"request_id": "look-1"}', 'request_id = ''look-1'''), ('{"from": "2099-01-01"}', 'at > ''2099-01-01'''), ('{"to": "2020-01-01T00:00:00Z"}', 'at < ''2020-01-01'''),
    ('{"actor": "o''brien"}', 'actor_name = ''o''''brien''');
SELECT format('SELECT is(jsonb_array_length(tap.events(''auditor'', %L)->''results''), (SELECT count(*)::int FROM clinicq_audit.event WHERE (%s) AND at < %L), %L)',
    filter || jsonb_build_object('page_size', '500', 'to', coalesce(filter->>'to', :'filled')), condition, :'filled', 'by ' || filter::text) FROM tap.filter
\gexec
SELECT is((SELECT jsonb_agg(e->'id' ORDER BY n DESC) FROM jsonb_array_elements(tap.events('auditor', jsonb_build_object('patient', :'bob', 'page_size', '500'))->'results') WITH ORDINALITY AS x (e, n) WHERE e->>'action' NOT IN ('READ', 'REFUSED')),
    tap.act('auditor', format('SELECT jsonb_agg(id ORDER BY at, id) FROM clinicq_audit.patient_history(%L) WHERE action NOT IN (''READ'', ''REFUSED'')', :'bob'))::jsonb, 'by patient: the history, newest first');
SELECT is(jsonb_array_length(tap.events('auditor', jsonb_build_object('patient', :'bob', 'action', 'UPDATE', 'entity', 'patient'))->'results'), 1, 'with other filters');
SELECT is(a->>'detail', d, f::text) FROM (VALUES ('{"from": "yesterday"}', '{"from":["must be a time, as 2026-11-20T09:30:00Z, or a day, as 2026-11-20"]}')) AS x (f, d), tap.ask('auditor', 'GET /api/audit/', NULL, NULL, f::jsonb) AS a;
SELECT is(a->>'detail', '{"to":["must be a time, as 2026-11-20T09:30:00Z, or a day, as 2026-11-20"],"client":["must be an address, as 192.0.2.1"],"cursor":["must be that of a page''s next"],"patient":["is not the registration number of a patient"]}', 'all that is wrong is named')
FROM tap.ask('auditor', 'GET /api/audit/', NULL, NULL, '{"to": "2026-02-30", "client": "192.0.2.0/24", "cursor": "1", "patient": "77-77-777"}') AS a;

-- Looking into it is an event, with what was asked for.
SELECT tap.events('auditor', '{"actor": "doctor", "from": "2026-01-01", "page_size": "3"}') \g /dev/null
SELECT is((SELECT concat_ws(' ', actor_name, entity, entity_id, changes->'actor', changes->'from', changes->'page_size') FROM clinicq_audit.event WHERE action = 'READ' AND entity = 'audit_event' AND changes ? 'from' AND changes ? 'actor'),
    'auditor audit_event "doctor" "2026-01-01"', 'a look into the log is in the log');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_reads'', ''off'')') \g /dev/null
SELECT tap.events('auditor', '{"actor": "nobody else"}') \g /dev/null
SELECT is((SELECT count(*) FROM clinicq_audit.event WHERE changes->>'actor' = 'nobody else'), 1::bigint, 'whatever the settings say');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''audit_reads'', ''on'')') \g /dev/null

-- Pages: each event once, the newest first, also where what is asked for is rare.
CREATE TABLE tap.page (n int GENERATED ALWAYS AS IDENTITY, query jsonb, body jsonb);
CREATE FUNCTION tap.next_page(filter jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tap.page (query, body) SELECT q, tap.events('auditor', q) FROM (
        SELECT filter || jsonb_build_object('to', '2098-01-01') || coalesce((SELECT jsonb_build_object('cursor', substring(body->>'next' FROM 'cursor=([0-9.]+)')) FROM tap.page ORDER BY n DESC LIMIT 1), '{}') AS q) AS x
        WHERE NOT EXISTS (SELECT FROM tap.page) OR (SELECT body->>'next' FROM tap.page ORDER BY n DESC LIMIT 1) IS NOT NULL
$$;
SELECT 'SELECT tap.next_page(''{"action": "INSERT", "page_size": "3"}'')' FROM generate_series(1, 12)
\gexec
SELECT ok((SELECT body->>'next' IS NULL FROM tap.page ORDER BY n DESC LIMIT 1), 'the last page has no next');
SELECT is((SELECT array_agg((e->>'id')::bigint ORDER BY p.n, x.n) FROM tap.page p, jsonb_array_elements(body->'results') WITH ORDINALITY AS x (e, n)),
    (SELECT array_agg(id ORDER BY at DESC, id DESC) FROM clinicq.audit_event WHERE action = 'INSERT'), 'each event once, the newest first');
SELECT cmp_ok((SELECT jsonb_array_length(body->'results') FROM tap.page ORDER BY n LIMIT 1), '<', 3, 'a page that has looked at 100,000 events ends, and goes on with the next');

-- What an administrator does not learn.
SELECT is((SELECT count(*) FROM jsonb_array_elements(tap.events('admin', '{"entity": "patient", "page_size": "500"}')->'results') AS e WHERE e->>'action' = 'SEARCH' AND e->'changes' <> 'null'), 0::bigint, 'an administrator does not see what was searched');
UPDATE clinicq.patient_access SET until = clock_timestamp() WHERE reason IS NOT NULL;
SELECT tap.ask('admin', 'POST /api/patients/{registration_number}/emergency/', ARRAY[:'ada'], '{"reason": "only to test this"}')->'body'->>'id' AS emergency \gset
SELECT alike(tap.events('admin', jsonb_build_object('to', :'filled', 'action', 'INSERT'))::text, '%Ada Marsh%', 'in an emergency he sees a restricted patient''s events');
SELECT tap.act('admin', format('SELECT clinicq.review_emergency(%s, ''done'')', :emergency)) \g /dev/null
SELECT unalike(tap.events('admin', jsonb_build_object('to', :'filled', 'action', 'INSERT'))::text, '%Ada Marsh%', 'without one he does not');
SELECT alike(tap.events('admin', jsonb_build_object('to', :'filled', 'action', 'INSERT'))::text, '%Bob Burns%', 'others he does');
SELECT alike(tap.events('both', jsonb_build_object('to', :'filled', 'action', 'INSERT'))::text, '%Ada Marsh%', 'one who is an auditor as well sees all');
SELECT alike(tap.events('auditor', '{"page_size": "500", "action": "SEARCH"}')::text, format('%%"term": "%s"%%', :'ada'), 'and what was searched');

SELECT * FROM finish();
