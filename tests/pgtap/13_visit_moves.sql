-- Proves the state machine of a visit: every move from every state, over psql and over HTTP. What the
-- table below allows is done, leaves a visit_event and counts the row's version; everything else raises
-- QC409 naming the present state and where the move is possible from, and changes nothing.
SELECT no_plan();

CREATE TABLE tap.state_of (state text);
INSERT INTO tap.state_of VALUES ('WAITING'), ('START'), ('IN_ROOM'), ('HELD'), ('DONE'), ('NO_SHOW'), ('CANCELLED'), ('TRANSFERRED');
CREATE TABLE tap.move (move text, function text, route text, possible text, target text);
INSERT INTO tap.move VALUES
    ('start', 'start_visit', 'start', 'WAITING', 'START'),
    ('in_room', 'enter_room', 'in_room', 'START', 'IN_ROOM'),
    ('send_back', 'return_to_waiting', 'send_back_to_waiting', 'START or IN_ROOM', 'WAITING'),
    ('done', 'finish_visit', 'done', 'IN_ROOM', 'DONE'),
    ('no_show', 'mark_no_show', 'no_show', 'START', 'NO_SHOW'),
    ('recall', 'recall_visit', 'recall', 'NO_SHOW', 'WAITING'),
    ('cancel', 'cancel_visit', 'cancel', 'WAITING or HELD', 'CANCELLED'),
    ('transfer', 'transfer_visit', NULL, 'WAITING or START or HELD', 'TRANSFERRED');

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS general,
    tap.act('admin', 'SELECT clinicq.create_queue(''Other'')') AS other,
    tap.user('doctor', '{doctor}') AS token \gset

-- A visit for each move, state and door, of a patient of its own.
CREATE TABLE tap.attempt AS
    SELECT row_number() OVER () AS id, door, m.*, s.state, s.state = ANY (string_to_array(m.possible, ' or ')) AS allowed
    FROM tap.move m, tap.state_of s, unnest(ARRAY['psql', 'http']) AS door;
INSERT INTO clinicq.patient (registration_number, name) SELECT 'P' || a.id, 'Patient ' || a.id FROM tap.attempt a;
INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number) OVERRIDING SYSTEM VALUE
    SELECT p.id, :general, clinicq.service_day(), a.id FROM tap.attempt a JOIN clinicq.patient p ON p.registration_number = 'P' || a.id;
INSERT INTO clinicq.token_counter SELECT :general, clinicq.service_day(), count(*) FROM tap.attempt;
ALTER TABLE tap.attempt ADD visit bigint, ADD target_visit bigint;
UPDATE tap.attempt a SET visit = v.id FROM clinicq.visit v WHERE v.token_number = a.id;
UPDATE clinicq.visit v SET status = a.state, transferred_to = CASE a.state WHEN 'TRANSFERRED' THEN v.id END
    FROM tap.attempt a WHERE a.visit = v.id;

SELECT CASE door
    WHEN 'psql' THEN format('SELECT is(tap.act(''doctor'', %L), %L, %L)',
        format('SELECT v.status FROM clinicq.%I(%s%s) AS v', function, visit, CASE move WHEN 'transfer' THEN ', ' || :other ELSE '' END),
        CASE WHEN NOT allowed THEN format('QC409: the visit is %s; %s is possible from %s', state, move, possible)
            WHEN move = 'transfer' THEN 'WAITING' ELSE target END,
        format('psql: %s of a visit that is %s %s', move, state, CASE WHEN allowed THEN 'is done' ELSE 'is refused' END))
    ELSE format('SELECT is(coalesce(a->''body''->>''status'', a->>''sqlstate'' || '': '' || (a->>''message'')), %L, %L) FROM tap.http(%L, %L, ARRAY[''%s''], %L) AS a',
        CASE WHEN NOT allowed THEN format('QC409: the visit is %s; %s is possible from %s', state, move, possible)
            WHEN move = 'transfer' THEN 'WAITING' ELSE target END,
        format('http: %s of a visit that is %s %s', move, state, CASE WHEN allowed THEN 'is done' ELSE 'is refused' END),
        'PATCH /api/visits/{id}/' || coalesce(route || '/', ''), :'token', visit,
        CASE move WHEN 'transfer' THEN format('{"queue": %s}', :other) END)
    END
FROM tap.attempt ORDER BY id
\gexec

