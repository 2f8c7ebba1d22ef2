/*
 * audit.c: the triggers of the audit log.
 */
#include "audit.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "actor.h"
#include "audit_insert.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "json.h"
#include "personal.h"
#include "query.h"
#include "utils/array.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(clinicq_audit_row);
PG_FUNCTION_INFO_V1(clinicq_audit_refuse);

#define SECRET   "***"
#define PERSONAL "personal:" /* in front of a column in the arguments of the trigger */

/* What may be erased later stands beside the event. */
QUERY(audit_insert_personal,
      "INSERT INTO clinicq.audit_personal (event_id, entity, entity_id, contents)"
      " VALUES ($1, $2, $3, $4)",
      INT8OID, TEXTOID, TEXTOID, JSONBOID);

/* What the trigger finds out about a row. */
typedef struct Changes {
    const Trigger *trigger;
    StringInfoData personal; /* contents of clinicq.audit_personal, without the braces */
    bool in_column;          /* personal ends within a column's object */
} Changes;

static JsonbValue text_value(const char *string) {
    JsonbValue json = {.type = jbvString};

    json.val.string.val = (char *) string;
    json.val.string.len = (int) strlen(string);
    return json;
}

/* An object is built as JsonbValueToJsonb() reads it, its keys in the order of jsonb: the trigger
 * is in every write's path, and pushJsonbValue() takes twice as long. */
static JsonbValue new_object(int most) {
    JsonbValue json = {.type = jbvObject};

    json.val.object.pairs = palloc(most * sizeof(JsonbPair));
    return json;
}

static void add_pair(JsonbValue *object, const char *key, JsonbValue value) {
    JsonbPair *pair = &object->val.object.pairs[object->val.object.nPairs++];

    pair->key = text_value(key);
    pair->value = value;
}

/* Shorter keys first, and by their bytes. */
static int compare_pairs(const void *a, const void *b) {
    const JsonbValue *left = &((const JsonbPair *) a)->key;
    const JsonbValue *right = &((const JsonbPair *) b)->key;

    if (left->val.string.len != right->val.string.len)
        return left->val.string.len - right->val.string.len;
    return memcmp(left->val.string.val, right->val.string.val, left->val.string.len);
}

static char *output_of(Form_pg_attribute column, Datum value) {
    Oid output;
    bool is_varlena;

    getTypeOutputInfo(column->atttypid, &output, &is_varlena);
    return OidOutputFunctionCall(output, value);
}

/* A column as JSON: numbers and booleans as such, everything else as its text. */
static JsonbValue column_value(Form_pg_attribute column, Datum value) {
    JsonbValue json;

    switch (column->atttypid) {
    case BOOLOID:
        json.type = jbvBool;
        json.val.boolean = DatumGetBool(value);
        return json;
    case INT2OID:
    case INT4OID:
    case INT8OID:
        json.type = jbvNumeric;
        json.val.numeric = int64_to_numeric(column->atttypid == INT2OID   ? DatumGetInt16(value)
                                            : column->atttypid == INT4OID ? DatumGetInt32(value)
                                                                          : DatumGetInt64(value));
        return json;
    case TIMESTAMPTZOID:
    case DATEOID:
    case TIMEOID: {
        /* In UTC, whatever the session's time zone and date style. */
        static const int utc = 0;

        return text_value(
            JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, column->atttypid, &utc));
    }
    default:
        return text_value(output_of(column, value));
    }
}

static bool is_declared(const Trigger *trigger, const char *prefix, const char *column) {
    size_t len = strlen(prefix);

    for (int i = 1; i < trigger->tgnargs; i++)
        if (strncmp(trigger->tgargs[i], prefix, len) == 0 &&
            strcmp(trigger->tgargs[i] + len, column) == 0)
            return true;
    return false;
}

/* Its hash goes to the event, the value beside it. */
static JsonbValue personal_value(Changes *changes, const char *side, Form_pg_attribute column,
                                 Datum value) {
    char *hash = palloc(PERSONAL_HASH_HEX + 1);
    JsonbValue json = new_object(1);

    if (!changes->in_column) {
        json_key(&changes->personal, NameStr(column->attname));
        appendStringInfoChar(&changes->personal, '{');
        changes->in_column = true;
    }
    personal_commit(&changes->personal, side, output_of(column, value), hash);
    add_pair(&json, "erasable", text_value(hash));
    return json;
}

