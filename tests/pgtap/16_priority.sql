-- Proves priority classes: data of a clinic, given by name when a visit is opened; who goes first; and that
-- waiting raises a visit class by class, so that nobody waits for ever, though never above an emergency.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'')') AS general, tap.user('asif', '{assistant}') AS asif, tap.user('eve', '{admin}') AS eve, tap.user('screen', '{display}') AS screen \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 60) AS n \g /dev/null
CREATE FUNCTION tap.open(n int, queue bigint, priority text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('assistant', format('SELECT v.token_number FROM clinicq.open_visit(''01-00-%s'', %s, %L) AS v', to_char(n, 'FM000'), queue, priority))
$$;
CREATE FUNCTION tap.next(queue bigint) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('doctor', format('SELECT v.token_number FROM clinicq.call_next(%s) AS v', queue))
$$;

SELECT results_eq('SELECT rank::int, name, reached_by_ageing FROM clinicq.priority_class WHERE clinic_id = 1 ORDER BY rank',
    $$ VALUES (0, 'normal', true), (10, 'pregnant', true), (20, 'elderly', true), (30, 'emergency', false) $$, 'classes from the start');
SELECT is((SELECT string_agg(tap.open(n, :general, p), ' ') FROM (VALUES (1, NULL), (2, 'normal'), (3, 'pregnant'), (4, 'elderly'), (5, 'emergency'), (6, 'elderly')) AS f (n, p)), '1 2 3 4 5 6', 'tokens know no class');
SELECT is(concat_ws(' ', tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general)), '5 4 6 3 1 2', 'called by class, then by token');
SELECT is(tap.open(7, :general, 'royal'), '22023: priority: must be one of: emergency, elderly, pregnant, normal', 'an unknown class');
SELECT is(tap.http('POST /api/visits/', :'asif', NULL, format('{"patient": "01-00-008", "queue": %s, "priority": "elderly"}', :general))->'body'->>'priority', 'elderly', 'over HTTP, shown again');
SELECT is(tap.http('POST /api/visits/', :'asif', NULL, format('{"patient": "01-00-009", "queue": %s, "priority": "royal"}', :general))->>'detail', '{"priority":["must be one of: emergency, elderly, pregnant, normal"]}', 'a bad field');
SELECT is(tap.http('GET /api/priorities/', :'screen')->'body'->0->>'name', 'emergency', 'anybody may list them');

-- Administration.
SELECT is(tap.http('POST /api/priorities/', :'eve', NULL, '{"name": "child", "rank": 15}')->>'status', '201', 'a new class');
SELECT is(tap.open(10, :general, 'child'), '8', 'counts at once');
SELECT is(concat_ws(' ', tap.next(:general), tap.next(:general)), '7 8', 'between those above and below');
SELECT is(tap.http('POST /api/priorities/', :'eve', NULL, '{"name": "child", "rank": 16}')->>'sqlstate', '23505', 'a name in use');
SELECT is(tap.http('DELETE /api/priorities/{rank}/', :'eve', ARRAY['15'])->>'sqlstate', 'QC409', 'a class in use stays');
UPDATE clinicq.visit SET status = 'DONE';
SELECT is(tap.http('DELETE /api/priorities/{rank}/', :'eve', ARRAY['15'])->>'status', '204', 'one that is not goes');
SELECT is(tap.http('GET /api/visits/{id}/', :'asif', ARRAY[(SELECT max(id)::text FROM clinicq.visit)])->'body'->>'priority', NULL, 'visits of before have none then');
SELECT is(tap.http('DELETE /api/priorities/{rank}/', :'eve', ARRAY['0'])->>'sqlstate', 'QC409', 'the ordinary patient stays');
SELECT is(tap.http('DELETE /api/priorities/{rank}/', :'eve', ARRAY['70000'])->>'sqlstate', 'P0002', 'no such class');
SELECT is(tap.state('admin', 'SELECT clinicq.create_priority_class(''staff'', 5, false)') || tap.state('admin', 'SELECT clinicq.remove_priority_class(5)'), '0000000000', 'from psql');
SELECT is(tap.act('admin', 'SELECT clinicq.create_priority_class(''No!'', -1)'), '22023: name: must be a small letter and up to 29 more of a-z, 0-9, _ and -; rank: must be a number from 0 to 32767; greater goes first', 'with every bad field');

