CREATE FUNCTION clinicq.restrict_patient(registration_number text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_restrict_patient';
COMMENT ON FUNCTION clinicq.restrict_patient(text) IS
    'Lets nobody see a patient''s record but the users on its list; everybody else, administrators included, sees the number with a masked name. '
    'Visits go on as before. Errors: P0002 no such patient. Who: admin.';

CREATE FUNCTION clinicq.unrestrict_patient(registration_number text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_unrestrict_patient';
COMMENT ON FUNCTION clinicq.unrestrict_patient(text) IS
    'Opens a restricted record to all who may see patients; the list stays for another time. Errors: P0002 no such patient. Who: admin.';

CREATE FUNCTION clinicq.grant_patient_access(registration_number text, username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_grant_patient_access';
COMMENT ON FUNCTION clinicq.grant_patient_access(text, text) IS
    'Puts a user on the list of those who may see a patient while the record is restricted. Database roles are on no list. '
    'Errors: P0002 no such patient or user. Who: admin.';

CREATE FUNCTION clinicq.revoke_patient_access(registration_number text, username text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_revoke_patient_access';
COMMENT ON FUNCTION clinicq.revoke_patient_access(text, text) IS
    'Takes a user from the list of a patient. Errors: P0002 no such patient, or user on the list. Who: admin.';

CREATE FUNCTION clinicq.list_patient_access(registration_number text,
    OUT username text, OUT granted_by text, OUT granted_at timestamptz) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_list_patient_access';
COMMENT ON FUNCTION clinicq.list_patient_access(text) IS
    'The users who may see a patient while the record is restricted, and who put them on the list. Errors: P0002 no such patient. Who: admin.';

CREATE FUNCTION clinicq.emergency_access(registration_number text, reason text, OUT emergency bigint, OUT until timestamptz)
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_emergency_access';
COMMENT ON FUNCTION clinicq.emergency_access(text, text) IS
    'Opens a restricted record to who calls it for as long as the setting emergency_access_minutes says; flagged in the audit log and listed for review. '
    'reason: 10 to 500 characters. While it is open, the same emergency is returned and nothing extended. '
    'Errors: 22023; P0002 no such patient; QC409 the record is open without. Who: admin, doctor.';

CREATE FUNCTION clinicq.review_emergency(emergency bigint, review text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_review_emergency';
COMMENT ON FUNCTION clinicq.review_emergency(bigint, text) IS
    'Closes the review of an emergency with what it found (1 to 1000 characters), and the access where it is still open. clinicq_audit.emergencies lists them. '
    'Errors: 22023; 42501 for who opened it; P0002 no such emergency; QC409 reviewed already. Who: admin.';
