#include "estimate.h"

#include "actor.h"
#include "clock.h"
#include "common/pg_prng.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "priority.h"
#include "query.h"
#include "reply.h"
#include "visit.h"

PG_FUNCTION_INFO_V1(clinicq_estimated_wait);
PG_FUNCTION_INFO_V1(clinicq_api_list_waits);

#define SAMPLES_MAX    300 /* the latest of them */
#define SAMPLES_ENOUGH 20  /* of the same weekday and hour; else other days count too */
#define SAMPLES_MIN    10
#define ROOMS_MAX      64
#define TRIALS         200
#define LOW            (TRIALS * 5 / 100)
#define HIGH           (TRIALS - 1 - LOW)
#define FENCE          7.41 /* five standard deviations, by 1.4826 times the median deviation */

typedef struct Samples {
    int32 seconds[SAMPLES_MAX]; /* ascending */
    int count;
} Samples;

QUERY(estimate_queue_of,
      "SELECT q.clinic_id, q.token_prefix, c.timezone FROM clinicq.queue q"
      " JOIN clinicq.clinic c ON c.id = q.clinic_id WHERE q.id = $1 AND q.closed_at IS NULL",
      INT8OID);
/*
 * $1 queue, $2 day, $3 time zone. How long a call kept a room: to the end of the visit, and on to
 * the next call where somebody was waiting already. Of the last seven days and of the same weekday
 * of eight weeks; tier 1 is today and the same weekday at about this hour, 2 any day at about this
 * hour.
 */
QUERY(
    estimate_services,
    "WITH served AS ("
    " SELECT s.at AS began, d.at AS ended, v.service_day,"
    "  lead(s.at) OVER who AS next_began, lead(v.created_at) OVER who AS next_opened"
    " FROM clinicq.visit v"
    " JOIN LATERAL (SELECT e.at, e.actor_name FROM clinicq.visit_event e"
    "  WHERE e.visit_id = v.id AND e.move = 'start' ORDER BY e.id DESC LIMIT 1) s ON true"
    " JOIN LATERAL (SELECT e.at FROM clinicq.visit_event e WHERE e.visit_id = v.id"
    "  AND e.move IN ('done', 'no_show') ORDER BY e.id DESC LIMIT 1) d ON true"
    " WHERE v.queue_id = $1 AND v.status IN ('DONE', 'NO_SHOW') AND NOT v.closed_by_system"
    "  AND v.service_day = ANY (ARRAY(SELECT $2 - n FROM generate_series(0, 56) n"
    "   WHERE n <= 7 OR n % 7 = 0))"
    " WINDOW who AS (PARTITION BY s.actor_name, v.service_day ORDER BY s.at)),"
    "measured AS ("
    " SELECT began, extract(epoch FROM CASE WHEN next_opened <= ended AND next_began >= ended"
    "   AND next_began < ended + interval '15 minutes' THEN next_began ELSE ended END - began)::int"
    "   AS seconds,"
    "  CASE WHEN service_day = $2 THEN 1"
    "   WHEN abs(extract(hour FROM began AT TIME ZONE $3) - extract(hour FROM now() AT TIME ZONE $3)) > 1 THEN 3"
    "   WHEN ($2 - service_day) % 7 = 0 THEN 1 ELSE 2 END AS tier FROM served)"
    "SELECT seconds, tier FROM measured WHERE seconds BETWEEN 5 AND 14400"
    " ORDER BY tier, began DESC LIMIT 3000",
    INT8OID, DATEOID, TEXTOID);
/* Who has called in the last hour is at work; $3: who else is with a patient. */
QUERY(estimate_rooms,
      "SELECT count(DISTINCT e.actor_name) FROM clinicq.visit_event e"
      " JOIN clinicq.visit v ON v.id = e.visit_id"
      " WHERE e.move = 'start' AND e.at > now() - interval '1 hour'"
      " AND v.queue_id = $1 AND v.service_day = $2",
      INT8OID, DATEOID);
QUERY(estimate_busy,
      "SELECT extract(epoch FROM now() - s.at)::int FROM clinicq.visit v"
      " JOIN LATERAL (SELECT e.at FROM clinicq.visit_event e"
      "  WHERE e.visit_id = v.id AND e.move = 'start' ORDER BY e.id DESC LIMIT 1) s ON true"
      " WHERE v.queue_id = $1 AND v.service_day = $2 AND v.status IN ('START', 'IN_ROOM') LIMIT 64",
      INT8OID, DATEOID);
QUERY(estimate_waiting,
      "SELECT v.id, v.token_number FROM clinicq.visit v WHERE v.queue_id = $1"
      " AND v.service_day = $2 AND v.status = 'WAITING' ORDER BY " VISIT_ORDER("$3",
                                                                               "$4") " LIMIT 500",
      INT8OID, DATEOID, INT2ARRAYOID, INT4OID);
