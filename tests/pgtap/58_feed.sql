-- Proves the feed of events in the database: positions follow commits, each event has one, once; what the
-- shim reads for staff and for displays; snapshot and replay of the streams; what is refused.
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
SELECT is(tap.act('shim', 'SELECT f.staff FROM clinicq_api.feed(2, 1) AS f')::jsonb - 'at' #- '{visit,created_at}' #- '{visit,updated_at}' #- '{visit,visit_date}', format(
    '{"position": 4, "move": "start", "from_status": "WAITING", "visit": {"id": %s, "token_number": 1, "token": "G-001", "status": "START", "queue": %s, "queue_name": "General", "priority": "normal", "room": "Room 1", "patient_registration_number": "01-00-001", "patient_full_name": "Asha Rao"}}',
    :visit, :general)::jsonb, 'what the staff is told of a move: all of the visit');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->'visit'->>'patient_full_name', 'A. R.', 'a display gets initials');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->'visit' ? 'patient_registration_number', false, 'and no number');
SELECT clinicq.set_setting('display_names', 'full');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->'visit'->>'patient_full_name', 'Asha Rao', 'or the whole name');
SELECT clinicq.set_setting('display_names', 'none');
SELECT is(tap.act('shim', 'SELECT f.display FROM clinicq_api.feed(2, 1) AS f')::jsonb->'visit'->>'patient_full_name', '', 'or none, by the setting');
UPDATE clinicq.patient SET restricted = true WHERE name = 'Secret Person';
SELECT is(tap.act('shim', 'SELECT (f.staff::json->''visit''->>''patient_full_name'') || ''/'' || (f.display::json->''visit''->>''patient_full_name'') FROM clinicq_api.feed(1, 1) AS f'), 'Restricted/', 'a restricted patient is named to nobody');
SELECT is(tap.state('shim', 'SELECT clinicq_api.feed(NULL, 1)'), '22004', 'a position that is NULL is refused');

-- The streams' first texts.
SELECT tap.user('ann', '{assistant}') AS ann, tap.user('board', '{display}') AS board \gset
CREATE FUNCTION tap.stream(token text, route text, path text[], query jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT tap.http(route, token, path, NULL, query)
$$;
SELECT tap.stream(:'ann', 'GET /api/queues/{id}/events', ARRAY[:'general'], NULL) AS snapshot \gset
SELECT is((:'snapshot'::jsonb->'headers')::text, format('{"Feed-View": "staff", "Feed-Topic": "%s", "Content-Type": "text/event-stream", "Feed-Position": "4"}', :general), 'a stream of a queue: what the shim is told');
SELECT alike(:'snapshot'::jsonb->>'body', E'id: 4\nevent: snapshot\ndata: {"position":4,"visits":[{"id":%}]}\n\n', 'it begins with a snapshot');
SELECT alike(tap.stream(:'ann', 'GET /api/queues/{id}/events', ARRAY[:'general'], '{"last_event_id": "1"}')->>'body', E'id: 4\nevent: visit\ndata: {"position":4,%Asha Rao"}}\n\n', 'or goes on behind an event');
SELECT alike(tap.stream(:'ann', 'GET /api/board/events', NULL, '{"last_event_id": "0"}')->>'body', E'id: 1\nevent: visit\n%\n\nid: 2\nevent: visit\n%\n\nid: 4\nevent: visit\n%\n\n', 'from the very beginning');
SELECT is(tap.stream(:'ann', 'GET /api/board/events', NULL, '{"last_event_id": "4"}')->>'body', '', 'nothing behind the last');
SELECT alike(tap.stream(:'ann', 'GET /api/board/events', NULL, '{"last_event_id": "5"}')->>'body', E'id: 4\nevent: snapshot\n%', 'a snapshot where the position is unknown');
SELECT alike(tap.stream(:'ann', 'GET /api/board/events', NULL, '{"last_event_id": "x"}')->>'body', E'id: 4\nevent: snapshot\n%', 'or is none');
SELECT tap.stream(:'board', 'GET /api/board/events', NULL, NULL) AS shown \gset
SELECT is(:'shown'::jsonb->'headers'->>'Feed-View', 'display', 'a display has its own view');
SELECT ok(strpos(:'shown'::jsonb->>'body', '"visits":[{') > 0 AND strpos(:'shown'::jsonb->>'body', '01-00-001') = 0, 'in which no number stands');
SELECT unalike(tap.stream(:'board', 'GET /api/board/events', NULL, '{"last_event_id": "0"}')->>'body', '%01-00-001%', 'nor in an event');
SELECT is(tap.stream(:'ann', 'GET /api/queues/{id}/events', ARRAY['999999'], NULL)->>'sqlstate', 'P0002', 'no such queue');

SELECT is(
    (SELECT string_agg(k, ',' ORDER BY k) FROM jsonb_object_keys(substring(:'snapshot'::jsonb->>'body' FROM 'data: (.*)\n\n')::jsonb->'visits'->0) AS k),
    (SELECT string_agg(k, ',' ORDER BY k) FROM jsonb_object_keys(tap.act('shim', 'SELECT f.staff FROM clinicq_api.feed(2, 1) AS f')::jsonb->'visit') AS k),
    'a visit has the same keys in a snapshot and in an event');
SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.hold_visit(%s) AS v', :secret)) \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE position IS NULL), 1::bigint, 'an event that has no position yet');
SELECT alike(tap.stream(:'ann', 'GET /api/board/events', NULL, NULL)->>'body', E'id: 5\nevent: snapshot\n%"HELD"%', '... gets it before a snapshot shows what it did');
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE position IS NULL), 0::bigint, '... so that it does not come again');

