/*
 * call_next.c: calling the next patient of one queue or of several.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "actor.h"
#include "clock.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "priority.h"
#include "query.h"
#include "reply.h"
#include "room.h"
#include "utils/array.h"
#include "visit.h"
#include "visit_move.h"

PG_FUNCTION_INFO_V1(clinicq_call_next);
PG_FUNCTION_INFO_V1(clinicq_call_next_of);
PG_FUNCTION_INFO_V1(clinicq_api_call_next);
PG_FUNCTION_INFO_V1(clinicq_api_call_next_of);

#define QUEUES_MAX 50

QUERY(queues_clinic,
      "SELECT count(DISTINCT id), min(clinic_id), max(clinic_id) FROM clinicq.queue"
      " WHERE id = ANY ($1) AND closed_at IS NULL",
      INT8ARRAYOID);
/*
 * $1 queues, $2 day, $3 and $4 of priority_ageing(). NO KEY: a row that refers to the visit and is
 * not committed holds FOR KEY SHARE, and must not make the patient be passed over.
 */
#define WAITING_TYPES INT8ARRAYOID, DATEOID, INT2ARRAYOID, INT4OID
QUERY(next_of_one,
      "SELECT v.id FROM clinicq.visit v WHERE v.queue_id = ($1)[1] AND v.service_day = $2"
      " AND v.status = 'WAITING' ORDER BY " VISIT_ORDER(
          "$3", "$4") " LIMIT 1 FOR NO KEY UPDATE OF v SKIP LOCKED",
      WAITING_TYPES);
QUERY(next_of_many,
      "SELECT v.id FROM clinicq.visit v WHERE v.queue_id = ANY ($1) AND v.service_day = $2"
      " AND v.status = 'WAITING' ORDER BY " VISIT_CLASS(
          "$3", "$4") " DESC, " VISIT_WAITS_SINCE ", v.queue_id, v.token_number"
                      " LIMIT 1 FOR NO KEY UPDATE OF v SKIP LOCKED",
      WAITING_TYPES);
QUERY(anyone_waits,
      "SELECT FROM clinicq.visit v WHERE v.queue_id = ANY ($1) AND v.service_day = $2"
      " AND v.status = 'WAITING' LIMIT 1",
      WAITING_TYPES);

