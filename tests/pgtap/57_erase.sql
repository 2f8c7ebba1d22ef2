-- Proves erasure: what is personal stands beside the audit events, which hold salted hashes of it; auditors
-- see it until it is erased, events never change, and nobody but the function can take anything away.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') \g /dev/null
SELECT is(tap.act('assistant', $$ SELECT clinicq.register_patient('Ada Lovelace', '0300 1234567', 'FEMALE') $$), '01-00-001', 'a patient');
SELECT is(tap.act('assistant', $$ SELECT clinicq.register_patient('Ada Byron', '0300 1234567', 'FEMALE') $$), '01-00-002', 'another');
SELECT tap.act('assistant', $$ SELECT clinicq.update_patient('01-00-001', name => 'Ada King') $$) \g /dev/null
SELECT tap.act('assistant', $$ SELECT clinicq.update_patient('01-00-001', phone => '') $$) \g /dev/null
SELECT tap.act('assistant', $$ SELECT clinicq.update_patient('01-00-001', gender => 'OTHER') $$) \g /dev/null

-- What an event holds.
CREATE VIEW tap.mine AS SELECT * FROM clinicq.audit_event WHERE entity = 'patient' AND entity_id = '1';
CREATE TABLE tap.before AS SELECT * FROM tap.mine;
SELECT is((SELECT count(*) FROM tap.before), 4::bigint, 'four events');
SELECT is_empty($$ SELECT * FROM clinicq.audit_event e WHERE e::text ~ 'Ada|Lovelace|King|1234567' $$, 'no name or telephone number in any event');
SELECT is_empty($$ SELECT * FROM tap.mine m, jsonb_each(m.changes) c, jsonb_each(c.value) s
    WHERE c.key IN ('name', 'phone') AND s.value <> 'null' AND NOT s.value->>'erasable' ~ '^[0-9a-f]{64}$' $$, 'but a hash of each');
SELECT is((SELECT array_agg(k ORDER BY k) FROM tap.mine, jsonb_object_keys(changes) k WHERE action = 'INSERT'),
    ARRAY['category', 'created_at', 'gender', 'id', 'name', 'phone', 'registration_number', 'restricted', 'updated_at', 'version'], 'all other columns as ever');
SELECT is((SELECT changes->'gender' FROM tap.mine ORDER BY id DESC LIMIT 1), '{"old": "FEMALE", "new": "OTHER"}'::jsonb, 'such as these');
SELECT is((SELECT count(*) FROM clinicq.audit_personal), 4::bigint, 'values stand beside the events that have some, and only those');
SELECT results_eq($$
    SELECT s.value->>'erasable' FROM tap.mine m, jsonb_each(m.changes) c, jsonb_each(c.value) s WHERE s.value ? 'erasable' ORDER BY m.id, c.key, s.key
$$, $$
    SELECT encode(sha256(decode(s.value->>'salt', 'hex') || convert_to(s.value->>'value', 'UTF8')), 'hex')
    FROM tap.mine m JOIN clinicq.audit_personal p ON p.event_id = m.id, jsonb_each(p.contents) c, jsonb_each(c.value) s ORDER BY m.id, c.key, s.key
$$, 'each hash is that of its salt and value');
SELECT is((SELECT count(DISTINCT s.value->>'salt') FROM clinicq.audit_personal p, jsonb_each(p.contents) c, jsonb_each(c.value) s),
    (SELECT count(*) FROM clinicq.audit_personal p, jsonb_each(p.contents) c, jsonb_each(c.value) s), 'every salt is new');
SELECT is((SELECT count(DISTINCT changes->'phone'->'new'->>'erasable') FROM clinicq.audit_event WHERE entity = 'patient' AND action = 'INSERT'), 2::bigint,
    'so equal values have different hashes');

-- What an auditor sees.
SELECT results_eq($$ SELECT changes->'name', changes->'phone' FROM clinicq_audit.event WHERE entity = 'patient' AND entity_id = '1' ORDER BY id $$, $$ VALUES
    ('{"new": "Ada Lovelace"}'::jsonb, '{"new": "0300 1234567"}'::jsonb),
    ('{"old": "Ada Lovelace", "new": "Ada King"}', NULL),
    (NULL, '{"old": "0300 1234567", "new": ""}'),
    (NULL, NULL) $$, 'auditors see the values');
