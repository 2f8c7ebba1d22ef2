#include "webhook.h"

#include "actor.h"
#include "address.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "query.h"
#include "utils/array.h"
#include "visit_move.h"

PG_FUNCTION_INFO_V1(clinicq_add_webhook);
PG_FUNCTION_INFO_V1(clinicq_remove_webhook);
PG_FUNCTION_INFO_V1(clinicq_webhooks);

#define COLUMNS                                                                   \
    "w.id, w.url, w.moves, w.queues,"                                             \
    " (SELECT count(*) FROM clinicq.outbox o WHERE o.webhook_id = w.id"           \
    "  AND o.state IN ('pending', 'sending', 'failed')), to_json(w.moves)::text," \
    " to_json(w.queues)::text, w.created_at"
#define COLUMN_COUNT 8

QUERY(webhook_insert,
      "INSERT INTO clinicq.webhook (url, moves, queues) VALUES ($1, $2, $3) RETURNING id", TEXTOID,
      TEXTARRAYOID, INT8ARRAYOID);
QUERY(webhook_delete, "DELETE FROM clinicq.webhook WHERE id = $1", INT8OID);
QUERY(webhooks_read,
      "SELECT " COLUMNS " FROM clinicq.webhook w WHERE $1 = 0 OR w.id = $1 ORDER BY w.id", INT8OID);
QUERY(queues_unknown,
      "SELECT FROM unnest($1) AS wanted (id) WHERE NOT EXISTS"
      " (SELECT FROM clinicq.queue q WHERE q.id = wanted.id) LIMIT 1",
      INT8ARRAYOID);

void webhook_check(Faults *faults, const char *url, Datum moves, Datum queues) {
    const char *fault = url == NULL || *url == '\0' ? "is required" : address_url_fault(url);
    Datum *names;
    int count;

    if (fault != NULL)
        faults_add(faults, "url", "%s", fault);
    if (array_contains_nulls(DatumGetArrayTypeP(moves)) ||
        array_contains_nulls(DatumGetArrayTypeP(queues))) {
        faults_add(faults, "moves", "must not hold null, nor must queues");
        return;
    }
    deconstruct_array(DatumGetArrayTypeP(moves), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
                      &count);
    for (int i = 0; i < count; i++)
        if (!move_is_event(TextDatumGetCString(names[i]))) {
            faults_add(faults, "moves", "must be moves of a visit, as open, start or done");
            break;
        }
    if (query_write(&queues_unknown, &queues, NULL) > 0)
        faults_add(faults, "queues", "must all be queues");
}

int64 webhook_add(const char *url, Datum moves, Datum queues) {
    Datum args[3] = {CStringGetTextDatum(url), moves, queues};

    query_write(&webhook_insert, args, NULL);
    return row_int64(0, 1);
}

void webhook_remove(int64 id) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&webhook_delete, args, NULL) == 0)
        error_not_found("webhook", psprintf(INT64_FORMAT, id));
}

uint64 webhook_read(int64 id) {
    Datum args[1] = {Int64GetDatum(id)};

    return query_write(&webhooks_read, args, NULL);
}

void webhook_append_json(StringInfo json, uint64 row) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_text(json, "url", row_text(row, 2));
    json_key(json, "moves");
    appendStringInfoString(json, row_text(row, 6));
    json_key(json, "queues");
    appendStringInfoString(json, row_text(row, 7));
    json_int(json, "waiting", row_int64(row, 5));
    json_timestamp(json, "created_at", row_int64(row, 8), "Z");
    appendStringInfoChar(json, '}');
}

Datum clinicq_add_webhook(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    int64 id;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "url");
    ARG_REQUIRE(1, "moves");
    ARG_REQUIRE(2, "queues");
    SPI_connect();
    webhook_check(faults, ARG_CSTRING(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2));
    faults_raise(faults);
    id = webhook_add(ARG_CSTRING(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2));
    SPI_finish();
    PG_RETURN_INT64(id);
}

Datum clinicq_remove_webhook(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "webhook");
    SPI_connect();
    webhook_remove(PG_GETARG_INT64(0));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_webhooks(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    uint64 rows;

    actor_require(ROLE_ADMIN);
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = webhook_read(0);
    for (uint64 row = 0; row < rows; row++) {
        Datum columns[COLUMN_COUNT];
        bool nulls[COLUMN_COUNT];

        row_values(row, columns, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}
