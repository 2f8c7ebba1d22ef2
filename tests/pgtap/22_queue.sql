-- Proves the rules of queues and rooms: names, prefixes, one open queue of a name in a site, and that a
-- queue is closed for good and only when nobody is in it.
SELECT no_plan();

CREATE FUNCTION tap.queue(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('admin', format('SELECT clinicq.create_queue(%s)', arguments))
$$;
SELECT tap.user('admin', '{admin}') AS token \gset
INSERT INTO clinicq.clinic (name) VALUES ('Other site') RETURNING id AS site \gset

SELECT is(tap.queue($$ ' General ' $$), '1', 'a queue');
SELECT results_eq('SELECT name, token_prefix, clinic_id, closed_at FROM clinicq.queue', $$ VALUES ('General', '', 1::bigint, NULL::timestamptz) $$, 'without blanks around, without prefix, in the first site');
SELECT is(tap.queue($$ 'Dental', 'D1' $$), '2', 'a queue with a prefix');
SELECT is(tap.state('admin', $$ SELECT clinicq.create_queue('GENERAL') $$), '23505', 'a name that differs by case alone is in use');
SELECT is(tap.state('admin', format('SELECT clinicq.create_queue(''General'', clinic => %s)', :site)), '00000', 'another site may have it too');
SELECT is(tap.queue($$ 'X', clinic => 999 $$), 'P0002: no clinic 999', 'an unknown site');
SELECT is(tap.queue($$ '', 'abcde' $$), '22023: name: must not be blank; token_prefix: must be up to 4 capitals or digits', 'all bad fields at once');
SELECT is(tap.queue(format('%L, %L', n, p)) ~ '^22023', true, format('%L with %L is none', n, p))
FROM (VALUES (NULL, ''), (E'a\tb', ''), (repeat('x', 101), ''), ('ok', 'ABCDE'), ('ok', 'a'), ('ok', 'A-'), ('ok', 'Ä')) AS bad (n, p);
SELECT is(tap.state('admin', format('SELECT clinicq.create_queue(%L, ''Z9Z9'')', repeat('x', 100))), '00000', '100 characters and a prefix of four');

SELECT is(tap.act('admin', 'SELECT clinicq.rename_queue(1, ''Main'')'), '', 'renamed');
SELECT results_eq('SELECT name, token_prefix, version FROM clinicq.queue WHERE id = 1', $$ VALUES ('Main', '', 2) $$, 'and nothing else changed');
SELECT is(tap.state('admin', 'SELECT clinicq.rename_queue(1, ''dental'')'), '23505', 'not to a name in use');
SELECT is(tap.act('admin', 'SELECT clinicq.rename_queue(1, '' '')'), '22023: name: must not be blank', 'not to blanks');
SELECT is(tap.act('admin', 'SELECT clinicq.rename_queue(999, ''x'')'), 'P0002: no open queue 999', 'an unknown queue');
SELECT is(tap.state('admin', 'SELECT clinicq.rename_queue(NULL, ''x'')'), '22004', 'none');

-- Over HTTP.
SELECT is(tap.http('POST /api/queues/', :'token', NULL, '{"name": null, "token_prefix": "abcde"}')->>'detail',
    '{"name":["must not be null"],"token_prefix":["must be up to 4 capitals or digits"]}', 'bad fields over HTTP');
SELECT is(tap.http('PATCH /api/queues/{id}/', :'token', '{2}', '{"token_prefix": "X"}')->'body'->>'token_prefix', 'X', 'another prefix');
SELECT is(tap.http('PATCH /api/queues/{id}/', :'token', '{2}', '{"token_prefix": null}')->>'sqlstate', '22023', 'not null');
SELECT is(tap.http('PATCH /api/queues/{id}/', :'token', '{2}', '{"name": "Main"}')->>'sqlstate', '23505', 'a name in use');

-- Closing.
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Ada'')') AS ada \gset
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, 2) AS v', :'ada')) AS visit \gset
SELECT is(tap.act('admin', 'SELECT clinicq.close_queue(2)'), 'QC409: 1 visits of the queue are open', 'refused while a visit is open');
SELECT tap.act('doctor', format('SELECT clinicq.start_visit(%s)', :visit)) \g /dev/null
SELECT is(tap.state('admin', 'SELECT clinicq.close_queue(2)'), 'QC409', 'or called');
SELECT tap.act('doctor', format('SELECT clinicq.mark_no_show(%s)', :visit)) \g /dev/null
SELECT is(tap.act('admin', 'SELECT clinicq.close_queue(2)'), '', 'then done');
SELECT is((SELECT count(*) FROM clinicq.visit WHERE queue_id = 2), 1::bigint, 'its visits stay');
SELECT is(tap.act('admin', 'SELECT clinicq.close_queue(2)'), 'P0002: no open queue 2', 'once');
SELECT is(tap.act('admin', 'SELECT clinicq.rename_queue(2, ''x'')'), 'P0002: no open queue 2', 'a closed queue is not renamed');
SELECT is(tap.act('assistant', format('SELECT clinicq.open_visit(%L, 2)', :'ada')), 'P0002: no open queue 2', 'and takes no visit');
SELECT is(tap.http('GET /api/queues/{id}/', :'token', '{2}')->>'sqlstate', 'P0002', 'nor is it read');
SELECT is((SELECT count(*) FROM jsonb_array_elements(tap.http('GET /api/queues/', :'token')->'body') AS q WHERE q->>'id' = '2'), 0::bigint, 'nor listed');
SELECT is(tap.state('admin', $$ SELECT clinicq.create_queue('Dental') $$), '00000', 'its name is free again');
SELECT is(tap.act('display', 'SELECT clinicq.last_token(2)'), '1', 'its last token can still be asked for');

-- Rooms.
SELECT is(tap.act('admin', 'SELECT clinicq.create_room('' Room 1 '')'), '1', 'a room');
SELECT is((SELECT name FROM clinicq.room), 'Room 1', 'without blanks around');
SELECT is(tap.state('admin', 'SELECT clinicq.create_room(''Room 1'')'), '23505', 'no two of a name');
SELECT is(tap.state('admin', format('SELECT clinicq.create_room(''Room 1'', %s)', :site)), '00000', 'but in another site');
SELECT is(tap.act('admin', 'SELECT clinicq.create_room(''X'', 999)'), 'P0002: no clinic 999', 'an unknown site');
SELECT is(tap.act('admin', format('SELECT clinicq.create_room(%L)', n)) ~ '^22023: name: ', true, format('%L is no name', n))
FROM unnest(ARRAY[NULL, '', ' ', E'a\rb', repeat('x', 101)]) AS n;

SELECT * FROM finish();
