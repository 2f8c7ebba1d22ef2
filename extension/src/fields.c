#include "fields.h"

#include <ctype.h>

#include "actor.h"
#include "dispatch.h"
#include "error.h"
#include "query.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

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

FieldState field_int64(Fields *fields, const char *name, int64 *value) {
    JsonbValue found;
    FieldState state = field_get(fields, name, &found);
    char *number = NULL;

    if (state != FIELD_VALUE)
        return state;
    if (found.type == jbvString)
        number = pnstrdup(found.val.string.val, found.val.string.len);
    else if (found.type == jbvNumeric)
        number =
            DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(found.val.numeric)));
    if (number != NULL && parse_int64(number, value))
        return FIELD_VALUE;
    faults_add(fields->faults, name, "must be a whole number");
    return FIELD_BAD;
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
