-- Proves the reports by direct SQL: their numbers against days made by hand (recalled, sent back,
-- transferred, closed by the system, the day on which clocks go back, a day that begins at four) and
-- against a naive count of a generated week; that they say the same before and after days are
-- summarised and after a past visit changes; who may read what; and that none runs for ever.
SELECT no_plan();

UPDATE clinicq.clinic SET timezone = 'Asia/Karachi';
INSERT INTO clinicq.clinic (name, timezone, day_starts_at) VALUES ('Berlin', 'Europe/Berlin', '04:00') RETURNING id AS berlin \gset
INSERT INTO clinicq.queue (clinic_id, name, token_prefix) VALUES (:berlin, 'Eye', 'E') RETURNING id AS eye \gset
INSERT INTO clinicq.queue (clinic_id, name) VALUES (:berlin, 'Ear') RETURNING id AS ear \gset
INSERT INTO clinicq.room (clinic_id, name) VALUES (:berlin, 'Room 7') RETURNING id AS room \gset
INSERT INTO clinicq.patient (registration_number, name, phone, created_at, removed_at) VALUES
    ('R-1', 'Secret Name', '0800', '2025-05-31 18:59:59+00', NULL), ('R-2', 'Secret Two', NULL, '2025-05-31 19:00:00+00', NULL),
    ('R-3', 'Secret Three', NULL, '2025-06-30 18:59:59+00', now());

-- A visit and its moves, each as "time in UTC, move, status after, who".
CREATE FUNCTION tap.made(queue bigint, day date, token int, final text, closed boolean, opened timestamptz, VARIADIC moves text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    m text;
    was text := 'WAITING';
BEGIN
    INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, status, closed_by_system, created_at, updated_at)
        VALUES ((SELECT min(id) FROM clinicq.patient), queue, day, token, CASE final WHEN 'TRANSFERRED' THEN 'CANCELLED' ELSE final END, closed, opened, opened) RETURNING id INTO made;
    INSERT INTO clinicq.visit_event (visit_id, at, move, to_status, actor_name) VALUES (made, opened, 'open', 'WAITING', 'reception');
    FOREACH m IN ARRAY moves LOOP
        INSERT INTO clinicq.visit_event (visit_id, at, move, from_status, to_status, room_id, actor_name)
            SELECT made, p[1]::timestamptz, p[2], was, p[3], (SELECT min(id) FROM clinicq.room WHERE p[3] IN ('START', 'IN_ROOM')), p[4] FROM regexp_split_to_array(m, ', ') AS p;
        was := split_part(m, ', ', 3);
    END LOOP;
    RETURN made;
