-- What the law may ask to be forgotten stands beside the sealed events, not in them.
CREATE TABLE clinicq.audit_personal (
    event_id bigint PRIMARY KEY,
    entity text NOT NULL,
    entity_id text,
    contents jsonb NOT NULL
);
COMMENT ON TABLE clinicq.audit_personal IS 'Personal values of audit events, which hold only a salted hash of each: {"erasable": SHA-256 of salt and value}. They can be erased without touching an event, by clinicq.erase_patient(); nobody may change them.';
COMMENT ON COLUMN clinicq.audit_personal.event_id IS 'The event.';
COMMENT ON COLUMN clinicq.audit_personal.entity IS 'As in the event.';
COMMENT ON COLUMN clinicq.audit_personal.entity_id IS 'As in the event.';
COMMENT ON COLUMN clinicq.audit_personal.contents IS '{"column": {"old": {"salt": 32 hex digits, "value": text}, "new": ...}}, as in the event''s changes; of a search {"term": {"salt": ..., "value": ...}}.';
CREATE INDEX audit_personal_of ON clinicq.audit_personal (entity, entity_id);
COMMENT ON INDEX clinicq.audit_personal_of IS 'All that is held of one patient, for erasing it.';

ALTER TABLE clinicq.patient ADD COLUMN erased_at timestamptz;
COMMENT ON COLUMN clinicq.patient.erased_at IS 'When name and phone were erased; NULL otherwise.';
