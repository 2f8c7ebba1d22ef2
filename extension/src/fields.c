#include "fields.h"

#include <ctype.h>

#include "actor.h"
#include "dispatch.h"
#include "error.h"
#include "query.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static Fields *fields_new(Jsonb *object) {
    Fields *fields = palloc(sizeof *fields);

    fields->object = object;
    fields->faults = faults_new();
    return fields;
}

Fields *fields_of_query(FunctionCallInfo fcinfo) {
    Jsonb *query = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);

    if (query != NULL && !JB_ROOT_IS_OBJECT(query))
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("the query parameters must be a JSON object"));
    return fields_new(query);
}

Fields *fields_of_body(FunctionCallInfo fcinfo) {
    const char *fault = request_body_fault();
    Jsonb *body;

    if (fault != NULL && strcmp(fault, "media-type") == 0)
        ereport(ERROR, errcode(ERRCODE_CQ_MEDIA_TYPE),
                errmsg("this content type is not accepted here"),
                errhint("Send application/json or a form."));
    if (fault != NULL && strcmp(fault, "encoding") == 0)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("the body must be UTF-8 text without NUL characters"));
    if (fault != NULL)
        ereport(ERROR, errcode(ERRCODE_CQ_BAD_REQUEST),
                errmsg("the body is not a well-formed form"));
    if (PG_ARGISNULL(2))
        return fields_new(NULL);
    body = DatumGetJsonbP(
        DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(PG_GETARG_DATUM(2)))));
    if (!JB_ROOT_IS_OBJECT(body)) {
        Faults *faults = faults_new();

        faults_add(faults, "non_field_errors", "the body must be a JSON object");
        faults_raise(faults);
    }
    return fields_new(body);
}

static FieldState field_get(Fields *fields, const char *name, JsonbValue *value) {
    if (fields->object == NULL || JB_ROOT_COUNT(fields->object) == 0 ||
        getKeyJsonValueFromContainer(&fields->object->root, name, (int) strlen(name), value) ==
            NULL)
        return FIELD_ABSENT;
    return value->type == jbvNull ? FIELD_NULL : FIELD_VALUE;
}

FieldState field_text(Fields *fields, const char *name, char **value) {
    JsonbValue found;
    FieldState state = field_get(fields, name, &found);

    *value = NULL;
    if (state != FIELD_VALUE)
        return state;
    if (found.type == jbvString)
        *value = pnstrdup(found.val.string.val, found.val.string.len);
    else if (found.type == jbvNumeric)
        *value =
            DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(found.val.numeric)));
    else {
        faults_add(fields->faults, name, "must be a text");
        return FIELD_BAD;
    }
    return FIELD_VALUE;
}

bool field_given(Fields *fields, const char *name, char **value, bool required) {
    FieldState state = field_text(fields, name, value);

    if (state == FIELD_NULL)
        faults_add(fields->faults, name, "must not be null");
    if (state == FIELD_ABSENT && required)
        faults_add(fields->faults, name, "is required");
    return state == FIELD_VALUE;
}

bool parse_int64(const char *string, int64 *value) {
    char *trimmed = trim_blanks(string);
    char *end;

    errno = 0;
    *value = strtoll(trimmed, &end, 10);
    return errno == 0 && *end == '\0' &&
           (isdigit((unsigned char) *trimmed) ||
            (*trimmed == '-' && isdigit((unsigned char) trimmed[1])));
}

static bool number_read(const JsonbValue *found, int64 *value) {
    char *number = NULL;

    if (found->type == jbvString)
        number = pnstrdup(found->val.string.val, found->val.string.len);
    else if (found->type == jbvNumeric)
        number =
            DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(found->val.numeric)));
    return number != NULL && parse_int64(number, value);
}

FieldState field_int64(Fields *fields, const char *name, int64 *value) {
    JsonbValue found;
    FieldState state = field_get(fields, name, &found);

    if (state != FIELD_VALUE)
        return state;
    if (number_read(&found, value))
        return FIELD_VALUE;
    faults_add(fields->faults, name, "must be a whole number");
    return FIELD_BAD;
}

bool field_ids(Fields *fields, const char *name, int64 *ids, int max, int *count) {
    JsonbValue found;
    JsonbContainer *array;
    bool good = field_get(fields, name, &found) == FIELD_VALUE && found.type == jbvBinary &&
                JsonContainerIsArray(found.val.binary.data);

    *count = 0;
    array = good ? found.val.binary.data : NULL;
    good = good && JsonContainerSize(array) >= 1 && JsonContainerSize(array) <= max;
    for (uint32 i = 0; good && i < JsonContainerSize(array); i++)
        good = number_read(getIthJsonbValueFromContainer(array, i), &ids[(*count)++]);
    if (!good)
        faults_add(fields->faults, name, "must be an array of 1 to %d whole numbers", max);
    return good;
}

FieldState field_bool(Fields *fields, const char *name, bool *value) {
    JsonbValue found;
    FieldState state = field_get(fields, name, &found);

    if (state != FIELD_VALUE)
        return state;
    if (found.type == jbvBool) {
        *value = found.val.boolean;
        return FIELD_VALUE;
    }
    faults_add(fields->faults, name, "must be true or false");
    return FIELD_BAD;
}

bool field_flag(Fields *fields, const char *name) {
    JsonbValue found;

    if (field_get(fields, name, &found) != FIELD_VALUE)
        return false;
    if (found.type == jbvString)
        return found.val.string.len == 4 && memcmp(found.val.string.val, "true", 4) == 0;
    return found.type == jbvBool && found.val.boolean;
}

