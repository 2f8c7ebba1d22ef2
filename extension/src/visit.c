#include "visit.h"

#include "access/htup_details.h"
#include "actor.h"
#include "cache.h"
#include "clock.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "patient.h"
#include "priority.h"
#include "query.h"
#include "queue.h"
#include "setting.h"
#include "token.h"
#include "visit_move.h"

PG_FUNCTION_INFO_V1(clinicq_open_visit);
PG_FUNCTION_INFO_V1(clinicq_transfer_visit);

#define FOLLOW_CODE_BYTES 16

QUERY(visit_by_id, "SELECT " VISIT_COLUMNS " FROM " VISIT_TABLES " WHERE v.id = $1", INT8OID);
QUERY(visit_open_already,
      "SELECT " VISIT_COLUMNS " FROM " VISIT_TABLES
      " WHERE v.patient_id = $1 AND v.queue_id = $2 AND v.service_day = $3"
      " AND v.status IN " VISIT_OPEN,
      INT8OID, INT8OID, DATEOID);
QUERY(
    visit_insert,
    "WITH v AS ("
    " INSERT INTO clinicq.visit (patient_id, queue_id, service_day, token_number, priority, transferred_from, follow_code)"
    "  VALUES ($1, $2, $3, $4, $5, nullif($6, 0), $9)"
    "  ON CONFLICT (patient_id, queue_id, service_day)"
    "   WHERE status IN " VISIT_OPEN " DO NOTHING RETURNING *),"
    " e AS (INSERT INTO clinicq.visit_event (visit_id, move, to_status, actor_id, actor_name)"
    "  SELECT id, 'open', status, nullif($7, 0), $8 FROM v)"
    "SELECT " VISIT_COLUMNS " FROM v" VISIT_JOINS,
    INT8OID, INT8OID, DATEOID, INT4OID, INT2OID, INT8OID, INT8OID, TEXTOID, BYTEAOID);
QUERY(
    visit_end_transferred,
    "WITH c AS (UPDATE clinicq.visit_contact c SET visit_id = n.id, service_day = n.service_day,"
    "  near_at = NULL FROM clinicq.visit n WHERE n.id = $2 AND c.visit_id = $1),"
    " v AS (UPDATE clinicq.visit SET status = 'TRANSFERRED', transferred_to = $2, room_id = NULL,"
    "  updated_at = now(), version = version + 1 WHERE id = $1 RETURNING id)"
    "INSERT INTO clinicq.visit_event (visit_id, move, from_status, to_status, actor_id, actor_name)"
    " SELECT id, 'transfer', $3, 'TRANSFERRED', nullif($4, 0), $5 FROM v",
    INT8OID, INT8OID, TEXTOID, INT8OID, TEXTOID);
QUERY(visit_transferred_to,
      "SELECT n.id, n.queue_id FROM clinicq.visit v JOIN clinicq.visit n ON n.id = v.transferred_to"
      " WHERE v.id = $1",
      INT8OID);
/* Never called: NO_SHOW. In the room or called to it: DONE. Marked as closed by the system. */
#define CLOSE_EARLIER(which)                                                                              \
    "WITH old AS (SELECT v.id, v.status FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id"   \
    "  JOIN unnest($2::bigint[], $3::date[]) AS today (clinic_id, day) ON today.clinic_id = q.clinic_id"  \
    "  WHERE " which " AND v.service_day < today.day"                                                     \
    "  AND v.status IN " VISIT_OPEN " FOR NO KEY UPDATE OF v SKIP LOCKED),"                               \
    " v AS (UPDATE clinicq.visit SET closed_by_system = true, updated_at = now(), version = version + 1," \
    "  status = CASE WHEN old.status IN ('START', 'IN_ROOM') THEN 'DONE' ELSE 'NO_SHOW' END"              \
    "  FROM old WHERE visit.id = old.id RETURNING visit.id, old.status AS was, visit.status)"             \
    "INSERT INTO clinicq.visit_event (visit_id, move, from_status, to_status, actor_name)"                \
    " SELECT id, 'day_end', was, status, 'system' FROM v"
QUERY(visits_close_of_queue, CLOSE_EARLIER("v.queue_id = $1"), INT8OID, INT8ARRAYOID, DATEARRAYOID);
QUERY(visits_close_of_all, CLOSE_EARLIER("$1 = 0"), INT8OID, INT8ARRAYOID, DATEARRAYOID);
QUERY(visits_close_of_patient, CLOSE_EARLIER("v.patient_id = $1"), INT8OID, INT8ARRAYOID,
      DATEARRAYOID);

