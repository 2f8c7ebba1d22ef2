CREATE FUNCTION clinicq.register_patient(name text, phone text DEFAULT NULL, gender text DEFAULT 'OTHER', category text DEFAULT '01') RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_register_patient';
COMMENT ON FUNCTION clinicq.register_patient(text, text, text, text) IS
    'Registers a patient and returns the registration number. name: 1 to 255 characters; phone: up to 20; gender: MALE, FEMALE, OTHER; category: 01 to 05. '
    'Errors: 22023 names every bad field; 53400 no number left. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.update_patient(registration_number text, name text DEFAULT NULL, phone text DEFAULT NULL, gender text DEFAULT NULL, category text DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_update_patient';
COMMENT ON FUNCTION clinicq.update_patient(text, text, text, text, text) IS
    'Changes what is not NULL of a patient; an empty phone takes the number away. '
    'Errors: 22023 names every bad field; P0002 no such patient. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.find_patients(query text, max_rows integer DEFAULT 50,
    OUT registration_number text, OUT name text, OUT phone text, OUT gender text, OUT category text) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_find_patients';
COMMENT ON FUNCTION clinicq.find_patients(text, integer) IS
    'Patients whose name, phone or number (with or without dashes) contains the query: exact number first, then exact phone, then names that begin with it. '
    'max_rows: 1 to 1000. Errors: 22023. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq.remove_patient(registration_number text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_remove_patient';
COMMENT ON FUNCTION clinicq.remove_patient(text) IS
    'Hides a patient; nothing is destroyed and the number is never used again. '
    'Errors: P0002 no such patient; QC409 while a visit is open. Who: admin, doctor.';
