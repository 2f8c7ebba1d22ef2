-- Proves the audit log: who changed what and when for every table that holds clinical or access data, by both
-- doors; only the columns that changed; secrets never; and that nobody changes or removes what is logged.
SELECT no_plan();

CREATE TABLE tap.mark (id bigint);
INSERT INTO tap.mark SELECT coalesce(max(id), 0) FROM clinicq.audit_event;
-- The events since the last call, as "action entity id changed-columns".
CREATE FUNCTION tap.events() RETURNS text LANGUAGE sql AS $$
    WITH new AS (SELECT * FROM clinicq.audit_event WHERE id > (SELECT id FROM tap.mark)),
        moved AS (UPDATE tap.mark SET id = coalesce((SELECT max(id) FROM new), id))
    SELECT string_agg(concat_ws(' ', action, entity, entity_id,
        (SELECT '(' || string_agg(k, ', ' ORDER BY k) || ')' FROM jsonb_object_keys(changes) AS k)), '; ' ORDER BY id) FROM new
$$;
CREATE FUNCTION tap.last() RETURNS clinicq_audit.event LANGUAGE sql AS $$ SELECT e FROM clinicq_audit.event e WHERE id IS NOT NULL ORDER BY id DESC LIMIT 1 $$;
SELECT tap.user('ada', '{admin,doctor}') AS ada \gset
SELECT tap.events() \g /dev/null

-- What is logged, of every table.
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''General'')'), '1', 'a queue');
SELECT is(tap.events(), 'INSERT queue 1 (clinic_id, created_at, id, name, token_prefix, updated_at, version)', 'is an event with its columns that are not null');
SELECT results_eq('SELECT actor_name, actor_id, roles, door, client, request_id, outcome, changes->''name'' FROM tap.last()',
    $$ VALUES ('test_admin', NULL::bigint, '{admin}'::text[], 'psql', NULL::inet, NULL::text, 'done', '{"new": "General"}'::jsonb) $$, 'that says who');
SELECT is((SELECT now() - at BETWEEN '-1 minute' AND '1 minute' AND transaction_id < pg_current_xact_id() FROM tap.last()), true, 'when, and in which transaction');
SELECT is(tap.act('admin', 'SELECT clinicq.rename_queue(1, ''Main'')') || tap.events(), 'UPDATE queue 1 (name, updated_at, version)', 'a change names the columns that changed');
SELECT is((SELECT changes->'name' FROM tap.last()), '{"old": "General", "new": "Main"}'::jsonb, 'with old and new');
SELECT is(tap.act('assistant', 'SELECT clinicq.register_patient(''Ada'', ''1'')'), '01-00-001', 'a patient');
SELECT is(tap.events(), 'INSERT patient 1 (category, created_at, gender, id, name, phone, registration_number, restricted, updated_at, version)', 'is an event');
SELECT is(tap.act('assistant', 'SELECT clinicq.update_patient(''01-00-001'', phone => ''2'')') || tap.events(), 'UPDATE patient 1 (phone, updated_at, version)', 'a change of one');
SELECT is(tap.act('admin', 'SELECT clinicq.create_room(''Room'')') || tap.events(), '1INSERT room 1 (clinic_id, created_at, id, name, updated_at, version)', 'a room');
SELECT is(tap.act('assistant', 'SELECT v.token_number FROM clinicq.open_visit(''01-00-001'', 1) AS v'), '1', 'a visit');
SELECT is(tap.events(), 'INSERT visit 1 (closed_by_system, created_at, follow_code, id, patient_id, priority, queue_id, service_day, status, token_number, updated_at, version)', 'is an event');
SELECT is(tap.act('doctor', 'SELECT v.status FROM clinicq.start_visit(1, 1) AS v'), 'START', 'a move');
SELECT is(tap.events(), 'UPDATE visit 1 (room_id, status, updated_at, version)', 'is one too');
SELECT results_eq('SELECT actor_name, roles, changes->''status'', changes->''room_id'' FROM tap.last()',
    $$ VALUES ('test_doctor', '{doctor}'::text[], '{"old": "WAITING", "new": "START"}'::jsonb, '{"old": null, "new": 1}'::jsonb) $$, 'by whom, from what to what');
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''Other'')') || tap.events() IS NOT NULL, true, 'another queue');
SELECT is(tap.act('doctor', 'SELECT v.visit_id FROM clinicq.transfer_visit(1, 2) AS v'), '2', 'a transfer');
SELECT matches(tap.events(), '^INSERT visit 2 \(.*transferred_from.*\); UPDATE visit 1 \(room_id, status, transferred_to, updated_at, version\)$', 'is an event of each visit');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''display_names'', ''none'')') || tap.events(), 'UPDATE setting display_names (updated_at, value)', 'a setting, by its name');
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''display_names'', ''none'')') || coalesce(tap.events(), 'nothing'), 'nothing', 'what stays as it is, is no event');
UPDATE clinicq.clinic SET day_starts_at = '06:30' WHERE id = 1;
SELECT is(tap.events(), 'UPDATE clinic 1 (day_starts_at)', 'the calendar of a site');
SELECT is((SELECT changes FROM tap.last()), '{"day_starts_at": {"old": "00:00:00", "new": "06:30:00"}}'::jsonb, 'as times');
SELECT is(tap.act('admin', 'SELECT clinicq.create_room(''Gone'')'), '2', 'a row');
SELECT tap.events() \g /dev/null
DELETE FROM clinicq.room WHERE id = 2;
SELECT is(tap.events(), 'DELETE room 2 (clinic_id, created_at, id, name, updated_at, version)', 'that the owner deletes is in the log');
SELECT is((SELECT changes->'name' FROM tap.last()), '{"old": "Gone"}'::jsonb, 'with what it was');

