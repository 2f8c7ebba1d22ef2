CREATE FUNCTION clinicq.erase_patient(registration_number text, reason text) RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_erase_patient';
COMMENT ON FUNCTION clinicq.erase_patient(text, text) IS
    'Erases name, phone, images of prescriptions and where messages go of a patient for ever, from the record and from beside the audit log, and hides the record; number and visits stay. Terms of searches up to now that match what the patient was called go too; searches that are still counted become events. '
    'The sealed events stay as they are and are still proven: of the values they hold salted hashes, whose salts are erased too. '
    'Backups and files exported earlier are not reached. reason: 3 to 500 characters without personal data, kept in the audit log. '
    'Returns of how many events values were erased. Errors: 22023; P0002 no such patient, or erased already; QC409 while a visit is open. It waits for open transactions that have written a look. Who: admin.';

CREATE FUNCTION clinicq_audit.with_personal(changes jsonb, contents jsonb) RETURNS jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_audit_with_personal';
COMMENT ON FUNCTION clinicq_audit.with_personal(jsonb, jsonb) IS
    'changes of an event with the values that clinicq.audit_personal holds of it in place of their hashes; what was erased stays {"erasable": hash}. Who: admin, auditor.';

CREATE FUNCTION clinicq_audit.commit_personal(value text, OUT hash text, OUT held jsonb)
LANGUAGE C VOLATILE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'clinicq_commit_personal';
COMMENT ON FUNCTION clinicq_audit.commit_personal(text) IS
    'A personal value as an event holds it, the SHA-256 of a new salt and the value, and as clinicq.audit_personal does, {"salt", "value"}. Who: the owner.';
