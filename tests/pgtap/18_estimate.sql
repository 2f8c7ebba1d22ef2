-- Proves the estimated wait: nothing where too little is known, with a reason; the token called last beside it;
-- and on days that are generated (arrivals, services, one to three rooms) and go on beyond the moment of the
-- estimate, that the range holds the moment of the call at least 80 times of 100, and is no commonplace.
SELECT no_plan();

SELECT tap.act('admin', 'SELECT clinicq.create_queue(''General'', ''A'')') AS general, tap.user('asif', '{assistant}') AS asif, tap.user('screen', '{display}') AS screen, tap.user('rep', '{reporter}') AS rep \gset
SELECT tap.act('assistant', format('SELECT clinicq.register_patient(%L)', 'Patient ' || n)) FROM generate_series(1, 400) AS n \g /dev/null
CREATE FUNCTION tap.wait(queue bigint) RETURNS text LANGUAGE sql AS $$
    SELECT tap.act('display', format('SELECT string_agg(format(''%%s %%s %%s-%%s %%s %%s'', place, token_number, from_minutes, to_minutes, last_called, reason), '', '' ORDER BY place) FROM clinicq.estimated_wait(%s)', queue))
$$;

-- Too little is known.
SELECT is(tap.wait(:general), NULL, 'nobody waits: no row');
SELECT is(tap.wait(999), 'P0002: no open queue 999', 'no such queue');
SELECT tap.act('assistant', format('SELECT v.visit_id FROM clinicq.open_visit(''01-00-00%s'', %s, %L) AS v', n, :general, CASE n WHEN 3 THEN 'emergency' END)) FROM generate_series(1, 3) AS n \g /dev/null
SELECT matches(tap.wait(:general), '^1 3 -\s+nobody has called from this queue in the last hour, 2 1 .*, 3 2 ', 'before the first call, in the order of calls');
SELECT tap.act('doctor', format('SELECT v.status FROM clinicq.call_next(%s) AS v', :general)) \g /dev/null
SELECT matches(tap.wait(:general), '^1 1 - A-003 too few visits of this queue have been measured, 2 2 - A-003 ', 'before anything was measured, with the token called last');
SELECT is((tap.http('GET /api/queues/{id}/wait/', :'screen', ARRAY[:'general']) #- '{body,results}')->'body', format('{"queue": %s, "last_called": "A-003", "rooms": 1, "samples": 0, "reason": "too few visits of this queue have been measured"}', :general)::jsonb, 'over HTTP');
SELECT is(tap.http('GET /api/queues/{id}/wait/', :'screen', ARRAY[:'general'])->'body'->'results'->0->>'token', 'A-001', 'with those who wait');
SELECT is(tap.http('GET /api/queues/{id}/wait/', :'screen', ARRAY[:'general'])->'body'->'results'->0->'from', 'null'::jsonb, 'and no minutes');

-- Generated days. A visit that was called s seconds after the moment of the estimate is one that waits.
CREATE TABLE tap.truth (queue bigint, visit bigint, place int, seconds float8);
CREATE SEQUENCE tap.token;
CREATE FUNCTION tap.normal() RETURNS float8 LANGUAGE sql AS $$ SELECT sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) $$;
CREATE FUNCTION tap.generate(queue bigint, back int, rooms int, middle float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    arrival float8 := -7200;
    free float8[] := array_fill(-7200::float8, ARRAY[rooms]);
    room int;
    called float8;
    ended float8;
    visit bigint;
    patient int := 0;
    today timestamptz := now() - make_interval(days => back);
BEGIN
    LOOP
        arrival := arrival - ln(1 - random()) * middle * 1.2 / rooms * 0.8;
        EXIT WHEN arrival >= 0;
        patient := patient + 1;
        SELECT n INTO room FROM unnest(free) WITH ORDINALITY AS f (at, n) ORDER BY at LIMIT 1;
        called := greatest(arrival, free[room]);
        ended := called + 10 + middle * exp(0.6 * tap.normal());
        free[room] := ended;
        INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, created_at, status)
            VALUES (patient, queue, clinicq.service_day() - back, patient, today + make_interval(secs => arrival),
                CASE WHEN ended <= 0 OR back > 0 THEN 'DONE' WHEN called <= 0 THEN 'IN_ROOM' ELSE 'WAITING' END)
            RETURNING id INTO visit;
        IF called <= 0 OR back > 0 THEN
            INSERT INTO clinicq.visit_event (visit_id, at, move, from_status, to_status, actor_name)
                VALUES (visit, today + make_interval(secs => called), 'start', 'WAITING', 'START', 'doctor ' || room);
        ELSE
            INSERT INTO tap.truth VALUES (queue, visit, NULL, called);
        END IF;
        IF ended <= 0 OR back > 0 THEN
            INSERT INTO clinicq.visit_event (visit_id, at, move, from_status, to_status, actor_name)
                VALUES (visit, today + make_interval(secs => ended), 'done', 'IN_ROOM', 'DONE', 'doctor ' || room);
        END IF;
    END LOOP;
END
$$;
CREATE TABLE tap.guess (queue bigint, visit bigint, place int, low int, high int);
CREATE FUNCTION tap.try(days int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    queue bigint;
    rooms int;
    middle float8;
BEGIN
    PERFORM setseed(0.42);
    FOR day IN 1..days LOOP
        queue := clinicq.create_queue('Generated ' || day);
        rooms := 1 + day % 3;
        middle := 180 + 480 * random();
        PERFORM tap.generate(queue, back, rooms, middle) FROM unnest(ARRAY[21, 14, 7, 0]) AS back;
        INSERT INTO tap.guess SELECT queue, w.visit_id, w.place, w.from_minutes, w.to_minutes FROM clinicq.estimated_wait(queue) AS w;
    END LOOP;
END
$$;
SELECT tap.try(60) \g /dev/null
CREATE VIEW tap.outcome AS
    SELECT t.queue, g.place, t.seconds, g.low, g.high, t.seconds BETWEEN g.low * 60 AND g.high * 60 AS held FROM tap.truth t LEFT JOIN tap.guess g USING (visit);
SELECT cmp_ok((SELECT count(*) FROM tap.outcome), '>=', 200::bigint, 'enough who wait');
SELECT is_empty('SELECT * FROM tap.outcome WHERE low IS NULL OR high IS NULL OR low > high', 'each has a range');
SELECT cmp_ok(avg(held::int), '>=', 0.8, format('the range holds at least 80 of 100 calls: %s %% of %s; first in line %s %%, tenth and later %s %%; the wait is %s min, the range %s min on average', round(100 * avg(held::int)), count(*),
    round(100 * avg(held::int) FILTER (WHERE place = 1)), round(100 * avg(held::int) FILTER (WHERE place >= 10)), round(avg(seconds / 60)::numeric, 1), round(avg(high - low), 1))) FROM tap.outcome;
SELECT cmp_ok((SELECT avg(held::int) FROM (SELECT avg(held::int) >= 0.5 AS held FROM tap.outcome GROUP BY queue) AS f), '>=', 0.8, 'and is good on most days, not only on average');
SELECT cmp_ok((SELECT avg(high - low) FROM tap.outcome), '<', (SELECT avg(seconds / 60)::numeric FROM tap.outcome), 'on average it is narrower than the wait is long');
SELECT is((SELECT count(*) FROM (SELECT place, low, lag(low) OVER w AS before FROM tap.outcome WINDOW w AS (PARTITION BY queue ORDER BY place)) AS f WHERE low < before), 0::bigint, 'who stands further back waits no shorter');

-- The same question has the same answer; a forgotten visit of four hours moves nothing.
SELECT max(queue) AS last FROM tap.guess \gset
SELECT tap.wait(:last) AS before \gset
SELECT is(tap.wait(:last), :'before', 'asked again');

SELECT * FROM finish();
