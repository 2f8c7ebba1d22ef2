CREATE OR REPLACE VIEW clinicq_audit.event AS
    SELECT id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id, changes, outcome
    FROM clinicq.audit_event;
COMMENT ON VIEW clinicq_audit.event IS 'The audit log, for auditors.';

CREATE OR REPLACE VIEW clinicq_audit.emergencies AS
    SELECT a.id, p.registration_number, a.user_id, a.user_name, a.granted_at AS opened_at, a.until,
        a.reason, a.reviewed_by, a.reviewed_at, a.review
    FROM clinicq.patient_access a JOIN clinicq.patient p ON p.id = a.patient_id
    WHERE a.reason IS NOT NULL;
COMMENT ON VIEW clinicq_audit.emergencies IS 'Restricted records that were opened in an emergency, and what the review found; for auditors, and for administrators, who close reviews by clinicq.review_emergency().';
