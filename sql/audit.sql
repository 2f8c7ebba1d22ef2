CREATE FUNCTION clinicq.audit_row() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_row';
COMMENT ON FUNCTION clinicq.audit_row() IS
    'Trigger: writes who changed what into clinicq.audit_event. Arguments: key column, then columns whose values are secret. '
    'Errors: 39P01 not called as an AFTER trigger.';

CREATE FUNCTION clinicq.audit_refuse() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_refuse';
COMMENT ON FUNCTION clinicq.audit_refuse() IS 'Trigger: refuses UPDATE, DELETE and TRUNCATE of the audit log. Errors: 42501.';
