#include "feed.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "actor.h"
#include "cache.h"
#include "clock.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "keeper.h"
#include "message.h"
#include "own_lock.h"
#include "patient.h"
#include "priority.h"
#include "query.h"
#include "restriction.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_feed_wake);
PG_FUNCTION_INFO_V1(clinicq_feed_advance);
PG_FUNCTION_INFO_V1(clinicq_feed);

#define CHANNEL     "clinicq_feed"
#define REPLAY_SPAN 10000 /* positions that a replay looks through, of whatever queue */

QUERY(feed_unplaced, "SELECT FROM clinicq.visit_event WHERE position IS NULL LIMIT 1");
QUERY(feed_assign,
      "WITH e AS (UPDATE clinicq.visit_event e SET position = o.position FROM ("
      " SELECT id, nextval('clinicq.feed_position') AS position FROM ("
      "  SELECT id FROM clinicq.visit_event WHERE position IS NULL"
      "  ORDER BY id LIMIT $1) AS i) AS o WHERE e.id = o.id RETURNING e.position)"
      "SELECT count(*), min(position) FROM e",
      INT4OID);
/* The last history, and whether it is that of now. */
QUERY(feed_history,
      "SELECT system_identifier = $1 AND timeline = $2 FROM clinicq.feed_history"
      " ORDER BY id DESC LIMIT 1",
      TEXTOID, INT4OID);
QUERY(feed_new_history,
      "INSERT INTO clinicq.feed_history (system_identifier, timeline) VALUES ($1, $2)", TEXTOID,
      INT4OID);
QUERY(feed_leap, "SELECT setval('clinicq.feed_position', ((last_value >> 40) + 1) << 40)"
                 " FROM clinicq.feed_position");
QUERY(feed_end, "SELECT position FROM clinicq.visit_event WHERE position IS NOT NULL"
                " ORDER BY position DESC LIMIT 1");
QUERY(feed_begin, "SELECT position FROM clinicq.visit_event WHERE position IS NOT NULL"
                  " ORDER BY position LIMIT 1");
/* What feed_append_visit reads comes first: a visit with state, time and room of its own, or of the
 * event that left it so. */
#define FEED_VISIT                                                                           \
    "v.id, v.token_number, v.service_day, v.created_at, v.queue_id, q.name, q.token_prefix," \
    " q.clinic_id, v.priority, p.registration_number, p.name, p.restricted, r.name, "
#define FEED_JOINS                                   \
    " JOIN clinicq.patient p ON p.id = v.patient_id" \
    " JOIN clinicq.queue q ON q.id = v.queue_id LEFT JOIN clinicq.room r ON r.id = "
QUERY(feed_rows,
      "SELECT " FEED_VISIT "e.to_status, e.at, e.position, e.move, e.from_status,"
      " (extract(epoch FROM clock_timestamp() - e.at) * 1000000)::bigint"
      " FROM clinicq.visit_event e JOIN clinicq.visit v ON v.id = e.visit_id" FEED_JOINS "e.room_id"
      " WHERE e.position > $1 AND e.position <= $2 AND ($3 = 0 OR v.queue_id = $3)"
      " ORDER BY e.position LIMIT $4",
      INT8OID, INT8OID, INT8OID, INT4OID);
QUERY(feed_open_visits,
      "SELECT " FEED_VISIT "v.status, v.updated_at FROM clinicq.visit v" FEED_JOINS "v.room_id"
      " JOIN unnest($2::bigint[], $3::date[]) AS today (clinic_id, day)"
      "  ON today.clinic_id = q.clinic_id AND today.day = v.service_day"
      " WHERE v.status IN " VISIT_OPEN " AND ($1 = 0 OR v.queue_id = $1)"
      " ORDER BY q.name, v.token_number, v.id",
      INT8OID, INT8ARRAYOID, DATEARRAYOID);

static bool written = false; /* by this transaction */
static uint64 placed = 0;    /* at once, the last time */

static void transaction_ended(XactEvent event, void *arg) {
    if (!written)
        return;
    if (event == XACT_EVENT_COMMIT)
        keeper_wake_feed();
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        written = false;
}

void feed_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
}

Datum clinicq_feed_wake(PG_FUNCTION_ARGS) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("clinicq.feed_wake() is a trigger function"));
    written = true;
    PG_RETURN_POINTER(NULL);
}

long feed_rest_us(void) {
    return Min(25000, 2000 * (long) Max(1, placed));
}

/*
 * Who has seen positions that this history has lost must not take new ones for them: so these begin
 * at the next multiple of 2^40.
 */
static void follow_history(void) {
    Datum args[2] = {CStringGetTextDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier())),
                     Int32GetDatum((int32) GetWALInsertionTimeLine())};
    bool begun = query_write(&feed_history, args, NULL) > 0;

    if (begun && row_bool(0, 1))
        return;
    query_write(&feed_new_history, args, NULL);
    if (begun)
        query_write(&feed_leap, NULL, NULL);
}

