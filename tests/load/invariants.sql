-- What has to hold after any load, however it ended. Each line: what|rows that break it.
-- load.journal is what clients were told. Heaps are counted rather than indexes trusted.
SET enable_indexonlyscan = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;

SELECT 'a queue-day has tokens 1 to n without gap or double', count(*) FROM (
    SELECT queue_id, service_day FROM clinicq.visit GROUP BY queue_id, service_day
    HAVING min(token_number) <> 1 OR max(token_number) <> count(*)
        OR count(DISTINCT token_number) <> count(*)) broken;

SELECT 'the counter of a queue-day stands at its last token', count(*)
FROM (SELECT queue_id, service_day, max(token_number) AS last_token
      FROM clinicq.visit GROUP BY queue_id, service_day) v
FULL JOIN clinicq.token_counter c USING (queue_id, service_day)
WHERE coalesce(v.last_token, 0) <> coalesce(c.last_token, 0);

SELECT 'no registration number stands twice', count(*) FROM (
    SELECT FROM clinicq.patient GROUP BY replace(registration_number, '-', '') HAVING count(*) > 1) broken;

SELECT 'no registration was made twice', count(*) FROM (
    SELECT FROM clinicq.patient GROUP BY name HAVING count(*) > 1) broken;

SELECT 'each acknowledged registration is there once, as it was told', count(*) FROM (
    SELECT FROM load.journal j LEFT JOIN clinicq.patient p USING (registration_number, name)
    WHERE j.kind = 'patient' GROUP BY j.registration_number, j.name HAVING count(p.id) <> 1) broken;

SELECT 'each acknowledged visit is there once, as it was told', count(*) FROM (
    SELECT FROM load.journal j
    LEFT JOIN (clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id)
        ON v.id = j.visit_id AND v.queue_id = j.queue_id AND v.token_number = j.token_number
            AND p.registration_number = j.registration_number
    WHERE j.kind = 'visit' GROUP BY j.visit_id, j.queue_id, j.token_number, j.registration_number
    HAVING count(v.id) <> 1) broken;

SELECT 'no token was told to two patients', count(*) FROM (
    SELECT FROM load.journal j JOIN clinicq.visit v ON v.id = j.visit_id WHERE j.kind = 'visit'
    GROUP BY j.queue_id, v.service_day, j.token_number
    HAVING count(DISTINCT j.registration_number) > 1) broken;

SELECT 'each patient has one INSERT event, with its number', count(*) FROM (
    SELECT FROM clinicq.patient p
    FULL JOIN (SELECT * FROM clinicq.audit_event WHERE entity = 'patient' AND action = 'INSERT') e
        ON e.entity_id = p.id::text
            AND e.changes -> 'registration_number' ->> 'new' = p.registration_number
    GROUP BY coalesce(p.id::text, e.entity_id) HAVING count(p.id) <> 1 OR count(e.id) <> 1) broken;

SELECT 'each visit has one INSERT event, with its token', count(*) FROM (
    SELECT FROM clinicq.visit v
    FULL JOIN (SELECT * FROM clinicq.audit_event WHERE entity = 'visit' AND action = 'INSERT') e
        ON e.entity_id = v.id::text AND (e.changes -> 'token_number' ->> 'new')::integer = v.token_number
    GROUP BY coalesce(v.id::text, e.entity_id) HAVING count(v.id) <> 1 OR count(e.id) <> 1) broken;

SELECT 'each visit has one open event in its history', count(*) FROM (
    SELECT FROM clinicq.visit v
    FULL JOIN (SELECT * FROM clinicq.visit_event WHERE move = 'open') e ON e.visit_id = v.id
    GROUP BY coalesce(v.id, e.visit_id) HAVING count(v.id) <> 1 OR count(e.id) <> 1) broken;

SELECT 'each HTTP write is on record with its request', count(*) FROM clinicq.audit_event
WHERE door = 'http' AND entity IN ('patient', 'visit') AND (request_id IS NULL OR actor_id IS NULL);