FieldState field_roles(Fields *fields, const char *name, uint32 *roles) {
    JsonbValue found;
    FieldState state = field_get(fields, name, &found);
    JsonbContainer *array;

    if (state != FIELD_VALUE)
        return state;
    *roles = 0;
    if (found.type != jbvBinary || !JsonContainerIsArray(found.val.binary.data)) {
        faults_add(fields->faults, name, "must be an array of roles");
        return FIELD_BAD;
    }
    array = found.val.binary.data;
    for (uint32 i = 0; i < JsonContainerSize(array); i++) {
        JsonbValue *item = getIthJsonbValueFromContainer(array, i);
        uint32 bit = item->type == jbvString
                         ? role_bit(pnstrdup(item->val.string.val, item->val.string.len))
                         : 0;

        if (bit == 0) {
            faults_add(fields->faults, name,
                       "must be any of admin, doctor, assistant, display, auditor, reporter");
            return FIELD_BAD;
        }
        *roles |= bit;
    }
    return FIELD_VALUE;
}

char *query_text(Fields *query, const char *name) {
    char *value;

    if (field_text(query, name, &value) != FIELD_VALUE || *value == '\0')
        return NULL;
    return value;
}

bool query_id(Fields *query, const char *name, Datum *id) {
    char *value = query_text(query, name);
    int64 number;

    if (value == NULL)
        return false;
    if (!parse_int64(value, &number))
        faults_add(query->faults, name, "must be a whole number");
    *id = Int64GetDatum(number);
    return true;
}

/* Takes count digits, and moves on; false where there are fewer, or what they say is too much. */
static bool take_number(const char **at, int count, int max, int *value) {
    *value = 0;
    for (; count > 0 && isdigit((unsigned char) **at); count--)
        *value = *value * 10 + (*(*at)++ - '0');
    return count == 0 && *value <= max;
}

static bool take_char(const char **at, const char *any_of) {
    if (**at == '\0' || strchr(any_of, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

static bool take_day(const char **at, DateADT *day) {
    int year, month, of_month;

    if (!take_number(at, 4, 9999, &year) || !take_char(at, "-") ||
        !take_number(at, 2, 12, &month) || !take_char(at, "-") ||
        !take_number(at, 2, 31, &of_month) || year < 1 || month < 1 || of_month < 1 ||
        of_month > day_tab[isleap(year)][month - 1])
        return false;
    *day = date2j(year, month, of_month) - POSTGRES_EPOCH_JDATE;
    return true;
}

/* A plus in an address may have come as a blank. */
static bool take_offset(const char **at, int64 *seconds) {
    bool west = **at == '-';
    int hours, minutes;

    *seconds = 0;
    if (take_char(at, "Zz"))
        return true;
    if (!take_char(at, "+- ") || !take_number(at, 2, 23, &hours) || !take_char(at, ":") ||
        !take_number(at, 2, 59, &minutes))
        return false;
    *seconds = (west ? -1 : 1) * (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE);
    return true;
}

/* The time of a day in UTC, in microseconds; a day later or earlier by the offset. */
static bool take_time(const char **at, int64 *time) {
    int hour, minute, second;
    int64 fraction = 0;
    int64 offset;

    if (!take_char(at, "Tt ") || !take_number(at, 2, 23, &hour) || !take_char(at, ":") ||
        !take_number(at, 2, 59, &minute) || !take_char(at, ":") || !take_number(at, 2, 59, &second))
        return false;
    if (take_char(at, "."))
        for (int64 unit = USECS_PER_SEC / 10; isdigit((unsigned char) **at); unit /= 10)
            fraction += unit * (*(*at)++ - '0');
    if (!take_offset(at, &offset))
        return false;
    *time = (hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second - offset) * USECS_PER_SEC +
            fraction;
    return true;
}

bool query_day(Fields *query, const char *name, Datum *day) {
    const char *value = query_text(query, name);
    DateADT found;

    if (value == NULL)
        return false;
    if (!take_day(&value, &found) || *value != '\0') {
        faults_add(query->faults, name, "must be a day, as 2026-11-20");
        return false;
    }
    *day = DateADTGetDatum(found);
    return true;
}

bool query_time(Fields *query, const char *name, Datum *time) {
    const char *value = query_text(query, name);
    DateADT day;
    int64 of_day = 0;

    if (value == NULL)
        return false;
    if (!take_day(&value, &day) || (*value != '\0' && !take_time(&value, &of_day)) ||
        *value != '\0') {
        faults_add(query->faults, name,
                   "must be a time, as 2026-11-20T09:30:00Z, or a day, as 2026-11-20");
        return false;
    }
    *time = TimestampTzGetDatum(day * USECS_PER_DAY + of_day);
    return true;
}

bool query_choice(Fields *query, const char *name, const char *first, const char *second) {
    char *value = query_text(query, name);

    if (value != NULL && strcmp(value, first) != 0 && strcmp(value, second) != 0)
        faults_add(query->faults, name, "must be %s or %s", first, second);
    return value != NULL && strcmp(value, second) == 0;
}

char *path_text(FunctionCallInfo fcinfo, int index) {
    Datum *items = NULL;
    bool *nulls = NULL;
    int count = 0;

    if (!PG_ARGISNULL(0))
        deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &items,
                          &nulls, &count);
    if (items == NULL || nulls == NULL || index >= count || nulls[index])
        ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("the path lacks a value"));
    return TextDatumGetCString(items[index]);
}

int64 path_id(FunctionCallInfo fcinfo, int index, const char *what) {
    char *segment = path_text(fcinfo, index);
    int64 id;

    if (strspn(segment, "0123456789") != strlen(segment) || !parse_int64(segment, &id))
        error_not_found(what, segment);
    return id;
}