END
$$;
SET TimeZone = 'UTC';
SELECT tap.made(:eye, '2025-10-26', 1, 'DONE', false, '2025-10-26 08:00', '2025-10-26 08:10, start, START, dr.a', '2025-10-26 08:12, in_room, IN_ROOM, dr.a', '2025-10-26 08:20, done, DONE, dr.a') AS v1,
    tap.made(:eye, '2025-10-26', 2, 'DONE', false, '2025-10-26 08:05', '2025-10-26 08:25, start, START, dr.a', '2025-10-26 08:30, no_show, NO_SHOW, dr.a', '2025-10-26 08:40, recall, WAITING, reception',
        '2025-10-26 08:50, start, START, dr.a', '2025-10-26 08:51, in_room, IN_ROOM, dr.a', '2025-10-26 09:01, done, DONE, dr.a') AS v2,
    tap.made(:eye, '2025-10-26', 3, 'DONE', false, '2025-10-26 08:06', '2025-10-26 08:36, start, START, dr.b', '2025-10-26 08:37, in_room, IN_ROOM, dr.b', '2025-10-26 08:47, send_back, WAITING, dr.b',
        '2025-10-26 09:07, start, START, dr.b', '2025-10-26 09:08, in_room, IN_ROOM, dr.b', '2025-10-26 09:28, done, DONE, dr.b') AS v3,
    tap.made(:eye, '2025-10-26', 4, 'TRANSFERRED', false, '2025-10-26 08:07', '2025-10-26 08:17, transfer, TRANSFERRED, reception') AS v4,
    tap.made(:eye, '2025-10-26', 5, 'CANCELLED', false, '2025-10-26 08:08', '2025-10-26 08:30, cancel, CANCELLED, reception') AS v5,
    tap.made(:eye, '2025-10-26', 6, 'DONE', true, '2025-10-26 08:09', '2025-10-26 09:00, start, START, dr.a', '2025-10-26 09:01, in_room, IN_ROOM, dr.a', '2025-10-27 03:00, day_end, DONE, system') AS v6,
    tap.made(:eye, '2025-10-26', 7, 'NO_SHOW', true, '2025-10-26 08:10', '2025-10-27 03:00, day_end, NO_SHOW, system') AS v7,
    tap.made(:ear, '2025-10-26', 1, 'DONE', false, '2025-10-26 08:17', '2025-10-26 08:27, start, START, dr.b', '2025-10-26 08:28, in_room, IN_ROOM, dr.b', '2025-10-26 08:58, done, DONE, dr.b') AS ear1,
    -- Half past two, an hour apart: the night in which the clock goes back, of the day before.
    tap.made(:eye, '2025-10-25', 1, 'NO_SHOW', false, '2025-10-26 00:30', '2025-10-26 00:40, start, START, dr.a', '2025-10-26 00:50, no_show, NO_SHOW, dr.a') AS n1,
    tap.made(:eye, '2025-10-25', 2, 'DONE', false, '2025-10-26 01:30', '2025-10-26 01:40, start, START, dr.a', '2025-10-26 01:41, in_room, IN_ROOM, dr.a', '2025-10-26 01:51, done, DONE, dr.a') AS n2 \gset
UPDATE clinicq.visit SET status = 'TRANSFERRED', transferred_to = :ear1 WHERE id = :v4;
UPDATE clinicq.visit SET transferred_from = :v4 WHERE id = :ear1;
RESET TimeZone;

-- The numbers, asked again whenever they must be the same.
CREATE FUNCTION tap.read(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    me text := session_user;
BEGIN
    PERFORM set_config('session_authorization', 'test_reporter', true);
    RETURN QUERY EXECUTE 'SELECT r::text FROM (' || statement || ') AS r';
    PERFORM set_config('session_authorization', me, true);
END
$$;
CREATE TABLE tap.expected (report text, statement text, rows text[]);
INSERT INTO tap.expected VALUES
('visits_per_day', 'SELECT day, queue, visits, waiting, started, in_room, held, done, no_show, cancelled, transferred, closed_by_system FROM clinicq_report.visits_per_day WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,Eye,2,0,0,0,0,1,1,0,0,0)', '(2025-10-26,Eye,7,0,0,0,0,4,1,1,1,2)', '(2025-10-26,Ear,1,0,0,0,0,1,0,0,0,0)']),
('waiting_time', 'SELECT day, queue, calls, median, p90, p95, later_calls, later_median, later_p90, later_p95 FROM clinicq_report.waiting_time WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,Eye,2,600.0,600.0,600.0,0,,,)', '(2025-10-26,Eye,3,1200.0,1680.0,1740.0,2,900.0,1140.0,1170.0)', '(2025-10-26,Ear,1,600.0,600.0,600.0,0,,,)']),
('waiting_time_per_month', 'SELECT month, queue, calls, median, p90, later_calls FROM clinicq_report.waiting_time_per_month WHERE month < ''2026-01-01''', ARRAY[
    '(2025-10-01,Eye,5,600.0,1560.0,2)', '(2025-10-01,Ear,1,600.0,600.0,0)']),
('service_time', 'SELECT day, queue, visits, median, p90, p95 FROM clinicq_report.service_time WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,Eye,1,600.0,600.0,600.0)', '(2025-10-26,Eye,3,600.0,1080.0,1140.0)', '(2025-10-26,Ear,1,1800.0,1800.0,1800.0)']),
('service_time_per_month', 'SELECT month, queue, visits, median, p95 FROM clinicq_report.service_time_per_month WHERE month < ''2026-01-01''', ARRAY[
    '(2025-10-01,Eye,4,600.0,1110.0)', '(2025-10-01,Ear,1,1800.0,1800.0)']),
