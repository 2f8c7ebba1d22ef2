CREATE OR REPLACE VIEW clinicq_audit.event AS
    SELECT id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id,
        CASE WHEN entity NOT IN ('patient', 'visit_contact', 'app_user') THEN changes ELSE clinicq_audit.with_personal(changes,
            (SELECT p.contents FROM clinicq.audit_personal p WHERE p.event_id = e.id)) END AS changes,
        outcome
    FROM clinicq.audit_event e
    UNION ALL
    SELECT NULL, last_at, NULL, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id,
        clinicq_audit.counted(detail, count, first_at, last_at),
        outcome
    FROM clinicq.audit_tally;
COMMENT ON VIEW clinicq_audit.event IS 'The audit log, for auditors. Rows without id are counted events that are not over yet.';

CREATE OR REPLACE VIEW clinicq_audit.emergencies AS
    SELECT a.id, p.registration_number, a.user_id, a.user_name, a.granted_at AS opened_at, a.until,
        a.reason, a.reviewed_by, a.reviewed_at, a.review
    FROM clinicq.patient_access a JOIN clinicq.patient p ON p.id = a.patient_id
    WHERE a.reason IS NOT NULL;
COMMENT ON VIEW clinicq_audit.emergencies IS 'Restricted records that were opened in an emergency, and what the review found; for auditors, and for administrators, who close reviews by clinicq.review_emergency().';

-- What exports are made of; nobody reads these but the functions that note an export.
CREATE OR REPLACE VIEW clinicq_audit.exported_event AS
    SELECT (SELECT l.position FROM clinicq.audit_leaf l WHERE l.event_id = e.id AND l.event_at = e.at) AS position,
        e.id, e.at, e.transaction_id::text, e.actor_id, e.actor_name, array_to_string(e.roles, ' ') AS roles, e.door,
        host(e.client) AS client, e.request_id, e.action, e.entity, e.entity_id,
        (CASE WHEN e.entity NOT IN ('patient', 'visit_contact', 'app_user') OR (SELECT 'auditor' <> ALL (a.roles) FROM clinicq.current_actor() AS a) THEN e.changes
            ELSE clinicq_audit.with_personal(e.changes, (SELECT p.contents FROM clinicq.audit_personal p WHERE p.event_id = e.id)) END)::text AS changes,
        e.outcome
    FROM clinicq.audit_event e;
COMMENT ON VIEW clinicq_audit.exported_event IS 'Rows of clinicq_audit.export(). Who is no auditor gets hashes of names, telephone numbers, e-mail addresses and terms of searches.';
CREATE OR REPLACE VIEW clinicq_audit.exported_patient AS
    SELECT id AS key, registration_number, CASE WHEN NOT restricted THEN name END AS name,
        CASE WHEN NOT restricted THEN phone END AS phone, gender, category, restricted, created_at, updated_at, removed_at, erased_at
    FROM clinicq.patient;
COMMENT ON VIEW clinicq_audit.exported_patient IS 'Rows of clinicq_audit.snapshot_patients(). Restricted patients without name and phone.';
CREATE OR REPLACE VIEW clinicq_audit.exported_visit AS
    SELECT v.id AS key, v.id, v.service_day, v.queue_id, q.name AS queue, v.token_number, p.registration_number, v.status,
        v.priority, r.name AS room, v.transferred_from, v.transferred_to, v.closed_by_system, v.created_at, v.updated_at
    FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id JOIN clinicq.patient p ON p.id = v.patient_id
    LEFT JOIN clinicq.room r ON r.id = v.room_id;
COMMENT ON VIEW clinicq_audit.exported_visit IS 'Rows of clinicq_audit.snapshot_visits().';
CREATE OR REPLACE VIEW clinicq_audit.exported_queue AS
    SELECT q.id AS key, q.id, c.name AS clinic, q.name, q.token_prefix, q.closed_at, q.created_at, q.updated_at
    FROM clinicq.queue q JOIN clinicq.clinic c ON c.id = q.clinic_id;
COMMENT ON VIEW clinicq_audit.exported_queue IS 'Rows of clinicq_audit.snapshot_queues(), but for the number of visits.';
