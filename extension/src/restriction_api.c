/*
 * restriction_api.c: who may see a restricted patient, under /api/patients/, and /api/emergency/.
 */
#include "postgres.h"

#include "actor.h"
#include "emergency.h"
#include "fields.h"
#include "json.h"
#include "page.h"
#include "query.h"
#include "reply.h"
#include "restriction.h"
#include "user.h"

PG_FUNCTION_INFO_V1(clinicq_api_get_patient_access);
PG_FUNCTION_INFO_V1(clinicq_api_restrict_patient);
PG_FUNCTION_INFO_V1(clinicq_api_grant_patient_access);
PG_FUNCTION_INFO_V1(clinicq_api_revoke_patient_access);
PG_FUNCTION_INFO_V1(clinicq_api_open_emergency);
PG_FUNCTION_INFO_V1(clinicq_api_list_emergencies);
PG_FUNCTION_INFO_V1(clinicq_api_review_emergency);

#define EMERGENCIES_PATH     "/api/emergency/"
#define EMERGENCIES_PAGE     50
#define EMERGENCIES_PAGE_MAX 200

/* $1 whether reviewed, NULL for all, $2 the emergency that the page begins after, $3 rows. The plan
 * is made anew each time: which index serves depends on $1. */
QUERY_OPTIONS(emergencies_page, CURSOR_OPT_CUSTOM_PLAN,
              "SELECT " EMERGENCY_COLUMNS " FROM " EMERGENCY_TABLES " WHERE a.reason IS NOT NULL"
              " AND ($1 IS NULL OR (a.reviewed_at IS NOT NULL) = $1)"
              " AND ($2 IS NULL OR a.id < $2) ORDER BY a.id DESC LIMIT $3",
              BOOLOID, INT8OID, INT8OID);

/* What administrators see of a restriction, as this transaction has left it. SPI is connected, and
 * finished here; json was made before. */
static Datum access_reply(int status, const char *path_number, StringInfo json) {
    char *number;
    bool restricted;
    uint64 rows = restriction_read(path_number, &number, &restricted);

    appendStringInfoChar(json, '{');
    json_text(json, "registration_number", number);
    json_bool(json, "restricted", restricted);
    json_key(json, "users");
    appendStringInfoChar(json, '[');
    for (uint64 row = 0; row < rows; row++) {
        json_comma(json);
        appendStringInfoChar(json, '{');
        json_text(json, "username", row_text(row, 1));
        json_text(json, "granted_by", row_text(row, 2));
        json_timestamp(json, "granted_at", row_int64(row, 3), "Z");
        appendStringInfoChar(json, '}');
    }
    appendStringInfoString(json, "]}");
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_get_patient_access(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();

    actor_require(ROLE_ADMIN);
    SPI_connect();
    return access_reply(200, path_text(fcinfo, 0), json);
}

Datum clinicq_api_restrict_patient(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    FieldState state;
    bool restricted;
    char *number;

    actor_require(ROLE_ADMIN);
    number = path_text(fcinfo, 0);
    fields = fields_of_body(fcinfo);
    state = field_bool(fields, "restricted", &restricted);
    if (state == FIELD_NULL)
        faults_add(fields->faults, "restricted", "must not be null");
    if (state == FIELD_ABSENT)
        faults_add(fields->faults, "restricted", "is required");
    faults_raise(fields->faults);
    SPI_connect();
    restriction_set(number, restricted);
    return access_reply(200, number, json);
}

Datum clinicq_api_grant_patient_access(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *username;
    char *number;
    int64 user_id = 0;

    actor_require(ROLE_ADMIN);
    number = path_text(fcinfo, 0);
    fields = fields_of_body(fcinfo);
    SPI_connect();
    if (field_given(fields, "username", &username, true) && (user_id = user_look_up(username)) == 0)
        faults_add(fields->faults, "username", "is not the name of a user");
    faults_raise(fields->faults);
    return access_reply(restriction_grant(number, user_id) ? 201 : 200, number, json);
}

Datum clinicq_api_revoke_patient_access(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    restriction_revoke(path_text(fcinfo, 0), path_text(fcinfo, 1));
    SPI_finish();
    return reply(204, NULL, NULL);
}

/* SPI is connected, and finished here; json was made before. */
static Datum emergency_reply(int status, int64 id, StringInfo json) {
    emergency_read(id);
    emergency_append_json(json, 0);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_open_emergency(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *number;
    char *reason;
    int64 id;
    bool is_new;

    actor_require(ROLE_ADMIN | ROLE_DOCTOR);
    number = path_text(fcinfo, 0);
    fields = fields_of_body(fcinfo);
    if (field_given(fields, "reason", &reason, true))
        reason = emergency_check_reason(fields->faults, reason);
    faults_raise(fields->faults);
    SPI_connect();
    is_new = emergency_open(number, reason, &id);
    return emergency_reply(is_new ? 201 : 200, id, json);
}

Datum clinicq_api_review_emergency(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *review;
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "emergency");
    fields = fields_of_body(fcinfo);
    if (field_given(fields, "review", &review, true))
        review = emergency_check_review(fields->faults, review);
    faults_raise(fields->faults);
    SPI_connect();
    emergency_review(id, review);
    return emergency_reply(200, id, json);
}

Datum clinicq_api_list_emergencies(PG_FUNCTION_ARGS) {
    MemoryContext caller = CurrentMemoryContext;
    StringInfo rows = makeStringInfo();
    Fields *query;
    ListPage page;
    char *reviewed;
    char *last_key = NULL;
    Datum args[3] = {0};
    char nulls[] = "nn ";
    uint64 found;

    actor_require(ROLE_ADMIN | ROLE_AUDITOR);
    query = fields_of_query(fcinfo);
    page_read(&page, query, EMERGENCIES_PATH, EMERGENCIES_PAGE, EMERGENCIES_PAGE_MAX);
    reviewed = query_text(query, "reviewed");
    if (reviewed != NULL) {
        if (strcmp(reviewed, "true") != 0 && strcmp(reviewed, "false") != 0)
            faults_add(query->faults, "reviewed", "must be true or false");
        args[0] = BoolGetDatum(strcmp(reviewed, "true") == 0);
        nulls[0] = ' ';
    }
    if (query_id(query, "cursor", &args[1]))
        nulls[1] = ' ';
    faults_raise(query->faults);
    args[2] = Int64GetDatum(page.size + 1); /* one more tells whether the list goes on */
    appendStringInfoChar(rows, '[');
    SPI_connect();
    found = query_read(&emergencies_page, args, nulls);
    if (found > page.size) {
        found = page.size;
        last_key = MemoryContextStrdup(caller, psprintf(INT64_FORMAT, row_int64(found - 1, 1)));
    }
    for (uint64 row = 0; row < found; row++)
        emergency_append_json(rows, row);
    SPI_finish();
    appendStringInfoChar(rows, ']');
    return page_reply_keyset(&page, rows, last_key);
}
