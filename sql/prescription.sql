CREATE FUNCTION clinicq_api.take_upload(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_take_upload';
COMMENT ON FUNCTION clinicq_api.take_upload(text[], jsonb, text) IS
    'Takes an image piece by piece: begins an upload, or adds the piece at offset to one of the same user. '
    'Errors: QC413 too large; QC415 no type that is taken; QC400; QC429 too many at once; P0002 no such upload, or too old; QC409 another offset. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.create_prescription(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_create_prescription';
COMMENT ON FUNCTION clinicq_api.create_prescription(text[], jsonb, text) IS
    'Keep an image (JPEG, PNG, WebP, HEIC, PDF) for a visit; the same image again is the same prescription. Assistants too where assistants_upload_images is on. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.list_prescriptions(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_list_prescriptions';
COMMENT ON FUNCTION clinicq_api.list_prescriptions(text[], jsonb, text) IS
    'Prescriptions, the newest first; those of patients who are hidden from the caller are left out. Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.get_prescription(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_prescription';
COMMENT ON FUNCTION clinicq_api.get_prescription(text[], jsonb, text) IS
    'One prescription, with a signed address of its image (image_url). Who: admin, doctor, assistant.';

CREATE FUNCTION clinicq_api.remove_prescription(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_remove_prescription';
COMMENT ON FUNCTION clinicq_api.remove_prescription(text[], jsonb, text) IS
    'Hide a prescription; nothing is destroyed. Who: admin, doctor.';

CREATE FUNCTION clinicq_api.get_image(path text[], query jsonb, body text) RETURNS clinicq_api.reply
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'clinicq_api_get_image';
COMMENT ON FUNCTION clinicq_api.get_image(text[], jsonb, text) IS
    'The bytes of an image, by the address that image_url gives, which carries user, end and signature: it opens without a header, as long as that user may see the prescription. Range and If-Range as in RFC 9110, one range. Who: everybody.';

CREATE FUNCTION clinicq.remove_prescription(prescription bigint) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_remove_prescription';
COMMENT ON FUNCTION clinicq.remove_prescription(bigint) IS
    'Hides a prescription; nothing is destroyed. Errors: P0002 no such prescription, or hidden already; QC423 a restricted patient. Who: admin, doctor.';

CREATE FUNCTION clinicq.list_prescriptions(patient text, OUT prescription bigint, OUT visit bigint, OUT media_type text, OUT size bigint,
    OUT sha256 text, OUT original_sha256 text, OUT created_by text, OUT created_at timestamptz) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'clinicq_list_prescriptions';
COMMENT ON FUNCTION clinicq.list_prescriptions(text) IS
    'The prescriptions of a patient, the newest first. Errors: P0002 no such patient; QC423 a restricted patient. Who: admin, doctor, assistant.';
