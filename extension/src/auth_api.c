/*
 * auth_api.c: the routes under /api/auth/, and /api/health/.
 */
#include "postgres.h"

#include "access/xact.h"
#include "actor.h"
#include "dispatch.h"
#include "fields.h"
#include "json.h"
#include "reply.h"
#include "session.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_api_log_in);
PG_FUNCTION_INFO_V1(clinicq_api_log_out);
PG_FUNCTION_INFO_V1(clinicq_api_me);
PG_FUNCTION_INFO_V1(clinicq_api_health);

static void append_user(StringInfo json, const char *username, uint32 roles) {
    appendStringInfoChar(json, '{');
    json_text(json, "username", username);
    json_key(json, "roles");
    roles_append_json(json, roles);
    appendStringInfoChar(json, '}');
}

/* A text that must be there and not blank; blanks count in a password. */
static char *read_credential(Fields *fields, const char *name, bool trimmed) {
    char *value;

    if (!field_given(fields, name, &value, true))
        return NULL;
    if (trimmed)
        value = trim_blanks(value);
    if (*value == '\0')
        faults_add(fields->faults, name, "must not be blank");
    return value;
}

Datum clinicq_api_log_in(PG_FUNCTION_ARGS) {
    Fields *fields = fields_of_body(fcinfo);
    char *username = read_credential(fields, "username", true);
    char *password = read_credential(fields, "password", false);
    StringInfoData json;
    Session session;

    faults_raise(fields->faults);
    initStringInfo(&json);
    if (!session_log_in(username, password, &session)) {
        appendStringInfoString(
            &json,
            "{\"non_field_errors\":[\"Unable to log in with the given username and password.\"]}");
        return reply(400, &json, NULL);
    }
    appendStringInfoChar(&json, '{');
    json_text(&json, "token", session.token);
    json_text(&json, "access", session.token);
    json_int(&json, "expires_in",
             (session.expires_at - GetCurrentTransactionStartTimestamp()) / USECS_PER_SEC);
    json_key(&json, "user");
    append_user(&json, session.username, session.roles);
    appendStringInfoChar(&json, '}');
    return reply(200, &json, NULL);
}

Datum clinicq_api_log_out(PG_FUNCTION_ARGS) {
    session_log_out(request_token());
    return reply(204, NULL, NULL);
}

Datum clinicq_api_me(PG_FUNCTION_ARGS) {
    StringInfoData json;

    initStringInfo(&json);
    append_user(&json, actor_current()->name, actor_roles());
    return reply(200, &json, NULL);
}

Datum clinicq_api_health(PG_FUNCTION_ARGS) {
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    json_text(&json, "status", "ok");
    json_text(&json, "service", "clinicq-backend");
    json_timestamp(&json, "timestamp", GetCurrentTransactionStartTimestamp(), "+00:00");
    appendStringInfoChar(&json, '}');
    return reply(200, &json, NULL);
}
