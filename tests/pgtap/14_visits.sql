-- Proves what holds beyond single moves: one open visit of a patient in a queue and day, one patient in
-- a room, recalls that would break that, transfers, and what happens to visits that a day left open.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS general,
    tap.act('admin', 'SELECT clinicq.create_queue(''Dental'', ''D'')') AS dental,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 1'')') AS room,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 2'')') AS room2 \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 30) AS n \g /dev/null
CREATE FUNCTION tap.open(n int, queue bigint) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-%s'', %s) AS v', to_char(n, 'FM000'), queue))
$$;
CREATE FUNCTION tap.visit(function text, visit text, argument text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.%I(%s) AS v', function, concat_ws(', ', visit, argument)))
$$;

-- One open visit a queue and day.
SELECT tap.open(1, :general) AS v1 \gset
SELECT is(tap.open(1, :general), :'v1', 'a second open_visit() returns the visit that is open');
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE visit_id = :v1), 1::bigint, 'without another event');
SELECT is(tap.open(1, :dental) <> :'v1', true, 'another queue gives another visit');
SELECT throws_ok(format($$ INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number)
    SELECT patient_id, queue_id, service_day, 77 FROM clinicq.visit WHERE id = %s $$, :v1), '23505', NULL, 'the table itself refuses a second open visit');

-- A room.
SELECT tap.open(2, :general) AS v2, tap.open(3, :general) AS v3 \gset
SELECT is(tap.visit('start_visit', :'v1', :'room'), 'START', 'called to a room');
SELECT is((SELECT room_id FROM clinicq.visit WHERE id = :v1), :room::bigint, 'which stands in the visit');
SELECT is((SELECT room_id FROM clinicq.visit_event WHERE visit_id = :v1 AND move = 'start'), :room::bigint, 'and in the event');
SELECT is(tap.visit('start_visit', :'v2', :'room'), 'QC409: room Room 1 holds a patient already: token 1', 'a room holds one patient');
SELECT is((SELECT status FROM clinicq.visit WHERE id = :v2), 'WAITING', 'the other goes on waiting');
SELECT is(tap.visit('start_visit', :'v2', '999'), 'P0002: no room 999', 'an unknown room');
SELECT is(tap.visit('start_visit', :'v2', :'room2'), 'START', 'another room is free');
SELECT is(tap.visit('enter_room', :'v1'), 'IN_ROOM', 'the first goes in');
SELECT is(tap.visit('start_visit', :'v3', :'room'), 'QC409: room Room 1 holds a patient already: token 1', 'the room stays taken');
SELECT throws_ok(format($$ UPDATE clinicq.visit SET room_id = %s, status = 'START' WHERE id = %s $$, :room, :v3), '23505', NULL, 'the table itself refuses two in a room');
SELECT throws_ok(format($$ UPDATE clinicq.visit SET room_id = %s WHERE id = %s $$, :room, :v3), '23514', NULL, 'and a room for one who waits');
SELECT is(tap.visit('return_to_waiting', :'v1'), 'WAITING', 'sent back');
SELECT is((SELECT room_id FROM clinicq.visit WHERE id = :v1), NULL, 'the visit has no room any more');
SELECT is(tap.visit('start_visit', :'v3', :'room'), 'START', 'and the room is free');
SELECT is(tap.visit('start_visit', :'v1'), 'START', 'any number may be called without a room');
SELECT tap.act('admin', 'SELECT clinicq.create_room(''Elsewhere'', NULL)') AS spare \gset
INSERT INTO clinicq.clinic (name) VALUES ('Other site') RETURNING id AS site \gset
SELECT tap.act('admin', format('SELECT clinicq.create_room(''Room 1'', %s)', :site)) AS far_room, tap.open(4, :general) AS v4 \gset
SELECT is(tap.visit('start_visit', :'v4', :'far_room'), 'P0002: no room ' || :far_room, 'a room of another site is none');