('no_shows', 'SELECT day, queue, expected, no_show, never_called, recalled, rate FROM clinicq_report.no_shows WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,Eye,2,1,0,0,0.5000)', '(2025-10-26,Eye,5,0,1,1,0.0000)', '(2025-10-26,Ear,1,0,0,0,0.0000)']),
('load_by_hour', 'SELECT day, weekday, hour, queue, opened, called, finished FROM clinicq_report.load_by_hour WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,6,2,Eye,2,2,1)', '(2025-10-26,7,9,Eye,7,4,1)', '(2025-10-26,7,10,Eye,0,2,2)', '(2025-10-26,7,9,Ear,1,1,1)']),
('doctor_work', 'SELECT day, queue, user_name, called, finished, room_seconds, seconds_a_visit FROM clinicq_report.doctor_work WHERE day < ''2026-01-01''', ARRAY[
    '(2025-10-25,Eye,dr.a,2,1,600,600)', '(2025-10-26,Eye,dr.a,4,2,1080,540)', '(2025-10-26,Eye,dr.b,2,1,1800,1800)', '(2025-10-26,Ear,dr.b,1,1,1800,1800)']);

SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', counted now') FROM tap.expected;
SELECT is(tap.act('reporter', 'SELECT clinicq_report.percentiles(first_waits, ARRAY[0, 0.5, 1]) FROM clinicq_report.durations WHERE day < ''2026-01-01'''),
    '{600,600,1800}', 'percentiles() over several days and queues');

-- Summarised, they are the same.
SELECT is(tap.act('reporter', 'SELECT clinicq.summarise_days(5)') > '300', true, 'a few days are summarised, the others are left');
SELECT is((SELECT through FROM clinicq.summary_state), date '2025-10-29', 'from the first visit on');
SELECT is((SELECT count(*) FROM clinicq.visit_summary), 3::bigint, 'a row a day and queue that had visits');
SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', summarised') FROM tap.expected;
SELECT is(tap.act('reporter', 'SELECT clinicq.summarise_days(100000)'), '0', 'all of them');
SELECT is((SELECT through FROM clinicq.summary_state), (now() AT TIME ZONE 'UTC')::date - 3, 'up to three days ago');
SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', all summarised') FROM tap.expected;
SELECT is(tap.act('reporter', 'SELECT clinicq.summarise_days(7)'), '0', 'again is nothing');

