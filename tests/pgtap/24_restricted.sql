-- Proves that a restricted patient is seen by nobody but those who are named for the record, or opened
-- it in an emergency: no name, telephone or other field reaches anybody else by any function, search,
-- list, reply or error, while the queue is worked as before; and that an emergency has a reason, an
-- end, an event and a review by somebody else.
SELECT no_plan();

SELECT tap.user(r, ARRAY[r]) AS token FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor']) AS r \g /dev/null
SELECT tap.user('other', '{doctor}') AS token, tap.user('second', '{admin,doctor}') AS token \g /dev/null
CREATE FUNCTION tap.token(username text) RETURNS text LANGUAGE sql AS $$ SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') $$;
-- What a request answers, as one text to look for names in.
CREATE FUNCTION tap.ask(who text, route text, path text[] DEFAULT NULL, body text DEFAULT NULL, query jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE sql AS $$ SELECT tap.http(route, tap.token(who), path, body, query) $$;
CREATE FUNCTION tap.status(who text, route text, path text[] DEFAULT NULL, body text DEFAULT NULL, query jsonb DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$ SELECT coalesce(a->>'sqlstate', a->>'status') FROM tap.http(route, tap.token(who), path, body, query) AS a $$;

-- Many requests: a transaction serves one, so :run sends each in a statement of its own.
CREATE TABLE tap.request (n int GENERATED ALWAYS AS IDENTITY, part text, who text, what text, route text, path text[], body text, query jsonb, answer jsonb);
\set run 'SELECT format(''UPDATE tap.request SET answer = tap.ask(who, route, path, body, query) WHERE n = %s'', n) FROM tap.request WHERE answer IS NULL ORDER BY n'

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS queue \gset
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Eye'')') AS eye \gset
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Zenobia Quill'', ''0300-777'', ''FEMALE'', ''04'')') AS star \gset
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Zenobia Plain'', ''0300-778'')') AS plain \gset
SELECT id AS star_id FROM clinicq.patient WHERE registration_number = :'star' \gset
SELECT tap.ask('assistant', 'POST /api/visits/', NULL, format('{"patient": "%s", "queue": %s}', :'star', :'queue'))->'body'->>'id' AS visit \gset