-- Users: no secret.
SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', s, v)) FROM (VALUES ('password_memory_kib', '7168'), ('password_iterations', '1')) AS f (s, v) \g /dev/null
SELECT tap.events() \g /dev/null
SELECT is(tap.act('admin', $$ SELECT clinicq.create_user('ben', '{display}', 'correct horse 1') $$), NULL, 'a user');
SELECT is((SELECT changes->'password_hash' FROM tap.last()), '{"new": "***"}'::jsonb, 'without the hash');
SELECT is((SELECT changes->'roles' FROM tap.last()), '{"new": "{display}"}'::jsonb, 'with the roles');
SELECT tap.events() \g /dev/null
SELECT is(tap.act('admin', $$ SELECT clinicq.set_password('ben', 'correct horse 2') $$) || tap.events(), 'UPDATE app_user 2 (password_hash, updated_at, version)', 'a password');
SELECT is((SELECT changes->'password_hash' FROM tap.last()), '{"old": "***", "new": "***"}'::jsonb, 'that it changed, not to what');
SELECT is(tap.act('admin', $$ SELECT clinicq.grant_role('ben', 'doctor') $$) || tap.events(), 'UPDATE app_user 2 (roles, updated_at, version)', 'a role');
SELECT is((SELECT changes->'roles' FROM tap.last()), '{"old": "{display}", "new": "{doctor,display}"}'::jsonb, 'old and new');
SELECT is(tap.act('admin', $$ SELECT clinicq.disable_user('ben') $$) || tap.events(), 'UPDATE app_user 2 (disabled_at, updated_at, version)', 'shut out');
SELECT is_empty($$ SELECT * FROM clinicq.audit_event e WHERE e::text ~ 'argon2|correct horse' $$, 'no hash or password in the whole log');

-- Over HTTP.
SELECT is(tap.http('PATCH /api/patients/{registration_number}/', :'ada', '{01-00-001}', '{"name": "Ada L."}', NULL, NULL, 'req-7', '2001:db8::1')->>'status', '200', 'a change over HTTP');
SELECT results_eq('SELECT actor_name, actor_id, roles, door, client, request_id, action, entity_id, changes->''name'' FROM tap.last()',
    $$ VALUES ('ada', 1::bigint, '{admin,doctor}'::text[], 'http', '2001:db8::1'::inet, 'req-7', 'UPDATE', '1', '{"old": "Ada", "new": "Ada L."}'::jsonb) $$,
    'has user, roles, door, address and request');
SELECT is(tap.http('POST /api/visits/', :'ada', NULL, '{"patient": "01-00-001", "queue": 1}', NULL, NULL, repeat('x', 1000), '192.0.2.1')->>'status', '201', 'a request id of any length');
SELECT is((SELECT length(request_id) > 0 FROM tap.last()), true, 'is kept as far as it goes');
SELECT is(tap.http('PATCH /api/patients/{registration_number}/', :'ada', '{01-00-001}', '{"name": ""}', NULL, NULL, 'req-8')->>'sqlstate', '22023', 'a refusal');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE request_id = 'req-8'), 0::bigint, 'changes nothing, so no change is logged');