-- What is summarised is not looked at again, unless a visit of the day changes.
UPDATE clinicq.visit_summary SET visits = 100 WHERE service_day = '2025-10-25';
SELECT is(tap.act('reporter', 'SELECT sum(visits) FROM clinicq_report.visits_per_day WHERE day < ''2026-01-01'''), '108', 'a summary stands for its day');
UPDATE clinicq.visit SET status = 'DONE' WHERE id = :n1;
SELECT results_eq('SELECT service_day FROM clinicq.stale_day', ARRAY[date '2025-10-25'], 'a change of a past visit marks its day');
SELECT is(tap.act('reporter', 'SELECT sum(visits) || '' '' || sum(done) FROM clinicq_report.visits_per_day WHERE day < ''2026-01-01'''), '10 7', 'which is counted anew at once');
UPDATE clinicq.visit SET status = 'NO_SHOW' WHERE id = :n1;
SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', with a stale day') FROM tap.expected;
SELECT is(tap.act('admin', 'SELECT clinicq.summarise_days(1)'), '0', 'and summarised again');
SELECT is_empty('SELECT * FROM clinicq.stale_day', 'then the mark is gone');
SELECT is((SELECT visits FROM clinicq.visit_summary WHERE service_day = '2025-10-25'), 2, 'and the summary right');
SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', summarised again') FROM tap.expected;
SELECT tap.made(:ear, '2025-10-24', 1, 'CANCELLED', false, '2025-10-24 08:00+00', '2025-10-24 08:30+00, cancel, CANCELLED, reception') AS late \gset
SELECT is(tap.act('reporter', 'SELECT sum(visits) FROM clinicq_report.visits_per_day WHERE day < ''2026-01-01'''), '11', 'a visit brought in later counts, even before the first day');
DELETE FROM clinicq.visit_event WHERE visit_id = :late;
DELETE FROM clinicq.visit WHERE id = :late;
SELECT is(tap.act('reporter', 'SELECT sum(visits) FROM clinicq_report.visits_per_day WHERE day < ''2026-01-01'''), '10', 'until it is deleted');
UPDATE clinicq.visit SET service_day = '2025-10-23', token_number = 99 WHERE id = :n1;
SELECT results_eq('SELECT service_day FROM clinicq.stale_day ORDER BY 1', ARRAY['2025-10-23', '2025-10-24', '2025-10-25']::date[], 'a visit that changes its day marks both');
UPDATE clinicq.visit SET service_day = '2025-10-25', token_number = 1 WHERE id = :n1;
SELECT tap.act('admin', 'SELECT clinicq.summarise_days(1)') \g /dev/null
SELECT is(tap.act('admin', 'SELECT clinicq.resummarise_days(''2025-10-25'', ''infinity'')') >= '2', true, 'resummarise_days() marks a period, as far as it is summarised');
SELECT is(tap.act('admin', 'SELECT clinicq.resummarise_days(''2025-10-25'', NULL)'), '22004: last must not be null', 'both days are needed');
SELECT is(tap.act('admin', 'SELECT clinicq.summarise_days(0)'), '22023: days must be at least 1', 'summarise_days() takes no less than a day');
SELECT is(tap.act('admin', 'SELECT clinicq.summarise_days(10)')::int > 300, true, 'they are summarised, a few at a time');
SELECT is(tap.act('admin', 'SELECT clinicq.summarise_days(100000)'), '0', 'or all at once');
SELECT bag_eq(format('SELECT * FROM tap.read(%L)', statement), rows, report || ', marked by hand') FROM tap.expected;

-- Today.
SELECT tap.act('assistant', format('SELECT token_number FROM clinicq.open_visit(''R-2'', %s)', :ear)) AS token \gset
SELECT is(tap.act('reporter', format('SELECT concat_ws('' '', queue, token, status, priority, room, seconds < 60) FROM clinicq_report.open_visits WHERE queue_id = %s', :ear)),
    'Ear 1 WAITING 0 t', 'open_visits');
SELECT is(tap.act('reporter', format('SELECT waiting FROM clinicq_report.visits_per_day WHERE queue_id = %s AND day > ''2026-01-01''', :ear)), '1', 'today is in the reports by day');
SELECT results_eq($$ SELECT * FROM tap.read('SELECT * FROM clinicq_report.registrations_per_month ORDER BY month') $$,
    ARRAY['(2025-05-01,1,0)', '(2025-06-01,2,1)'], 'registrations_per_month, by the clock of the first site');