-- Recall.
SELECT is(tap.visit('mark_no_show', :'v1'), 'NO_SHOW', 'did not come');
SELECT is(tap.visit('recall_visit', :'v1'), 'WAITING', 'came after all');
SELECT is((SELECT token_number FROM clinicq.visit WHERE id = :v1), 1, 'with the same token');
SELECT is(tap.visit('start_visit', :'v1') || ' ' || tap.visit('mark_no_show', :'v1'), 'START NO_SHOW', 'did not come again');
SELECT tap.open(1, :general) AS again \gset
SELECT isnt(:'again'::text, :'v1'::text, 'a new visit after a no-show');
SELECT is(tap.visit('recall_visit', :'v1'), 'QC409: the patient has another open visit in this queue', 'then the old one cannot be recalled');
SELECT is(tap.visit('cancel_visit', :'again') || ' ' || tap.visit('recall_visit', :'v1'), 'CANCELLED WAITING', 'unless the new one is cancelled');

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Short'')') AS short, tap.open(5, :general) AS v5 \gset
SELECT tap.open(6, :short) AS v6 \gset
SELECT is(tap.visit('start_visit', :'v6') || ' ' || tap.visit('mark_no_show', :'v6'), 'START NO_SHOW', 'a no-show in a queue');
SELECT is(tap.state('admin', format('SELECT clinicq.close_queue(%s)', :short)), '00000', 'that is closed then');
SELECT is(tap.visit('recall_visit', :'v6'), 'QC409: the queue is closed', 'cannot be recalled');
SELECT is(tap.visit('start_visit', :'v5') || ' ' || tap.visit('mark_no_show', :'v5'), 'START NO_SHOW', 'a no-show of a patient');
SELECT is(tap.state('admin', 'SELECT clinicq.remove_patient(''01-00-005'')'), '00000', 'who is removed then');
SELECT is(tap.visit('recall_visit', :'v5'), 'QC409: the patient has been removed', 'cannot be recalled');
SELECT tap.open(7, :general) AS v7 \gset
SELECT is(tap.visit('start_visit', :'v7') || ' ' || tap.visit('mark_no_show', :'v7'), 'START NO_SHOW', 'a no-show');
UPDATE clinicq.visit SET service_day = service_day - 1, token_number = 1000 WHERE id = :v7;
SELECT is(tap.visit('recall_visit', :'v7'), 'QC409: the visit is of an earlier day', 'of yesterday cannot be recalled');

-- Transfer.
SELECT tap.open(8, :general) AS v8, tap.open(9, :general) AS v9 \gset
UPDATE clinicq.visit SET priority = 5 WHERE id = :v8;
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.transfer_visit(%s, %s) AS v', :v8, :dental)) AS n8 \gset
SELECT results_eq(format('SELECT status, queue_id, priority::int, transferred_from, token_number = (SELECT last_token FROM clinicq.token_counter
        WHERE queue_id = %s AND service_day = clinicq.service_day()) FROM clinicq.visit WHERE id = %s', :dental, :n8),
    format('VALUES (''WAITING'', %s::bigint, 5, %s::bigint, true)', :dental, :v8), 'a transfer goes on in the other queue with a token of that queue and the same priority');
