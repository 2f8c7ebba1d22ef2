#include "restriction.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "idempotency.h"
#include "query.h"
#include "registration.h"
#include "user.h"

PG_FUNCTION_INFO_V1(clinicq_restrict_patient);
PG_FUNCTION_INFO_V1(clinicq_unrestrict_patient);
PG_FUNCTION_INFO_V1(clinicq_grant_patient_access);
PG_FUNCTION_INFO_V1(clinicq_revoke_patient_access);
PG_FUNCTION_INFO_V1(clinicq_list_patient_access);

QUERY(sight_of_patient,
      "SELECT reason IS NOT NULL FROM clinicq.patient_access WHERE patient_id = $1"
      " AND " ACCESS_HOLDER("$2", "$3") " AND " ACCESS_IN_FORCE
                                        " ORDER BY reason IS NOT NULL LIMIT 1",
      INT8OID, TEXTOID, INT8OID);
QUERY(sight_of_all,
      "SELECT array_agg(patient_id) FROM clinicq.patient_access"
      " WHERE " ACCESS_HOLDER("$1", "$2") " AND " ACCESS_IN_FORCE,
      TEXTOID, INT8OID);
#define RESTRICTED_PATIENT                                            \
    "SELECT id, restricted, registration_number FROM clinicq.patient" \
    " WHERE replace(registration_number, '-', '') = $1 AND removed_at IS NULL"
QUERY(restricted_find, RESTRICTED_PATIENT, TEXTOID);
QUERY(restricted_lock, RESTRICTED_PATIENT " FOR NO KEY UPDATE", TEXTOID);
QUERY(restricted_set,
      "UPDATE clinicq.patient SET restricted = $2, updated_at = now(), version = version + 1"
      " WHERE id = $1",
      INT8OID, BOOLOID);
QUERY(
    access_grant,
    "INSERT INTO clinicq.patient_access (patient_id, user_id, user_name, granted_by_id, granted_by)"
    " SELECT $1, id, username, nullif($3, 0), $4 FROM clinicq.app_user WHERE id = $2"
    " ON CONFLICT (patient_id, user_id) WHERE reason IS NULL AND until IS NULL DO NOTHING",
    INT8OID, INT8OID, INT8OID, TEXTOID);
QUERY(access_revoke,
      "UPDATE clinicq.patient_access SET until = clock_timestamp()"
      " WHERE patient_id = $1 AND user_id = $2 AND reason IS NULL AND until IS NULL",
      INT8OID, INT8OID);
QUERY(access_list,
      "SELECT user_name, granted_by, granted_at FROM clinicq.patient_access"
      " WHERE patient_id = $1 AND reason IS NULL AND until IS NULL ORDER BY user_name",
      INT8OID);

Sight sight_of(int64 patient_id, bool restricted) {
    const Actor *actor;
    SPITupleTable *rows = SPI_tuptable;
    uint64 processed = SPI_processed;
    Sight sight = SIGHT_NONE;
    Datum args[3];

    if (!restricted)
        return SIGHT_FREE;
    actor = actor_current();
    args[0] = Int64GetDatum(patient_id);
    args[1] = CStringGetTextDatum(actor->name);
    args[2] = Int64GetDatum(actor->user_id);
    if (query_read(&sight_of_patient, args, NULL) > 0)
        sight = row_bool(0, 1) ? SIGHT_EMERGENCY : SIGHT_LISTED;
    SPI_freetuptable(SPI_tuptable);
    SPI_tuptable = rows;
    SPI_processed = processed;
    return sight;
}

const char *sight_outcome(Sight sight) {
    return sight == SIGHT_EMERGENCY ? "emergency" : sight == SIGHT_NONE ? "masked" : "done";
}

void sight_require(int64 patient_id, bool restricted) {
    if (sight_of(patient_id, restricted) == SIGHT_NONE)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_RESTRICTED),
                errmsg("this record is restricted; in an emergency a doctor may open it by giving"
                       " a reason"),
                errhint("SELECT * FROM clinicq.emergency_access(...) does it, or"
                        " POST /api/patients/.../emergency/; it is reviewed afterwards."));
}

bool sight_patients(Datum *patients) {
    const Actor *actor = actor_current();
    Datum args[2] = {CStringGetTextDatum(actor->name), Int64GetDatum(actor->user_id)};
    bool isnull;

    query_read(&sight_of_all, args, NULL);
    *patients = row_value(0, 1, &isnull);
    return !isnull;
}

static int64 find_patient(KeptQuery *query, const char *number) {
    Datum args[1] = {registration_key(number)};

    if (query_write(query, args, NULL) == 0)
        error_not_found("patient", number);
    return row_int64(0, 1);
}

int64 restriction_lock(const char *number, bool *restricted) {
    int64 id = find_patient(&restricted_lock, number);

    *restricted = row_bool(0, 2);
    return id;
}

uint64 restriction_read(const char *number, char **registration_number, bool *restricted) {
    Datum args[1] = {Int64GetDatum(find_patient(&restricted_find, number))};

    *restricted = row_bool(0, 2);
    *registration_number = row_text(0, 3);
    return query_write(&access_list, args, NULL);
}

void restriction_set(const char *number, bool restricted) {
    bool present;
    Datum args[2] = {Int64GetDatum(restriction_lock(number, &present)), BoolGetDatum(restricted)};

    if (present != restricted)
        query_write(&restricted_set, args, NULL);
    if (restricted)
        idempotency_forget_patient(DatumGetInt64(args[0]));
}

bool restriction_grant(const char *number, int64 user_id) {
    const Actor *actor = actor_current();
    bool restricted;
    Datum args[4] = {Int64GetDatum(restriction_lock(number, &restricted)), Int64GetDatum(user_id),
                     Int64GetDatum(actor->user_id), CStringGetTextDatum(actor->name)};

    return query_write(&access_grant, args, NULL) > 0;
}

void restriction_revoke(const char *number, const char *username) {
    bool restricted;
    Datum args[2] = {Int64GetDatum(restriction_lock(number, &restricted)),
                     Int64GetDatum(user_find(username))};

    if (query_write(&access_revoke, args, NULL) == 0)
        error_none("Nothing has to be taken away.", "user %s is not on the list of the patient",
                   username);
    idempotency_forget_patient(DatumGetInt64(args[0]));
}

static Datum set_for_psql(FunctionCallInfo fcinfo, bool restricted) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "registration_number");
    SPI_connect();
    restriction_set(ARG_CSTRING(0), restricted);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_restrict_patient(PG_FUNCTION_ARGS) {
    return set_for_psql(fcinfo, true);
}

Datum clinicq_unrestrict_patient(PG_FUNCTION_ARGS) {
    return set_for_psql(fcinfo, false);
}

Datum clinicq_grant_patient_access(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "registration_number");
    ARG_REQUIRE(1, "username");
    SPI_connect();
    restriction_grant(ARG_CSTRING(0), user_find(ARG_CSTRING(1)));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_revoke_patient_access(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "registration_number");
    ARG_REQUIRE(1, "username");
    SPI_connect();
    restriction_revoke(ARG_CSTRING(0), ARG_CSTRING(1));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_list_patient_access(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    char *number;
    bool restricted;
    uint64 rows;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "registration_number");
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = restriction_read(ARG_CSTRING(0), &number, &restricted);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[3];
        bool nulls[3];

        row_values(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}
