#include "audit_history.h"

#include "actor.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "look.h"
#include "registration.h"
#include "restriction.h"

PG_FUNCTION_INFO_V1(clinicq_patient_history);

/* Numbers as they stand in the path of a refused request, as far as they can be known. */
QUERY(patient_keys,
      "SELECT p.id, p.id::text,"
      " ARRAY(SELECT v.id::text FROM clinicq.visit v WHERE v.patient_id = p.id),"
      " ARRAY(SELECT a.id::text FROM clinicq.patient_access a WHERE a.patient_id = p.id),"
      " ARRAY[p.registration_number, replace(p.registration_number, '-', '')]"
      " FROM clinicq.patient p WHERE replace(p.registration_number, '-', '') = $1",
      TEXTOID);
QUERY(keys_together, "SELECT $1 || $2 || $3 || $4 || ARRAY(" PRESCRIPTIONS_OF_VISITS("$1") ")",
      TEXTARRAYOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID);
/* The plan is made anew each time: how many keys there are decides it. */
QUERY_OPTIONS(patient_events, CURSOR_OPT_CUSTOM_PLAN,
              "WITH e AS MATERIALIZED (" EVENT_OF_KEYS ")"
              " SELECT " EVENT_COLUMNS_SHOWN " FROM e ORDER BY e.at, e.id",
              FILTER_TYPES);

void event_query_set(EventQuery *query, EventFilter arg, Datum value) {
    query->args[arg] = value;
    query->nulls[arg] = ' ';
}

void event_query_begin(EventQuery *query) {
    Datum patients;

    memset(query->args, 0, sizeof query->args);
    memset(query->nulls, 'n', FILTER_COUNT);
    query->nulls[FILTER_COUNT] = '\0';
    event_query_set(query, FILTER_MASKED, BoolGetDatum(!(actor_roles() & ROLE_AUDITOR)));
    if (sight_patients(&patients))
        event_query_set(query, FILTER_VISIBLE, patients);
}

int64 event_query_patient(EventQuery *query, const char *number) {
    Datum args[4] = {registration_key(number)};
    int64 id;
    bool isnull;

    if (query_write(&patient_keys, args, NULL) == 0)
        return 0;
    id = row_int64(0, 1);
    for (int i = 0; i < 4; i++)
        event_query_set(query, FILTER_PATIENT + i, row_value(0, i + 2, &isnull));
    args[0] = query->args[FILTER_VISITS];
    args[1] = query->args[FILTER_PATIENT];
    args[2] = query->args[FILTER_ACCESSES];
    args[3] = query->args[FILTER_NUMBERS];
    query_write(&keys_together, args, NULL);
    event_query_set(query, FILTER_KEYS, row_value(0, 1, &isnull));
    return id;
}

Datum clinicq_patient_history(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    EventQuery query;
    uint64 rows;
    int64 id;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    ARG_REQUIRE(0, "registration_number");
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    event_query_begin(&query);
    id = event_query_patient(&query, ARG_CSTRING(0));
    if (id == 0)
        error_not_found("patient", ARG_CSTRING(0));
    rows = query_write(&patient_events, query.args, query.nulls);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[EVENT_COLUMN_COUNT];
        bool nulls[EVENT_COLUMN_COUNT];

        row_values(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    look_audit(id, "");
    SPI_finish();
    return (Datum) 0;
}