QUERY(estimate_last,
      "SELECT q.token_prefix, v.token_number FROM clinicq.visit_event e"
      " JOIN clinicq.visit v ON v.id = e.visit_id JOIN clinicq.queue q ON q.id = v.queue_id"
      " WHERE e.move = 'start' AND e.at > now() - interval '1 day'"
      " AND v.queue_id = $1 AND v.service_day = $2 ORDER BY e.at DESC, e.id DESC LIMIT 1",
      INT8OID, DATEOID);

static int compare_int32(const void *a, const void *b) {
    int32 x = *(const int32 *) a;
    int32 y = *(const int32 *) b;

    return x < y ? -1 : x > y;
}

static int32 median(const int32 *sorted, int count) {
    return (int32) (((int64) sorted[(count - 1) / 2] + sorted[count / 2]) / 2);
}

/* What is far out of line is cut to the fence, so that one forgotten visit moves nothing. */
static void cut_outliers(Samples *samples) {
    int32 deviations[SAMPLES_MAX] = {0};
    int32 middle;
    int32 fence;

    qsort(samples->seconds, samples->count, sizeof(int32), compare_int32);
    middle = median(samples->seconds, samples->count);
    for (int i = 0; i < samples->count; i++)
        deviations[i] = abs(samples->seconds[i] - middle);
    qsort(deviations, samples->count, sizeof(int32), compare_int32);
    fence = middle + (int32) (FENCE * Max(median(deviations, samples->count), middle / 10));
    for (int i = samples->count - 1; i >= 0 && samples->seconds[i] > fence; i--)
        samples->seconds[i] = fence;
}

/* The narrowest tiers that hold enough. */
static void samples_read(Samples *samples, const Datum *args) {
    uint64 rows = query_read(&estimate_services, args, NULL);

    samples->count = 0;
    for (uint64 row = 0; row < rows && samples->count < SAMPLES_MAX; row++) {
        if (row > 0 && row_int32(row, 2) != row_int32(row - 1, 2) &&
            samples->count >= SAMPLES_ENOUGH)
            break;
        samples->seconds[samples->count++] = row_int32(row, 1);
    }
    if (samples->count >= SAMPLES_MIN)
        cut_outliers(samples);
}

/* How much longer a patient stays who has been in for elapsed seconds. */
static double rest_of(const int32 *pool, int count, int32 elapsed, pg_prng_state *prng) {
    int longer = 0;
    int nth;

    for (int i = 0; i < count; i++)
        longer += pool[i] > elapsed;
    if (longer == 0)
        return pool[pg_prng_uint64_range(prng, 0, count - 1)] / 2.0;
    nth = (int) pg_prng_uint64_range(prng, 0, longer - 1);
    for (int i = 0; i < count; i++)
        if (pool[i] > elapsed && nth-- == 0)
            return pool[i] - elapsed;
    return 0;
}

/*
 * One trial: a day goes on as the measured ones did. The measured services are drawn anew for each
 * trial (bootstrap), so that few of them give a wide range. free_at: when each room is free.
 */
static void trial(const Samples *samples, const int32 *busy, int busy_count, int rooms,
                  pg_prng_state *prng, int32 (*calls)[TRIALS], int count, int number) {
    int32 pool[SAMPLES_MAX];
    double free_at[ROOMS_MAX] = {0};

    for (int i = 0; i < samples->count; i++)
        pool[i] = samples->seconds[pg_prng_uint64_range(prng, 0, samples->count - 1)];
    for (int i = 0; i < busy_count; i++)
        free_at[i] = rest_of(pool, samples->count, busy[i], prng);
    for (int i = 0; i < count; i++) {
        int first = 0;

        for (int room = 1; room < rooms; room++)
            if (free_at[room] < free_at[first])
                first = room;
        calls[i][number] = (int32) free_at[first];
        free_at[first] += pool[pg_prng_uint64_range(prng, 0, samples->count - 1)];
    }
}

/* The seed is the queue's, so that a range does not flicker from one look to the next. */
static void simulate(Estimate *estimate, const Samples *samples, const int32 *busy, int busy_count,
                     int64 seed) {
    int32(*calls)[TRIALS] = palloc(Max(estimate->count, 1) * sizeof *calls);
    pg_prng_state prng;

    pg_prng_seed(&prng, (uint64) seed);
    for (int number = 0; number < TRIALS; number++)
        trial(samples, busy, busy_count, estimate->rooms, &prng, calls, estimate->count, number);
    for (int i = 0; i < estimate->count; i++) {
        qsort(calls[i], TRIALS, sizeof(int32), compare_int32);
        estimate->waits[i].from = calls[i][LOW] / SECS_PER_MINUTE;
        estimate->waits[i].to = (calls[i][HIGH] + SECS_PER_MINUTE - 1) / SECS_PER_MINUTE;
    }
}

