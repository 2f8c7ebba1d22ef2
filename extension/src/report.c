#include "report.h"

#include "access/htup_details.h"
#include "actor.h"
#include "cache.h"
#include "clock.h"
#include "commands/trigger.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "query.h"
#include "setting.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_summarise_days);
PG_FUNCTION_INFO_V1(clinicq_resummarise_days);
PG_FUNCTION_INFO_V1(clinicq_mark_stale_day);
PG_FUNCTION_INFO_V1(clinicq_report_guard);
PG_FUNCTION_INFO_V1(clinicq_report_board_at);

/*
 * Changes are told of from the second day after a day on, by UTC, which is over for every site
 * then; a day is summarised a day later, so that no transaction of less than a day can slip
 * through.
 */
#define TOLD_AFTER_DAYS 2
#define RIPE_AFTER_DAYS 3
#define DAYS_AT_ONCE    7 /* more, and the planner reads all events instead of theirs */

#define SUMMARY_STATE                                                                    \
    "SELECT s.through, (SELECT min(v.service_day) FROM clinicq.visit v), EXISTS (SELECT" \
    " FROM clinicq.stale_day d WHERE d.service_day <= s.through) FROM clinicq.summary_state s"
QUERY(summary_due, SUMMARY_STATE);
QUERY(summary_lock, SUMMARY_STATE " FOR UPDATE OF s SKIP LOCKED");
/* A writer that marks a day again waits until we are done, or we pass over the day. */
QUERY(summary_take_stale,
      "WITH taken AS (DELETE FROM clinicq.stale_day WHERE service_day IN (SELECT d.service_day"
      "  FROM clinicq.stale_day d WHERE d.service_day <= $2 ORDER BY d.service_day LIMIT $3"
      "  FOR UPDATE SKIP LOCKED) RETURNING service_day)"
      "SELECT array_agg(t.service_day) FROM (SELECT service_day FROM taken"
      " UNION SELECT $1 + n FROM generate_series(1, $2 - $1) n) t",
      DATEOID, DATEOID, INT4OID);
QUERY(summary_stale, "SELECT count(*) FROM clinicq.stale_day WHERE service_day <= $1", DATEOID);
QUERY(summary_advance, "UPDATE clinicq.summary_state SET through = $1", DATEOID);
QUERY(summary_stale_mark,
      "INSERT INTO clinicq.stale_day (service_day) VALUES ($1)"
      " ON CONFLICT (service_day) DO UPDATE SET marked_at = excluded.marked_at",
      DATEOID);
QUERY(summary_stale_period,
      "INSERT INTO clinicq.stale_day (service_day)"
      " SELECT $1 + n FROM clinicq.summary_state s, generate_series(0, least($2, s.through) - $1) n"
      " ON CONFLICT (service_day) DO UPDATE SET marked_at = excluded.marked_at",
      DATEOID, DATEOID);

#define FORGET(table)                                                                    \
    QUERY(forget_##table, "DELETE FROM clinicq." #table " WHERE service_day = ANY ($1)", \
          DATEARRAYOID)
#define COUNT(table, columns)                                                  \
    QUERY(count_##table,                                                       \
          "INSERT INTO clinicq." #table " (" columns ") SELECT " columns       \
          " FROM clinicq_report.live_" #table " WHERE service_day = ANY ($1)", \
          DATEARRAYOID)
FORGET(visit_summary);
FORGET(hour_summary);
FORGET(staff_summary);
COUNT(visit_summary,
      "service_day, queue_id, visits, waiting, started, in_room, held, done, no_show, cancelled,"
      " transferred, closed_by_system, never_called, recalled, first_waits, later_waits, services");
COUNT(hour_summary, "service_day, queue_id, hour, opened, called, finished");
COUNT(staff_summary, "service_day, queue_id, user_name, called, finished, room_seconds");

static KeptQuery *const count_steps[] = {&forget_visit_summary, &forget_hour_summary,
                                         &forget_staff_summary, &count_visit_summary,
                                         &count_hour_summary,   &count_staff_summary};

QUERY(queue_clinic, "SELECT clinic_id FROM clinicq.queue WHERE id = $1", INT8OID);
QUERY(
    board,
    "SELECT v.id, q.token_prefix || v.token_number, v.token_number, e.to_status, r.name, e.at"
    " FROM clinicq.visit v JOIN clinicq.queue q ON q.id = v.queue_id"
    " CROSS JOIN LATERAL (SELECT m.to_status, m.room_id, m.at FROM clinicq.visit_event m"
    "  WHERE m.visit_id = v.id AND m.at <= $3 AND m.move <> 'priority' ORDER BY m.id DESC LIMIT 1) e"
    " LEFT JOIN clinicq.room r ON r.id = e.room_id AND e.to_status IN ('START', 'IN_ROOM')"
    " WHERE v.queue_id = $1 AND v.service_day = $2"
    " AND e.to_status IN " VISIT_OPEN " ORDER BY v.token_number",
    INT8OID, DATEOID, TIMESTAMPTZOID);

static DateADT utc_day(TimestampTz at) {
    return (DateADT) (at / USECS_PER_DAY) - (at % USECS_PER_DAY < 0);
}

/* Stale days up to `upto` and those after `through`; returns how many. */
static int summarise_some(DateADT through, DateADT upto) {
    Datum args[3] = {DateADTGetDatum(through), DateADTGetDatum(upto), Int32GetDatum(DAYS_AT_ONCE)};
    Datum days[1];
    bool none;

    query_write(&summary_take_stale, args, NULL);
    days[0] = row_value(0, 1, &none);
    if (none)
        return 0;
    for (int i = 0; i < lengthof(count_steps); i++)
        query_write(count_steps[i], days, NULL);
    return ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(days[0])),
                          ARR_DIMS(DatumGetArrayTypeP(days[0])));
}