-- A transaction that rolls back was not.
SELECT tap.events() \g /dev/null
BEGIN;
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Never'')') \g /dev/null
ROLLBACK;
SELECT is(tap.events(), NULL, 'what is rolled back is not in the log');

-- All columns, whatever the session's settings.
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'German';
UPDATE clinicq.visit SET service_day = '2026-02-03', created_at = '2026-02-03 04:05:06.000007+00' WHERE id = 1;
RESET TimeZone;
RESET DateStyle;
SELECT is((SELECT changes->'service_day'->>'new' FROM tap.last()), '2026-02-03', 'days are ISO');
SELECT is((SELECT (changes->'created_at'->>'new')::timestamptz FROM tap.last()), '2026-02-03 04:05:06.000007+00'::timestamptz, 'instants are in UTC, to the microsecond');
SELECT matches((SELECT changes->'created_at'->>'new' FROM tap.last()), '^2026-02-03T04:05:06\.000007\+00', 'as ISO 8601');
UPDATE clinicq.visit SET created_at = 'infinity' WHERE id = 1;
SELECT is((SELECT changes->'created_at'->>'new' FROM tap.last()), 'infinity', 'an instant that never comes too');
UPDATE clinicq.patient SET name = E'"\\ \u00e9', phone = NULL WHERE id = 1;
SELECT is((SELECT changes->'name'->>'new' FROM tap.last()), E'"\\ \u00e9', 'quotes and backslashes as they are');
SELECT is((SELECT changes->'phone' FROM tap.last()), '{"old": "2", "new": null}'::jsonb, 'null is null');

-- TRUNCATE.
SELECT tap.events() \g /dev/null
TRUNCATE clinicq.setting;
SELECT is(tap.events(), 'TRUNCATE setting', 'TRUNCATE is in the log');
CREATE TABLE tap.table_of AS SELECT unnest(ARRAY['patient', 'patient_access', 'visit', 'queue', 'clinic', 'room', 'room_session', 'priority_class', 'app_user', 'prescription', 'image', 'signing_key', 'webhook', 'visit_contact', 'message_template', 'setting']) AS name;
SELECT is_empty($$
    SELECT name FROM tap.table_of WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = ('clinicq.' || name)::regclass
        AND tgname = 'clinicq_audit' AND tgenabled = 'O' AND tgtype & 1 = 1 AND tgtype & 2 = 0 AND tgtype & 28 = 28)
        OR NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = ('clinicq.' || name)::regclass AND tgtype & 32 = 32 AND tgenabled = 'O')
$$, 'every table of clinical or access data has the triggers for each kind of change');
SELECT set_eq($$
    SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'clinicq'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname NOT IN (SELECT name FROM tap.table_of)
$$, ARRAY['hour_summary', 'staff_summary', 'stale_day', 'summary_state', 'visit_summary', 'audit_event', 'audit_leaf', 'audit_node', 'audit_personal', 'audit_seal', 'audit_tally', 'idempotency_key', 'log_in_attempt', 'migration', 'migration_state', 'problem', 'refresh_token', 'recovery_code', 'registration_counter', 'route', 'session', 'token_counter', 'totp', 'visit_event', 'feed_history', 'image_chunk', 'upload', 'upload_chunk', 'outbox', 'password_reset', 'daily_summary'],
    'the tables without audit are these: numbers, sessions, log-ins, keys, events, their proof, summaries, the bytes of images, deliveries, links for passwords, and what migrate() writes');
SELECT is((SELECT string_agg(DISTINCT encode(t.tgargs, 'escape'), ' ') FROM pg_trigger t WHERE t.tgrelid = 'clinicq.setting'::regclass AND t.tgname ~ '^clinicq_audit'), 'name\000', 'with the same key');
INSERT INTO clinicq.clinic (name, timezone) VALUES ('Second site', 'UTC');
INSERT INTO clinicq.priority_class (clinic_id, rank, name) SELECT id, 5, 'urgent' FROM clinicq.clinic WHERE name IN ('Second site') OR id = 1;
UPDATE clinicq.priority_class SET reached_by_ageing = false WHERE name = 'urgent';
SELECT results_eq($$ SELECT entity_id FROM clinicq.audit_event WHERE entity = 'priority_class' AND action = 'UPDATE' ORDER BY 1 $$,
    $$ SELECT clinic_id || '/5' FROM clinicq.priority_class WHERE name = 'urgent' ORDER BY 1 $$, 'an event of a priority class says of which site it is');

