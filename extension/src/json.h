/*
 * json.h: writing JSON text. A comma is put where the text so far needs one.
 */
#ifndef CQ_JSON_H
#define CQ_JSON_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/date.h"

extern void json_comma(StringInfo json);
extern void json_key(StringInfo json, const char *key);
extern void json_text(StringInfo json, const char *key, const char *value); /* NULL: null */
extern void json_int(StringInfo json, const char *key, int64 value);
extern void json_bool(StringInfo json, const char *key, bool value);
extern void json_date(StringInfo json, const char *key, DateADT value);
/* RFC 3339 in UTC, six digits of a second or none. zone: "Z" or "+00:00". */
extern void json_timestamp(StringInfo json, const char *key, TimestampTz value, const char *zone);
/* The texts of both, without quotes. */
extern void text_date(StringInfo out, DateADT value);
extern void text_timestamp(StringInfo out, TimestampTz value, const char *zone);
/* An array of dates, from a date[]. */
extern void json_date_array(StringInfo json, const char *key, Datum array);

#endif
