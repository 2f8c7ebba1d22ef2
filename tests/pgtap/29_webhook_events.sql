-- Proves what endpoints of others are told: each move they asked for, once, in the order of the feed, without a
-- patient's name or number; nothing while there is no endpoint.
SELECT no_plan();

CREATE FUNCTION tap.place() RETURNS boolean LANGUAGE sql AS $$ SELECT tap.act('shim', 'SELECT position > 0 FROM clinicq_api.feed_advance()')::boolean $$;
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''G'')'), tap.act('admin', 'SELECT clinicq.create_queue(''Dental'')'), tap.act('admin', 'SELECT clinicq.create_room(''Room 5'')') \g /dev/null
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Secret Patient ' || n)) FROM generate_series(1, 9) n \g /dev/null

SELECT tap.act('assistant', 'SELECT v.visit_id FROM clinicq.open_visit(''01-00-001'', 1) AS v'), tap.place() \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'without an endpoint nothing is written');
SELECT tap.act('admin', 'SELECT clinicq.add_webhook(''https://all.example/'')') AS all, tap.act('admin', 'SELECT clinicq.add_webhook(''https://some.example/'', ''{start,done}'', ''{2}'')') AS some \gset
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'nor of what was before it');
SELECT tap.act('assistant', 'SELECT v.visit_id FROM clinicq.open_visit(''01-00-002'', 2) AS v'), tap.act('doctor', 'SELECT v.status FROM clinicq.start_visit(2, 1) AS v'),
    tap.act('doctor', 'SELECT v.status FROM clinicq.start_visit(1) AS v') \g /dev/null
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'nor before the feed has it');
SELECT ok(tap.place() AND tap.place(), 'then');
SELECT results_eq($$ SELECT webhook_id, channel, purpose, payload->>'type', (payload #>> '{data,visit,id}')::int FROM clinicq.outbox ORDER BY webhook_id, id $$,
    format($$ VALUES (%1$s::bigint, 'webhook', 'visit', 'visit.open', 2), (%1$s, 'webhook', 'visit', 'visit.start', 2), (%1$s, 'webhook', 'visit', 'visit.start', 1), (%2$s, 'webhook', 'visit', 'visit.start', 2) $$, :'all', :'some'),
    'each is told what it asked for, once');
SELECT is((SELECT payload #- '{data,at}' #- '{data,visit,created_at}' #- '{data,visit,updated_at}' #- '{data,visit,visit_date}' FROM clinicq.outbox WHERE webhook_id = :some),
    '{"type": "visit.start", "data": {"position": 3, "move": "start", "from_status": "WAITING", "visit": {"id": 2, "token_number": 1, "token": "1", "status": "START", "queue": 2, "queue_name": "Dental", "priority": "normal", "room": "Room 5"}}}'::jsonb,
    'of an event all but the patient');
SELECT is_empty($$ SELECT FROM clinicq.outbox WHERE payload::text ~* 'secret|01-00-|patient' $$, 'no name, no number');
SELECT is((SELECT count(*) FROM clinicq.outbox WHERE visit_id IS NOT NULL), 0::bigint, 'so that erasing a patient leaves the order alone');

-- Many at once, in the order of their positions.
INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_name) SELECT 1, 'announce', 'START', 'many' FROM generate_series(1, 2500);
SELECT ok(tap.place(), 'many at once');
SELECT is((SELECT count(*) FROM clinicq.outbox o JOIN clinicq.visit_event e ON e.position = (o.payload #>> '{data,position}')::bigint WHERE o.webhook_id = :all AND e.actor_name = 'many'), 2500::bigint, 'are each told');
SELECT is_empty($$ SELECT FROM (SELECT (payload #>> '{data,position}')::bigint - lag((payload #>> '{data,position}')::bigint) OVER (PARTITION BY webhook_id ORDER BY id) AS step FROM clinicq.outbox) AS s WHERE step <= 0 $$, 'in their order');

-- A rolled back place tells nobody.
DELETE FROM clinicq.outbox;
INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_name) SELECT 1, 'announce', 'START', 'once';
BEGIN;
SELECT ok(tap.place(), 'placed');
ROLLBACK;
SELECT is((SELECT count(*) FROM clinicq.outbox), 0::bigint, 'rolled back with its place');
SELECT ok(tap.place(), 'placed again');
SELECT is((SELECT count(*) FROM clinicq.outbox), 1::bigint, 'told once');

SELECT * FROM finish();