SELECT is((SELECT transferred_to FROM clinicq.visit WHERE id = :v8), :n8::bigint, 'linked both ways');
SELECT is((SELECT string_agg(visit_id - :v8 || ' ' || move, ', ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id IN (:v8, :n8)),
    '0 open, ' || :n8 - :v8 || ' open, 0 transfer', 'both leave events');
SELECT is(tap.visit('transfer_visit', :'v9', :'general'), 'WAITING', 'a transfer to the queue where the visit is');
SELECT is((SELECT status FROM clinicq.visit WHERE id = :v9), 'WAITING', 'changes nothing');
SELECT is(tap.visit('transfer_visit', :'v9', :'short'), 'P0002: no open queue ' || :short, 'a closed queue takes no transfer');
SELECT is(tap.visit('transfer_visit', :'v9', '999'), 'P0002: no open queue 999', 'nor does an unknown one');
SELECT is(tap.visit('start_visit', :'v9', :'room'), 'QC409: room Room 1 holds a patient already: token ' || (SELECT token_number FROM clinicq.visit WHERE room_id = :room AND status IN ('START', 'IN_ROOM')), 'the room is taken');
SELECT tap.visit('mark_no_show', :'v3') \g /dev/null
SELECT is(tap.visit('start_visit', :'v9', :'room'), 'START', 'until it is free');
SELECT is(tap.visit('transfer_visit', :'v9', :'dental'), 'WAITING', 'one who was called to a room is transferred');
SELECT is(tap.visit('start_visit', :'v4', :'room'), 'START', 'and the room is free');
SELECT throws_ok(format($$ UPDATE clinicq.visit SET status = 'TRANSFERRED' WHERE id = %s $$, :v4), '23514', NULL, 'the table knows no transfer that leads nowhere');

-- A new service day.
SELECT tap.act('admin', 'SELECT clinicq.create_queue(''Night'')') AS night \gset
SELECT tap.open(20, :night) AS waiting, tap.open(21, :night) AS started, tap.open(22, :night) AS inside,
    tap.open(23, :night) AS held, tap.open(24, :night) AS done, tap.open(25, :night) AS missed \gset
SELECT tap.visit('start_visit', :'started') \g /dev/null
SELECT tap.visit('start_visit', v), tap.visit('enter_room', v) FROM unnest(ARRAY[:'inside', :'done']) AS v \g /dev/null
SELECT tap.visit('finish_visit', :'done'), tap.visit('start_visit', :'missed'), tap.visit('mark_no_show', :'missed') \g /dev/null
UPDATE clinicq.visit SET status = 'HELD' WHERE id = :held;
UPDATE clinicq.visit SET service_day = service_day - 3 WHERE queue_id = :night;
UPDATE clinicq.token_counter SET service_day = service_day - 3 WHERE queue_id = :night;
CREATE TABLE tap.before AS SELECT * FROM clinicq.visit;
SELECT tap.open(26, :night) AS today \gset
SELECT is((SELECT token_number FROM clinicq.visit WHERE id = :today), 1, 'the day''s first visit has token 1');
SELECT results_eq(format('SELECT id, status, closed_by_system FROM clinicq.visit WHERE queue_id = %s AND id <> %s ORDER BY id', :night, :today),
    format('VALUES (%s::bigint, ''NO_SHOW'', true), (%s, ''DONE'', true), (%s, ''DONE'', true), (%s, ''NO_SHOW'', true), (%s, ''DONE'', false), (%s, ''NO_SHOW'', false)',
        :waiting, :started, :inside, :held, :done, :missed),
    'and closes what the day before left open: never called NO_SHOW, inside DONE, marked');
SELECT results_eq(format('SELECT visit_id, from_status, to_status, actor_name, actor_id FROM clinicq.visit_event WHERE move = ''day_end'' ORDER BY visit_id'),
    format('VALUES (%s::bigint, ''WAITING'', ''NO_SHOW'', ''system'', NULL::bigint), (%s, ''START'', ''DONE'', ''system'', NULL), (%s, ''IN_ROOM'', ''DONE'', ''system'', NULL), (%s, ''HELD'', ''NO_SHOW'', ''system'', NULL)',
        :waiting, :started, :inside, :held), 'with an event each, by the system');
SELECT is_empty(format('SELECT * FROM tap.before EXCEPT SELECT * FROM clinicq.visit WHERE queue_id <> %s OR NOT closed_by_system EXCEPT SELECT * FROM tap.before WHERE id IN (%s, %s, %s, %s)',
    :night, :waiting, :started, :inside, :held), 'visits of other queues, and closed ones, stay as they were');
SELECT is(tap.visit('enter_room', :'started'), 'QC409: the visit is DONE; in_room is possible from START', 'what was closed is closed');

SELECT is_empty($$
    SELECT queue_id, service_day FROM clinicq.token_counter
    FULL JOIN (SELECT queue_id, service_day, array_agg(token_number ORDER BY token_number) AS tokens
               FROM clinicq.visit WHERE token_number < 1000 GROUP BY 1, 2) AS v USING (queue_id, service_day)
    WHERE cardinality(tokens) > last_token
$$, 'no queue has more tokens than its counter says');
SELECT is_empty($$
    SELECT v.id FROM clinicq.visit v JOIN LATERAL (
        SELECT to_status FROM clinicq.visit_event e WHERE e.visit_id = v.id ORDER BY e.id DESC LIMIT 1) AS e ON true
    WHERE e.to_status <> v.status
$$, 'the last event of every visit says its status');

SELECT * FROM finish();
