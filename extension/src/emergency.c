#include "emergency.h"

#include "access/htup_details.h"
#include "actor.h"
#include "audit.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "query.h"
#include "restriction.h"
#include "setting.h"

PG_FUNCTION_INFO_V1(clinicq_emergency_access);
PG_FUNCTION_INFO_V1(clinicq_review_emergency);

#define REASON_MIN 10
#define REASON_MAX 500
#define REVIEW_MAX 1000

QUERY(emergency_in_force,
      "SELECT id FROM clinicq.patient_access WHERE patient_id = $1 AND reason IS NOT NULL"
      " AND " ACCESS_HOLDER("$2", "$3") " AND " ACCESS_IN_FORCE " ORDER BY id DESC LIMIT 1",
      INT8OID, TEXTOID, INT8OID);
QUERY(emergency_insert,
      "INSERT INTO clinicq.patient_access"
      " (patient_id, user_name, user_id, granted_by_id, granted_by, granted_at, until, reason)"
      " SELECT $1, $2, nullif($3, 0), nullif($3, 0), $2, at, at + make_interval(mins => $4), $5"
      " FROM clock_timestamp() AS at RETURNING id",
      INT8OID, TEXTOID, INT8OID, INT4OID, TEXTOID);
QUERY(emergency_lock,
      "SELECT reviewed_at IS NOT NULL, " ACCESS_HOLDER(
          "$2", "$3") " FROM clinicq.patient_access"
                      " WHERE id = $1 AND reason IS NOT NULL FOR NO KEY UPDATE",
      INT8OID, TEXTOID, INT8OID);
QUERY(emergency_close,
      "UPDATE clinicq.patient_access SET reviewed_by = $2, reviewed_by_id = nullif($3, 0),"
      " reviewed_at = clock_timestamp(), review = $4, until = least(until, clock_timestamp())"
      " WHERE id = $1",
      INT8OID, TEXTOID, INT8OID, TEXTOID);
QUERY(emergency_by_id,
      "SELECT " EMERGENCY_COLUMNS " FROM " EMERGENCY_TABLES
      " WHERE a.id = $1 AND a.reason IS NOT NULL",
      INT8OID);

char *emergency_check_reason(Faults *faults, const char *reason) {
    return faults_check_text(faults, "reason", reason, REASON_MIN, REASON_MAX);
}

char *emergency_check_review(Faults *faults, const char *review) {
    return faults_check_text(faults, "review", review, 1, REVIEW_MAX);
}

bool emergency_open(const char *number, const char *reason, int64 *id) {
    const Actor *actor = actor_current();
    bool restricted;
    int64 patient_id = restriction_lock(number, &restricted);
    Datum args[5] = {Int64GetDatum(patient_id), CStringGetTextDatum(actor->name),
                     Int64GetDatum(actor->user_id)};
    Sight sight = sight_of(patient_id, restricted);
    bool is_new;

    if (sight == SIGHT_FREE || sight == SIGHT_LISTED)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg(sight == SIGHT_FREE ? "the record is not restricted"
                                           : "the record is open to you without an emergency"),
                errhint("Read it as any other."));
    is_new = query_write(&emergency_in_force, args, NULL) == 0;
    if (is_new) {
        args[3] = Int32GetDatum(setting_int(SETTING_EMERGENCY_ACCESS_MINUTES));
        args[4] = CStringGetTextDatum(reason);
        query_write(&emergency_insert, args, NULL);
    }
    *id = row_int64(0, 1);
    if (is_new)
        audit_event("EMERGENCY", "patient", patient_id, "flagged");
    return is_new;
}

void emergency_review(int64 id, const char *review) {
    const Actor *actor = actor_current();
    Datum args[4] = {Int64GetDatum(id), CStringGetTextDatum(actor->name),
                     Int64GetDatum(actor->user_id), CStringGetTextDatum(review)};

    if (query_write(&emergency_lock, args, NULL) == 0)
        error_not_found("emergency", psprintf(INT64_FORMAT, id));
    if (row_bool(0, 1))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the emergency is reviewed already"), errhint("A review is not changed."));
    if (row_bool(0, 2))
        ereport(ERROR, errcode_refused(ERRCODE_INSUFFICIENT_PRIVILEGE),
                errmsg("an emergency is reviewed by another than who opened it"),
                errhint("Ask another administrator."));
    query_write(&emergency_close, args, NULL);
}

void emergency_read(int64 id) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&emergency_by_id, args, NULL) == 0)
        error_not_found("emergency", psprintf(INT64_FORMAT, id));
}

void emergency_append_json(StringInfo json, uint64 row) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_text(json, "patient", row_text(row, 2));
    json_text(json, "opened_by", row_text(row, 3));
    json_timestamp(json, "opened_at", row_int64(row, 4), "Z");
    json_timestamp(json, "until", row_int64(row, 5), "Z");
    json_text(json, "reason", row_text(row, 6));
    json_text(json, "reviewed_by", row_text(row, 7));
    if (row_isnull(row, 8))
        json_text(json, "reviewed_at", NULL);
    else
        json_timestamp(json, "reviewed_at", row_int64(row, 8), "Z");
    json_text(json, "review", row_text(row, 9));
    appendStringInfoChar(json, '}');
}

Datum clinicq_emergency_access(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    TupleDesc shape;
    Datum values[2];
    bool nulls[2];
    Datum result;
    char *reason;
    int64 id;

    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    ARG_REQUIRE(0, "registration_number");
    reason = emergency_check_reason(faults, PG_ARGISNULL(1) ? "" : ARG_CSTRING(1));
    faults_raise(faults);
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "emergency_access() must return a record");
    SPI_connect();
    emergency_open(ARG_CSTRING(0), reason, &id);
    emergency_read(id);
    values[0] = row_value(0, 1, &nulls[0]);
    values[1] = row_value(0, 5, &nulls[1]);
    result = HeapTupleHeaderGetDatum(SPI_returntuple(heap_form_tuple(shape, values, nulls), shape));
    SPI_finish();
    return result;
}

Datum clinicq_review_emergency(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *review;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "emergency");
    review = emergency_check_review(faults, PG_ARGISNULL(1) ? "" : ARG_CSTRING(1));
    faults_raise(faults);
    SPI_connect();
    emergency_review(PG_GETARG_INT64(0), review);
    SPI_finish();
    PG_RETURN_VOID();
}
