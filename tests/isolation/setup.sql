-- Roles that the sessions of the specs act as, a clinic that each permutation starts from, and the oracle.
CREATE SCHEMA iso;
GRANT USAGE ON SCHEMA iso TO PUBLIC;
CREATE ROLE iso_admin LOGIN IN ROLE clinicq_admin;
CREATE ROLE iso_doctor LOGIN IN ROLE clinicq_doctor;
CREATE ROLE iso_assistant LOGIN IN ROLE clinicq_assistant;

-- Patients 01-00-001 to 01-00-003; queues 1 to 3; room 1; visits 1 and 2 of the first two in queue 1, if asked for.
CREATE FUNCTION iso.fresh(visits int DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL client_min_messages = error;
    TRUNCATE clinicq.visit_event, clinicq.visit, clinicq.token_counter, clinicq.patient, clinicq.queue, clinicq.room,
        clinicq.session, clinicq.app_user, clinicq.registration_counter RESTART IDENTITY CASCADE;
    PERFORM setval('clinicq.registration_number_seq', 100004, false);
    INSERT INTO clinicq.patient (registration_number, name)
        SELECT '01-00-00' || n, 'Patient ' || n FROM generate_series(1, 3) AS n;
    INSERT INTO clinicq.queue (clinic_id, name) SELECT 1, 'Queue ' || n FROM generate_series(1, 3) AS n;
    INSERT INTO clinicq.room (clinic_id, name) VALUES (1, 'Room 1');
    PERFORM clinicq.open_visit('01-00-00' || n, 1) FROM generate_series(1, visits) AS n;
    PERFORM clinicq.set_setting(name, default_value) FROM clinicq.settings() WHERE name !~ '^password_';
    PERFORM clinicq.set_setting('password_memory_kib', '7168'), clinicq.set_setting('password_iterations', '1');
END
$$;

CREATE FUNCTION iso.use_prefixes() RETURNS void LANGUAGE sql AS $$
    SELECT clinicq.set_setting('registration_number_format', '{MM}{YY}-{CT}-####')
$$;

-- Path templates, which a spec cannot write: its blocks end at a brace.
CREATE FUNCTION iso.path_of(kind text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE kind WHEN 'patient' THEN '/api/patients/{registration_number}/' WHEN 'visit' THEN '/api/visits/{id}/' END
$$;

-- Deliveries 1 to 3 by SMS, 4 and 5 to one endpoint.
CREATE FUNCTION iso.outbox() RETURNS void LANGUAGE sql AS $$
    TRUNCATE clinicq.outbox, clinicq.webhook RESTART IDENTITY;
    INSERT INTO clinicq.webhook (url) VALUES ('https://a.example/');
    INSERT INTO clinicq.outbox (channel, purpose, payload) SELECT 'sms', 'manual', '{"to": "+14155550100", "body": "x"}' FROM generate_series(1, 3);
    INSERT INTO clinicq.outbox (channel, purpose, webhook_id, payload) SELECT 'webhook', 'manual', 1, '{"type": "x"}' FROM generate_series(1, 2);
$$;

-- The oracle: every rule that concurrency could break, recomputed from the rows.
CREATE FUNCTION iso.faults() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'tokens of queue ' || queue_id || ' are ' || coalesce(tokens::text, 'none') || ', its counter is ' || coalesce(last_token::text, 'missing')
    FROM clinicq.token_counter FULL JOIN (
        SELECT queue_id, service_day, array_agg(token_number ORDER BY token_number) AS tokens FROM clinicq.visit GROUP BY 1, 2) AS v
        USING (queue_id, service_day)
    WHERE coalesce(tokens, '{}') IS DISTINCT FROM ARRAY(SELECT generate_series(1, last_token))
    UNION ALL
    SELECT 'two open visits of patient ' || patient_id || ' in queue ' || queue_id FROM clinicq.visit
    WHERE status IN ('WAITING', 'START', 'IN_ROOM', 'HELD') GROUP BY patient_id, queue_id, service_day HAVING count(*) > 1
    UNION ALL
    SELECT 'two patients in room ' || room_id FROM clinicq.visit WHERE status IN ('START', 'IN_ROOM') GROUP BY room_id, service_day HAVING count(room_id) > 1
    UNION ALL
    SELECT 'an open visit of a removed patient' FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id
    WHERE v.status IN ('WAITING', 'START', 'IN_ROOM', 'HELD') AND p.removed_at IS NOT NULL
    UNION ALL
    SELECT 'an open visit in a closed queue' FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id
    WHERE v.status IN ('WAITING', 'START', 'IN_ROOM', 'HELD') AND q.closed_at IS NOT NULL
    UNION ALL
    SELECT 'a transfer without its other end' FROM clinicq.visit v
    WHERE v.transferred_to IS NOT NULL AND NOT EXISTS (SELECT FROM clinicq.visit n WHERE n.id = v.transferred_to AND n.transferred_from = v.id)
        OR v.transferred_from IS NOT NULL AND NOT EXISTS (SELECT FROM clinicq.visit o WHERE o.id = v.transferred_from AND o.transferred_to = v.id)
    UNION ALL
    SELECT 'visit ' || v.id || ' is ' || v.status || ', its last event says ' || coalesce(e.to_status, 'nothing') FROM clinicq.visit v
    LEFT JOIN LATERAL (SELECT to_status FROM clinicq.visit_event e WHERE e.visit_id = v.id ORDER BY id DESC LIMIT 1) AS e ON true
    WHERE e.to_status IS DISTINCT FROM v.status
    UNION ALL
    SELECT 'visit ' || v.id || ' has ' || v.version || ' versions and ' || count(a.id) || ' audit events' FROM clinicq.visit v
    LEFT JOIN clinicq.audit_event a ON a.entity = 'visit' AND a.entity_id = v.id::text AND a.at >= v.created_at
    WHERE v.service_day = clinicq.service_day() GROUP BY v.id, v.version HAVING count(a.id) <> v.version
    UNION ALL
    SELECT 'two patients with number ' || replace(registration_number, '-', '') FROM clinicq.patient GROUP BY replace(registration_number, '-', '') HAVING count(*) > 1
    UNION ALL
    SELECT 'a session of a password that is no more' FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id WHERE s.created_at < u.updated_at
$$;
CREATE FUNCTION iso.check() RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(f, '; ' ORDER BY f), 'all rules hold') FROM iso.faults() AS f $$;

-- What is there now, without keys and times.
CREATE FUNCTION iso.visits() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format('patient %s queue %s token %s %s', patient_id, queue_id, token_number, status), ', ' ORDER BY patient_id, queue_id, token_number) FROM clinicq.visit
$$;
