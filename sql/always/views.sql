CREATE OR REPLACE VIEW clinicq_audit.event AS
    SELECT id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id,
        CASE WHEN entity <> 'patient' THEN changes ELSE clinicq_audit.with_personal(changes,
            (SELECT p.contents FROM clinicq.audit_personal p WHERE p.event_id = e.id)) END AS changes,
        outcome
    FROM clinicq.audit_event e
    UNION ALL
    SELECT NULL, last_at, NULL, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id,
        coalesce(detail, '{}') || jsonb_build_object('count', count,
            'first', to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
            'last', to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')),
        outcome
    FROM clinicq.audit_tally;
COMMENT ON VIEW clinicq_audit.event IS 'The audit log, for auditors. Rows without id are counted events that are not over yet.';

CREATE OR REPLACE VIEW clinicq_audit.emergencies AS
    SELECT a.id, p.registration_number, a.user_id, a.user_name, a.granted_at AS opened_at, a.until,
        a.reason, a.reviewed_by, a.reviewed_at, a.review
    FROM clinicq.patient_access a JOIN clinicq.patient p ON p.id = a.patient_id
    WHERE a.reason IS NOT NULL;
COMMENT ON VIEW clinicq_audit.emergencies IS 'Restricted records that were opened in an emergency, and what the review found; for auditors, and for administrators, who close reviews by clinicq.review_emergency().';