-- A late commit is read behind quick ones; prepared transactions too are never skipped: what has no position waits for one.
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE position IS NULL), 0::bigint, 'all have positions');
INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_name) SELECT :visit, 'open', 'WAITING', 'many' FROM generate_series(1, 2500);
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()'), (5 + 2500)::text, 'many at once are placed in one call');
SELECT is((SELECT count(*) FROM (SELECT position - lag(position) OVER (ORDER BY id) AS step FROM clinicq.visit_event WHERE actor_name = 'many') AS s WHERE step <> 1), 0::bigint, 'in the order of their ids');
SELECT throws_ok('UPDATE clinicq.visit_event SET position = 5 WHERE position = 6', '23505', NULL, 'no two events have one position');

-- A standby that takes over, or a restored backup, may lack what readers have seen: its positions are others.
SELECT is((SELECT array_agg(h.id) FROM clinicq.feed_history AS h), ARRAY[1]::bigint[], 'one history so far');
SELECT is((SELECT system_identifier || ' ' || timeline FROM clinicq.feed_history), (SELECT c.system_identifier || ' ' || k.timeline_id FROM pg_control_system() AS c, pg_control_checkpoint() AS k), 'that of this cluster and its timeline');
SELECT tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()') AS lost \gset
UPDATE clinicq.feed_history SET timeline = timeline + 1;
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()'), :'lost', 'in another one positions given stay');
SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.resume_visit(%s) AS v', :secret)) \g /dev/null
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()')::bigint, (1::bigint << 40) + 1, 'new ones leap');
SELECT alike(tap.stream(:'ann', 'GET /api/board/events', NULL, jsonb_build_object('last_event_id', (:lost + 1)::text))->>'body', E'id: 1099511627777\nevent: snapshot\n%', 'so who saw what was lost gets a snapshot');
SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.hold_visit(%s) AS v', :secret)) \g /dev/null
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()')::bigint, (1::bigint << 40) + 2, 'once');
UPDATE clinicq.feed_history SET system_identifier = '1' WHERE id = (SELECT max(id) FROM clinicq.feed_history);
SELECT tap.act('assistant', format('SELECT v.status FROM clinicq.resume_visit(%s) AS v', :secret)) \g /dev/null
SELECT is(tap.act('shim', 'SELECT position FROM clinicq_api.feed_advance()')::bigint, (2::bigint << 40) + 1, 'in another cluster again');
SELECT is((SELECT count(*) FROM clinicq.feed_history), 3::bigint, 'each is kept');

SELECT * FROM finish();
