-- Proves the rules of a patient's record: every bad field is named at once, over psql and over HTTP;
-- control characters and over-long texts are refused; absent and null differ; a removed patient is hidden,
-- never destroyed, refused while a visit is open, and the number is never used again.
SELECT no_plan();

CREATE FUNCTION tap.register(name text, phone text DEFAULT NULL, gender text DEFAULT 'OTHER', category text DEFAULT '01')
RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L, %L, %L, %L)', name, phone, gender, category))
$$;
CREATE FUNCTION tap.row_of(text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws('|', name, coalesce(phone, '(null)'), gender, category, version) FROM clinicq.patient WHERE registration_number = $1
$$;
SELECT tap.user('assistant', '{assistant}') AS token, tap.user('doctor', '{doctor}') AS doctor \gset

-- What is taken.
SELECT is(tap.register('Ada'), '01-00-001', 'a name is enough');
SELECT is(tap.row_of('01-00-001'), 'Ada|(null)|OTHER|01|1', 'the rest has defaults');
SELECT is(tap.register(E' \u3000 Çelik  Ö. \u00a0', ' 0803 123 ', 'FEMALE', '05'), '01-00-002', 'blanks around are cut, of every kind');
SELECT is(tap.row_of('01-00-002'), 'Çelik  Ö.|0803 123|FEMALE|05|1', 'those inside stay');
SELECT is(tap.register(repeat('é', 255), repeat('9', 20)), '01-00-003', 'lengths count characters');
SELECT is(tap.register('Ada'), '01-00-004', 'two people may share a name');
SELECT is(tap.register(E'O''Neil; DROP TABLE clinicq.patient --'), '01-00-005', 'a name is data');
SELECT is(tap.register(U&'Zo\0308e \+01F600'), '01-00-006', 'combining marks and characters beyond the first plane');

-- What is not.
SELECT is(tap.register('', repeat('9', 21), 'X', '06'),
    '22023: name: must not be blank; phone: must be no longer than 20 characters; gender: must be one of MALE, FEMALE, OTHER; category: must be one of 01, 02, 03, 04, 05',
    'all bad fields are named at once');
SELECT is(tap.register(NULL, NULL, NULL, NULL),
    '22023: name: must not be blank; gender: must be one of MALE, FEMALE, OTHER; category: must be one of 01, 02, 03, 04, 05', 'NULL is no value');
SELECT is(tap.register(n), '22023: name: must not be blank', 'blanks alone are no name: ' || quote_literal(n))
FROM unnest(ARRAY['', ' ', E'\t', E'\u00a0', E'\u3000\u2003', E'\u2028']) AS n;
SELECT is(tap.register(repeat('é', 256)), '22023: name: must be no longer than 255 characters', '256 characters are too long');
SELECT is(tap.register('A' || c || 'B'), '22023: name: must not contain control characters', 'U+' || to_hex(ascii(c)) || ' in a name')
FROM unnest(ARRAY[E'\u0001', E'\n', E'\r', E'\t', E'\u001b', E'\u007f', E'\u0080', E'\u0085', E'\u009f', E'\u2028', E'\u2029']) AS c;
SELECT is(tap.register('Ada', E'1\n2'), '22023: phone: must not contain control characters', 'nor in a phone');
SELECT is(tap.register('Ada', gender => g), '22023: gender: must be one of MALE, FEMALE, OTHER', quote_literal(g) || ' is no gender')
FROM unnest(ARRAY['male', '', ' MALE', 'M']) AS g;
SELECT is(tap.register('Ada', category => c), '22023: category: must be one of 01, 02, 03, 04, 05', quote_literal(c) || ' is no category')
FROM unnest(ARRAY['1', '', '06', '00', '01 ']) AS c;
SELECT is((SELECT count(*) FROM clinicq.patient), 6::bigint, 'nothing was written');
SELECT is(tap.register('Bo'), '01-00-007', 'and no number used');
SELECT throws_ok(format('INSERT INTO clinicq.patient (registration_number, name) VALUES (%L, %L)', n, name), '23514', NULL, 'the table itself refuses ' || what)
FROM (VALUES ('X1', '', 'a blank name'), ('X1', ' A', 'blanks around'), ('X1', E'A\nB', 'control characters'), ('X1', repeat('a', 256), 'long names'),
    ('', 'A', 'no number'), ('a1', 'A', 'small letters in a number'), ('1234567890123456', 'A', 'a long number')) AS bad (n, name, what);
SELECT throws_ok($$ INSERT INTO clinicq.patient (registration_number, name) VALUES ('0100-001', 'A') $$, '23505', NULL, 'and a number that differs by dashes alone');

-- The same over HTTP.
CREATE FUNCTION tap.bad(body text, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE
    a jsonb := tap.http('POST /api/patients/', (SELECT encode(sha256('assistant'), 'hex')), NULL, body);
BEGIN
    answer := coalesce(substring(a->>'detail' FROM '^\{.*'), a->>'sqlstate', a->>'status');
END
$$;
SELECT is(tap.bad('{"name": "", "phone": true, "gender": null, "category": [1]}')::jsonb,
    '{"name": ["must not be blank"], "phone": ["must be a text"], "gender": ["must not be null"], "category": ["must be a text"]}'::jsonb,
    'over HTTP each bad field has its own words');
SELECT is(tap.bad('{}'), '{"name":["is required"]}', 'a missing name');
SELECT is(tap.bad(NULL), '{"name":["is required"]}', 'no body at all');
SELECT is(tap.bad('[]'), '{"non_field_errors":["the body must be a JSON object"]}', 'an array is no body');
SELECT is(tap.bad('null'), '{"non_field_errors":["the body must be a JSON object"]}', 'nor is null');
SELECT is(tap.bad('{"name": "A"'), '22P02', 'broken JSON');
SELECT is(tap.bad('{"name": NaN}'), '22P02', 'NaN is no JSON');
SELECT is(tap.bad('{''name'': "A"}'), '22P02', 'nor are single quotes');
SELECT is(tap.bad('{"name": "A\u0000B"}'), '22P05', 'a NUL cannot be stored');
SELECT is(tap.bad('{"name": "A\ud800B"}'), '22P02', 'nor half a surrogate pair');
SELECT is(tap.bad('{"name": "A\u0007B"}'), '{"name":["must not contain control characters"]}', 'an escaped control character is one');
SELECT is(tap.bad(repeat('[', 100000)), '54001', 'nested too deeply');
SELECT is(tap.bad('{"name": "Cy", "name": ""}'), '{"name":["must not be blank"]}', 'of a repeated field the last one counts');
SELECT is(tap.bad('{"name": "Cy", "unknown": {"a": 1}}'), '201', 'unknown fields are ignored');
SELECT is(tap.bad('{"name": 1234, "phone": null}'), '201', 'a number is taken as text');
SELECT is(tap.row_of('01-00-009'), '1234|(null)|OTHER|01|1', 'as it was written');

-- The same patient twice within ten seconds.
SELECT is(tap.bad('{"name": "Dee", "phone": "1"}'), '201', 'a new patient');
SELECT is(tap.bad('{"name": " Dee", "phone": "1 "}'), '200', 'the same once more is answered with 200');
SELECT is(tap.bad('{"name": "Dee", "phone": "2"}'), '201', 'another telephone is another patient');
SELECT is(tap.http('POST /api/patients/', :'doctor', NULL, '{"name": "Dee", "phone": "1"}')->>'status', '201', 'and so is another user''s');
UPDATE clinicq.patient SET created_at = created_at - interval '11 seconds' WHERE name = 'Dee';
SELECT is(tap.bad('{"name": "Dee", "phone": "1"}'), '201', 'and one after ten seconds');

-- Changes.
CREATE FUNCTION tap.update(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT clinicq.update_patient(%s)', arguments))
$$;
SELECT is(tap.update($$ '01-00-001', name => 'Ada L.', phone => '55' $$), '', 'a change');
SELECT is(tap.row_of('01-00-001'), 'Ada L.|55|OTHER|01|2', 'of what is given, with a new version');
SELECT is(tap.update($$ '0100001', gender => 'FEMALE' $$), '', 'the number may stand without dashes');
SELECT is(tap.row_of('01-00-001'), 'Ada L.|55|FEMALE|01|3', 'NULL leaves as is');
SELECT is(tap.update($$ '01-00-001', phone => '' $$), '', 'an empty telephone takes it away');
SELECT is(coalesce((SELECT phone FROM clinicq.patient WHERE registration_number = '01-00-001'), ''), '', 'it is gone');
SELECT is(tap.update($$ '01-00-001', name => '', gender => 'x' $$), '22023: name: must not be blank; gender: must be one of MALE, FEMALE, OTHER', 'bad fields');
SELECT is(tap.update($$ '01-99-999', name => 'x' $$), 'P0002: no patient 01-99-999', 'an unknown number');
SELECT is(tap.update(format('%L, name => ''x''', n)), 'P0002: no patient ' || n, 'no number: ' || quote_literal(n)) FROM unnest(ARRAY['', '%', '-', 'abc', E'\\']) AS n;
SELECT is(tap.update('NULL, ''x'''), '22004: registration_number must not be null', 'a number is needed');
CREATE FUNCTION tap.change(method text, body text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(nullif(a->>'detail', ''), a->>'sqlstate', a->>'status')
    FROM tap.http(method || ' /api/patients/{registration_number}/', encode(sha256('assistant'), 'hex'), '{01-00-001}', body) AS a
$$;
SELECT is(tap.change('PATCH', '{"phone": "77"}'), '200', 'PATCH changes what is given');
SELECT is(tap.change('PATCH', '{"phone": null}'), '200', 'null takes the telephone away');
SELECT is((SELECT phone FROM clinicq.patient WHERE registration_number = '01-00-001'), NULL, 'and is not the same as absent');
SELECT is(tap.change('PATCH', '{"name": null}'), '{"name":["must not be null"]}', 'a name cannot be taken away');
SELECT is(tap.change('PATCH', '{}'), '200', 'PATCH of nothing');
SELECT is(tap.change('PUT', '{"phone": "1"}'), '{"name":["is required"]}', 'PUT needs the name');
SELECT is(tap.change('PUT', '{"name": "Ada"}'), '200', 'and takes it');
SELECT matches(tap.row_of('01-00-001'), '^Ada\|.*\|FEMALE\|01\|', 'what PUT does not name stays');

-- Removal.
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS queue \gset
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-001'', %s) AS v', :queue)) AS visit \gset
SELECT is(tap.act('assistant', 'SELECT clinicq.remove_patient(''01-00-001'')'), '42501: this needs one of these roles: admin, doctor', 'an assistant removes nobody');
SELECT is(tap.act('doctor', 'SELECT clinicq.remove_patient(''01-00-001'')'), 'QC409: the patient has an open visit in queue General', 'refused while a visit is open');
SELECT tap.act('doctor', format('SELECT clinicq.%I(%s)', f, :visit)) FROM unnest(ARRAY['start_visit', 'enter_room', 'finish_visit']) AS f \g /dev/null
SELECT is(tap.act('doctor', 'SELECT clinicq.remove_patient(''0100001'')'), '', 'then done');
SELECT is((SELECT name FROM clinicq.patient WHERE registration_number = '01-00-001' AND removed_at IS NOT NULL), 'Ada', 'the row is hidden, not destroyed');
SELECT is((SELECT count(*) FROM clinicq.visit WHERE id = :visit), 1::bigint, 'nor are the visits');
SELECT is(tap.act('doctor', 'SELECT clinicq.remove_patient(''01-00-001'')'), 'P0002: no patient 01-00-001', 'it cannot be removed twice');
SELECT is(tap.update($$ '01-00-001', name => 'x' $$), 'P0002: no patient 01-00-001', 'nor changed');
SELECT is(tap.act('assistant', format('SELECT clinicq.open_visit(''01-00-001'', %s)', :queue)), 'P0002: no patient 01-00-001', 'nor given a visit');
SELECT is(tap.act('doctor', 'SELECT string_agg(registration_number, '' '') FROM clinicq.find_patients(''01-00-001'')'), NULL, 'nor found by number');
SELECT is(tap.act('doctor', 'SELECT count(*) FROM clinicq.find_patients(''Ada'')'), '1', 'nor by name');
SELECT is(tap.http('GET /api/patients/{registration_number}/', :'doctor', '{01-00-001}')->>'sqlstate', 'P0002', 'nor read');
SELECT is(tap.http('GET /api/patients/', :'doctor', NULL, NULL, '{"registration_numbers": "01-00-001"}')->'body'->>'count', '0', 'nor listed');
SELECT setval('clinicq.registration_number_seq', 100001, false) \g /dev/null
SELECT isnt(tap.act('assistant', 'SELECT clinicq.register_patient(''New'')'), '01-00-001', 'and the number is never given again');
SELECT throws_ok('DELETE FROM clinicq.patient WHERE registration_number = ''01-00-001''', '23503', NULL, 'not even the owner can destroy one who was here');

SELECT * FROM finish();