-- Before.
SELECT is(tap.ask('doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body'->>'name', 'Zenobia Quill', 'a patient is not restricted at first');

-- Restricting.
SELECT is(tap.act('admin', format('SELECT clinicq.restrict_patient(%L)', replace(:'star', '-', ''))), '', 'an administrator restricts a patient');
SELECT is(tap.act('admin', format('SELECT clinicq.restrict_patient(%L)', :'star')), '', 'doing so again changes nothing');
SELECT is((SELECT version FROM clinicq.patient WHERE id = :star_id), 2, 'the row changed once');
SELECT is(tap.act('admin', 'SELECT clinicq.restrict_patient(''99-99-999'')'), 'P0002: no patient 99-99-999', 'an unknown number');
SELECT is(tap.act('admin', format('SELECT clinicq.grant_patient_access(%L, ''doctor'')', :'star')), '', 'and names a doctor for the record');
SELECT is(tap.act('admin', format('SELECT clinicq.grant_patient_access(%L, ''doctor'')', :'star')), '', 'naming twice changes nothing');
SELECT is(tap.act('admin', format('SELECT clinicq.grant_patient_access(%L, ''nobody there'')', :'star')), 'P0002: no user nobody there', 'an unknown user');
SELECT is(tap.act('admin', format('SELECT string_agg(l.username || '' by '' || l.granted_by, '','') FROM clinicq.list_patient_access(%L) AS l', :'star')),
    'doctor by test_admin', 'the list says who may, and by whom');

-- Who sees what, over HTTP.
SELECT is(tap.ask('doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body'->>'phone', '0300-777', 'who is named sees the record');
INSERT INTO tap.request (part, who, route, path)
    SELECT 'read', u, 'GET /api/patients/{registration_number}/', ARRAY[:'star'] FROM unnest(ARRAY['other', 'assistant', 'admin', 'second']) AS u;
:run \gexec
SELECT is(answer->>'sqlstate', 'QC423', who || ' is refused the record') FROM tap.request WHERE part = 'read';
SELECT unalike(answer::text, '%' || x || '%', who || ' is not told ' || x) FROM tap.request, unnest(ARRAY['Zenobia', '0300', 'FEMALE', :'star']) AS x WHERE part = 'read';
SELECT is((SELECT status || ' ' || type FROM clinicq.problem WHERE sqlstate = 'QC423'), '403 restricted', 'the refusal is a problem of its own');
SELECT matches(tap.ask('other', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->>'message', 'in an emergency a doctor may', 'it tells of emergency access');
SELECT is(tap.ask('display', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body',
    jsonb_build_object('registration_number', :'star', 'name', '', 'phone', NULL, 'gender', '', 'category', '', 'created_at', '', 'updated_at', '', 'last_5_visit_dates', '[]'::jsonb),
    'a screen in the waiting room gets the number and no name');
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''display_names'', ''full'')') \g /dev/null
SELECT is(tap.ask('display', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body'->>'name', '', 'whatever form of names it may show');
SELECT tap.status('assistant', 'POST /api/visits/', NULL, format('{"patient": "%s", "queue": %s}', :'plain', :'queue')) \g /dev/null
SELECT is(tap.ask('display', 'GET /api/patients/{registration_number}/', ARRAY[:'plain'])->'body'->>'name', 'Zenobia Plain', 'others are shown');

-- Every reply that can hold the patient, to everybody who is not named: no name, no telephone.
INSERT INTO tap.request (part, who, what, route, path, body, query)
    SELECT 'reply', u, q.what, q.route, q.path, q.body, q.query
    FROM unnest(ARRAY['other', 'assistant', 'admin']) AS u, (VALUES
        ('list of patients', 'GET /api/patients/', NULL::text[], NULL::text, NULL::jsonb),
        ('list by number', 'GET /api/patients/', NULL, NULL, jsonb_build_object('registration_numbers', :'star')),
        ('list after a cursor', 'GET /api/patients/', NULL, NULL, '{"cursor": "0"}'),
        ('search by number', 'GET /api/patients/search/', NULL, NULL, jsonb_build_object('q', :'star')),
        ('search by number without dashes', 'GET /api/patients/search/', NULL, NULL, jsonb_build_object('q', replace(:'star', '-', ''))),
        ('list of visits', 'GET /api/visits/', NULL, NULL, NULL),
        ('one visit', 'GET /api/visits/{id}/', ARRAY[:'visit'], NULL, NULL),
        ('the visit that is open already', 'POST /api/visits/', NULL, format('{"patient": "%s", "queue": %s}', :'star', :'queue'), NULL)
    ) AS q (what, route, path, body, query)
    WHERE NOT (u = 'other' AND q.route LIKE 'POST%');
:run \gexec
CREATE VIEW tap.reply AS SELECT * FROM tap.request WHERE part = 'reply';
SELECT ok(answer->>'status' = '200', who || ': ' || what || ' is answered') FROM tap.reply;
SELECT unalike(answer::text, '%Quill%', who || ': ' || what || ' does not name the patient') FROM tap.reply;
SELECT unalike(answer::text, '%0300-777%', who || ': ' || what || ' does not have the telephone') FROM tap.reply;
SELECT alike(answer::text, '%' || :'star' || '%', who || ': ' || what || ' has the number') FROM tap.reply;
SELECT alike(answer::text, '%Restricted%', who || ': ' || what || ' says Restricted') FROM tap.reply;
SELECT is(r - ARRAY['created_at', 'updated_at'],
    jsonb_build_object('registration_number', :'star', 'name', 'Restricted', 'phone', NULL, 'gender', '', 'category', '', 'last_5_visit_dates', '[]'::jsonb),
    'a masked record has every key')
FROM tap.reply, jsonb_array_elements(answer->'body'->'results') AS r WHERE what = 'list by number' AND who = 'other';
SELECT is((SELECT count(*) FROM tap.reply, jsonb_object_keys(answer->'body') AS k WHERE what = 'one visit' AND who = 'admin'), 16::bigint, 'a visit has every key');
SELECT is(r->>'patient_full_name', '', 'a display sees no name in the list of visits')
FROM jsonb_array_elements(tap.ask('display', 'GET /api/visits/')->'body'->'results') AS r WHERE r->>'patient' = :'star';
SELECT is(r->>'patient_full_name', 'Zenobia Quill', 'who is named sees it there')
FROM jsonb_array_elements(tap.ask('doctor', 'GET /api/visits/')->'body'->'results') AS r WHERE r->>'patient' = :'star';

-- Searches do not tell that there is such a patient.
CREATE TABLE tap.term (q text, others text, named text);
INSERT INTO tap.term VALUES ('zenobia', '1', '2'), ('Zenobia Q', '0', '1'), ('quill', '0', '1'), ('0300-777', '0', '1'), ('0300', '1', '2'), ('00-00', '1', '2');
INSERT INTO tap.request (part, who, what, route, query)
    SELECT 'search', u, q, 'GET /api/patients/search/', jsonb_build_object('q', q) FROM unnest(ARRAY['other', 'assistant', 'admin', 'doctor']) AS u, tap.term;
:run \gexec
SELECT is(answer->'body'->>'count', CASE who WHEN 'doctor' THEN named ELSE others END, who || ' searches ' || what) FROM tap.request JOIN tap.term ON q = what WHERE part = 'search';
SELECT unalike(answer::text, '%' || :'star' || '%', who || ' does not get the number by ' || what) FROM tap.request WHERE part = 'search' AND who <> 'doctor';
SELECT is(tap.status('other', 'GET /api/patients/search/', NULL, NULL, '{"q": "zenobia", "page": "2", "page_size": "1"}'), 'P0002', 'nor is there a page for the patient');

-- psql: database roles are on no list.
SELECT is(tap.act(r, format('SELECT concat_ws(''|'', p.name, p.phone, p.gender, p.category) FROM clinicq.find_patients(%L) AS p', :'star')),
    'Restricted||', r || ' finds a masked row by number') FROM unnest(ARRAY['admin', 'doctor', 'assistant']) AS r;
SELECT is(tap.act(r, 'SELECT count(*) FROM clinicq.find_patients(''quill'')'), '0', r || ' finds nobody by name') FROM unnest(ARRAY['admin', 'doctor', 'assistant']) AS r;
SELECT is(tap.state(r, format('SELECT clinicq.update_patient(%L, phone => ''1'')', :'star')), 'QC423', r || ' changes nothing') FROM unnest(ARRAY['admin', 'doctor', 'assistant']) AS r;

-- Reporting shows the name to nobody, whoever is granted it.
SELECT is((SELECT concat_ws('|', patient, phone) FROM clinicq_report.open_visits_named WHERE registration_number = :'star'), 'Restricted', 'a report of open visits is masked');
SELECT is((SELECT patient FROM clinicq_report.open_visits_named WHERE registration_number = :'plain'), 'Zenobia Plain', 'and names others');

-- Writes are refused, and write nothing.
INSERT INTO tap.request (part, who, what, route, path, body)
    SELECT 'write', u, m, m || ' /api/patients/{registration_number}/', ARRAY[:'star'], '{"name": "X"}' FROM unnest(ARRAY['other', 'admin']) AS u, unnest(ARRAY['PUT', 'PATCH', 'DELETE']) AS m;
:run \gexec
SELECT is(answer->>'sqlstate', 'QC423', who || ': ' || what || ' is refused') FROM tap.request WHERE part = 'write';
SELECT is((SELECT name || version FROM clinicq.patient WHERE id = :star_id), 'Zenobia Quill2', 'nothing was written');
SELECT is(tap.ask('doctor', 'PATCH /api/patients/{registration_number}/', ARRAY[:'star'], '{"phone": "0300-779"}')->'body'->>'phone', '0300-779', 'who is named may change the record');

-- The queue is worked by those who see no name.
INSERT INTO tap.request (part, who, what, route, path)
    SELECT 'move', 'other', s, format('PATCH /api/visits/{id}/%s/', m), ARRAY[:'visit'] FROM (VALUES ('start', 'START'), ('in_room', 'IN_ROOM'), ('send_back_to_waiting', 'WAITING')) AS x (m, s);
:run \gexec
SELECT is(concat(answer->'body'->>'status', answer->'body'->>'patient_full_name'), what || 'Restricted', route || ' is done, without the name') FROM tap.request WHERE part = 'move';
SELECT is(a->'body'->>'patient_full_name', 'Restricted', 'a transfer too')
FROM tap.ask('assistant', 'PATCH /api/visits/{id}/', ARRAY[:'visit'], format('{"queue": %s}', :'eye')) AS a;
SELECT is(tap.ask('assistant', 'POST /api/visits/', NULL, format('{"patient": "%s", "queue": %s}', :'star', :'queue'))->>'status', '201', 'a new visit is opened');

-- The same new patient sent twice: the reply to the second does not open what was restricted since.
SELECT tap.ask('assistant', 'POST /api/patients/', NULL, '{"name": "Secret Twice"}')->'body'->>'registration_number' AS twice \gset
SELECT tap.act('admin', format('SELECT clinicq.restrict_patient(%L)', :'twice')) \g /dev/null
SELECT is(a->'body'->>'name', 'Restricted', 'a repeated POST of a patient who was restricted since') || E'\n' || is(a->'body'->>'registration_number', :'twice', '... is answered with the number')
FROM tap.ask('assistant', 'POST /api/patients/', NULL, '{"name": "Secret Twice"}') AS a;

-- Off the list again.
SELECT is(tap.act('admin', format('SELECT clinicq.revoke_patient_access(%L, ''doctor'')', :'star')), '', 'a user is taken from the list');
SELECT is(tap.act('admin', format('SELECT clinicq.revoke_patient_access(%L, ''doctor'')', :'star')), 'P0002: user doctor is not on the list of the patient', 'once');
SELECT is(tap.status('doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'star']), 'QC423', 'and sees nothing more');
SELECT is(tap.ask('admin', 'POST /api/patients/{registration_number}/access/', ARRAY[:'star'], '{"username": "doctor"}')->>'status', '201', 'over HTTP: named');
SELECT is(tap.ask('admin', 'POST /api/patients/{registration_number}/access/', ARRAY[:'star'], '{"username": "doctor"}')->>'status', '200', '... already');
SELECT is(a->'body'->>'restricted', 'true', '... the list') || E'\n' || is(a->'body'->'users'->0->>'username', 'doctor', '... has the user')
    || E'\n' || is((SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(a->'body') AS k), 'registration_number restricted users', '... and nothing of the patient')
FROM tap.ask('admin', 'GET /api/patients/{registration_number}/access/', ARRAY[:'star']) AS a;
SELECT is(tap.ask('admin', 'DELETE /api/patients/{registration_number}/access/{username}/', ARRAY[:'star', 'doctor'])->>'status', '204', '... taken away');
SELECT is(tap.status('admin', 'DELETE /api/patients/{registration_number}/access/{username}/', ARRAY[:'star', 'doctor']), 'P0002', '... once');
INSERT INTO tap.request (part, who, what, route, path, body)
    SELECT 'bad', 'admin', d, 'PATCH /api/patients/{registration_number}/access/', ARRAY[:'star'], b
    FROM (VALUES ('{}', '{"restricted":["is required"]}'), ('{"restricted": null}', '{"restricted":["must not be null"]}'), ('{"restricted": 1}', '{"restricted":["must be true or false"]}')) AS x (b, d);

-- Emergencies.
CREATE FUNCTION tap.open(who text, reason text, number text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.ask($1, 'POST /api/patients/{registration_number}/emergency/', ARRAY[$3], jsonb_build_object('reason', $2)::text)
$$;
INSERT INTO tap.request (part, who, what, route, path, body)
    SELECT 'bad', 'other', d, 'POST /api/patients/{registration_number}/emergency/', ARRAY[:'star'], jsonb_build_object('reason', r)::text
    FROM (VALUES ('', '{"reason":["must not be blank"]}'), ('short', '{"reason":["must have at least 10 characters"]}'), ('  nine char  ', '{"reason":["must have at least 10 characters"]}'),
    (repeat('x', 501), '{"reason":["must be no longer than 500 characters"]}'), (E'line one\nline two', '{"reason":["must not contain control characters"]}')) AS x (r, d);
SELECT is(tap.ask('other', 'POST /api/patients/{registration_number}/emergency/', ARRAY[:'star'], '{}')->>'detail', '{"reason":["is required"]}', 'no reason at all');
SELECT is(tap.open('assistant', 'unconscious in the corridor', :'star')->>'sqlstate', '42501', 'an assistant has no emergencies');
:run \gexec
SELECT is(answer->>'detail', what, who || ' sends ' || left(body, 40)) FROM tap.request WHERE part = 'bad';
SELECT is(tap.open('other', 'unconscious in the corridor', :'plain')->>'sqlstate', 'QC409', 'a record that is not restricted needs none');
SELECT is(tap.open('other', 'unconscious in the corridor', '99-99-999')->>'sqlstate', 'P0002', 'an unknown number');
SELECT is((SELECT count(*) FROM clinicq.patient_access WHERE reason IS NOT NULL), 0::bigint, 'nothing was opened');

SELECT tap.open('other', 'unconscious in the corridor', :'star') AS opened \gset
SELECT is((:'opened'::jsonb)->>'status', '201', 'a doctor opens the record');
SELECT (:'opened'::jsonb)->'body'->>'id' AS emergency \gset
SELECT is(((:'opened'::jsonb)->'body'->>'until')::timestamptz - ((:'opened'::jsonb)->'body'->>'opened_at')::timestamptz, interval '60 minutes', '... for the time of the setting');
SELECT is(tap.ask('other', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body'->>'name', 'Zenobia Quill', '... and sees it');
SELECT is(tap.ask('other', 'GET /api/patients/search/', NULL, NULL, '{"q": "quill"}')->'body'->>'count', '1', '... and finds it');
SELECT is(tap.status('second', 'GET /api/patients/{registration_number}/', ARRAY[:'star']), 'QC423', '... nobody else does');
SELECT is(a->>'status', '200', 'opening it again answers') || E'\n' || is(a->'body'->>'until', (:'opened'::jsonb)->'body'->>'until', '... with the same end')
    || E'\n' || is(a->'body'->>'reason', 'unconscious in the corridor', '... and the first reason')
FROM tap.open('other', 'another reason altogether', :'star') AS a;
SELECT is((SELECT string_agg(concat_ws(' ', actor_name, door, action, entity, entity_id, outcome), ',') FROM clinicq.audit_event WHERE action = 'EMERGENCY'),
    'other http EMERGENCY patient ' || :'star_id' || ' flagged', 'one event tells of it');
SELECT is((SELECT changes->'reason'->>'new' FROM clinicq.audit_event WHERE entity = 'patient_access' AND action = 'INSERT' ORDER BY id DESC LIMIT 1),
    'unconscious in the corridor', 'and one of the row, with the reason');
SELECT is((SELECT string_agg(DISTINCT actor_name || ' ' || outcome, ', ' ORDER BY actor_name || ' ' || outcome) FROM clinicq_audit.event WHERE action = 'READ' AND entity = 'patient' AND entity_id = :'star_id'),
    'doctor done, other emergency', 'looks say whether they were in an emergency; a refused one is none');
SELECT is((SELECT string_agg(DISTINCT actor_name || ' ' || outcome, ', ' ORDER BY actor_name || ' ' || outcome) FROM clinicq_audit.event WHERE action = 'READ' AND entity = 'visit' AND entity_id = :'visit'),
    'admin masked, assistant masked, other masked', 'and looks at a visit whether the name was masked');
UPDATE clinicq.patient_access SET until = clock_timestamp() WHERE id = :emergency;
SELECT is(tap.status('other', 'GET /api/patients/{registration_number}/', ARRAY[:'star']), 'QC423', 'when the time is over the record is closed');
SELECT is(tap.open('other', 'unconscious once more today', :'star')->>'status', '201', 'another emergency opens it again');

-- Review.
SELECT is(a->'body'->'results'->0->>'reason', 'unconscious once more today', 'an auditor sees the emergencies, the newest first') || E'\n' || is(jsonb_array_length(a->'body'->'results'), 2, '... all')
FROM tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, '{"reviewed": "false"}') AS a;
SELECT is(jsonb_array_length(tap.ask('admin', 'GET /api/emergency/')->'body'->'results'), 2, 'an administrator too');
SELECT is(tap.act(r, 'SELECT string_agg(reason, '','' ORDER BY id) FROM clinicq_audit.emergencies WHERE reviewed_at IS NULL'),
    'unconscious in the corridor,unconscious once more today', r || ' reads them in psql') FROM unnest(ARRAY['admin', 'auditor']) AS r;
SELECT is(tap.state(r, 'SELECT * FROM clinicq_audit.emergencies'), '42501', r || ' does not') FROM unnest(ARRAY['doctor', 'assistant', 'display', 'reporter', 'nobody', 'shim']) AS r;
INSERT INTO tap.request (part, who, what, route, path, body)
    SELECT 'review', 'admin', d, 'PATCH /api/emergency/{id}/', ARRAY[:'emergency'], b FROM (VALUES ('{}', '{"review":["is required"]}'), ('{"review": " "}', '{"review":["must not be blank"]}'), (format('{"review": "%s"}', repeat('x', 1001)), '{"review":["must be no longer than 1000 characters"]}')) AS x (b, d);
:run \gexec
SELECT is(answer->>'detail', what, 'bad review: ' || left(body, 20)) FROM tap.request WHERE part = 'review';
SELECT is(tap.status('auditor', 'PATCH /api/emergency/{id}/', ARRAY[:'emergency'], '{"review": "fine"}'), '42501', 'an auditor reviews nothing');
SELECT is(tap.status('admin', 'PATCH /api/emergency/{id}/', ARRAY['999999'], '{"review": "fine"}'), 'P0002', 'an emergency that is none');
SELECT is(a->'body'->>'review', 'Right: he was alone.', 'an administrator closes the review') || E'\n' || is(a->'body'->>'reviewed_by', 'admin', '... under his name')
FROM tap.ask('admin', 'PATCH /api/emergency/{id}/', ARRAY[:'emergency'], '{"review": "Right: he was alone."}') AS a;
SELECT is(tap.status('admin', 'PATCH /api/emergency/{id}/', ARRAY[:'emergency'], '{"review": "again"}'), 'QC409', '... once');
SELECT is(jsonb_array_length(tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, '{"reviewed": "true"}')->'body'->'results'), 1, 'reviewed=true');
SELECT is(jsonb_array_length(tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, '{"reviewed": "false"}')->'body'->'results'), 1, 'reviewed=false');
SELECT is(tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, '{"reviewed": "maybe"}')->>'detail', '{"reviewed":["must be true or false"]}', 'reviewed=maybe');
-- One page after the other.
SELECT matches(tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, '{"page_size": "1"}')->'body'->>'next', 'cursor=', 'a page that is not the last has a next');
SELECT is(a->'body'->'results'->0->>'id', :'emergency', 'which goes on') || E'\n' || is(a->'body'->>'next', NULL, 'to the end')
FROM tap.ask('auditor', 'GET /api/emergency/', NULL, NULL, jsonb_build_object('page_size', '1', 'cursor', (SELECT max(id)::text FROM clinicq.patient_access WHERE reason IS NOT NULL))) AS a;

SELECT tap.open('second', 'I am the administrator here', :'star')->'body'->>'id' AS own \gset
SELECT is(tap.status('second', 'PATCH /api/emergency/{id}/', ARRAY[:'own'], '{"review": "fine"}'), '42501', 'nobody reviews his own emergency');
SELECT is(tap.act('admin', format('SELECT clinicq.review_emergency(%s, ''not needed'')', :'own')), '', 'another does, in psql');
SELECT is(tap.status('second', 'GET /api/patients/{registration_number}/', ARRAY[:'star']), 'QC423', 'which ends the access at once');

-- psql: the role is who opens.
SELECT is(tap.act('doctor', format('SELECT e.until > now() FROM clinicq.emergency_access(%L, ''asked on the phone'') AS e', :'star')), 'true', 'a database role opens the record');
SELECT is(tap.act('doctor', 'SELECT name FROM clinicq.find_patients(''quill'')'), 'Zenobia Quill', '... and sees it');
SELECT is(tap.act('assistant', 'SELECT count(*) FROM clinicq.find_patients(''quill'')'), '0', '... another role does not');
SELECT tap.user('test_doctor', '{doctor}') \g /dev/null
SELECT is(tap.status('test_doctor', 'GET /api/patients/{registration_number}/', ARRAY[:'star']), 'QC423', '... nor a user whose name is the role''s');
SELECT is(tap.act('doctor', format('SELECT clinicq.emergency_access(%L, ''short'')', :'star')), '22023: reason: must have at least 10 characters', 'a reason that is too short');
SELECT is(tap.act('admin', format('SELECT clinicq.emergency_access(%L, ''the doctor asked me to'') IS NOT NULL', :'star')), 'true', 'an administrator may too');
SELECT is(tap.act('admin', format('SELECT clinicq.review_emergency(%s, ''mine'')', (SELECT max(id) FROM clinicq.patient_access))),
    '42501: an emergency is reviewed by another than who opened it', '... and not review it');

-- Opened to all again.
SELECT is(tap.ask('admin', 'PATCH /api/patients/{registration_number}/access/', ARRAY[:'star'], '{"restricted": false}')->'body'->>'restricted', 'false', 'the restriction ends');
SELECT is(tap.ask('assistant', 'GET /api/patients/{registration_number}/', ARRAY[:'star'])->'body'->>'name', 'Zenobia Quill', 'everybody in care sees the record');
SELECT is((SELECT string_agg(concat(changes->'restricted'->'old', '>', changes->'restricted'->'new'), ' ' ORDER BY id) FROM clinicq.audit_event
    WHERE entity = 'patient' AND entity_id = :'star_id' AND action = 'UPDATE' AND changes ? 'restricted'), 'false>true true>false', 'the audit log tells of both');
SELECT throws_ok('DELETE FROM clinicq.patient WHERE id = ' || :star_id, '23503', NULL, 'a patient with such rows cannot be destroyed');

SELECT * FROM finish();