SELECT is(tap.act('auditor', $$ SELECT changes->'name'->>'new' FROM clinicq_audit.event WHERE entity = 'patient' AND entity_id = '2' $$), 'Ada Byron', 'in the view, as the role');
SELECT results_eq($$ SELECT changes - '{name,phone}'::text[] FROM clinicq_audit.event WHERE entity = 'patient' ORDER BY id $$,
    $$ SELECT changes - '{name,phone}'::text[] FROM clinicq.audit_event WHERE entity = 'patient' ORDER BY id $$, 'beside all that was in the event');
SELECT is(clinicq_audit.with_personal(c::jsonb, p::jsonb), r::jsonb, format('with_personal(%s, %s)', c, p)) FROM (VALUES
    ('{"a": {"new": {"erasable": "x"}}, "b": 1}', '{"a": {"new": {"salt": "s", "value": "v"}}}', '{"a": {"new": "v"}, "b": 1}'),
    ('{"a": {"new": {"erasable": "x"}, "old": null}}', '{"a": {"old": {"value": 1}}}', '{"a": {"new": {"erasable": "x"}, "old": 1}}'),
    ('{"a": {"new": {"erasable": "x"}}}', '{"a": {"new": "v"}, "b": {"new": {"value": 2}}}', '{"a": {"new": {"erasable": "x"}}}'),
    ('{"a": [1, {"b": 2}], "c": {}}', '{"a": {"new": {"value": 2}}, "c": {"new": {"value": 3}}}', '{"a": [1, {"b": 2}], "c": {}}'),
    ('{"a": 1}', NULL, '{"a": 1}'), ('{}', '{}', '{}'), ('[1]', '{}', '[1]'), (NULL, '{}', NULL), ('"a"', '[]', '"a"')) AS f (c, p, r);

-- Who may, and what is asked for.
SELECT is(tap.state(r, $$ SELECT clinicq.erase_patient('01-00-001', 'asked to') $$), '42501', r || ' may not erase') FROM unnest(ARRAY['doctor', 'assistant', 'auditor', 'nobody']) AS r;
SELECT is(tap.act('admin', s), e, s) FROM (VALUES
    ($$ SELECT clinicq.erase_patient('01-00-001', NULL) $$, '22004: reason must not be null'),
    ($$ SELECT clinicq.erase_patient(NULL, 'asked to') $$, '22004: registration_number must not be null'),
    ($$ SELECT clinicq.erase_patient('09-00-001', 'asked to') $$, 'P0002: no patient 09-00-001')) AS f (s, e);