-- The board of a moment.
CREATE FUNCTION tap.board(queue bigint, at text) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('reporter', format('SELECT string_agg(concat_ws('' '', token, status, room, to_char(since AT TIME ZONE ''UTC'', ''HH24:MI'')), '', '') FROM clinicq_report.board_at(%s, %L)', queue, at))
$$;
SELECT is(tap.board(:eye, '2025-10-26 08:20+00'), 'E2 WAITING 08:05, E3 WAITING 08:06, E5 WAITING 08:08, E6 WAITING 08:09, E7 WAITING 08:10', 'the board at 8:20');
SELECT is(tap.board(:eye, '2025-10-26 08:41+00'), 'E2 WAITING 08:40, E3 IN_ROOM Room 7 08:37, E6 WAITING 08:09, E7 WAITING 08:10', '... at 8:41, one recalled, one in the room');
SELECT is(tap.board(:eye, '2025-10-26 08:49:59+00'), 'E2 WAITING 08:40, E3 WAITING 08:47, E6 WAITING 08:09, E7 WAITING 08:10', '... sent back');
SELECT is(tap.board(:eye, '2025-10-26 09:29+00'), 'E6 IN_ROOM Room 7 09:01, E7 WAITING 08:10', '... at the end of the day');
SELECT is(tap.board(:eye, '2025-10-26 02:59+00'), NULL, '... the night before belongs to the day before, whose visits are over');
SELECT is(tap.board(:eye, '2025-10-26 00:45+00'), 'E1 START Room 7 00:40', '... at a quarter to three, the first time');
SELECT is(tap.board(:eye, '2025-10-27 08:00+00'), NULL, '... a day later is empty');
SELECT is(tap.board(:eye, '1990-01-01 00:00+00'), NULL, '... and so is the past');
SELECT is(tap.act('reporter', format('SELECT count(*) FROM clinicq_report.board_at(%s)', :ear)), '1', '... now');
SELECT is(tap.act('reporter', 'SELECT count(*) FROM clinicq_report.board_at(999999)'), 'P0002: no queue 999999', 'an unknown queue');
SELECT is(tap.act('reporter', 'SELECT count(*) FROM clinicq_report.board_at(NULL)'), '22004: queue must not be null', 'a queue is needed');
SELECT is(tap.state('reporter', format('SELECT count(*) FROM clinicq_report.board_at(%s, ''infinity'')', :ear)), '22008', 'no moment at all');

-- Percentiles.
CREATE TABLE tap.number AS SELECT ARRAY(SELECT (random() * 10000)::int FROM generate_series(1, n % 7)) AS items FROM generate_series(1, 300) AS n;
SELECT is(clinicq_report.percentiles(items, ARRAY[0, 0.01, 0.25, 0.5, 0.9, 0.95, 1]),
    (SELECT percentile_cont(ARRAY[0, 0.01, 0.25, 0.5, 0.9, 0.95, 1]) WITHIN GROUP (ORDER BY x) FROM tap.number, unnest(items) AS x), 'percentiles() is percentile_cont()') FROM tap.number;
SELECT is(clinicq_report.percentiles(items, ARRAY[0.5]), NULL, 'of nothing there are none') FROM tap.number WHERE items = '{}';
SELECT is(clinicq_report.percentiles(s, ARRAY[0.5]), '{3}', 'nulls for arrays are passed over') FROM (VALUES (NULL::int[]), (ARRAY[3])) AS v (s);
SELECT throws_ok('SELECT clinicq_report.percentiles(items, ARRAY[1.5]) FROM tap.number', '22023', 'fractions must be from 0 to 1', 'a fraction over 1');
SELECT throws_ok('SELECT clinicq_report.percentiles(items, ''{NaN}'') FROM tap.number', '22023', 'fractions must be from 0 to 1', 'no number');
SELECT throws_ok('SELECT clinicq_report.percentiles(items, ''{}'') FROM tap.number', '22023', 'fractions must be an array of numbers', 'no fraction');
SELECT throws_ok('SELECT clinicq_report.percentiles(items, NULL) FROM tap.number', '22023', 'fractions must not be null', 'fractions that are null');
SELECT is(clinicq_report.percentiles(a, ARRAY[0.5]), '{1}', 'percentiles() of 25,000,000') FROM (SELECT array_fill(1, ARRAY[1000000]) AS a) AS b, generate_series(1, 25);
SELECT throws_ok('SELECT clinicq_report.percentiles(a, ARRAY[0.5]) FROM (SELECT array_fill(1, ARRAY[1000000]) AS a) AS b, generate_series(1, 26)', '54000',
    'percentiles() takes up to 25000000 durations', 'and of no more');
SELECT throws_ok('SELECT clinicq_report.percentiles(ARRAY[1, NULL], ARRAY[0.5])', '22023', 'seconds must not contain a null', 'a null among the seconds');

-- Who may read what.
CREATE TABLE tap.view AS
    SELECT c.oid, c.relname::text AS name, pg_get_viewdef(c.oid) ~ 'guard\(\)|clinicq_report\.(durations|open_visits)' AS guarded
    FROM pg_class c WHERE c.relnamespace = 'clinicq_report'::regnamespace AND c.relkind = 'v';
