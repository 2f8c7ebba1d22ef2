/*
 * sms_status.c: what became of a text message, as Twilio tells it. The shim has checked that it
 * did.
 */
#include "postgres.h"

#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "reply.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(clinicq_api_take_sms_status);

#define SID_DIGITS   32
#define SEGMENTS_MAX 100

/* What a message goes through; of those with one rank the first that was told stays. */
static const struct {
    const char *name;
    int rank;
    bool undelivered;
} statuses[] = {
    {"accepted", 0, false}, {"scheduled", 0, false}, {"queued", 1, false}, {"sending", 2, false},
    {"sent", 3, false},     {"delivered", 4, false}, {"failed", 4, true},  {"undelivered", 4, true},
    {"canceled", 4, true},  {"read", 5, false},
};

typedef struct Told {
    char *sid;
    char *status;
    char *error_code; /* this and what follows: NULL where it is not given */
    char *price;
    char *currency;
    int64 segments; /* 0 where it is not given */
} Told;

QUERY(sms_find,
      "SELECT id, state, result->>'sid', result->>'status' FROM clinicq.outbox"
      " WHERE token = $1 AND channel = 'sms' FOR NO KEY UPDATE",
      UUIDOID);
/* $1 id, $2 what is new of its result, $3 why it did not arrive, NULL where it may have. */
QUERY(sms_told,
      "UPDATE clinicq.outbox SET state = 'done', result = coalesce(result, '{}') || $2,"
      " last_error = coalesce($3, last_error),"
      " ended_at = CASE state WHEN 'done' THEN ended_at ELSE now() END WHERE id = $1",
      INT8OID, JSONBOID, TEXTOID);

/* -1 for what is none, NULL included. */
static int status_find(const char *name) {
    for (int i = 0; name != NULL && i < lengthof(statuses); i++)
        if (strcmp(statuses[i].name, name) == 0)
            return i;
    return -1;
}

/* Whether it is so many of the characters, and nothing else. */
static bool is_made_of(const char *value, const char *characters, size_t least, size_t most) {
    size_t length = strspn(value, characters);

    return value[length] == '\0' && length >= least && length <= most;
}

static bool is_sid(const char *value) {
    return (strncmp(value, "SM", 2) == 0 || strncmp(value, "MM", 2) == 0) &&
           is_made_of(value + 2, "0123456789abcdefABCDEF", SID_DIGITS, SID_DIGITS);
}

static bool is_status(const char *value) {
    return status_find(value) >= 0;
}

static bool is_code(const char *value) {
    return is_made_of(value, "0123456789", 1, 6);
}

static bool is_price(const char *value) {
    return is_made_of(value + (*value == '-'), "0123456789.", 1, 16);
}

static bool is_currency(const char *value) {
    return is_made_of(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 3, 3);
}

/* NULL where it is absent or empty, or a fault has been added. */
static char *read_field(Fields *fields, const char *name, bool required, bool (*fits)(const char *),
                        const char *what) {
    char *given;

    if (!field_given(fields, name, &given, required) || (*given == '\0' && !required))
        return NULL;
    if (fits(given))
        return given;
    faults_add(fields->faults, name, "must be %s", what);
    return NULL;
}

static void read_told(Fields *fields, Told *told) {
    char *segments;

    told->sid = read_field(fields, "MessageSid", true, is_sid, "the SID of a message");
    told->status = read_field(fields, "MessageStatus", true, is_status, "a status of a message");
    told->error_code = read_field(fields, "ErrorCode", false, is_code, "the number of an error");
    told->price = read_field(fields, "Price", false, is_price, "an amount");
    told->currency = read_field(fields, "PriceUnit", false, is_currency, "three letters");
    segments = read_field(fields, "NumSegments", false, is_code, "a whole number");
    told->segments = segments ? strtol(segments, NULL, 10) : 0;
    if (told->segments > SEGMENTS_MAX)
        faults_add(fields->faults, "NumSegments", "must be at most %d", SEGMENTS_MAX);
    faults_raise(fields->faults);
}

/* The token that a path names, of what can be none one that no delivery has. SPI is connected. */
static uint64 find(const char *token) {
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    bool good = strlen(token) == strlen(shape);
    Datum args[1];

    for (int i = 0; good && shape[i] != '\0'; i++)
        good = shape[i] == '-' ? token[i] == '-' : isxdigit((unsigned char) token[i]);
    if (!good)
        return 0;
    args[0] = DirectFunctionCall1(uuid_in, CStringGetDatum(token));
    return query_write(&sms_find, args, NULL);
}

static Datum new_result(const Told *told, bool is_later) {
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_text(&json, "sid", told->sid);
    if (is_later)
        json_text(&json, "status", told->status);
    if (is_later && told->error_code != NULL)
        json_text(&json, "error_code", told->error_code);
    if (told->segments > 0)
        json_int(&json, "segments", told->segments);
    if (told->price != NULL)
        json_text(&json, "price", told->price);
    if (told->currency != NULL)
        json_text(&json, "currency", told->currency);
    appendStringInfoChar(&json, '}');
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static void tell(int64 id, const Told *told, bool is_later) {
    bool undelivered = is_later && statuses[status_find(told->status)].undelivered;
    char *error = NULL;
    Datum args[3] = {Int64GetDatum(id), new_result(told, is_later)};

    if (undelivered)
        error = told->error_code ? psprintf("Twilio: not delivered (%s)", told->error_code)
                                 : "Twilio: not delivered";
    if (error != NULL)
        args[2] = CStringGetTextDatum(error);
    query_write(&sms_told, args, error ? NULL : "  n");
}

/*
 * POST /api/deliveries/{token}/sms/. Where two messages were sent for one delivery, what is told of
 * the second one is passed over.
 */
Datum clinicq_api_take_sms_status(PG_FUNCTION_ARGS) {
    Told told;
    const char *token = path_text(fcinfo, 0);
    const char *sid;
    int known;
    bool is_done;
    bool is_later;

    read_told(fields_of_body(fcinfo), &told);
    SPI_connect();
    if (find(token) == 0)
        error_none("Deliveries that are done are removed after a while.",
                   "no text message with this token");
    is_done = strcmp(row_text(0, 2), "done") == 0;
    sid = row_text(0, 3);
    known = status_find(row_text(0, 4));
    is_later = known < 0 || statuses[status_find(told.status)].rank > statuses[known].rank;
    if ((sid == NULL || strcmp(sid, told.sid) == 0) &&
        (!is_done || is_later || told.segments > 0 || told.price != NULL))
        tell(row_int64(0, 1), &told, is_later);
    SPI_finish();
    return reply(204, NULL, NULL);
}