SELECT is(tap.state('admin', format('SELECT clinicq.erase_patient(''01-00-001'', %L)', reason)), '22023', 'no such reason') FROM unnest(ARRAY['', '  ', 'no', repeat('x', 501), E'a\nb c']) AS reason;
SELECT tap.act('assistant', $$ SELECT clinicq.open_visit('01-00-001', 1) $$) \g /dev/null
SELECT is(tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-001', 'asked to') $$), 'QC409: the patient has an open visit in queue General', 'not while a visit is open');
SELECT is((SELECT name FROM clinicq.patient WHERE id = 1), 'Ada King', 'nothing was done');
SELECT tap.act('assistant', $$ SELECT clinicq.cancel_visit(1) $$) \g /dev/null

-- Erased.
SELECT is(tap.act('admin', $$ SELECT clinicq.erase_patient('0100001', ' asked to by letter ') $$), '4', 'erased, by any form of the number');
SELECT results_eq($$ SELECT registration_number, name, phone, gender, removed_at IS NOT NULL, erased_at IS NOT NULL FROM clinicq.patient WHERE id = 1 $$,
    $$ VALUES ('01-00-001', 'erased', NULL, 'OTHER', true, true) $$, 'the record has no name or telephone number, and is hidden');
SELECT is_empty($$ SELECT * FROM clinicq.audit_personal WHERE entity_id = '1' $$, 'nothing is left beside the events');
SELECT is((SELECT count(*) FROM clinicq.audit_personal WHERE entity_id = '2'), 1::bigint, 'of others all is');
SELECT results_eq('SELECT * FROM tap.mine WHERE id <= (SELECT max(id) FROM tap.before) ORDER BY id', 'SELECT * FROM tap.before ORDER BY id', 'no event has changed');
SELECT is_empty($$ SELECT * FROM clinicq_audit.event e WHERE e::text ~ 'Lovelace|King' $$, 'auditors see the values no more');
SELECT is((SELECT count(*) FROM clinicq_audit.event WHERE entity = 'patient' AND entity_id = '1' AND changes->'name'->'new' ? 'erasable'), 3::bigint, 'but that there were some');
SELECT is(tap.act('auditor', $$ SELECT changes->'name'->>'new' FROM clinicq_audit.event WHERE entity = 'patient' AND entity_id = '2' $$), 'Ada Byron', 'and those of others');
SELECT results_eq($$ SELECT action, actor_name, entity_id, changes FROM tap.mine ORDER BY id DESC LIMIT 1 $$,
    $$ VALUES ('ERASE', 'test_admin', '1', '{"reason": "asked to by letter", "events": 4}'::jsonb) $$, 'that it was done, by whom and why is an event');
SELECT is((SELECT count(*) FROM clinicq.visit WHERE patient_id = 1), 1::bigint, 'visits stay');
SELECT is(tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-001', 'once more') $$), 'P0002: no patient 01-00-001', 'once');
SELECT is(tap.act('assistant', $$ SELECT clinicq.update_patient('01-00-001', name => 'Ada') $$), 'P0002: no patient 01-00-001', 'the record takes no new name');
SELECT is(tap.act('assistant', $$ SELECT clinicq.register_patient('Eve') $$), '01-00-003', 'the number is never given again');
SELECT tap.act('doctor', $$ SELECT clinicq.remove_patient('01-00-003') $$) \g /dev/null
SELECT is(tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-003', 'asked to') $$), '2', 'a hidden record can be erased');

-- Rolled back.
BEGIN;
SELECT tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-002', 'a mistake') $$) \g /dev/null
ROLLBACK;
SELECT is((SELECT count(*) FROM clinicq.audit_personal WHERE entity_id = '2'), 1::bigint, 'what is rolled back is not erased');

-- Terms of searches.
SELECT tap.act('assistant', format('SELECT FROM clinicq.find_patients(%L)', term)) FROM unnest(ARRAY['byron', 'Ada', 'Ada Byron senior', 'ad', 'Gauss', '0300 12']) AS term \g /dev/null
UPDATE clinicq.audit_tally SET until = now() - interval '1 minute';
SELECT isnt(tap.act('auditor', 'SELECT clinicq.close_tallies()'), '0', 'searches become events');
CREATE VIEW tap.search AS SELECT changes->'term' AS term FROM clinicq_audit.event WHERE action = 'SEARCH' AND id IS NOT NULL;
SELECT set_eq('SELECT term FROM tap.search', $$ VALUES ('"byron"'::jsonb), ('"Ada"'), ('"Ada Byron senior"'), ('"ad"'), ('"Gauss"'), ('"0300 12"') $$, 'auditors see the terms');
SELECT is_empty($$ SELECT * FROM clinicq.audit_event WHERE action = 'SEARCH' AND NOT changes->'term'->>'erasable' ~ '^[0-9a-f]{64}$' $$, 'events hold hashes of them');
SELECT set_eq($$ SELECT e.changes->'term'->>'erasable' FROM clinicq.audit_event e WHERE action = 'SEARCH' $$,
    $$ SELECT encode(sha256(decode(contents->'term'->>'salt', 'hex') || convert_to(contents->'term'->>'value', 'UTF8')), 'hex') FROM clinicq.audit_personal WHERE contents ? 'term' $$, 'of salt and term');
SELECT is((SELECT count(*) FROM clinicq.audit_event WHERE action = 'SEARCH' AND changes ? 'count' AND changes ? 'first' AND changes ? 'matched'), 6::bigint, 'and the counts');
SELECT is(tap.act('admin', $$ SELECT clinicq.erase_patient('01-00-002', 'asked to') $$), '2', 'the other patient is erased');
SELECT set_eq($$ SELECT term FROM tap.search WHERE NOT term ? 'erasable' $$, $$ VALUES ('"ad"'::jsonb), ('"Gauss"') $$, 'and with it the terms that tell of it');
-- Also of those that are still counted, and of who erases.
SELECT tap.act('assistant', $$ SELECT clinicq.register_patient('Emmy Noether') $$) AS noether \gset
SELECT tap.act('assistant', 'SELECT FROM clinicq.find_patients(''noether'')') \g /dev/null
SELECT tap.act('admin', format('SELECT FROM clinicq.find_patients(%L)', term)) FROM unnest(ARRAY['Emmy', 'Hilbert']) AS term \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.audit_tally WHERE detail->>'term' ~* 'emmy|noether'), 2::bigint, 'two searches are still counted');
SELECT is(tap.act('admin', format('SELECT clinicq.erase_patient(%L, ''asked to'')', :'noether')), '2', 'the patient is erased');
SELECT is_empty($$ SELECT * FROM clinicq.audit_tally WHERE detail->>'term' IS NOT NULL $$, 'none is counted any more');
SELECT is_empty($$ SELECT * FROM clinicq.audit_personal p WHERE p::text ~* 'emmy|noether' $$, 'nor held beside the events');
SELECT is((SELECT count(*) FROM clinicq_audit.event WHERE action = 'SEARCH' AND id IS NOT NULL AND changes->'term' ? 'erasable' AND changes->>'count' = '1'), 6::bigint, 'but all are events');
SELECT set_has('SELECT term FROM tap.search', $$ VALUES ('"Hilbert"'::jsonb) $$, 'and others keep their terms');

-- Nobody takes anything away in another way.
SELECT is(tap.act('dba', s), '42501: the audit log cannot be changed', s) FROM unnest(ARRAY['DELETE FROM clinicq.audit_personal',
    'UPDATE clinicq.audit_personal SET contents = ''{}''', 'TRUNCATE clinicq.audit_personal', 'DELETE FROM clinicq.audit_personal WHERE false']) AS s;
SELECT is(tap.state(r, 'SELECT * FROM clinicq.audit_personal'), '42501', r || ' does not read it') FROM unnest(ARRAY['admin', 'auditor', 'doctor', 'shim']) AS r;
SELECT is(tap.state(r, 'SELECT clinicq_audit.with_personal(''{}'', ''{}'')'), CASE WHEN r IN ('admin', 'auditor') THEN '00000' ELSE '42501' END, r || ' and with_personal()')
FROM unnest(ARRAY['admin', 'auditor', 'doctor', 'nobody']) AS r;
CREATE TABLE tap.other (id int, a text, b int);
CREATE TRIGGER other AFTER INSERT OR UPDATE ON tap.other FOR EACH ROW EXECUTE FUNCTION clinicq.audit_row('id', 'personal:a', 'personal:b');
INSERT INTO tap.other VALUES (7, E'"\\ \u00e9', 8);
UPDATE tap.other SET a = NULL;
SELECT results_eq($$ SELECT clinicq_audit.with_personal(e.changes, p.contents) FROM clinicq.audit_event e JOIN clinicq.audit_personal p ON p.event_id = e.id WHERE e.entity = 'other' ORDER BY e.id $$,
    ARRAY[jsonb_build_object('id', '{"new": 7}'::jsonb, 'a', jsonb_build_object('new', E'"\\ \u00e9'), 'b', '{"new": "8"}'::jsonb), jsonb_build_object('a', jsonb_build_object('old', E'"\\ \u00e9', 'new', NULL))],
    'any column of any table can be declared so');

SELECT * FROM finish();