SELECT is(tap.state(r, format('SELECT * FROM clinicq_report.%I LIMIT 1', name)),
    CASE WHEN r IN ('admin', 'reporter') AND guarded AND name <> 'open_visits_named' THEN '00000' ELSE '42501' END, r || ': ' || name)
FROM tap.view, unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter', 'nobody']) AS r ORDER BY name, r;
SELECT set_eq('SELECT name FROM tap.view WHERE guarded AND name NOT IN (''durations'', ''open_visits_named'')',
    'SELECT name FROM clinicq_report.reports() WHERE name <> ''board''', 'the list of reports has every view, but for arrays and names');
SELECT is(tap.state(r, format('SELECT * FROM clinicq_report.board_at(%s)', :ear)), CASE WHEN r IN ('admin', 'reporter') THEN '00000' ELSE '42501' END, r || ': board_at()')
FROM unnest(ARRAY['admin', 'doctor', 'assistant', 'display', 'auditor', 'reporter', 'nobody']) AS r;
SELECT is_empty($$ SELECT a.attrelid::regclass, a.attname FROM tap.view v JOIN pg_attribute a ON a.attrelid = v.oid
    WHERE v.guarded AND a.attnum > 0 AND col_description(v.oid, a.attnum) IS NULL $$, 'every column of a report is commented');
SELECT is_empty($$ SELECT name FROM tap.view v, LATERAL query_to_xml(format('SELECT * FROM clinicq_report.%I', name), true, false, '') AS x
    WHERE name <> 'open_visits_named' AND x::text ~ 'Secret|0800|R-[123]' $$, 'no report knows a patient''s name, telephone or number');
GRANT SELECT ON clinicq_report.open_visits_named TO test_reporter;
SELECT is(tap.act('reporter', 'SELECT patient FROM clinicq_report.open_visits_named'), 'Secret Two', 'unless it is granted');
CALL clinicq.migrate();
SELECT is(tap.act('reporter', 'SELECT patient FROM clinicq_report.open_visits_named'), 'Secret Two', 'which migrate() leaves as it is');
UPDATE clinicq.patient SET restricted = true WHERE registration_number = 'R-2';
SELECT is(tap.act('reporter', 'SELECT registration_number || '' '' || patient FROM clinicq_report.open_visits_named'), 'R-2 Restricted', 'nor does it name who is restricted');
REVOKE SELECT ON clinicq_report.open_visits_named FROM test_reporter;

