/*
 * queue_api.c: the routes under /api/queues/.
 */
#include "postgres.h"

#include "actor.h"
#include "clock.h"
#include "error.h"
#include "etag.h"
#include "fields.h"
#include "json.h"
#include "query.h"
#include "queue.h"
#include "reply.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_queues);
PG_FUNCTION_INFO_V1(clinicq_api_create_queue);
PG_FUNCTION_INFO_V1(clinicq_api_get_queue);
PG_FUNCTION_INFO_V1(clinicq_api_update_queue);
PG_FUNCTION_INFO_V1(clinicq_api_close_queue);

#define QUEUE_COLUMNS "id, name, token_prefix, created_at, updated_at"

QUERY(queues_all,
      "SELECT " QUEUE_COLUMNS " FROM clinicq.queue WHERE closed_at IS NULL ORDER BY name, id");
QUERY(queue_by_id,
      "SELECT " QUEUE_COLUMNS " FROM clinicq.queue WHERE id = $1 AND closed_at IS NULL", INT8OID);

QUERY(queue_lock_row,
      "SELECT FROM clinicq.queue WHERE id = $1 AND closed_at IS NULL FOR NO KEY UPDATE", INT8OID);

static void queue_append_json(StringInfo json, uint64 row) {
    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_text(json, "name", row_text(row, 2));
    json_text(json, "token_prefix", row_text(row, 3));
    json_timestamp(json, "created_at", row_int64(row, 4), "Z");
    json_timestamp(json, "updated_at", row_int64(row, 5), "Z");
    appendStringInfoChar(json, '}');
}

Datum clinicq_api_list_queues(PG_FUNCTION_ARGS) {
    StringInfoData json;
    uint64 rows;

    initStringInfo(&json);
    appendStringInfoChar(&json, '[');
    SPI_connect();
    rows = query_read(&queues_all, NULL, NULL);
    for (uint64 row = 0; row < rows; row++)
        queue_append_json(&json, row);
    SPI_finish();
    appendStringInfoChar(&json, ']');
    return reply(200, &json, NULL);
}

/* SPI is connected, and finished here; json was made before. */
static Datum queue_reply(int status, int64 id, StringInfo json) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&queue_by_id, args, NULL) == 0)
        error_not_found("queue", psprintf(INT64_FORMAT, id));
    queue_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_get_queue(PG_FUNCTION_ARGS) {
    int64 id = path_id(fcinfo, 0, "queue");
    StringInfo json = makeStringInfo();

    SPI_connect();
    return queue_reply(200, id, json);
}

bool queue_append_locked(const char *key, StringInfo json) {
    Datum id;

    if (!entity_lock(&queue_lock_row, key, &id) || query_write(&queue_by_id, &id, NULL) == 0)
        return false;
    queue_append_json(json, 0);
    return true;
}

static void read_queue(Fields *fields, char **name, char **token_prefix, bool name_required) {
    field_given(fields, "name", name, name_required);
    field_given(fields, "token_prefix", token_prefix, false);
    queue_check(fields->faults, name, *token_prefix);
}

Datum clinicq_api_create_queue(PG_FUNCTION_ARGS) {
    Fields *fields;
    char *name;
    char *token_prefix;
    StringInfo json = makeStringInfo();

    actor_require(ROLE_ADMIN);
    fields = fields_of_body(fcinfo);
    read_queue(fields, &name, &token_prefix, true);
    faults_raise(fields->faults);
    SPI_connect();
    return queue_reply(
        201, queue_create(clock_first_clinic(), name, token_prefix ? token_prefix : ""), json);
}

Datum clinicq_api_update_queue(PG_FUNCTION_ARGS) {
    Fields *fields;
    char *name;
    char *token_prefix;
    int64 id;
    StringInfo json = makeStringInfo();

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "queue");
    fields = fields_of_body(fcinfo);
    read_queue(fields, &name, &token_prefix, false);
    faults_raise(fields->faults);
    SPI_connect();
    queue_change(id, name, token_prefix);
    return queue_reply(200, id, json);
}

Datum clinicq_api_close_queue(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    queue_close(path_id(fcinfo, 0, "queue"));
    SPI_finish();
    return reply(204, NULL, NULL);
}