static void close_earlier(KeptQuery *query, int64 id) {
    Datum args[3] = {Int64GetDatum(id)};

    clock_todays(&args[1], &args[2]);
    query_write(query, args, NULL);
}

void visit_close_earlier_of_queue(int64 queue_id) {
    close_earlier(&visits_close_of_queue, queue_id);
}

void visit_close_earlier_of_all(void) {
    close_earlier(&visits_close_of_all, 0);
}

void visit_close_earlier_of_patient(int64 patient_id) {
    close_earlier(&visits_close_of_patient, patient_id);
}

static Datum new_follow_code(void) {
    bytea *code = palloc(VARHDRSZ + FOLLOW_CODE_BYTES);

    SET_VARSIZE(code, VARHDRSZ + FOLLOW_CODE_BYTES);
    if (!pg_strong_random(VARDATA(code), FOLLOW_CODE_BYTES))
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("no random bytes"));
    return PointerGetDatum(code);
}

static bool visit_insert_new(int64 patient_id, int64 queue_id, DateADT day, int16 priority,
                             int64 from) {
    const Actor *actor = actor_current();
    int32 token = token_issue(queue_id, day);
    Datum args[9] = {
        Int64GetDatum(patient_id),     Int64GetDatum(queue_id),          DateADTGetDatum(day),
        Int32GetDatum(token),          Int16GetDatum(priority),          Int64GetDatum(from),
        Int64GetDatum(actor->user_id), CStringGetTextDatum(actor->name), new_follow_code()};

    if (token == 1)
        visit_close_earlier_of_queue(queue_id);
    if (query_write(&visit_insert, args, NULL) > 0)
        return true;
    token_give_back(queue_id, day);
    return false;
}

static uint64 read_open(int64 patient_id, int64 queue_id, DateADT day) {
    Datum args[3] = {Int64GetDatum(patient_id), Int64GetDatum(queue_id), DateADTGetDatum(day)};

    return query_write(&visit_open_already, args, NULL);
}

bool visit_open(int64 patient_id, int64 queue_id, int64 clinic_id, int16 priority) {
    DateADT day = clock_today(clinic_id);

    /* Others may open and end a visit between the look and the lock of the counter. */
    for (;;) {
        if (read_open(patient_id, queue_id, day) > 0)
            return false;
        if (visit_insert_new(patient_id, queue_id, day, priority, 0))
            return true;
    }
}

void visit_transfer(int64 visit_id, int64 queue_id) {
    const Actor *actor = actor_current();
    bool possible = move_check(MOVE_TRANSFER, visit_id);
    int64 patient_id = row_int64(0, 1);
    int64 present_queue = row_int64(0, 2);
    bool isnull;
    int16 priority = DatumGetInt16(row_value(0, 3, &isnull));
    char *status = row_text(0, 4);
    int64 clinic_id;
    DateADT day;
    Datum args[5] = {Int64GetDatum(visit_id)};

    if (!possible) {
        query_write(&visit_transferred_to, args, NULL);
        visit_read(SPI_processed > 0 && row_int64(0, 2) == queue_id ? row_int64(0, 1) : visit_id);
        return;
    }
    if (present_queue == queue_id) {
        visit_read(visit_id);
        return;
    }
    clinic_id = queue_lock(queue_id);
    if (clinic_id == 0)
        error_not_found("open queue", psprintf(INT64_FORMAT, queue_id));
    day = clock_today(clinic_id);
    if (read_open(patient_id, queue_id, day) > 0 ||
        !visit_insert_new(patient_id, queue_id, day, priority, visit_id))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("the patient has an open visit in that queue already"),
                errhint("Cancel this visit, or go on with that one."));
    args[1] = Int64GetDatum(row_int64(0, 1));
    args[2] = CStringGetTextDatum(status);
    args[3] = Int64GetDatum(actor->user_id);
    args[4] = CStringGetTextDatum(actor->name);
    query_write(&visit_end_transferred, args, NULL);
    visit_read(DatumGetInt64(args[1]));
}

void visit_read(int64 visit_id) {
    Datum args[1] = {Int64GetDatum(visit_id)};

    if (query_write(&visit_by_id, args, NULL) == 0)
        error_not_found("visit", psprintf(INT64_FORMAT, visit_id));
}

