#include "prescription.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "image_address.h"
#include "json.h"
#include "outbox.h"
#include "own_lock.h"
#include "query.h"
#include "registration.h"
#include "restriction.h"
#include "upload.h"

PG_FUNCTION_INFO_V1(clinicq_remove_prescription);
PG_FUNCTION_INFO_V1(clinicq_list_prescriptions);

/* Of a visit and its patient: erasing and removing the patient wait. */
QUERY(visit_hold,
      "SELECT p.id, p.restricted FROM clinicq.visit v JOIN clinicq.patient p ON p.id = v.patient_id"
      " WHERE v.id = $1 AND p.removed_at IS NULL FOR KEY SHARE OF p",
      INT8OID);
QUERY(image_find, "SELECT id FROM clinicq.image WHERE sha256 = $1 FOR KEY SHARE", BYTEAOID);
QUERY(image_insert,
      "INSERT INTO clinicq.image (sha256, size, media_type) VALUES ($1, $2, $3) RETURNING id",
      BYTEAOID, INT8OID, TEXTOID);
QUERY(prescription_insert,
      "INSERT INTO clinicq.prescription"
      " (visit_id, image_id, original_sha256, original_size, created_by_id, created_by)"
      " VALUES ($1, $2, $3, $4, nullif($5, 0), $6)"
      " ON CONFLICT (visit_id, image_id) WHERE removed_at IS NULL DO NOTHING",
      INT8OID, INT8OID, BYTEAOID, INT8OID, INT8OID, TEXTOID);
QUERY(prescription_same,
      "SELECT " PRESCRIPTION_COLUMNS " FROM " PRESCRIPTION_TABLES
      " WHERE pr.visit_id = $1 AND pr.image_id = $2",
      INT8OID, INT8OID);
QUERY(prescription_by_id,
      "SELECT " PRESCRIPTION_COLUMNS " FROM " PRESCRIPTION_TABLES " WHERE pr.id = $1", INT8OID);
QUERY(prescription_hide,
      "UPDATE clinicq.prescription SET removed_at = now(), version = version + 1"
      " WHERE id = $1 AND removed_at IS NULL",
      INT8OID);
QUERY(patient_of_number,
      "SELECT id, restricted FROM clinicq.patient"
      " WHERE replace(registration_number, '-', '') = $1 AND removed_at IS NULL",
      TEXTOID);
QUERY(prescriptions_of_patient,
      "SELECT pr.id, pr.visit_id, i.media_type, i.size, encode(i.sha256, 'hex'),"
      " encode(pr.original_sha256, 'hex'), pr.created_by, pr.created_at FROM " PRESCRIPTION_TABLES
      " WHERE p.id = $1 ORDER BY pr.created_at DESC, pr.id DESC",
      INT8OID);
/* Locked first, so that what refers to them meanwhile is seen by the statements after it. */
QUERY(
    images_lock,
    "SELECT array_agg(x.id) FROM (SELECT i.id FROM clinicq.image i WHERE i.id IN"
    "  (SELECT pr.image_id FROM clinicq.prescription pr JOIN clinicq.visit v ON v.id = pr.visit_id"
    "   WHERE v.patient_id = $1) ORDER BY i.id FOR UPDATE) AS x",
    INT8OID);
QUERY(prescriptions_void,
      "UPDATE clinicq.prescription pr SET image_id = NULL, original_sha256 = NULL,"
      " original_size = NULL, removed_at = coalesce(pr.removed_at, now()), version = pr.version + 1"
      " FROM clinicq.visit v WHERE v.id = pr.visit_id AND v.patient_id = $1"
      " AND pr.image_id IS NOT NULL",
      INT8OID);
QUERY(images_delete,
      "DELETE FROM clinicq.image i WHERE i.id = ANY ($1) AND NOT EXISTS"
      " (SELECT FROM clinicq.prescription pr WHERE pr.image_id = i.id)",
      INT8ARRAYOID);

