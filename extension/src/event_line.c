#include "event_line.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "json.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(clinicq_event_line);

static void line_text(StringInfo line, const char *key, Datum value, bool isnull) {
    json_text(line, key, isnull ? NULL : TextDatumGetCString(value));
}

static void line_literal(StringInfo line, const char *key, const char *literal) {
    json_key(line, key);
    appendStringInfoString(line, literal);
}

static void line_number(StringInfo line, const char *key, Datum value, bool isnull) {
    if (isnull)
        line_literal(line, key, "null");
    else
        json_int(line, key, DatumGetInt64(value));
}

/* A row of before the table was guarded may hold any time; each has one text. */
void line_instant(StringInfo line, const char *key, TimestampTz at) {
    struct pg_tm tm;
    fsec_t fraction;

    json_key(line, key);
    if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fraction, NULL, NULL) != 0)
        appendStringInfo(line, "\"microseconds " INT64_FORMAT "\"", at);
    else
        appendStringInfo(line, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year, tm.tm_mon,
                         tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fraction);
}

static void line_roles(StringInfo line, Datum array) {
    Datum *items;
    bool *nulls;
    int count;

    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls,
                      &count);
    json_key(line, "roles");
    appendStringInfoChar(line, '[');
    for (int i = 0; i < count; i++) {
        json_comma(line);
        if (nulls[i])
            appendStringInfoString(line, "null");
        else
            escape_json(line, TextDatumGetCString(items[i]));
    }
    appendStringInfoChar(line, ']');
}

void event_line(StringInfo line, const Datum *values, const bool *nulls) {
    appendStringInfoChar(line, '{');
    line_number(line, "id", values[EVENT_ID], nulls[EVENT_ID]);
    line_instant(line, "at", DatumGetTimestampTz(values[EVENT_AT]));
    if (nulls[EVENT_TRANSACTION_ID])
        line_literal(line, "transaction_id", "null");
    else {
        json_key(line, "transaction_id");
        appendStringInfo(
            line, UINT64_FORMAT,
            U64FromFullTransactionId(DatumGetFullTransactionId(values[EVENT_TRANSACTION_ID])));
    }
    line_number(line, "actor_id", values[EVENT_ACTOR_ID], nulls[EVENT_ACTOR_ID]);
    line_text(line, "actor_name", values[EVENT_ACTOR_NAME], nulls[EVENT_ACTOR_NAME]);
    line_roles(line, values[EVENT_ROLES]);
    line_text(line, "door", values[EVENT_DOOR], nulls[EVENT_DOOR]);
    json_text(line, "client",
              nulls[EVENT_CLIENT]
                  ? NULL
                  : DatumGetCString(DirectFunctionCall1(inet_out, values[EVENT_CLIENT])));
    line_text(line, "request_id", values[EVENT_REQUEST_ID], nulls[EVENT_REQUEST_ID]);
    line_text(line, "action", values[EVENT_ACTION], nulls[EVENT_ACTION]);
    line_text(line, "entity", values[EVENT_ENTITY], nulls[EVENT_ENTITY]);
    line_text(line, "entity_id", values[EVENT_ENTITY_ID], nulls[EVENT_ENTITY_ID]);
    if (nulls[EVENT_CHANGES])
        line_literal(line, "changes", "null");
    else {
        Jsonb *changes = DatumGetJsonbP(values[EVENT_CHANGES]);

        json_key(line, "changes");
        JsonbToCString(line, &changes->root, VARSIZE(changes));
    }
    line_text(line, "outcome", values[EVENT_OUTCOME], nulls[EVENT_OUTCOME]);
    appendStringInfoChar(line, '}');
}

static bool is_event(TupleDesc shape) {
    static const Oid types[EVENT_COLUMN_COUNT] = {
        INT8OID, TIMESTAMPTZOID, XID8OID, INT8OID, TEXTOID, TEXTARRAYOID, TEXTOID,
        INETOID, TEXTOID,        TEXTOID, TEXTOID, TEXTOID, JSONBOID,     TEXTOID};

    if (shape->natts != EVENT_COLUMN_COUNT)
        return false;
    for (int i = 0; i < EVENT_COLUMN_COUNT; i++)
        if (TupleDescAttr(shape, i)->atttypid != types[i])
            return false;
    return true;
}

/* A record of the columns of clinicq.audit_event, in the order of EVENT_COLUMNS. */
Datum clinicq_event_line(PG_FUNCTION_ARGS) {
    HeapTupleHeader row;
    HeapTupleData tuple = {0};
    TupleDesc shape;
    Datum values[EVENT_COLUMN_COUNT];
    bool nulls[EVENT_COLUMN_COUNT];
    StringInfoData line;

    row = PG_GETARG_HEAPTUPLEHEADER(0);
    shape = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
    if (!is_event(shape))
        ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
                errmsg("event_line() takes a record of the columns of clinicq.audit_event"));
    tuple.t_len = HeapTupleHeaderGetDatumLength(row);
    tuple.t_data = row;
    heap_deform_tuple(&tuple, shape, values, nulls);
    ReleaseTupleDesc(shape);
    initStringInfo(&line);
    event_line(&line, values, nulls);
    PG_RETURN_TEXT_P(cstring_to_text_with_len(line.data, line.len));
}
