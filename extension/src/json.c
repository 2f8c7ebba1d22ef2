#include "json.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

void json_comma(StringInfo json) {
    char last = json->len > 0 ? json->data[json->len - 1] : '[';

    if (last != '{' && last != '[' && last != ':')
        appendStringInfoChar(json, ',');
}

void json_key(StringInfo json, const char *key) {
    json_comma(json);
    escape_json(json, key);
    appendStringInfoChar(json, ':');
}

void json_text(StringInfo json, const char *key, const char *value) {
    json_key(json, key);
    if (value == NULL)
        appendStringInfoString(json, "null");
    else
        escape_json(json, value);
}

void json_int(StringInfo json, const char *key, int64 value) {
    json_key(json, key);
    appendStringInfo(json, INT64_FORMAT, value);
}

void json_bool(StringInfo json, const char *key, bool value) {
    json_key(json, key);
    appendStringInfoString(json, value ? "true" : "false");
}

void text_date(StringInfo out, DateADT value) {
    int year, month, day;

    j2date(value + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    appendStringInfo(out, "%04d-%02d-%02d", year, month, day);
}

static void append_date(StringInfo json, DateADT value) {
    appendStringInfoChar(json, '"');
    text_date(json, value);
    appendStringInfoChar(json, '"');
}

void json_date(StringInfo json, const char *key, DateADT value) {
    json_key(json, key);
    append_date(json, value);
}

void text_timestamp(StringInfo out, TimestampTz value, const char *zone) {
    struct pg_tm tm;
    fsec_t fraction;

    if (timestamp2tm(value, NULL, &tm, &fraction, NULL, NULL) != 0)
        ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                errmsg("timestamp out of range"));
    appendStringInfo(out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (fraction != 0)
        appendStringInfo(out, ".%06d", (int) fraction);
    appendStringInfoString(out, zone);
}

void json_timestamp(StringInfo json, const char *key, TimestampTz value, const char *zone) {
    json_key(json, key);
    appendStringInfoChar(json, '"');
    text_timestamp(json, value, zone);
    appendStringInfoChar(json, '"');
}

void json_date_array(StringInfo json, const char *key, Datum array) {
    Datum *items;
    bool *nulls;
    int count;

    deconstruct_array(DatumGetArrayTypeP(array), DATEOID, sizeof(DateADT), true, TYPALIGN_INT,
                      &items, &nulls, &count);
    json_key(json, key);
    appendStringInfoChar(json, '[');
    for (int i = 0; i < count; i++) {
        json_comma(json);
        append_date(json, DatumGetDateADT(items[i]));
    }
    appendStringInfoChar(json, ']');
}