-- The priority of an open visit, and a class that changes.
SELECT tap.open(11, :general) AS changed, tap.open(12, :general, 'elderly') AS other \gset
SELECT max(id) AS changed_id FROM clinicq.visit \gset
SELECT is(tap.act('assistant', format('SELECT v.status FROM clinicq.change_priority(%s, ''emergency'') AS v', :changed_id - 1)), 'WAITING', 'another priority from psql');
SELECT tap.act('shim', 'SELECT f.position FROM clinicq_api.feed_advance() AS f') AS last \gset
SELECT is(tap.act('shim', format('SELECT concat_ws('' '', f.staff::json->>''move'', f.display::json->''visit''->>''priority'') FROM clinicq_api.feed(%s - 1, 1) AS f', :last)), 'priority emergency', '... which the feed tells');
SELECT is(tap.act('assistant', format('SELECT v.status FROM clinicq.change_priority(%s, ''royal'') AS v', :changed_id)), '22023: priority: must be one of: emergency, elderly, pregnant, normal', 'no such class');
SELECT is(tap.act('doctor', format('SELECT v.status FROM clinicq.change_priority(%s, ''normal'') AS v', :changed_id)), '42501: this needs one of these roles: admin, assistant', 'who may open visits says how urgent they are');
SELECT is(tap.state('assistant', 'SELECT clinicq.change_priority(999999, ''normal'')'), 'P0002', 'no such visit');
SELECT is(tap.state('admin', 'SELECT clinicq.change_priority_class(20, name => ''senior'', new_rank => 25)'), '00000', 'a class changes');
SELECT is((SELECT priority::int FROM clinicq.visit WHERE id = :changed_id), 25, '... and takes its open visits along');
SELECT is((SELECT string_agg(move, ' ' ORDER BY id) FROM clinicq.visit_event WHERE visit_id = :changed_id), 'open priority', '... with an event each');
SELECT is(tap.state('admin', 'SELECT clinicq.change_priority_class(25, ''elderly'', 20)'), '00000', '... and back');
SELECT is(concat_ws(' ', tap.next(:general), tap.next(:general)), concat_ws(' ', :'changed', :'other'), 'the order of calls follows');
SELECT is(tap.act('admin', 'SELECT clinicq.change_priority_class(0, new_rank => 1)'), 'QC409: the class of rank 0 is the ordinary patient''s', 'not the ordinary patient''s');
SELECT is(tap.state('admin', 'SELECT clinicq.change_priority_class(21)'), 'P0002', 'no such class');
UPDATE clinicq.visit SET status = 'DONE';
SELECT is(tap.act('assistant', format('SELECT v.status FROM clinicq.change_priority(%s, ''normal'') AS v', :changed_id)), 'QC409: the visit is DONE; its priority can be changed while it is open', 'one that is over keeps it');

-- Ageing. An ordinary patient has waited 25 minutes, another 15, a pregnant one 5.
CREATE FUNCTION tap.waited(token text, minutes int) RETURNS void LANGUAGE sql AS $$
    UPDATE clinicq.visit SET created_at = now() - make_interval(mins => minutes) WHERE token_number = token::int
$$;
SELECT tap.open(20, :general) AS t25, tap.open(21, :general) AS t15, tap.open(22, :general, 'pregnant') AS p5, tap.open(23, :general, 'elderly') AS e0, tap.open(24, :general, 'emergency') AS em \gset
SELECT tap.waited(:'t25', 25), tap.waited(:'t15', 15), tap.waited(:'p5', 5) \g /dev/null
BEGIN;
SELECT is(concat_ws(' ', tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general)), concat_ws(' ', :'em', :'e0', :'p5', :'t25', :'t15'), 'without ageing, by class');
ROLLBACK;
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''priority_ageing_minutes'', ''10'')') \g /dev/null
SELECT is(concat_ws(' ', tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general), tap.next(:general)), concat_ws(' ', :'em', :'t25', :'e0', :'t15', :'p5'), 'each ten minutes count one class: 25 as elderly, 15 as pregnant; an emergency is not reached');

-- Nobody starves: an elderly patient comes each five minutes, one is called each five; the ordinary one too.
CREATE FUNCTION tap.starve(queue bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    ordinary text := tap.open(30, queue);
    called text;
BEGIN
    PERFORM tap.open(31, queue, 'elderly');
    FOR step IN 1..20 LOOP
        PERFORM tap.open(31 + step, queue, 'elderly');
        called := tap.next(queue);
        IF called = ordinary THEN RETURN step; END IF;
        UPDATE clinicq.visit SET created_at = created_at - interval '5 minutes' WHERE status = 'WAITING';
    END LOOP;
    RETURN NULL;
END
$$;
BEGIN;
SELECT is(tap.starve(:general), 5, 'after 20 minutes the ordinary patient goes before elderly ones who came later');
ROLLBACK;
SELECT tap.state('admin', 'SELECT clinicq.set_setting(''priority_ageing_minutes'', ''0'')') \g /dev/null
SELECT is(tap.starve(:general), NULL, 'without ageing never');

SELECT * FROM finish();
