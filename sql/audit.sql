CREATE FUNCTION clinicq.audit_row() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_row';
COMMENT ON FUNCTION clinicq.audit_row() IS
    'Trigger: writes who changed what into clinicq.audit_event. Arguments: key column, then columns whose values are secret, or with personal: in front those that can be erased. '
    'Errors: 39P01 not called as an AFTER trigger.';

CREATE FUNCTION clinicq.audit_refuse() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_refuse';
COMMENT ON FUNCTION clinicq.audit_refuse() IS 'Trigger: refuses UPDATE, DELETE and TRUNCATE of the audit log. Errors: 42501.';

CREATE FUNCTION clinicq.close_tallies() RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_close_tallies';
COMMENT ON FUNCTION clinicq.close_tallies() IS
    'Writes the counted events (looks and refusals) whose time is over into the audit log, up to 10,000, and those that shared memory holds into clinicq.audit_tally; returns how many events it wrote. '
    'The keeper calls it twice a second. Who: admin, auditor.';