void visit_append_json(StringInfo json, uint64 row) {
    Datum column[VISIT_COLUMN_COUNT];
    bool nulls[VISIT_COLUMN_COUNT]; /* of the first 14 none ever is */
    bool staff = (actor_roles() & ROLES_CARE) != 0;
    char *number;

    row_values(row, column, nulls); /* a list has many rows: all columns of each at once */
    number = TextDatumGetCString(column[6]);
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", DatumGetInt64(column[0]));
    json_int(json, "token_number", DatumGetInt32(column[1]));
    json_date(json, "visit_date", DatumGetDateADT(column[2]));
    json_text(json, "status", TextDatumGetCString(column[3]));
    json_timestamp(json, "created_at", DatumGetTimestampTz(column[4]), "Z");
    json_timestamp(json, "updated_at", DatumGetTimestampTz(column[5]), "Z");
    json_text(json, "patient", number);
    json_int(json, "queue", DatumGetInt64(column[7]));
    json_text(json, "patient_registration_number", number);
    json_text(json, "patient_full_name",
              patient_shown_name(TextDatumGetCString(column[8]), DatumGetInt64(column[11]),
                                 DatumGetBool(column[10])));
    json_text(json, "queue_name", TextDatumGetCString(column[9]));
    json_text(json, "token",
              visit_token_text(TextDatumGetCString(column[12]), DatumGetInt32(column[1])));
    json_text(json, "priority",
              priority_name(DatumGetInt64(column[16]), DatumGetInt16(column[13])));
    json_text(json, "room", nulls[14] ? NULL : TextDatumGetCString(column[14]));
    json_text(json, "follow", nulls[15] || !staff ? NULL : TextDatumGetCString(column[15]));
    json_text(json, "notify", nulls[17] || !staff ? NULL : TextDatumGetCString(column[17]));
    appendStringInfoChar(json, '}');
}

char *visit_token_text(const char *prefix, int32 token) {
    return *prefix != '\0' ? psprintf("%s-%03d", prefix, token) : psprintf("%d", token);
}

Datum visit_record(FunctionCallInfo fcinfo) {
    Datum values[3];
    bool nulls[3];
    TupleDesc shape;

    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "a function of visits must return a record");
    values[0] = row_value(0, 1, &nulls[0]);
    values[1] = row_value(0, 2, &nulls[1]);
    values[2] = row_value(0, 4, &nulls[2]);
    return HeapTupleHeaderGetDatum(SPI_returntuple(heap_form_tuple(shape, values, nulls), shape));
}

bool visit_is_open(const char *status) {
    return strstr(VISIT_OPEN, psprintf("'%s'", status)) != NULL;
}

/* Assistants, and doctors where the clinic lets them. */
uint32 visit_open_roles(void) {
    uint32 roles = ROLE_ADMIN | ROLE_ASSISTANT;

    cache_require_ready();
    return setting_is(SETTING_DOCTORS_OPEN_VISITS, "on") ? roles | ROLE_DOCTOR : roles;
}

Datum clinicq_open_visit(PG_FUNCTION_ARGS) {
    Datum result;
    int64 patient_id;
    int64 clinic_id;
    int priority;

    actor_require(visit_open_roles());
    ARG_REQUIRE(0, "patient");
    ARG_REQUIRE(1, "queue");
    SPI_connect();
    patient_id = patient_lock(ARG_CSTRING(0));
    if (patient_id == 0)
        error_not_found("patient", ARG_CSTRING(0));
    clinic_id = queue_lock(PG_GETARG_INT64(1));
    if (clinic_id == 0)
        error_not_found("open queue", psprintf(INT64_FORMAT, PG_GETARG_INT64(1)));
    priority = priority_rank(clinic_id, ARG_CSTRING(2));
    if (priority < 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("priority: must be one of: %s", priority_names(clinic_id)));
    visit_open(patient_id, PG_GETARG_INT64(1), clinic_id, (int16) priority);
    result = visit_record(fcinfo);
    SPI_finish();
    return result;
}

Datum clinicq_transfer_visit(PG_FUNCTION_ARGS) {
    Datum result;

    actor_require(move_roles(MOVE_TRANSFER));
    ARG_REQUIRE(0, "visit");
    ARG_REQUIRE(1, "queue");
    SPI_connect();
    visit_transfer(PG_GETARG_INT64(0), PG_GETARG_INT64(1));
    result = visit_record(fcinfo);
    SPI_finish();
    return result;
}