static int64 keep_image(const Upload *upload) {
    Datum args[3] = {upload->sha256, Int64GetDatum(upload->stored),
                     CStringGetTextDatum(upload->media_type)};
    uint64 key;
    int64 id;

    /* Two that bring the same image at once: the second waits, and then finds it. */
    memcpy(&key, VARDATA_ANY(DatumGetByteaPP(upload->sha256)), sizeof key);
    own_lock(LOCK_IMAGE, key);
    if (query_write(&image_find, args, NULL) > 0)
        return row_int64(0, 1);
    query_write(&image_insert, args, NULL);
    id = row_int64(0, 1);
    upload_copy(upload, id);
    return id;
}

bool prescription_create(int64 visit_id, const char *original_sha256) {
    const Actor *actor = actor_current();
    Datum args[6] = {Int64GetDatum(visit_id)};
    Upload upload;
    int64 image_id;
    bool is_new;

    if (query_write(&visit_hold, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
    sight_require(row_int64(0, 1), row_bool(0, 2));
    upload_take(original_sha256, &upload);
    image_id = keep_image(&upload);
    outbox_add_image(image_id);
    args[1] = Int64GetDatum(image_id);
    args[2] = upload.original_sha256;
    args[3] = Int64GetDatum(upload.received);
    args[4] = Int64GetDatum(actor->user_id);
    args[5] = CStringGetTextDatum(actor->name);
    is_new = query_write(&prescription_insert, args, NULL) > 0;
    upload_remove(&upload);
    if (query_write(&prescription_same, args, NULL) == 0)
        error_not_found("prescription of visit", psprintf(INT64_FORMAT, visit_id));
    return is_new;
}

void prescription_read(int64 id, Prescription *prescription) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&prescription_by_id, args, NULL) == 0)
        error_not_found("prescription", psprintf(INT64_FORMAT, id));
    *prescription = (Prescription){.id = id,
                                   .image_id = row_int64(0, 7),
                                   .patient_id = row_int64(0, 8),
                                   .size = row_int64(0, 5),
                                   .media_type = row_text(0, 4),
                                   .sha256 = row_text(0, 10),
                                   .restricted = row_bool(0, 9)};
    sight_require(prescription->patient_id, prescription->restricted);
}

void prescription_remove(int64 id) {
    Prescription prescription;
    Datum args[1] = {Int64GetDatum(id)};

    prescription_read(id, &prescription);
    if (query_write(&prescription_hide, args, NULL) == 0)
        error_not_found("prescription", psprintf(INT64_FORMAT, id));
}

void prescriptions_erase(int64 patient_id) {
    Datum args[1] = {Int64GetDatum(patient_id)};
    Datum images;
    bool isnull;

    query_write(&images_lock, args, NULL);
    images = row_value(0, 1, &isnull);
    if (isnull)
        return;
    query_write(&prescriptions_void, args, NULL);
    outbox_remove_images(images);
    args[0] = images;
    query_write(&images_delete, args, NULL);
}

void prescription_append_json(StringInfo json, uint64 row) {
    int64 id = row_int64(row, 1);

    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", id);
    json_int(json, "visit", row_int64(row, 2));
    json_text(json, "drive_file_id", row_isnull(row, 11) ? "" : row_text(row, 11));
    json_text(json, "drive_url", row_isnull(row, 12) ? "" : row_text(row, 12));
    json_text(json, "image_url", image_address(id));
    json_text(json, "media_type", row_text(row, 4));
    json_int(json, "size", row_int64(row, 5));
    json_text(json, "created_by", row_text(row, 6));
    json_timestamp(json, "created_at", row_int64(row, 3), "Z");
    appendStringInfoChar(json, '}');
}

Datum clinicq_remove_prescription(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    ARG_REQUIRE(0, "prescription");
    SPI_connect();
    prescription_remove(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_list_prescriptions(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    Datum args[1];
    uint64 rows;

    actor_require(ROLES_CARE);
    ARG_REQUIRE(0, "patient");
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    args[0] = registration_key(ARG_CSTRING(0));
    if (query_read(&patient_of_number, args, NULL) == 0)
        error_not_found("patient", ARG_CSTRING(0));
    args[0] = Int64GetDatum(row_int64(0, 1));
    sight_require(row_int64(0, 1), row_bool(0, 2));
    rows = query_read(&prescriptions_of_patient, args, NULL);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[8];
        bool nulls[8];

        row_values(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}