-- Closed.
CREATE TABLE tap.leaf AS
    SELECT 'clinicq.audit_event'::regclass AS name UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'clinicq.audit_event'::regclass;
SELECT cmp_ok((SELECT count(*) FROM tap.leaf), '>=', 15::bigint, 'the log has a year of partitions and a default one');
SELECT is(tap.act(r, format(s, name)), '42501: the audit log cannot be changed', format(s, name) || ' by the ' || r)
FROM tap.leaf, unnest(ARRAY['UPDATE %s SET actor_name = ''x''', 'UPDATE %s SET outcome = ''x'' WHERE false', 'DELETE FROM %s', 'TRUNCATE %s']) AS s, unnest(ARRAY['dba']) AS r
ORDER BY name::text, s;
SELECT throws_ok('DELETE FROM clinicq.audit_event', '42501', NULL, 'a superuser is stopped too, unless he means it');
SELECT is(tap.state('auditor', 'SELECT * FROM clinicq_audit.event'), '00000', 'auditors read it');
SELECT is(tap.state('auditor', s), '42501', 'an auditor may not ' || s) FROM unnest(ARRAY['SELECT * FROM clinicq.audit_event', 'SELECT * FROM clinicq.audit_tally']) AS s;
SELECT is(tap.state('auditor', s), '55000', 'nobody can ' || s) FROM unnest(ARRAY['DELETE FROM clinicq_audit.event',
    'UPDATE clinicq_audit.event SET outcome = ''x''', 'INSERT INTO clinicq_audit.event (at) VALUES (now())']) AS s;
SELECT set_eq('SELECT count(*) FROM clinicq_audit.event', 'SELECT count(*) FROM clinicq.audit_event', 'all of it');

-- Months.
SELECT is_empty($$ SELECT * FROM clinicq.audit_event_default $$, 'nothing has gone to the default partition');
SELECT is_empty($$ SELECT e.tableoid::regclass FROM clinicq.audit_event e WHERE e.tableoid::regclass::text <> to_char(e.at AT TIME ZONE 'UTC', '"clinicq.audit_event_"YYYY_MM') $$, 'events are in the partition of their month');
SELECT format('DROP TABLE clinicq.%I', to_char(now() AT TIME ZONE 'UTC', '"audit_event_"YYYY_MM'))
\gexec
SELECT is(tap.act('admin', 'SELECT clinicq.create_queue(''Late'')') IS NOT NULL, true, 'a change in a month that has no partition');
SELECT is((SELECT count(*) FROM clinicq.audit_event_default), 1::bigint, 'lands in the default partition');
CALL clinicq.migrate();
SELECT is(to_regclass(to_char(now() AT TIME ZONE 'UTC', '"clinicq.audit_event_"YYYY_MM')), NULL, 'migrate() leaves a month alone whose events are there');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE entity = 'queue'), 1::bigint, 'and loses none');

-- The trigger function cannot be misused.
CREATE TABLE tap.other (id int, b int);
SELECT throws_ok('SELECT clinicq.audit_row()', '39P01', NULL, 'audit_row() is a trigger alone');
CREATE TRIGGER wrong BEFORE INSERT ON tap.other FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row('id');
SELECT throws_ok('INSERT INTO tap.other VALUES (1)', '39P01', NULL, 'never BEFORE');
DROP TRIGGER wrong ON tap.other;
CREATE TRIGGER wrong AFTER INSERT ON tap.other FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row();
SELECT throws_ok('INSERT INTO tap.other VALUES (1)', '39P01', NULL, 'never without a key column');
DROP TRIGGER wrong ON tap.other;
CREATE TRIGGER wrong AFTER INSERT ON tap.other FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row('missing');
SELECT throws_ok('INSERT INTO tap.other VALUES (1)', '42703', NULL, 'never with one that is not there');
DROP TRIGGER wrong ON tap.other;
CREATE TRIGGER right_one AFTER INSERT OR UPDATE ON tap.other FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row('id', 'b');
INSERT INTO tap.other VALUES (7, 8);
ALTER TABLE tap.other DROP COLUMN b, ADD COLUMN c text;
UPDATE tap.other SET c = 'new';
SELECT results_eq('SELECT action, entity_id, changes FROM clinicq.audit_event WHERE entity = ''other'' ORDER BY id',
    $$ VALUES ('INSERT', '7', '{"b": {"new": "***"}, "id": {"new": 7}}'::jsonb), ('UPDATE', '7', '{"c": {"new": "new", "old": null}}') $$, 'columns that come and go are followed');

SELECT * FROM finish();
