/*
 * outbox_api.c: the routes under /api/deliveries/ and /api/webhooks/, for administrators. What was
 * sent is not shown: it may hold numbers, addresses and links.
 */
#include "postgres.h"

#include "actor.h"
#include "error.h"
#include "fields.h"
#include "json.h"
#include "outbox.h"
#include "page.h"
#include "query.h"
#include "reply.h"
#include "utils/array.h"
#include "webhook.h"

PG_FUNCTION_INFO_V1(clinicq_api_list_deliveries);
PG_FUNCTION_INFO_V1(clinicq_api_get_delivery);
PG_FUNCTION_INFO_V1(clinicq_api_retry_delivery);
PG_FUNCTION_INFO_V1(clinicq_api_list_webhooks);
PG_FUNCTION_INFO_V1(clinicq_api_create_webhook);
PG_FUNCTION_INFO_V1(clinicq_api_remove_webhook);

#define DELIVERIES_PATH     "/api/deliveries/"
#define DELIVERIES_PAGE     100
#define DELIVERIES_PAGE_MAX 500
#define MOVES_MAX           32
#define QUEUES_MAX          50

#define COLUMNS                                                                              \
    "id, channel, purpose, state, attempts, last_error, result::text, visit_id, webhook_id," \
    " created_at, next_attempt_at, ended_at"

QUERY_OPTIONS(deliveries_page, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT " COLUMNS " FROM clinicq.outbox WHERE ($1 IS NULL OR state = $1)"
              " AND ($2 IS NULL OR channel = $2) AND ($3::bigint IS NULL OR id < $3)"
              " ORDER BY id DESC LIMIT $4",
              TEXTOID, TEXTOID, INT8OID, INT4OID);
QUERY(delivery_by_id, "SELECT " COLUMNS " FROM clinicq.outbox WHERE id = $1", INT8OID);

static void append_time(StringInfo json, const char *key, uint64 row, int column) {
    if (row_isnull(row, column))
        json_text(json, key, NULL);
    else
        json_timestamp(json, key, row_int64(row, column), "Z");
}

static void append_id(StringInfo json, const char *key, uint64 row, int column) {
    if (row_isnull(row, column))
        json_text(json, key, NULL);
    else
        json_int(json, key, row_int64(row, column));
}

static void delivery_append_json(StringInfo json, uint64 row) {
    bool waits = strcmp(row_text(row, 4), "done") != 0 && strcmp(row_text(row, 4), "dead") != 0;

    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_text(json, "channel", row_text(row, 2));
    json_text(json, "purpose", row_text(row, 3));
    json_text(json, "state", row_text(row, 4));
    json_int(json, "attempts", row_int32(row, 5));
    json_text(json, "last_error", row_text(row, 6));
    json_key(json, "result");
    appendStringInfoString(json, row_isnull(row, 7) ? "null" : row_text(row, 7));
    append_id(json, "visit", row, 8);
    append_id(json, "webhook", row, 9);
    append_time(json, "created_at", row, 10);
    if (waits)
        append_time(json, "next_attempt_at", row, 11);
    else
        json_text(json, "next_attempt_at", NULL);
    append_time(json, "ended_at", row, 12);
    appendStringInfoChar(json, '}');
}

static bool is_state(const char *state) {
    static const char *const states[] = {"pending", "sending", "failed", "done", "dead"};

    for (int i = 0; i < lengthof(states); i++)
        if (strcmp(states[i], state) == 0)
            return true;
    return false;
}

Datum clinicq_api_list_deliveries(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    Fields *query;
    ListPage page;
    StringInfoData rows;
    char *state, *name;
    char *last_key = NULL;
    Channel channel;
    Datum args[4] = {0};
    char nulls[] = "nnn ";
    uint64 found;

    actor_require(ROLE_ADMIN);
    query = fields_of_query(fcinfo);
    page_read(&page, query, DELIVERIES_PATH, DELIVERIES_PAGE, DELIVERIES_PAGE_MAX);
    state = query_text(query, "state");
    name = query_text(query, "channel");
    if (state != NULL && !is_state(state))
        faults_add(query->faults, "state", "must be one of: pending, sending, failed, done, dead");
    if (name != NULL && !channel_find(name, &channel))
        faults_add(query->faults, "channel", "must be one of: drive, s3, sms, email, webhook");
    if (query_id(query, "cursor", &args[2]))
        nulls[2] = ' ';
    faults_raise(query->faults);
    if (state != NULL) {
        args[0] = CStringGetTextDatum(state);
        nulls[0] = ' ';
    }
    if (name != NULL) {
        args[1] = CStringGetTextDatum(name);
        nulls[1] = ' ';
    }
    args[3] = Int32GetDatum(page.size + 1); /* one more tells whether the list goes on */
    initStringInfo(&rows);
    appendStringInfoChar(&rows, '[');
    SPI_connect();
    found = query_read(&deliveries_page, args, nulls);
    if (found > page.size) {
        found = page.size;
        last_key = MemoryContextStrdup(caller, psprintf(INT64_FORMAT, row_int64(found - 1, 1)));
    }
    for (uint64 row = 0; row < found; row++)
        delivery_append_json(&rows, row);
    SPI_finish();
    appendStringInfoChar(&rows, ']');
    return page_reply_keyset(&page, &rows, last_key);
}