static Datum queue_array(int64 *ids, int count) {
    Datum *elements = palloc((count + 1) * sizeof *elements);

    for (int i = 0; i < count; i++)
        elements[i] = Int64GetDatum(ids[i]);
    return PointerGetDatum(
        construct_array(elements, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static int64 queue_clinic(int64 id) {
    Datum queues = queue_array(&id, 1);

    query_write(&queues_clinic, &queues, NULL);
    return row_int64(0, 1) == 1 ? row_int64(0, 2) : 0;
}

/* The clinic of open queues; all must be of one, else 0 and a fault. */
static int64 clinic_of(int64 *ids, int count, Faults *faults) {
    Datum queues = queue_array(ids, count);
    int64 distinct = 0;

    for (int i = 0; i < count; i++) {
        bool earlier = false;

        for (int j = 0; j < i; j++)
            earlier |= ids[j] == ids[i];
        distinct += !earlier;
    }
    query_write(&queues_clinic, &queues, NULL);
    if (row_int64(0, 1) != distinct || distinct == 0)
        faults_add(faults, "queues", "must all be open queues");
    else if (row_int64(0, 2) != row_int64(0, 3))
        faults_add(faults, "queues", "must all be of one clinic");
    else
        return row_int64(0, 2);
    return 0;
}

/*
 * Calls the next patient to the room (0: the one that the actor is signed into, if any). True with
 * VISIT_COLUMNS in SPI_tuptable; false where there is none, and reason says why.
 */
static bool call_next(int64 *ids, int count, int64 clinic_id, int64 room_id, const char **reason) {
    Datum args[4] = {queue_array(ids, count)};

    args[1] = DateADTGetDatum(clock_today(clinic_id));
    priority_ageing(clinic_id, &args[2], &args[3]);
    if (room_id == 0)
        room_id = room_of_actor();
    if (room_id != 0)
        room_try_lock(room_id, clinic_id);
    if (query_write(count == 1 ? &next_of_one : &next_of_many, args, NULL) > 0) {
        move_make(MOVE_START, row_int64(0, 1), room_id);
        return true;
    }
    *reason = query_write(&anyone_waits, args, NULL) > 0
                  ? "everybody who waits is being called or changed by others at this moment"
                  : "nobody is waiting";
    return false;
}

/* For psql: one row, or none where nobody waits. */
static Datum call_for_psql(FunctionCallInfo fcinfo, int64 *ids, int count, int64 clinic_id) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    int64 room_id = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
    const char *reason;

    InitMaterializedSRF(fcinfo, 0);
    if (call_next(ids, count, clinic_id, room_id, &reason)) {
        Datum values[3];
        bool nulls[3];

        values[0] = row_value(0, 1, &nulls[0]);
        values[1] = row_value(0, 2, &nulls[1]);
        values[2] = row_value(0, 4, &nulls[2]);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    } else
        ereport(NOTICE, errmsg("%s", reason));
    SPI_finish();
    return (Datum) 0;
}

Datum clinicq_call_next(PG_FUNCTION_ARGS) {
    int64 id;
    int64 clinic_id;

    actor_require(move_roles(MOVE_START));
    ARG_REQUIRE(0, "queue");
    id = PG_GETARG_INT64(0);
    SPI_connect();
    if ((clinic_id = queue_clinic(id)) == 0)
        error_not_found("open queue", psprintf(INT64_FORMAT, id));
    return call_for_psql(fcinfo, &id, 1, clinic_id);
}

Datum clinicq_call_next_of(PG_FUNCTION_ARGS) {
    ArrayType *array;
    Datum *elements;
    bool *nulls;
    int count;
    int64 *ids;
    int64 clinic_id;
    Faults *faults = faults_new();

    actor_require(move_roles(MOVE_START));
    ARG_REQUIRE(0, "queues");
    array = PG_GETARG_ARRAYTYPE_P(0);
    deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements,
                      &nulls, &count);
    if (count < 1 || count > QUEUES_MAX || array_contains_nulls(array))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("queues: must be 1 to %d queues", QUEUES_MAX));
    ids = palloc(count * sizeof *ids);
    for (int i = 0; i < count; i++)
        ids[i] = DatumGetInt64(elements[i]);
    SPI_connect();
    clinic_id = clinic_of(ids, count, faults);
    faults_raise(faults);
    return call_for_psql(fcinfo, ids, count, clinic_id);
}

/* SPI is connected, and finished here; json was made before. */
static Datum call_for_http(StringInfo json, int64 *ids, int count, int64 clinic_id, int64 room_id) {
    const char *reason;

    appendStringInfoString(json, "{\"visit\":");
    if (call_next(ids, count, clinic_id, room_id, &reason)) {
        visit_append_json(json, 0);
    } else {
        appendStringInfoString(json, "null");
        json_text(json, "reason", reason);
    }
    appendStringInfoChar(json, '}');
    SPI_finish();
    return reply(200, json, NULL);
}

/* The room of the body; 0 where none is given, or null. */
static int64 read_room(Fields *fields) {
    int64 room_id = 0;

    if (field_int64(fields, "room", &room_id) == FIELD_VALUE && !room_is_open(room_id))
        faults_add(fields->faults, "room", "is not an open room");
    return room_id;
}

Datum clinicq_api_call_next(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    int64 id;
    int64 clinic_id;
    int64 room_id;

    actor_require(move_roles(MOVE_START));
    id = path_id(fcinfo, 0, "queue");
    SPI_connect();
    if ((clinic_id = queue_clinic(id)) == 0)
        error_not_found("open queue", psprintf(INT64_FORMAT, id));
    fields = fields_of_body(fcinfo);
    room_id = read_room(fields);
    faults_raise(fields->faults);
    return call_for_http(json, &id, 1, clinic_id, room_id);
}

Datum clinicq_api_call_next_of(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    int64 ids[QUEUES_MAX];
    int count = 0;
    int64 clinic_id = 0;
    int64 room_id;

    actor_require(move_roles(MOVE_START));
    fields = fields_of_body(fcinfo);
    SPI_connect();
    if (field_ids(fields, "queues", ids, QUEUES_MAX, &count))
        clinic_id = clinic_of(ids, count, fields->faults);
    room_id = read_room(fields);
    faults_raise(fields->faults);
    return call_for_http(json, ids, count, clinic_id, room_id);
}
