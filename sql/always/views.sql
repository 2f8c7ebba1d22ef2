CREATE OR REPLACE VIEW clinicq_audit.event AS
    SELECT id, at, transaction_id, actor_id, actor_name, roles, door, client, request_id,
        action, entity, entity_id, changes, outcome
    FROM clinicq.audit_event;
COMMENT ON VIEW clinicq_audit.event IS 'The audit log, for auditors.';