/* SPI is connected, and finished here; json was made before. */
static Datum delivery_reply(int64 id, StringInfo json) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&delivery_by_id, args, NULL) == 0)
        error_not_found("delivery", psprintf(INT64_FORMAT, id));
    delivery_append_json(json, 0);
    SPI_finish();
    return reply(200, json, NULL);
}

Datum clinicq_api_get_delivery(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();

    actor_require(ROLE_ADMIN);
    SPI_connect();
    return delivery_reply(path_id(fcinfo, 0, "delivery"), json);
}

Datum clinicq_api_retry_delivery(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "delivery");
    SPI_connect();
    outbox_retry(id);
    return delivery_reply(id, json);
}

Datum clinicq_api_list_webhooks(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    uint64 rows;

    actor_require(ROLE_ADMIN);
    appendStringInfoChar(json, '[');
    SPI_connect();
    rows = webhook_read(0);
    for (uint64 row = 0; row < rows; row++)
        webhook_append_json(json, row);
    SPI_finish();
    appendStringInfoChar(json, ']');
    return reply(200, json, NULL);
}

/* An array of texts, or nothing; the texts' datum. */
static Datum read_moves(Fields *fields) {
    ArrayBuildState *moves = initArrayResult(TEXTOID, CurrentMemoryContext, false);
    JsonbValue found;
    JsonbIterator *iterator;
    JsonbValue item;
    JsonbIteratorToken token;
    int count = 0;

    if (fields->object == NULL ||
        getKeyJsonValueFromContainer(&fields->object->root, "moves", 5, &found) == NULL ||
        found.type == jbvNull)
        return makeArrayResult(moves, CurrentMemoryContext);
    if (found.type != jbvBinary || !JsonContainerIsArray(found.val.binary.data)) {
        faults_add(fields->faults, "moves", "must be an array of moves, as [\"start\", \"done\"]");
        return makeArrayResult(moves, CurrentMemoryContext);
    }
    iterator = JsonbIteratorInit(found.val.binary.data);
    while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE) {
        if (token != WJB_ELEM)
            continue;
        if (item.type != jbvString || ++count > MOVES_MAX) {
            faults_add(fields->faults, "moves", "must be an array of up to %d moves", MOVES_MAX);
            break;
        }
        moves = accumArrayResult(
            moves,
            PointerGetDatum(cstring_to_text_with_len(item.val.string.val, item.val.string.len)),
            false, TEXTOID, CurrentMemoryContext);
    }
    return makeArrayResult(moves, CurrentMemoryContext);
}

static bool is_empty_array(const JsonbValue *value) {
    return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
           JsonContainerSize(value->val.binary.data) == 0;
}

/* The ids of the queues, or none where the field is absent, or empty as it is shown. */
static Datum read_queues(Fields *fields) {
    JsonbValue found;
    int64 ids[QUEUES_MAX];
    Datum elements[QUEUES_MAX];
    int count = 0;

    if (fields->object != NULL &&
        getKeyJsonValueFromContainer(&fields->object->root, "queues", 6, &found) != NULL &&
        found.type != jbvNull && !is_empty_array(&found))
        field_ids(fields, "queues", ids, QUEUES_MAX, &count);
    for (int i = 0; i < count; i++)
        elements[i] = Int64GetDatum(ids[i]);
    return PointerGetDatum(
        construct_array(elements, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum clinicq_api_create_webhook(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *url = NULL;
    Datum moves, queues;

    actor_require(ROLE_ADMIN);
    fields = fields_of_body(fcinfo);
    if (field_given(fields, "url", &url, false) == false)
        url = NULL;
    moves = read_moves(fields);
    queues = read_queues(fields);
    SPI_connect();
    webhook_check(fields->faults, url, moves, queues);
    faults_raise(fields->faults);
    webhook_read(webhook_add(url, moves, queues));
    webhook_append_json(json, 0);
    SPI_finish();
    return reply(201, json, NULL);
}

Datum clinicq_api_remove_webhook(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    webhook_remove(path_id(fcinfo, 0, "webhook"));
    SPI_finish();
    return reply(204, NULL, NULL);
}