bool feed_place(void) {
    Datum args[1] = {Int32GetDatum(FEED_PLACED_ONCE)};

    placed = 0;
    if (query_write(&feed_unplaced, NULL, NULL) == 0)
        return false;
    /* One assigner at a time: its snapshot is taken after the lock, which ends after its commit. */
    own_lock(LOCK_FEED, 0);
    follow_history();
    query_write(&feed_assign, args, NULL);
    placed = (uint64) row_int64(0, 1);
    if (placed > 0) {
        messages_add(row_int64(0, 2) - 1);
        Async_Notify(CHANNEL, NULL);
    }
    return placed == FEED_PLACED_ONCE;
}

void feed_tell_session(int64 user_id) {
    Async_Notify(CHANNEL, psprintf(INT64_FORMAT, user_id));
}

void feed_place_all(void) {
    if (XactReadOnly || RecoveryInProgress())
        return;
    while (feed_place())
        ;
}

int64 feed_last(void) {
    return query_read(&feed_end, NULL, NULL) > 0 ? row_int64(0, 1) : 0;
}

bool feed_reaches(int64 after, int64 last) {
    return after <= last && last - after <= REPLAY_SPAN &&
           query_read(&feed_begin, NULL, NULL) > 0 && row_int64(0, 1) <= after + 1;
}

uint64 feed_read(int64 after, int64 last, int64 queue_id, int most) {
    Datum args[4] = {Int64GetDatum(after), Int64GetDatum(last), Int64GetDatum(queue_id),
                     Int32GetDatum(most)};

    return query_read(&feed_rows, args, NULL);
}

uint64 feed_read_open(int64 queue_id) {
    Datum args[3] = {Int64GetDatum(queue_id)};

    clock_todays(&args[1], &args[2]);
    return query_read(&feed_open_visits, args, NULL);
}

int64 feed_position(uint64 row) {
    return row_int64(row, 16);
}

int64 feed_queue_id(uint64 row) {
    return row_int64(row, 5);
}

char *feed_move(uint64 row) {
    return row_text(row, 17);
}

static void append_patient(StringInfo json, uint64 row, FeedView view) {
    bool restricted = row_bool(row, 12);
    char *name = row_text(row, 11);

    if (view == FEED_FOR_STAFF) {
        json_text(json, "patient_registration_number", row_text(row, 10));
        json_text(json, "patient_full_name", restricted ? RESTRICTED_NAME : name);
    } else if (view == FEED_FOR_DISPLAYS)
        json_text(json, "patient_full_name", patient_display_name(name, restricted));
}

void feed_append_visit(StringInfo json, uint64 row, FeedView view) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_int(json, "token_number", row_int32(row, 2));
    json_text(json, "token", visit_token_text(row_text(row, 7), row_int32(row, 2)));
    json_date(json, "visit_date", row_int32(row, 3));
    json_text(json, "status", row_text(row, 14));
    json_timestamp(json, "created_at", row_int64(row, 4), "Z");
    json_timestamp(json, "updated_at", row_int64(row, 15), "Z");
    json_int(json, "queue", feed_queue_id(row));
    json_text(json, "queue_name", row_text(row, 6));
    json_text(json, "priority", priority_name(row_int64(row, 8), row_int16(row, 9)));
    json_text(json, "room", row_text(row, 13));
    append_patient(json, row, view);
    appendStringInfoChar(json, '}');
}

void feed_append_event(StringInfo json, uint64 row, FeedView view) {
    appendStringInfoChar(json, '{');
    json_int(json, "position", feed_position(row));
    json_timestamp(json, "at", row_int64(row, 15), "Z");
    json_text(json, "move", feed_move(row));
    json_text(json, "from_status", row_text(row, 18));
    json_key(json, "visit");
    feed_append_visit(json, row, view);
    appendStringInfoChar(json, '}');
}

Datum clinicq_feed_advance(PG_FUNCTION_ARGS) {
    Datum values[2];
    bool nulls[2] = {false};
    TupleDesc shape;

    cache_require_ready();
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "clinicq_feed_advance must return a record");
    SPI_connect();
    feed_place_all();
    values[0] = Int64GetDatum(query_write(&feed_end, NULL, NULL) > 0 ? row_int64(0, 1) : 0);
    values[1] = BoolGetDatum(keeper_feeds());
    SPI_finish();
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

static Datum json_of(uint64 row, FeedView view) {
    StringInfoData json;

    initStringInfo(&json);
    feed_append_event(&json, row, view);
    return PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
}

Datum clinicq_feed(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    bool nulls[5] = {false};
    uint64 rows;

    cache_require_ready();
    ARG_REQUIRE(0, "after");
    ARG_REQUIRE(1, "most");
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = feed_read(PG_GETARG_INT64(0), PG_INT64_MAX, 0,
                     Max(0, Min(PG_GETARG_INT32(1), FEED_PLACED_ONCE)));
    for (uint64 row = 0; row < rows; row++) {
        Datum values[5] = {Int64GetDatum(feed_position(row)), Int64GetDatum(feed_queue_id(row)),
                           Int64GetDatum(row_int64(row, 19)), json_of(row, FEED_FOR_STAFF),
                           json_of(row, FEED_FOR_DISPLAYS)};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}