static char *last_called(const Datum *args) {
    if (query_read(&estimate_last, args, NULL) == 0)
        return NULL;
    return visit_token_text(row_text(0, 1), row_int32(0, 2));
}

bool estimate_queue(int64 queue_id, Estimate *estimate) {
    Datum args[4] = {Int64GetDatum(queue_id)};
    Samples samples;
    int32 busy[ROOMS_MAX];
    int busy_count;
    int64 clinic_id;
    Datum zone;

    if (query_read(&estimate_queue_of, args, NULL) == 0)
        return false;
    clinic_id = row_int64(0, 1);
    estimate->prefix = row_text(0, 2);
    zone = CStringGetTextDatum(row_text(0, 3));
    args[1] = DateADTGetDatum(clock_today(clinic_id));
    priority_ageing(clinic_id, &args[2], &args[3]);
    estimate->last_called = last_called(args);
    estimate->count = (int) query_read(&estimate_waiting, args, NULL);
    estimate->waits = palloc0(Max(estimate->count, 1) * sizeof(Wait));
    for (int i = 0; i < estimate->count; i++) {
        estimate->waits[i].visit_id = row_int64(i, 1);
        estimate->waits[i].token = row_int32(i, 2);
    }
    query_read(&estimate_rooms, args, NULL);
    estimate->rooms = (int) Min(row_int64(0, 1), ROOMS_MAX);
    busy_count = (int) query_read(&estimate_busy, args, NULL);
    for (int i = 0; i < busy_count; i++)
        busy[i] = row_int32(i, 1);
    estimate->rooms = Max(estimate->rooms, busy_count);
    args[2] = zone;
    samples_read(&samples, args);
    estimate->samples = samples.count;
    estimate->reason = NULL;
    if (estimate->rooms == 0)
        estimate->reason = "nobody has called from this queue in the last hour";
    else if (samples.count < SAMPLES_MIN)
        estimate->reason = "too few visits of this queue have been measured";
    else
        simulate(estimate, &samples, busy, busy_count, queue_id);
    return true;
}

void estimate_append_range(StringInfo json, const Estimate *estimate, int index) {
    if (estimate->reason != NULL || index < 0) {
        appendStringInfoString(json, ",\"from\":null,\"to\":null");
        return;
    }
    json_int(json, "from", estimate->waits[index].from);
    json_int(json, "to", estimate->waits[index].to);
}

Datum clinicq_estimated_wait(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    Estimate estimate;

    actor_require(ROLES_BOARD);
    ARG_REQUIRE(0, "queue");
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    if (!estimate_queue(PG_GETARG_INT64(0), &estimate))
        error_not_found("open queue", psprintf(INT64_FORMAT, PG_GETARG_INT64(0)));
    for (int i = 0; i < estimate.count; i++) {
        const Wait *wait = &estimate.waits[i];
        bool unknown = estimate.reason != NULL;
        Datum values[7] = {Int64GetDatum(wait->visit_id),
                           Int32GetDatum(wait->token),
                           Int32GetDatum(i + 1),
                           Int32GetDatum(wait->from),
                           Int32GetDatum(wait->to),
                           (Datum) 0,
                           (Datum) 0};
        bool nulls[7] = {
            [3] = unknown, [4] = unknown, [5] = estimate.last_called == NULL, [6] = !unknown};

        if (!nulls[5])
            values[5] = CStringGetTextDatum(estimate.last_called);
        if (unknown)
            values[6] = CStringGetTextDatum(estimate.reason);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}

Datum clinicq_api_list_waits(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Estimate estimate;
    int64 id;

    actor_require(ROLES_BOARD);
    id = path_id(fcinfo, 0, "queue");
    SPI_connect();
    if (!estimate_queue(id, &estimate))
        error_not_found("open queue", psprintf(INT64_FORMAT, id));
    appendStringInfoChar(json, '{');
    json_int(json, "queue", id);
    json_text(json, "last_called", estimate.last_called);
    json_int(json, "rooms", estimate.rooms);
    json_int(json, "samples", estimate.samples);
    json_text(json, "reason", estimate.reason);
    json_key(json, "results");
    appendStringInfoChar(json, '[');
    for (int i = 0; i < estimate.count; i++) {
        json_comma(json);
        appendStringInfoChar(json, '{');
        json_int(json, "visit", estimate.waits[i].visit_id);
        json_text(json, "token", visit_token_text(estimate.prefix, estimate.waits[i].token));
        json_int(json, "place", i + 1);
        estimate_append_range(json, &estimate, i);
        appendStringInfoChar(json, '}');
    }
    appendStringInfoString(json, "]}");
    SPI_finish();
    return reply(200, json, NULL);
}
