-- :days days of a clinic with :queues queues and :visits visits a day, up to yesterday, with every move
-- and without audit events: morning rush, waits and services as in life, one visit in 25 not come, as
-- many recalled, cancelled, and left open until the system closed them. Needs no patients but makes them.
SET client_min_messages = warning;
SET session_replication_role = replica;
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';
SET jit = off;

CREATE TEMP TABLE indexes AS SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index i WHERE indrelid IN ('clinicq.visit'::regclass, 'clinicq.visit_event'::regclass)
        AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid);
SELECT format('DROP INDEX %s', name) FROM indexes \gexec

INSERT INTO clinicq.patient (registration_number, name, created_at)
    SELECT 'G-' || n, 'Generated ' || n, now() - random() * :days * interval '1 day'
    FROM generate_series(1, :visits * 200) AS n;
INSERT INTO clinicq.queue (clinic_id, name) SELECT 1, 'Generated ' || n FROM generate_series(1, :queues) AS n;
INSERT INTO clinicq.app_user (username, password_hash, roles)
    SELECT 'doctor.' || n, 'none', '{doctor}' FROM generate_series(1, :queues) AS n;

CREATE TEMP TABLE generated_queue AS
    SELECT q.id, row_number() OVER (ORDER BY q.id) AS n, u.id AS doctor_id, u.username
    FROM clinicq.queue q JOIN clinicq.app_user u ON u.username = 'doctor.' || substr(q.name, 11)
    WHERE q.name ~ '^Generated ';
CREATE TEMP TABLE generated_visit AS
    SELECT row_number() OVER () AS id, q.id AS queue_id, q.doctor_id, q.username, d.day, t.n AS token, p.first + (random() * (:visits * 200 - 1))::bigint AS patient_id,
        (random() * 25)::integer AS fate, d.day::timestamp AT TIME ZONE 'UTC' + interval '7 hours' + power(t.n::float8 * :queues / :visits, 1.3) * interval '8 hours' AS opened,
        interval '1 second' * (60 - 1500 * ln(1 - random() * 0.999))::integer AS wait, interval '1 second' * (30 - 420 * ln(1 - random() * 0.999))::integer AS service
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date - n AS day FROM generate_series(:days, 1, -1) AS n) d, generated_queue q,
        generate_series(1, :visits / :queues) AS t (n),
        (SELECT min(id) AS first FROM clinicq.patient WHERE registration_number ~ '^G-') p;

INSERT INTO clinicq.visit (id, patient_id, queue_id, service_day, token_number, status, closed_by_system, created_at, updated_at)
    OVERRIDING SYSTEM VALUE
    SELECT v.id + b.base, v.patient_id, v.queue_id, v.day, v.token,
        CASE fate WHEN 1 THEN 'NO_SHOW' WHEN 2 THEN 'CANCELLED' WHEN 3 THEN 'NO_SHOW' ELSE 'DONE' END, fate IN (3, 4), v.opened, v.opened + v.wait + v.service
    FROM generated_visit v, (SELECT coalesce(max(id), 0) AS base FROM clinicq.visit) b;

INSERT INTO clinicq.visit_event (visit_id, at, move, from_status, to_status, actor_id, actor_name)
    SELECT v.id + b.base, v.opened + e.after, e.move, e.was, e.becomes,
        CASE WHEN e.move <> 'day_end' THEN v.doctor_id END, CASE e.move WHEN 'open' THEN 'reception' WHEN 'day_end' THEN 'system' ELSE v.username END
    FROM generated_visit v, (SELECT max(id) - (SELECT max(id) FROM generated_visit) AS base FROM clinicq.visit) b,
        LATERAL (VALUES
            (1, 'open', NULL, 'WAITING', interval '0', true),
            (2, 'start', 'WAITING', 'START', v.wait, fate NOT IN (2, 3)),
            (3, 'no_show', 'START', 'NO_SHOW', v.wait + interval '3 minutes', fate IN (1, 5)),
            (4, 'recall', 'NO_SHOW', 'WAITING', v.wait + interval '9 minutes', fate = 5),
            (5, 'start', 'WAITING', 'START', v.wait + interval '12 minutes' + v.service, fate = 5),
            (6, 'in_room', 'START', 'IN_ROOM', v.wait + CASE fate WHEN 5 THEN interval '13 minutes' + v.service ELSE interval '1 minute' END, fate NOT IN (1, 2, 3)),
            (7, 'done', 'IN_ROOM', 'DONE', v.wait + v.service + CASE fate WHEN 5 THEN interval '13 minutes' + v.service ELSE interval '1 minute' END, fate NOT IN (1, 2, 3, 4)),
            (8, 'cancel', 'WAITING', 'CANCELLED', v.wait, fate = 2),
            (9, 'day_end', CASE fate WHEN 3 THEN 'WAITING' ELSE 'IN_ROOM' END, CASE fate WHEN 3 THEN 'NO_SHOW' ELSE 'DONE' END, interval '1 day', fate IN (3, 4))
        ) AS e (step, move, was, becomes, after, happens)
    WHERE e.happens ORDER BY v.id, e.step;

INSERT INTO clinicq.token_counter (queue_id, service_day, last_token)
    SELECT queue_id, day, max(token) FROM generated_visit GROUP BY 1, 2;
SELECT setval(pg_get_serial_sequence('clinicq.visit', 'id'), max(id)) FROM clinicq.visit \g /dev/null
SELECT definition FROM indexes \gexec
VACUUM (ANALYZE) clinicq.visit, clinicq.visit_event, clinicq.patient;
RESET session_replication_role;
