-- Proves when a service day begins: by the time zone and day start of the clinic, whatever the time
-- zone and date style of the session, also on the days on which clocks are changed.
SELECT no_plan();

CREATE FUNCTION tap.clinic(zone text, starts time) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO clinicq.clinic (name, timezone, day_starts_at) VALUES (zone, zone, starts) RETURNING id
$$;
SELECT tap.clinic('Africa/Lagos', '00:00') AS lagos, tap.clinic('Africa/Lagos', '06:00') AS lagos_six,
    tap.clinic('America/New_York', '03:30') AS new_york, tap.clinic('Europe/Berlin', '02:30') AS berlin,
    tap.clinic('Asia/Kathmandu', '00:00') AS kathmandu, tap.clinic('Pacific/Kiritimati', '00:00') AS kiritimati,
    tap.clinic('Pacific/Pago_Pago', '23:59:59') AS pago, tap.clinic('America/Sao_Paulo', '00:00') AS sao_paulo \gset

CREATE TABLE tap.instant (clinic bigint, at timestamptz, day date, what text);
INSERT INTO tap.instant VALUES
    (:lagos, '2026-03-10 22:59:59.999999+00', '2026-03-10', 'Lagos, a moment before midnight'),
    (:lagos, '2026-03-10 23:00:00+00', '2026-03-11', 'Lagos, midnight'),
    (:lagos_six, '2026-03-11 04:59:59.999999+00', '2026-03-10', 'before six it is still yesterday'),
    (:lagos_six, '2026-03-11 05:00:00+00', '2026-03-11', 'at six the day begins'),
    (:lagos_six, '2026-01-01 00:00:00+00', '2025-12-31', 'the night of New Year belongs to the old one'),
    (:lagos_six, '2024-03-01 04:00:00+00', '2024-02-29', 'the night after a leap day'),
    (:kathmandu, '2026-03-10 18:14:59+00', '2026-03-10', 'Kathmandu, a quarter of an hour off'),
    (:kathmandu, '2026-03-10 18:15:00+00', '2026-03-11', 'Kathmandu, midnight'),
    (:kiritimati, '2026-03-10 10:00:00+00', '2026-03-11', 'UTC+14'),
    (:pago, '2026-03-11 10:59:58+00', '2026-03-09', 'UTC-11 and a day that begins at its last second'),
    (:pago, '2026-03-11 10:59:59+00', '2026-03-10', 'and the second after'),
    -- 2026-03-08: 02:00 becomes 03:00 in New York.
    (:new_york, '2026-03-08 06:59:59+00', '2026-03-07', 'New York, the last second before the clock goes forward'),
    (:new_york, '2026-03-08 07:00:00+00', '2026-03-07', 'New York, 03:00 after it'),
    (:new_york, '2026-03-08 07:29:59+00', '2026-03-07', 'New York, 03:29:59'),
    (:new_york, '2026-03-08 07:30:00+00', '2026-03-08', 'New York, 03:30: an hour earlier than on other days'),
    (:new_york, '2026-03-07 08:30:00+00', '2026-03-07', 'New York, 03:30 of the day before'),
    -- 2026-11-01: 02:00 becomes 01:00 in New York.
    (:new_york, '2026-11-01 05:30:00+00', '2026-10-31', 'New York, 01:30 the first time'),
    (:new_york, '2026-11-01 06:30:00+00', '2026-10-31', 'New York, 01:30 the second time'),
    (:new_york, '2026-11-01 08:30:00+00', '2026-11-01', 'New York, 03:30'),
    -- 2026-03-29: the start at 02:30 does not exist in Berlin; 2026-10-25: it exists twice.
    (:berlin, '2026-03-29 00:59:59+00', '2026-03-28', 'Berlin, 01:59:59'),
    (:berlin, '2026-03-29 01:00:00+00', '2026-03-29', 'Berlin, 03:00, where 02:30 is left out'),
    (:berlin, '2026-10-25 00:29:59+00', '2026-10-24', 'Berlin, 02:29:59 the first time'),
    (:berlin, '2026-10-25 01:30:00+00', '2026-10-25', 'Berlin, 02:30 the second time'),
    (:sao_paulo, '2018-11-04 02:59:59+00', '2018-11-03', 'Sao Paulo, before a midnight that is left out'),
    (:sao_paulo, '2018-11-04 03:00:00+00', '2018-11-04', 'Sao Paulo, 01:00 instead of it'),
    (:lagos, '1969-12-31 23:30:00+00', '1970-01-01', 'before 1970'),
    (:lagos, '0044-03-15 12:00:00+00 BC', '0044-03-15 BC', 'long before');