SELECT is_empty($$
    SELECT a.*, v.status, v.version FROM tap.attempt a JOIN clinicq.visit v ON v.id = a.visit
    WHERE v.status <> CASE WHEN a.allowed THEN a.target ELSE a.state END
        OR v.version <> CASE WHEN a.allowed THEN 2 ELSE 1 END
$$, 'what was done stands in the row with a new version; what was refused changed nothing');
SELECT is_empty($$
    SELECT a.* FROM tap.attempt a LEFT JOIN clinicq.visit_event e ON e.visit_id = a.visit
    WHERE a.allowed AND (e.visit_id IS NULL OR e.move <> a.move OR e.from_status <> a.state OR e.to_status <> a.target
            OR e.actor_name IS DISTINCT FROM CASE a.door WHEN 'http' THEN 'doctor' ELSE 'test_doctor' END
            OR (e.actor_id IS NULL) IS DISTINCT FROM (a.door = 'psql'))
        OR NOT a.allowed AND e.visit_id IS NOT NULL
$$, 'every move leaves one visit_event that says what, from, to and who; a refusal leaves none');
SELECT is((SELECT count(*) FROM clinicq.visit_event WHERE move <> 'open'), (SELECT count(*) FROM tap.attempt WHERE allowed), 'and no event more');
SELECT is_empty($$
    SELECT a.visit FROM tap.attempt a
    LEFT JOIN clinicq.visit o ON o.id = a.visit LEFT JOIN clinicq.visit n ON n.transferred_from = o.id
    WHERE a.move = 'transfer' AND a.allowed AND (o.transferred_to IS DISTINCT FROM n.id OR n.queue_id = o.queue_id
        OR n.patient_id <> o.patient_id OR n.status <> 'WAITING' OR n.service_day <> clinicq.service_day())
$$, 'a transfer links the visit and the new one both ways');

-- Over HTTP a move that this user has made before is answered with the visit as it is now.
SELECT tap.act('admin', 'SELECT clinicq.register_patient(''Ada'')') AS ada,
    tap.user('second', '{doctor}') AS second \gset
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s) AS v', :'ada', :other)) AS visit \gset
CREATE FUNCTION tap.move(move text, token text, visit text, body text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(a->>'sqlstate', (a->>'status') || ' ' || (a->'body'->>'status'))
    FROM tap.http('PATCH /api/visits/{id}/' || move, token, ARRAY[visit], body) AS a
$$;
SELECT is(tap.move('start/', :'token', :'visit'), '200 START', 'a doctor calls a patient');
SELECT is(tap.move('start/', :'token', :'visit'), '200 START', 'the same call once more is answered with 200');
SELECT is(tap.move('start/', :'second', :'visit'), 'QC409', 'of two doctors one gets a conflict');
SELECT is(tap.move('in_room/', :'second', :'visit'), '200 IN_ROOM', 'another doctor may go on');
SELECT is(tap.move('start/', :'token', :'visit'), '200 IN_ROOM', 'a replay is answered with the visit as it is now');
SELECT is(tap.move('done/', :'second', :'visit'), '200 DONE', 'and finish');
SELECT is(tap.move('start/', :'token', :'visit'), '200 DONE', 'also when it has been finished since');
SELECT is(tap.move('done/', :'token', :'visit'), 'QC409', 'a move that this user has not made is refused');
SELECT is((SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = :visit), 'open start in_room done', 'replays leave no event');
SELECT is(tap.act('doctor', format('SELECT v.status FROM clinicq.finish_visit(%s) AS v', :visit)),
    'QC409: the visit is DONE; done is possible from IN_ROOM', 'psql has no replays');
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(%L, %s) AS v', :'ada', :other)) AS visit \gset
SELECT is(tap.move('', :'token', :'visit', format('{"queue": %s}', :general)), '200 WAITING', 'a transfer over HTTP');
SELECT is(tap.http('PATCH /api/visits/{id}/', :'token', ARRAY[:'visit'], format('{"queue": %s}', :general))->'body'->>'id',
    (SELECT transferred_to::text FROM clinicq.visit WHERE id = :visit), 'sent again it answers the new visit, not a third');
SELECT is((SELECT count(*) FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id WHERE p.registration_number = :'ada'), 3::bigint, 'and no other was made');
SELECT is(tap.move('', :'second', :'visit', format('{"queue": %s}', :general)), 'QC409', 'somebody else is refused');

-- What is no visit.
SELECT is(tap.act('doctor', format('SELECT v.status FROM clinicq.%I(999999%s) AS v', function, CASE move WHEN 'transfer' THEN ', 1' ELSE '' END)),
    'P0002: no visit 999999', function || '() of an unknown visit') FROM tap.move;
SELECT is(tap.state('doctor', format('SELECT clinicq.%I(NULL%s)', function, CASE move WHEN 'transfer' THEN ', 1' ELSE '' END)),
    '22004', function || '(NULL)') FROM tap.move;
SELECT is(tap.move('start/', :'token', '-1'), 'P0002', 'a negative id is no visit over HTTP');
SELECT is(tap.move('start/', :'token', '99999999999999999999'), 'P0002', 'nor is one beyond 64 bits');

SELECT * FROM finish();
