-- Proves call_next(): the next patient by class and token, of one queue or of several; rooms that hold one
-- patient and whom one signs into; hold and resume; announcements, no-shows and recalls by the settings; and
-- the place of who returns. Races stand in the isolation suite.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''A'')') AS general,
    tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')') AS dental,
    tap.act('admin', 'SELECT clinicq.create_queue(''Empty'')') AS empty,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 1'')') AS room,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 2'')') AS room2,
    tap.user('ada', '{doctor}') AS ada, tap.user('ben', '{doctor}') AS ben, tap.user('eve', '{admin}') AS eve,
    tap.user('asif', '{assistant}') AS asif, tap.user('screen', '{display}') AS screen \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 30) AS n \g /dev/null
CREATE FUNCTION tap.open(n int, queue bigint, priority text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-%s'', %s, %L) AS v', to_char(n, 'FM000'), queue, priority))
$$;
CREATE FUNCTION tap.next(queue text, room text DEFAULT 'NULL') RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('doctor', format('SELECT v.token_number FROM clinicq.call_next(%s, %s) AS v', queue, room))
$$;
CREATE FUNCTION tap.visit(function text, visit text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.%I(%s) AS v', function, visit))
$$;
CREATE FUNCTION tap.ask(route text, token text, path text DEFAULT NULL, body text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http(route, token, ARRAY[path], body)
$$;
CREATE FUNCTION tap.said(answer jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(answer->>'status' || ' ' || (answer->>'body'), answer->>'sqlstate' || ': ' || (answer->>'message'))
$$;

SELECT tap.open(n, :general) FROM generate_series(1, 6) AS n \g /dev/null
SELECT tap.open(7, :dental) \g /dev/null
CREATE FUNCTION tap.of(n int) RETURNS bigint LANGUAGE sql AS $$
    SELECT max(v.id) FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id WHERE p.name = 'Patient ' || n
$$;

-- By token.
SELECT is(tap.next(:'general'), '1', 'the first token');
SELECT is((SELECT status || ' ' || coalesce(room_id::text, 'no room') FROM clinicq.visit WHERE id = tap.of(1)), 'START no room', 'is called, without a room');
SELECT is((SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = tap.of(1)), 'open start', 'by the move start');
SELECT is(tap.next(:'general', :'room'), '2', 'the second, to a room');
SELECT is((SELECT v.room_id || ' ' || e.room_id FROM clinicq.visit v JOIN clinicq.visit_event e ON e.visit_id = v.id AND e.move = 'start' WHERE v.id = tap.of(2)), format('%s %1$s', :room), 'which stands in visit and event');
SELECT is(tap.next(:'general', :'room'), 'QC409: room Room 1 holds a patient already: token A-002', 'a busy room is refused, and says which token is in it');
SELECT is((SELECT status FROM clinicq.visit WHERE id = tap.of(3)), 'WAITING', 'nobody was called');
SELECT is(tap.next(:'empty'), NULL, 'an empty queue: no row');
SELECT is(tap.state('doctor', format('SELECT * FROM clinicq.call_next(%s)', :empty)), '00000', 'and no error');
SELECT is(tap.next('999'), 'P0002: no open queue 999', 'an unknown queue');
SELECT is(tap.next(:'general', '999'), 'P0002: no open room 999', 'an unknown room');
SELECT is(tap.next('NULL::bigint'), '22004: queue must not be null', 'no queue');
SELECT is(tap.state('assistant', format('SELECT * FROM clinicq.call_next(%s)', :general)), '42501', 'an assistant does not call');

-- Who is on hold is passed over.
SELECT is(tap.visit('hold_visit', tap.of(3)::text), 'HELD', 'on hold');
SELECT is(tap.next(:'general'), '4', 'passed over');
SELECT is(tap.visit('resume_visit', tap.of(3)::text), 'WAITING', 'resumed');
SELECT is(tap.next(:'general'), '3', 'goes next, at the old place');
SELECT is(tap.act('doctor', format('SELECT v.status FROM clinicq.hold_visit(%s) AS v', tap.of(2))), 'HELD', 'who was called may be held too');
SELECT is((SELECT room_id FROM clinicq.visit WHERE id = tap.of(2)), NULL, 'which leaves the room');
SELECT is(tap.visit('cancel_visit', tap.of(2)::text), 'CANCELLED', 'and be cancelled');

-- Over HTTP.
SELECT is(tap.ask('POST /api/queues/{id}/call_next/', :'ada', :'general', format('{"room": %s}', :room))->'body'->'visit' @> '{"token": "A-005", "status": "START", "room": "Room 1", "priority": "normal"}', true, 'the next of a queue, with token, room and class');
SELECT is(tap.said(tap.ask('POST /api/queues/{id}/call_next/', :'ada', :'empty')), '200 {"visit": null, "reason": "nobody is waiting"}', 'an empty queue is an answer');
SELECT is(tap.said(tap.ask('POST /api/queues/{id}/call_next/', :'ada', '999')), 'P0002: no open queue 999', 'an unknown queue is 404');
SELECT is(tap.ask('POST /api/queues/{id}/call_next/', :'ada', :'general', '{"room": 999}')->>'sqlstate', '22023', 'an unknown room is a bad field');
SELECT is(tap.ask('POST /api/queues/{id}/call_next/', :'asif', :'general')->>'sqlstate', '42501', 'an assistant may not');

-- Several queues: by longest wait, highest class first.
UPDATE clinicq.visit SET created_at = created_at - interval '10 minutes' WHERE id = tap.of(7);
SELECT is(tap.act('doctor', format('SELECT v.visit_id FROM clinicq.call_next(ARRAY[%s, %s]) AS v', :general, :dental)), tap.of(7)::text, 'of two queues, who has waited longest');
SELECT tap.open(8, :dental, 'emergency') \g /dev/null
SELECT is(tap.ask('POST /api/call_next/', :'ben', NULL, format('{"queues": [%s, "%s"]}', :general, :dental))->'body'->'visit'->>'id', tap.of(8)::text, 'an emergency in any of them goes first');
SELECT is(tap.act('doctor', format('SELECT v.visit_id FROM clinicq.call_next(ARRAY[%s, %s, %1$s]) AS v', :general, :dental)), tap.of(6)::text, 'then the other');
SELECT is(tap.said(tap.ask('POST /api/call_next/', :'ben', NULL, format('{"queues": [%s]}', :general))), '200 {"visit": null, "reason": "nobody is waiting"}', 'then nobody');
SELECT is(tap.state('doctor', format('SELECT * FROM clinicq.call_next(%s)', q)), '22023', q) FROM unnest(ARRAY['ARRAY[999]', '''{}''::bigint[]', 'ARRAY[NULL::bigint]', 'array_fill(1::bigint, ARRAY[51])']) AS q;
INSERT INTO clinicq.clinic (name) VALUES ('Second');
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Far'', '''', 2)') AS far, tap.act('admin', 'SELECT clinicq.create_room(''Room 1'', 2)') AS far_room \gset
SELECT is(tap.act('doctor', format('SELECT * FROM clinicq.call_next(ARRAY[%s, %s])', :general, :far)), '22023: queues: must all be of one clinic', 'queues of two clinics');
SELECT tap.open(9, :general) \g /dev/null
SELECT is(tap.next(:'general', :'far_room'), 'QC409: the room is of another clinic than the queue', 'a room of another clinic');

-- Signed into a room, one calls there.
SELECT is(tap.said(tap.ask('POST /api/rooms/{id}/sign_in/', :'ben', :'room2')) ~ '^200 .*"user": "ben"', true, 'a doctor signs into a room');
SELECT is(tap.said(tap.ask('POST /api/rooms/{id}/sign_in/', :'ada', :'room2')), 'QC409: ben is signed into room Room 2', 'another is refused');
SELECT is(tap.said(tap.ask('POST /api/rooms/{id}/sign_out/', :'ada', :'room2')), 'QC409: ben is signed into room Room 2', 'nor does another sign out');
SELECT is(tap.ask('POST /api/queues/{id}/call_next/', :'ben', :'general')->'body'->'visit'->>'room', 'Room 2', 'a call goes to the room of who calls');
SELECT is(tap.ask('GET /api/rooms/', :'asif')->'body'->2 @> '{"name": "Room 2", "user": "ben", "token": "A-007", "status": "START"}', true, 'the list of rooms shows who is in');
SELECT is(tap.ask('GET /api/rooms/', :'screen')->'body'->2 @> '{"name": "Room 2", "user": null, "token": "A-007", "status": "START"}', true, 'a display sees token and state alone');
SELECT is(tap.said(tap.ask('DELETE /api/rooms/{id}/', :'eve', :'room2')), 'QC409: room Room 2 holds a patient already: token A-007', 'a room with a patient is not closed');
SELECT is(tap.ask('POST /api/rooms/{id}/sign_in/', :'ben', :'room')->'body'->>'user', 'ben', 'into another room');
SELECT is((SELECT string_agg(room_id || ' ' || user_name, ',') FROM clinicq.room_session), :'room' || ' ben', 'is out of the first');
UPDATE clinicq.room_session SET service_day = service_day - 1;
SELECT is(tap.ask('POST /api/rooms/{id}/sign_in/', :'ada', :'room')->'body'->>'user', 'ada', 'what was signed in yesterday holds no longer');
SELECT is(tap.ask('POST /api/rooms/{id}/sign_out/', :'eve', :'room')->'body'->>'user', NULL, 'an administrator signs others out');
SELECT is(tap.state('doctor', format('SELECT clinicq.sign_in_room(%s)', :room)) || tap.state('doctor', format('SELECT clinicq.sign_out_room(%s)', :room)), '0000000000', 'psql too');
SELECT is(tap.state('admin', format('SELECT clinicq.rename_room(%s, ''Blue'')', :far_room)), '00000', 'a new name');
SELECT is(tap.state('admin', format('SELECT clinicq.close_room(%s)', :far_room)), '00000', 'a room is closed');
SELECT is(tap.next(:'far', :'far_room'), 'P0002: no open room ' || :far_room, 'and called to no more');
SELECT isnt(tap.act('admin', 'SELECT clinicq.create_room(''Blue'', 2)'), NULL, 'its name may be given again');
SELECT is(tap.act('admin', 'SELECT clinicq.create_room(''Room 1'')') ~ '^23505', true, 'that of an open one not');

-- Announcements, no-shows and recalls.
UPDATE clinicq.visit SET status = 'DONE' WHERE room_id = :room;
SELECT is(tap.visit('mark_no_show', tap.of(9)::text), 'NO_SHOW', 'by default one call is enough for a no-show');
SELECT is(tap.visit('recall_visit', tap.of(9)::text), 'WAITING', 'and a recall is possible at once');
SELECT tap.state('admin', format('SELECT clinicq.set_setting(%L, %L)', s, v)) FROM (VALUES ('no_show_calls', '3'), ('no_show_cool_down_minutes', '5')) AS f (s, v) \g /dev/null
SELECT is(tap.next(:'general', :'room'), '7', 'called again');
SELECT is(tap.visit('mark_no_show', tap.of(9)::text), 'QC409: the patient was called 1 of 3 times before a no-show', 'one call of three; calls before the recall do not count');
SELECT is(tap.visit('announce_visit', tap.of(9)::text), 'START', 'announced');
SELECT is((SELECT room_id FROM clinicq.visit WHERE id = tap.of(9)), :room::bigint, 'to the same room');
SELECT is(tap.visit('mark_no_show', tap.of(9)::text) ~ '2 of 3', true, 'two of three');
SELECT is(tap.visit('announce_visit', tap.of(9)::text) || ' ' || tap.visit('mark_no_show', tap.of(9)::text), 'START NO_SHOW', 'three');
SELECT is((SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = tap.of(9)), 'open start no_show recall start announce announce no_show', 'each leaves an event');
SELECT is(tap.visit('recall_visit', tap.of(9)::text) ~ '^QC409: a recall is possible 5 minutes after the no-show, in (30[01]|29\d) seconds$', true, 'the cool-down');
UPDATE clinicq.visit_event SET at = at - interval '301 seconds' WHERE visit_id = tap.of(9);
SELECT tap.open(10, :general) \g /dev/null
SELECT is(tap.visit('recall_visit', tap.of(9)::text), 'WAITING', 'is over');
SELECT is(tap.next(:'general'), '7', 'back at the old place');

-- Back at the end.
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''return_place'', ''end'')') \g /dev/null
SELECT is(tap.act('doctor', format('SELECT v.status FROM clinicq.return_to_waiting(%s) AS v', tap.of(9))), 'WAITING', 'sent back');
SELECT is(tap.visit('hold_visit', tap.of(10)::text) || tap.visit('resume_visit', tap.of(10)::text), 'HELDWAITING', 'and another one, later');
SELECT tap.open(11, :general) \g /dev/null
SELECT is(concat_ws(' ', tap.next(:'general'), tap.next(:'general'), tap.next(:'general'), tap.next(:'general')), '7 8 9', 'both at the end in the order of their return, before who came later');

-- The order is by index.
INSERT INTO clinicq.patient (registration_number, name) SELECT 'X' || n, 'Many ' || n FROM generate_series(1, 20000) AS n;
INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, status)
    SELECT id, :dental, clinicq.service_day(), 1000 + id, CASE WHEN id % 200 = 0 THEN 'WAITING' ELSE 'DONE' END FROM clinicq.patient WHERE name ~ '^Many';
ANALYZE clinicq.visit;
CREATE FUNCTION tap.plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || statement; END $$;
SELECT is((SELECT bool_or(p ~ 'visit_waiting') FROM tap.plan(format('SELECT id FROM clinicq.visit v WHERE queue_id = %s AND service_day = %L AND status = ''WAITING'' ORDER BY coalesce(place, token_number) LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED', :dental, clinicq.service_day())) AS p), true, 'who waits is found by visit_waiting');

SELECT * FROM finish();
