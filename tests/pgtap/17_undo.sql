-- Proves undo: the last move of a visit, by who made it, within a minute, from every move and by both doors;
-- a transfer only while the new visit is untouched; never a second patient in a room or a second open visit.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS general, tap.act('admin', 'SELECT clinicq.create_queue(''Other'')') AS other,
    tap.act('admin', 'SELECT clinicq.create_room(''Room 1'')') AS room, tap.user('ada', '{doctor}') AS ada, tap.user('ben', '{doctor}') AS ben \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 60) AS n \g /dev/null
CREATE SEQUENCE tap.patient;
CREATE FUNCTION tap.open(queue bigint, n int DEFAULT nextval('tap.patient')) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-%s'', %s) AS v', to_char(n, 'FM000'), queue))
$$;
CREATE FUNCTION tap.move(function text, visit text, arguments text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.%I(%s) AS v', function, concat_ws(', ', visit, arguments)))
$$;
CREATE FUNCTION tap.ask(token text, visit text, move text DEFAULT 'undo/', body text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((a->>'status') || ' ' || (a->'body'->>'status'), (a->>'sqlstate') || ': ' || (a->>'message'))
    FROM tap.http('PATCH /api/visits/{id}/' || move, token, ARRAY[visit], body) AS a
$$;
CREATE FUNCTION tap.row_of(visit text) RETURNS text LANGUAGE sql AS $$ SELECT status || ' ' || coalesce(room_id::text, '-') FROM clinicq.visit WHERE id = $1::bigint $$;

-- Every move, from every state that it is possible from.
CREATE TABLE tap.way (way text[], back text);
INSERT INTO tap.way VALUES ('{start_visit}', 'WAITING -'), ('{start_visit,enter_room}', 'START -'), ('{start_visit,return_to_waiting}', 'START -'), ('{start_visit,enter_room,return_to_waiting}', 'IN_ROOM -'),
    ('{start_visit,enter_room,finish_visit}', 'IN_ROOM -'), ('{start_visit,mark_no_show}', 'START -'), ('{start_visit,mark_no_show,recall_visit}', 'NO_SHOW -'), ('{cancel_visit}', 'WAITING -'), ('{hold_visit}', 'WAITING -'),
    ('{start_visit,hold_visit}', 'START -'), ('{hold_visit,resume_visit}', 'HELD -'), ('{hold_visit,cancel_visit}', 'HELD -');
CREATE FUNCTION tap.go(way text[], queue bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    visit text := tap.open(queue);
    step text;
    events int;
BEGIN
    FOREACH step IN ARRAY way LOOP PERFORM tap.move(step, visit); END LOOP;
    SELECT count(*) INTO events FROM clinicq.visit_event WHERE visit_id = visit::bigint;
    PERFORM tap.move('undo_visit', visit);
    ASSERT (SELECT count(*) FROM clinicq.visit_event WHERE visit_id = visit::bigint) = events + 1;
    ASSERT (SELECT e.move = 'undo' AND e.to_status = v.status AND v.version = events + 1 FROM clinicq.visit v JOIN clinicq.visit_event e ON e.visit_id = v.id WHERE v.id = visit::bigint ORDER BY e.id DESC LIMIT 1);
    RETURN tap.row_of(visit);
END
$$;
SELECT is(tap.go(way, :general), back, 'undo after ' || array_to_string(way, ', ')) FROM tap.way;

-- The room comes back, if nobody is in it.
SELECT tap.open(:general) AS v \gset
SELECT tap.move('start_visit', :'v', :'room'), tap.move('enter_room', :'v') \g /dev/null
SELECT is(tap.move('undo_visit', :'v') || ' ' || tap.row_of(:'v'), format('START START %s', :room), 'from the room, to the room');
SELECT is(tap.move('enter_room', :'v') || ' ' || tap.move('return_to_waiting', :'v') || ' ' || tap.row_of(:'v'), 'IN_ROOM WAITING WAITING -', 'sent back');
SELECT is(tap.move('undo_visit', :'v') || ' ' || tap.row_of(:'v'), format('IN_ROOM IN_ROOM %s', :room), 'and in the room again');
SELECT tap.move('finish_visit', :'v') \g /dev/null
SELECT tap.open(:general) AS w \gset
SELECT is(tap.move('start_visit', :'w', :'room'), 'START', 'another patient is called there');
SELECT is(tap.move('undo_visit', :'v') ~ '^QC409: room Room 1 holds a patient already: token \d+$', true, 'so the first cannot come back');
SELECT is(tap.row_of(:'v'), format('DONE %s', :room), 'and stays done');

-- Only the last move, only by who made it, only for a minute, only once.
SELECT is(tap.move('undo_visit', tap.open(:general)), 'QC409: the last move of the visit, open, cannot be undone', 'nothing to undo');
SELECT is(tap.move('undo_visit', '999999'), 'P0002: no visit 999999', 'no visit');
SELECT is(tap.act('assistant', format('SELECT * FROM clinicq.undo_visit(%s)', :w)), 'QC409: the last move of the visit, start, was made by somebody else', 'somebody else');
SELECT tap.open(:general) AS v \gset
SELECT is(tap.ask(:'ada', :'v', 'start/'), '200 START', 'over HTTP');
SELECT is(tap.ask(:'ben', :'v'), 'QC409: the last move of the visit, start, was made by somebody else', 'another doctor is refused');
SELECT is(tap.move('undo_visit', :'v') ~ 'somebody else', true, 'so is psql');
SELECT is(tap.ask(:'ada', :'v'), '200 WAITING', 'who made it, not');
SELECT is(tap.ask(:'ada', :'v'), '200 WAITING', 'sent again it answers the same');
SELECT is((SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = :v), 'open start undo', 'and does nothing');
SELECT is(tap.ask(:'ben', :'v') ~ 'undo, cannot be undone', true, 'an undo is not undone');
SELECT is(tap.ask(:'ada', :'v', 'start/'), '200 START', 'called again');
SELECT is(tap.ask(:'ada', :'v', 'announce/'), '200 START', 'and announced');
SELECT is(tap.ask(:'ada', :'v') ~ 'announce, cannot be undone', true, 'an announcement cannot be taken back');
SELECT is(tap.ask(:'ada', :'v', 'in_room/'), '200 IN_ROOM', 'in the room');
UPDATE clinicq.visit_event SET at = at - interval '61 seconds' WHERE visit_id = :v;
SELECT is(tap.ask(:'ada', :'v'), 'QC409: the last move of the visit, in_room, was made more than 60 seconds ago', 'a minute is over');
UPDATE clinicq.visit_event SET at = at + interval '2 seconds' WHERE visit_id = :v;
SELECT is(tap.ask(:'ada', :'v'), '200 START', 'before that, not');

-- A transfer.
SELECT tap.open(:general) AS v \gset
SELECT tap.act('doctor', format('SELECT v.visit_id FROM clinicq.transfer_visit(%s, %s) AS v', :v, :other)) AS n \gset
SELECT is(tap.move('undo_visit', :'n') || ' ' || tap.row_of(:'v') || ' ' || tap.row_of(:'n'), 'WAITING WAITING - CANCELLED -', 'taken back by the new visit or the old: the new one is cancelled');
SELECT is((SELECT concat_ws(' ', transferred_from, transferred_to) FROM clinicq.visit WHERE id = :v), '', 'with no link');
SELECT is((SELECT concat_ws(' ', transferred_from, transferred_to) FROM clinicq.visit WHERE id = :n), '', 'either way');
SELECT is((SELECT last_token FROM clinicq.token_counter WHERE queue_id = :other), 1, 'the token stays used');
SELECT tap.act('doctor', format('SELECT v.visit_id FROM clinicq.transfer_visit(%s, %s) AS v', :v, :other)) AS n \gset
SELECT is((SELECT token_number FROM clinicq.visit WHERE id = :n), 2, 'transferred again');
SELECT is(tap.move('start_visit', :'n'), 'START', 'the new visit goes on');
SELECT is(tap.move('undo_visit', :'v'), 'QC409: the visit in the other queue has gone on since the transfer', 'so the transfer stays');
SELECT is(tap.move('undo_visit', :'n') || ' ' || tap.row_of(:'v'), 'WAITING TRANSFERRED -', 'undo of the new visit takes back its own move');
SELECT is(tap.move('undo_visit', :'v') ~ 'has gone on', true, 'and it counts as touched');

-- No second open visit.
SELECT tap.open(:general, 50) AS v \gset
SELECT tap.move('cancel_visit', :'v') \g /dev/null
SELECT isnt(tap.open(:general, 50), :'v', 'the patient has another visit');
SELECT is(tap.move('undo_visit', :'v'), 'QC409: the patient has another open visit in this queue', 'so the cancelled one stays so');
SELECT tap.open(:general, 51) AS v \gset
SELECT is(tap.move('cancel_visit', :'v') || tap.state('doctor', 'SELECT clinicq.remove_patient(''01-00-051'')'), 'CANCELLED00000', 'a patient is removed');
SELECT is(tap.move('undo_visit', :'v'), 'QC409: the patient has been removed', 'so does that');

SELECT * FROM finish();