static int64 days_left(DateADT through, DateADT last) {
    Datum args[1] = {DateADTGetDatum(through)};

    query_write(&summary_stale, args, NULL);
    return Max(last - through, 0) + row_int64(0, 1);
}

/* How far days are summarised; false where there is no visit yet. */
static bool read_through(DateADT *through) {
    bool isnull;

    *through = DatumGetDateADT(row_value(0, 1, &isnull));
    if (isnull)
        *through = DatumGetDateADT(row_value(0, 2, &isnull)) - 1;
    return !isnull;
}

int64 report_summarise(int days) {
    DateADT last = utc_day(GetCurrentTransactionStartTimestamp()) - RIPE_AFTER_DAYS;
    DateADT through;
    int done;
    bool isnull;
    Datum args[1];

    query_write(&summary_due, NULL, NULL);
    if (!read_through(&through) || (through >= last && !DatumGetBool(row_value(0, 3, &isnull))))
        return 0;
    if (query_write(&summary_lock, NULL, NULL) == 0)
        return 0;
    read_through(&through);
    do {
        DateADT upto = Max(through, Min(last, through + Min(days, DAYS_AT_ONCE)));

        done = summarise_some(through, upto);
        through = upto;
        days -= done;
    } while (done > 0 && days > 0 && days_left(through, last) > 0);
    args[0] = DateADTGetDatum(through);
    query_write(&summary_advance, args, NULL);
    return done > 0 ? days_left(through, last) : 0;
}

Datum clinicq_summarise_days(PG_FUNCTION_ARGS) {
    int days = PG_ARGISNULL(0) ? DAYS_AT_ONCE : PG_GETARG_INT32(0);
    int64 left;

    actor_require(ROLE_ADMIN | ROLE_REPORTER);
    if (days < 1)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("days must be at least 1"));
    SPI_connect();
    left = report_summarise(days);
    SPI_finish();
    PG_RETURN_INT32((int32) Min(left, PG_INT32_MAX));
}

Datum clinicq_resummarise_days(PG_FUNCTION_ARGS) {
    Datum args[2];
    uint64 marked;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "first");
    ARG_REQUIRE(1, "last");
    args[0] = PG_GETARG_DATUM(0);
    args[1] = PG_GETARG_DATUM(1);
    SPI_connect();
    marked = query_write(&summary_stale_period, args, NULL);
    SPI_finish();
    PG_RETURN_INT64((int64) marked);
}

static void mark_stale(HeapTuple visit, TupleDesc shape) {
    bool isnull;
    Datum args[1] = {SPI_getbinval(visit, shape, SPI_fnumber(shape, "service_day"), &isnull)};

    if (DatumGetDateADT(args[0]) > utc_day(GetCurrentTimestamp()) - TOLD_AFTER_DAYS)
        return;
    SPI_connect();
    query_write(&summary_stale_mark, args, NULL);
    SPI_finish();
}

Datum clinicq_mark_stale_day(PG_FUNCTION_ARGS) {
    TriggerData *event = (TriggerData *) fcinfo->context;

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(event->tg_event) ||
        !TRIGGER_FIRED_FOR_ROW(event->tg_event))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("mark_stale_day() must be called as an AFTER ROW trigger"));
    mark_stale(event->tg_trigtuple, event->tg_relation->rd_att);
    if (TRIGGER_FIRED_BY_UPDATE(event->tg_event))
        mark_stale(event->tg_newtuple, event->tg_relation->rd_att);
    return PointerGetDatum(NULL);
}

static void limit_transaction(const char *setting, int seconds) {
    set_config_option(setting, psprintf("%ds", seconds), PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Settings of clinicq_reporter do not reach logins that are its members (ALTER ROLE: they take
 * effect at log-in, of the role that logs in), so the limit is set here. SET LOCAL comes too late
 * for the statement that runs, whose clock is started by hand; the server stops it at its end.
 */
Datum clinicq_report_guard(PG_FUNCTION_ARGS) {
    int seconds;

    actor_require(ROLE_ADMIN | ROLE_REPORTER);
    seconds = setting_int(SETTING_REPORT_TIMEOUT_SECONDS);
    if (StatementTimeout == 0) {
        limit_transaction("statement_timeout", seconds);
        enable_timeout_after(STATEMENT_TIMEOUT, seconds * 1000);
    }
    if (IdleInTransactionSessionTimeout == 0)
        limit_transaction("idle_in_transaction_session_timeout", seconds);
    PG_RETURN_BOOL(true);
}

Datum clinicq_report_board_at(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    Datum args[3];

    actor_require(ROLE_ADMIN | ROLE_REPORTER);
    ARG_REQUIRE(0, "queue");
    InitMaterializedSRF(fcinfo, 0);
    args[0] = PG_GETARG_DATUM(0);
    args[2] = PG_ARGISNULL(1) ? TimestampTzGetDatum(GetCurrentTransactionStartTimestamp())
                              : PG_GETARG_DATUM(1);
    SPI_connect();
    if (query_read(&queue_clinic, args, NULL) == 0)
        error_not_found("queue", psprintf(INT64_FORMAT, PG_GETARG_INT64(0)));
    args[1] = DateADTGetDatum(clock_service_day(row_int64(0, 1), DatumGetTimestampTz(args[2])));
    query_read(&board, args, NULL);
    for (uint64 row = 0; row < SPI_processed; row++)
        tuplestore_puttuple(result->setResult, SPI_tuptable->vals[row]);
    SPI_finish();
    return (Datum) 0;
}