-- No report runs for ever.
SELECT is(tap.act('admin', 'SELECT clinicq.set_setting(''report_timeout_seconds'', ''1'')'), '', 'a limit of a second');
\set ON_ERROR_STOP off
\set VERBOSITY sqlstate
SELECT tap.act('reporter', 'SELECT count(pg_sleep(5)) FROM clinicq_report.visits_per_day LIMIT 1') AS slow \gset
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'ends a report that takes longer');
SELECT pg_sleep(1.2) AS slept \gset
SELECT is(:'SQLSTATE'::text, '00000', 'and nothing else');
SELECT is(current_setting('statement_timeout'), '0', 'the session has no limit after it');
BEGIN;
SELECT tap.act('reporter', 'SELECT count(*) FROM clinicq_report.visits_per_day') AS counted \gset
SELECT is(current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout'), '1s 1s', 'a transaction that read a report has it to its end');
SELECT pg_sleep(5) AS slept \gset
ROLLBACK;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'for every statement');
SELECT is(current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout'), '0 0', 'and not longer');
SET statement_timeout = '10s';
SET idle_in_transaction_session_timeout = '11s';
BEGIN;
SELECT tap.act('reporter', 'SELECT count(pg_sleep(1.2)) FROM (SELECT FROM clinicq_report.visits_per_day LIMIT 1) AS v') AS counted \gset
SELECT is(:'counted' || current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout'), '110s 11s', 'limits of the session''s own are left alone');
ROLLBACK;
RESET statement_timeout;
RESET idle_in_transaction_session_timeout;
\set ON_ERROR_STOP on
\set VERBOSITY default
SELECT tap.act('admin', 'SELECT clinicq.set_setting(''report_timeout_seconds'', ''60'')') \g /dev/null

-- Generated days against a naive count.
\set days 9
\set visits 90
\set queues 3
\ir ../load/years.sql
CREATE TABLE tap.naive AS
    SELECT v.service_day AS day, v.queue_id, count(*) AS visits, count(*) FILTER (WHERE v.status = 'DONE') AS done, count(*) FILTER (WHERE v.closed_by_system) AS closed,
        percentile_cont(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY round(extract(epoch FROM (SELECT min(e.at) FROM clinicq.visit_event e WHERE e.visit_id = v.id AND e.move = 'start') - v.created_at)))
            FILTER (WHERE NOT v.closed_by_system) AS waits,
        percentile_cont(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY round(extract(epoch FROM (SELECT max(e.at) FROM clinicq.visit_event e WHERE e.visit_id = v.id AND e.move = 'done')
            - (SELECT max(e.at) FROM clinicq.visit_event e WHERE e.visit_id = v.id AND e.move = 'in_room')))) FILTER (WHERE NOT v.closed_by_system) AS services
    FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id WHERE q.name ~ '^Generated' GROUP BY 1, 2;
CREATE TABLE tap.naive_staff AS
    SELECT v.service_day AS day, v.queue_id, e.actor_name, count(*) FILTER (WHERE e.move = 'start') AS called, count(*) FILTER (WHERE e.move = 'done') AS finished
    FROM clinicq.visit v JOIN clinicq.visit_event e ON e.visit_id = v.id WHERE e.actor_name ~ '^doctor\.' AND e.move IN ('start', 'done') GROUP BY 1, 2, 3;
CREATE FUNCTION tap.agrees(how text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT is((SELECT count(*) FROM tap.naive), 27::bigint, how || ': there are days');
    RETURN NEXT is_empty('SELECT n.* FROM tap.naive n LEFT JOIN clinicq_report.visits_per_day r USING (day, queue_id)
        WHERE (n.visits, n.done, n.closed) IS DISTINCT FROM (r.visits, r.done, r.closed_by_system)', how || ': counts');
    RETURN NEXT is_empty('SELECT n.*, r.* FROM tap.naive n LEFT JOIN clinicq_report.waiting_time r USING (day, queue_id)
        WHERE abs(n.waits[1] - r.median) > 0.051 OR abs(n.waits[2] - r.p90) > 0.051 OR abs(n.waits[3] - r.p95) > 0.051 OR r.median IS NULL', how || ': waiting times');
    RETURN NEXT is_empty('SELECT n.*, r.* FROM tap.naive n LEFT JOIN clinicq_report.service_time r USING (day, queue_id)
        WHERE abs(n.services[1] - r.median) > 0.051 OR abs(n.services[2] - r.p90) > 0.051 OR abs(n.services[3] - r.p95) > 0.051 OR r.median IS NULL', how || ': service times');
    RETURN NEXT is_empty('SELECT * FROM tap.naive_staff EXCEPT SELECT day, queue_id, user_name, called, finished FROM clinicq_report.doctor_work', how || ': doctors');
    RETURN NEXT is_empty('SELECT day, queue_id, visits FROM tap.naive EXCEPT SELECT day, queue_id, sum(opened) FROM clinicq_report.load_by_hour GROUP BY 1, 2', how || ': hours');
END
$$;
-- They came in behind the triggers' back.
SELECT tap.act('admin', 'SELECT clinicq.resummarise_days(current_date - 20, current_date)') \g /dev/null
SELECT tap.agrees('counted now');
SELECT is(tap.act('admin', 'SELECT clinicq.summarise_days(30)'), '0', 'summarised');
SELECT tap.agrees('summarised');
SELECT is((SELECT count(*) FROM clinicq.visit_summary s JOIN tap.naive n ON n.day = s.service_day AND n.queue_id = s.queue_id), 21::bigint, 'the days that are three days old');
SELECT isnt_empty('SELECT 1 FROM clinicq_report.doctor_work WHERE user_name = ''doctor.2''', 'doctors have done something');

SELECT * FROM finish();