static JsonbValue side_value(Changes *changes, const char *side, Form_pg_attribute column,
                             Datum value, bool isnull) {
    if (isnull)
        return (JsonbValue){.type = jbvNull};
    if (is_declared(changes->trigger, "", NameStr(column->attname)))
        return text_value(SECRET);
    if (is_declared(changes->trigger, PERSONAL, NameStr(column->attname)))
        return personal_value(changes, side, column, value);
    return column_value(column, value);
}

/* A row's columns, all NULL of one that is absent. */
typedef struct Row {
    Datum *values;
    bool *nulls;
} Row;

static Row row_of(TupleDesc shape, HeapTuple tuple) {
    Row row = {palloc(shape->natts * sizeof(Datum)), palloc(shape->natts * sizeof(bool))};

    if (tuple != NULL)
        heap_deform_tuple(tuple, shape, row.values, row.nulls);
    else
        memset(row.nulls, true, shape->natts * sizeof(bool));
    return row;
}

static bool is_same(Form_pg_attribute column, int i, const Row *before, const Row *after) {
    if (before->nulls[i] || after->nulls[i])
        return before->nulls[i] && after->nulls[i];
    return datum_image_eq(before->values[i], after->values[i], column->attbyval, column->attlen);
}

/* {"column": {"old": ..., "new": ...}} of the columns that differ; either row may be absent. */
static Jsonb *changed_columns(Changes *changes, TupleDesc shape, HeapTuple before,
                              HeapTuple after) {
    Row old_row = row_of(shape, before);
    Row new_row = row_of(shape, after);
    JsonbValue columns = new_object(shape->natts);

    initStringInfo(&changes->personal);
    for (int i = 0; i < shape->natts; i++) {
        Form_pg_attribute column = TupleDescAttr(shape, i);
        JsonbValue sides;

        if (column->attisdropped || is_same(column, i, &old_row, &new_row))
            continue;
        sides = new_object(2);
        if (after != NULL)
            add_pair(&sides, "new",
                     side_value(changes, "new", column, new_row.values[i], new_row.nulls[i]));
        if (before != NULL)
            add_pair(&sides, "old",
                     side_value(changes, "old", column, old_row.values[i], old_row.nulls[i]));
        add_pair(&columns, NameStr(column->attname), sides);
        if (changes->in_column)
            appendStringInfoChar(&changes->personal, '}');
        changes->in_column = false;
    }
    qsort(columns.val.object.pairs, columns.val.object.nPairs, sizeof(JsonbPair), compare_pairs);
    return JsonbValueToJsonb(&columns);
}