CREATE FUNCTION tap.day(clinic bigint, at timestamptz) RETURNS date LANGUAGE sql AS $$
    SELECT tap.act('display', format('SELECT (clinicq.service_day(%L, %L) - date ''2000-01-01'')::text', clinic, at))::int + date '2000-01-01'
$$;
SELECT is(tap.day(clinic, at), day, what) FROM tap.instant ORDER BY clinic, at;

-- The session's settings.
SELECT format('SET TimeZone = %L; SET DateStyle = %L; SELECT is((SELECT count(*) FROM tap.instant '
    'WHERE clinicq.service_day(clinic, at) IS DISTINCT FROM day), 0::bigint, %L);', z, s, z || ', ' || s || ': the same days')
FROM unnest(ARRAY['UTC', 'Pacific/Auckland', 'America/Los_Angeles']) AS z, unnest(ARRAY['ISO, YMD', 'German', 'SQL, DMY']) AS s
\gexec
RESET TimeZone;
RESET DateStyle;

-- Defaults and refusals.
SELECT is(clinicq.service_day(), (now() AT TIME ZONE 'UTC')::date, 'the first clinic starts in UTC at midnight');
SELECT is(clinicq.service_day(:kiritimati), (now() AT TIME ZONE 'Pacific/Kiritimati')::date, 'without an instant it is now');
SELECT is(clinicq.service_day(NULL, '2026-03-10 12:00+00'), date '2026-03-10', 'without a clinic it is the first one');
SELECT is(tap.act('display', 'SELECT clinicq.service_day(999)'), 'P0002: no clinic 999', 'an unknown clinic');
SELECT is(tap.state('display', 'SELECT clinicq.service_day(1, ''infinity'')') ~ '^22', true, 'infinity has no day');
SELECT is(tap.state('display', 'SELECT clinicq.service_day(1, ''-infinity'')') ~ '^22', true, 'nor has minus infinity');

-- A change of the calendar counts at once, in sessions that have used the old one.
UPDATE clinicq.clinic SET timezone = 'Pacific/Kiritimati' WHERE id = 1;
SELECT is(clinicq.service_day(1, '2026-03-10 10:00+00'), date '2026-03-11', 'another time zone counts at once');
UPDATE clinicq.clinic SET day_starts_at = '23:00' WHERE id = 1;
SELECT is(clinicq.service_day(1, '2026-03-10 10:00+00'), date '2026-03-10', 'another day start too');
SELECT throws_ok($$ UPDATE clinicq.clinic SET timezone = 'Mars/Base' WHERE id = 1 $$, '22023', NULL, 'an unknown time zone is refused by the table');

-- Each queue counts on the days of its own clinic.
SELECT tap.clinic('Etc/GMT+12', '00:00') AS west, tap.clinic('Etc/GMT-14', '00:00') AS east \gset
SELECT tap.act('admin', format('SELECT clinicq.create_queue(''West'', clinic => %s)', :west)) AS west_queue,
    tap.act('admin', format('SELECT clinicq.create_queue(''East'', clinic => %s)', :east)) AS east_queue,
    tap.act('admin', 'SELECT clinicq.register_patient(''Ada'')') AS ada \gset
SELECT is(tap.state('admin', format('SELECT clinicq.open_visit(%L, %s)', :'ada', q)), '00000', 'a visit in queue ' || q)
FROM unnest(ARRAY[:west_queue, :east_queue]) AS q;
SELECT isnt((SELECT service_day FROM clinicq.visit WHERE queue_id = :west_queue),
    (SELECT service_day FROM clinicq.visit WHERE queue_id = :east_queue), 'two clinics 26 hours apart are on different days');
SELECT is((SELECT bool_and(v.service_day = (v.created_at AT TIME ZONE c.timezone)::date)
    FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id JOIN clinicq.clinic c ON c.id = q.clinic_id), true, 'each on its own');

-- A zone that this server does not know: each call says so, and keeps no memory.
ALTER TABLE clinicq.clinic DROP CONSTRAINT clinic_timezone_check;
INSERT INTO clinicq.clinic (name, timezone) VALUES ('Nowhere', 'Mars/Olympus');
SELECT is(tap.state('admin', 'SELECT clinicq.service_day(1)'), '22023', 'a clinic in an unknown time zone is told of') FROM generate_series(1, 3);
SELECT used_bytes AS used FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext' \gset
SELECT count(tap.state('admin', 'SELECT clinicq.service_day(1)')) FROM generate_series(1, 300) \g /dev/null
SELECT cmp_ok(used_bytes - :used, '<', 20000::bigint, 'over and over in the same memory') FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext';

SELECT * FROM finish();
