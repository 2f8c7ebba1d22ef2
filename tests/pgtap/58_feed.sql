-- Proves the feed of events in the database: positions follow commits, each event has one, once; what the
-- shim reads for staff and for displays; what is refused.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''G'')') AS general,
    tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')') AS dental,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 1'')') AS room \gset
SELECT tap.act('assistant', 'SELECT clinicq.register_patient(''Asha Rao'')'), tap.act('assistant', 'SELECT clinicq.register_patient(''Secret Person'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-001'', %s) AS v', :general)) AS visit,
    tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-002'', %s) AS v', :dental)) AS secret \gset

SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE position IS NULL), 2::bigint, 'events have no position at first');
SELECT is(tap.act('shim', 'SELECT keeper FROM clinicq_api.feed_advance()'), 'false', 'no keeper works here');
SELECT is((SELECT array_agg(position ORDER BY id) FROM clinicq.visit_event), ARRAY[1, 2]::bigint[], 'then each has the next');
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()'), '2', 'which is told; a second call gives none');
SELECT is(nextval('clinicq.feed_position'), 3::bigint, 'and takes none');
SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.start_visit(%s, %s) AS v', :visit, :room)) \g /dev/null
SELECT tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()') AS last \gset
SELECT is(:'last'::text, '4'::text, 'a lost number leaves a gap, no more');

SELECT is(tap.act('shim', 'SELECT string_agg(f.position || '' '' || f.topic, '','') FROM clinicq_api.feed(0, 100) AS f'), format('1 %s,2 %s,4 %s', :general, :dental, :general), 'the feed in its order, with the queue');
SELECT is(tap.act('shim', 'SELECT string_agg(f.position::text, '','') FROM clinicq_api.feed(1, 1) AS f'), '2', 'behind a position, as many as asked for');
SELECT is(tap.act('shim', 'SELECT count(*) FROM clinicq_api.feed(4, 100)'), '0', 'nothing behind the last');
SELECT is(tap.act('shim', 'SELECT f.staff FROM clinicq_api.feed(2, 1) AS f')::jsonb - 'at', format(
    '{"position": 4, "move": "start", "visit": %s, "queue": %s, "queue_name": "General", "token_prefix": "G", "token_number": 1, "from_status": "WAITING", "status": "START", "room_name": "Room 1", "patient_registration_number": "01-00-001", "patient_full_name": "Asha Rao"}',
    :visit, :general)::jsonb, 'what the staff is told of a move');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->>'patient_full_name', 'A. R.', 'a display gets initials');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb ? 'patient_registration_number', false, 'and no number');
SELECT clinicq.set_setting('display_names', 'full');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->>'patient_full_name', 'Asha Rao', 'or the whole name');
SELECT clinicq.set_setting('display_names', 'none');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->>'patient_full_name', '', 'or none, by the setting');
UPDATE clinicq.patient SET restricted = true WHERE name = 'Secret Person';
SELECT is(tap.act('shim', 'SELECT (f.staff::json->>''patient_full_name'') || ''/'' || (f.display::json->>''patient_full_name'') FROM clinicq_api.feed(1, 1) AS f'), 'Restricted/', 'a restricted patient is named to nobody');
SELECT is(tap.state('shim', 'SELECT clinicq_api.feed(NULL, 1)'), '22004', 'a position that is NULL is refused');

-- A late commit is read behind quick ones; prepared transactions too are never skipped: what has no position waits for one.
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE position IS NULL), 0::bigint, 'all have positions');
INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_name) SELECT :visit, 'open', 'WAITING', 'many' FROM generate_series(1, 2500);
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()'), (4 + 2500)::text, 'many at once are placed in one call');
SELECT is((SELECT count(*) FROM (SELECT position - lag(position) OVER (ORDER BY id) AS step FROM clinicq.visit_event WHERE actor_name = 'many') AS s WHERE step <> 1), 0::bigint, 'in the order of their ids');
SELECT throws_ok('UPDATE clinicq.visit_event SET position = 5 WHERE position = 6', '23505', NULL, 'no two events have one position');

SELECT * FROM finish();