static AuditKey write_event(const char *action, const char *entity, const char *entity_id,
                            Jsonb *changes, const char *personal, const char *outcome) {
    const Actor *actor = actor_current();
    Datum values[EVENT_COLUMN_COUNT];
    bool nulls[EVENT_COLUMN_COUNT] = {false};
    AuditKey key = {.at = GetCurrentTimestamp()};
    Datum beside[4];

    /* now() is when the transaction began; at is when the change was made */
    values[EVENT_AT] = TimestampTzGetDatum(key.at);
    /* before the event's id is drawn, as sealing needs it */
    values[EVENT_TRANSACTION_ID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
    values[EVENT_ACTOR_ID] = Int64GetDatum(actor->user_id);
    nulls[EVENT_ACTOR_ID] = actor->user_id == 0;
    values[EVENT_ACTOR_NAME] = CStringGetTextDatum(actor->name);
    values[EVENT_ROLES] = roles_to_array(actor_roles());
    values[EVENT_DOOR] = CStringGetTextDatum(actor->door);
    nulls[EVENT_CLIENT] = *actor->client == '\0';
    values[EVENT_CLIENT] =
        *actor->client ? DirectFunctionCall1(inet_in, CStringGetDatum(actor->client)) : 0;
    nulls[EVENT_REQUEST_ID] = *actor->request_id == '\0';
    values[EVENT_REQUEST_ID] = CStringGetTextDatum(actor->request_id);
    values[EVENT_ACTION] = CStringGetTextDatum(action);
    values[EVENT_ENTITY] = CStringGetTextDatum(entity);
    nulls[EVENT_ENTITY_ID] = entity_id == NULL;
    values[EVENT_ENTITY_ID] = entity_id ? CStringGetTextDatum(entity_id) : 0;
    nulls[EVENT_CHANGES] = changes == NULL;
    values[EVENT_CHANGES] = changes ? JsonbPGetDatum(changes) : 0;
    values[EVENT_OUTCOME] = CStringGetTextDatum(outcome);
    key.id = audit_insert(values, nulls);
    if (*personal == '\0')
        return key;
    beside[0] = Int64GetDatum(key.id);
    beside[1] = values[EVENT_ENTITY];
    beside[2] = values[EVENT_ENTITY_ID];
    beside[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", personal)));
    SPI_connect();
    query_write(&audit_insert_personal, beside, nulls[EVENT_ENTITY_ID] ? "  n " : NULL);
    SPI_finish();
    return key;
}

void audit_event(const char *action, const char *entity, int64 id, const char *outcome) {
    audit_event_with(action, entity, id, NULL, outcome);
}

AuditKey audit_event_with(const char *action, const char *entity, int64 id, const char *detail,
                          const char *outcome) {
    Jsonb *changes = NULL;

    if (detail != NULL)
        changes = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(detail)));
    return write_event(action, entity, id == 0 ? NULL : psprintf(INT64_FORMAT, id), changes, "",
                       outcome);
}

/* The columns of the key, with commas between them in the trigger: their values, with slashes. */
static char *key_of(const char *columns, TupleDesc shape, HeapTuple row) {
    char *rest = pstrdup(columns);
    StringInfoData key;

    initStringInfo(&key);
    for (char *column; (column = strsep(&rest, ",")) != NULL;) {
        int number = SPI_fnumber(shape, column);

        if (number <= 0)
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("audit_row(): there is no column %s", column));
        appendStringInfo(&key, "%s%s", key.len > 0 ? "/" : "", SPI_getvalue(row, shape, number));
    }
    return key.data;
}

Datum clinicq_audit_row(PG_FUNCTION_ARGS) {
    TriggerData *event = (TriggerData *) fcinfo->context;
    HeapTuple before = NULL;
    HeapTuple after = NULL;
    const char *action;
    char *entity_id = NULL;
    Jsonb *columns = NULL;
    Changes changes = {0};

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(event->tg_event))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("audit_row() must be called as an AFTER trigger"));
    if (event->tg_trigger->tgnargs < 1)
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("audit_row() needs the name of the key column"));
    if (TRIGGER_FIRED_BY_INSERT(event->tg_event)) {
        action = "INSERT";
        after = event->tg_trigtuple;
    } else if (TRIGGER_FIRED_BY_UPDATE(event->tg_event)) {
        action = "UPDATE";
        before = event->tg_trigtuple;
        after = event->tg_newtuple;
    } else if (TRIGGER_FIRED_BY_DELETE(event->tg_event)) {
        action = "DELETE";
        before = event->tg_trigtuple;
    } else
        action = "TRUNCATE";

    if (TRIGGER_FIRED_FOR_ROW(event->tg_event)) {
        TupleDesc shape = event->tg_relation->rd_att;

        entity_id = key_of(event->tg_trigger->tgargs[0], shape, after ? after : before);
        changes.trigger = event->tg_trigger;
        columns = changed_columns(&changes, shape, before, after);
    }
    write_event(action, RelationGetRelationName(event->tg_relation), entity_id, columns,
                columns != NULL ? changes.personal.data : "", "done");
    return PointerGetDatum(NULL);
}

Datum clinicq_audit_refuse(PG_FUNCTION_ARGS) {
    TriggerData *event = (TriggerData *) fcinfo->context;

    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("audit_refuse() must be called as a trigger"));
    if (event->tg_trigger->tgnargs == 1 && TRIGGER_FIRED_BY_DELETE(event->tg_event) &&
        personal_is_erasing())
        return PointerGetDatum(NULL);
    ereport(
        ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("the audit log cannot be changed"),
        errhint("Events are only ever added, by the triggers of the tables that they tell of."));
}
