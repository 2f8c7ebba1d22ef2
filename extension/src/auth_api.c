/*
 * auth_api.c: the routes under /api/auth/, and /api/health/.
 */
#include "postgres.h"

#include "access/xact.h"
#include "actor.h"
#include "audit.h"
#include "dispatch.h"
#include "error.h"
#include "fields.h"
#include "json.h"
#include "log_in.h"
#include "password.h"
#include "query.h"
#include "reply.h"
#include "session.h"
#include "totp.h"
#include "user.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_api_admit_log_in);
PG_FUNCTION_INFO_V1(clinicq_api_log_in);
PG_FUNCTION_INFO_V1(clinicq_api_refresh);
PG_FUNCTION_INFO_V1(clinicq_api_log_out);
PG_FUNCTION_INFO_V1(clinicq_api_log_out_everywhere);
PG_FUNCTION_INFO_V1(clinicq_api_list_sessions);
PG_FUNCTION_INFO_V1(clinicq_api_end_session);
PG_FUNCTION_INFO_V1(clinicq_api_admit_password_change);
PG_FUNCTION_INFO_V1(clinicq_api_change_password);
PG_FUNCTION_INFO_V1(clinicq_api_admit_enrolment);
PG_FUNCTION_INFO_V1(clinicq_api_enrol_totp);
PG_FUNCTION_INFO_V1(clinicq_api_admit_code);
PG_FUNCTION_INFO_V1(clinicq_api_confirm_totp);
PG_FUNCTION_INFO_V1(clinicq_api_remove_totp);
PG_FUNCTION_INFO_V1(clinicq_api_me);
PG_FUNCTION_INFO_V1(clinicq_api_health);

static void append_user(StringInfo json, const char *username, uint32 roles) {
    appendStringInfoChar(json, '{');
    json_text(json, "username", username);
    json_key(json, "roles");
    roles_append_json(json, roles);
    appendStringInfoChar(json, '}');
}

/* 204 where a try may go on, 429 where it has to wait. */
static Datum admission(const char *username) {
    StringInfo json;
    StringInfo headers;
    int wait;

    SPI_connect();
    wait = log_in_admit(username);
    SPI_finish();
    if (wait == 0)
        return reply(204, NULL, NULL);
    json = makeStringInfo();
    headers = makeStringInfo();
    appendStringInfo(json, "{\"detail\":\"Too many wrong log-ins; try again in %d seconds.\"}",
                     wait);
    appendStringInfo(headers, "{\"Retry-After\":\"%d\"}", wait);
    return reply(429, json, headers);
}

/* What the shim makes a cookie of; NULL: the cookie goes. */
static StringInfo cookie_header(const Session *session) {
    StringInfo headers = makeStringInfo();

    appendStringInfoChar(headers, '{');
    json_text(
        headers, "Set-Session",
        session
            ? psprintf("%s %lld", session->token,
                       (long long) ((session->expires_at - GetCurrentTransactionStartTimestamp()) /
                                    USECS_PER_SEC))
            : "");
    appendStringInfoChar(headers, '}');
    return headers;
}

/* A text that must be there and not blank; blanks count in a password. "" after a fault. */
static char *read_credential(Fields *fields, const char *name, bool trimmed) {
    char *value;

    if (!field_given(fields, name, &value, true))
        return "";
    if (trimmed)
        value = trim_blanks(value);
    if (*value == '\0')
        faults_add(fields->faults, name, "must not be blank");
    return value;
}

/* The first call of a log-in, committed before the password is looked at. */
Datum clinicq_api_admit_log_in(PG_FUNCTION_ARGS) {
    Fields *fields = fields_of_body(fcinfo);
    char *username = read_credential(fields, "username", true);

    read_credential(fields, "password", false);
    faults_raise(fields->faults);
    return admission(username);
}

Datum clinicq_api_log_in(PG_FUNCTION_ARGS) {
    Fields *fields = fields_of_body(fcinfo);
    char *username = read_credential(fields, "username", true);
    char *password = read_credential(fields, "password", false);
    bool in_cookie = field_flag(fields, "cookie");
    SessionKind kind = in_cookie                       ? SESSION_COOKIE
                       : field_flag(fields, "refresh") ? SESSION_REFRESH
                                                       : SESSION_SLIDING;
    StringInfo json = makeStringInfo();
    Session session;
    bool held_in_cookie;
    char *code;
    LogIn result;

    field_text(fields, "code", &code);
    faults_raise(fields->faults);
    result = log_in(username, password, code, kind, &session);
    if (result == LOG_IN_CODE_NEEDED) {
        appendStringInfoString(json, "{\"code\":[\"is required: a second factor is in force\"]}");
        return reply(400, json, NULL);
    }
    if (result != LOG_IN_DONE) {
        appendStringInfoString(
            json,
            "{\"non_field_errors\":[\"Unable to log in with the given username and password.\"]}");
        return reply(400, json, NULL);
    }
    if (in_cookie) /* what the browser held before ends, whosever it was */
        session_log_out(request_token(), &held_in_cookie);
    session_append_json(json, &session, in_cookie);
    return reply(200, json, in_cookie ? cookie_header(&session) : NULL);
}

Datum clinicq_api_refresh(PG_FUNCTION_ARGS) {
    Fields *fields = fields_of_body(fcinfo);
    char *refresh = read_credential(fields, "refresh", true);
    StringInfo json = makeStringInfo();
    Session session;

    if (*refresh != '\0' && !session_token_is_well_formed(refresh))
        faults_add(fields->faults, "refresh", "is no refresh token");
    faults_raise(fields->faults);
    /* A reply and no error, so that ending the session of a stolen token is committed. */
    if (!session_refresh(refresh, &session)) {
        appendStringInfoString(json,
                               "{\"detail\":\"The refresh token is not valid, or no longer.\"}");
        return reply(401, json, NULL);
    }
    session_append_json(json, &session, false);
    return reply(200, json, NULL);
}

Datum clinicq_api_log_out(PG_FUNCTION_ARGS) {
    bool in_cookie;

    SPI_connect();
    if (session_log_out(request_token(), &in_cookie))
        audit_event("LOG_OUT", "app_user", actor_current()->user_id, "done");
    SPI_finish();
    return reply(204, NULL, in_cookie ? cookie_header(NULL) : NULL);
}

Datum clinicq_api_log_out_everywhere(PG_FUNCTION_ARGS) {
    int64 user_id = actor_current()->user_id;

    SPI_connect();
    session_end_all(user_id);
    audit_event("LOG_OUT", "app_user", user_id, "everywhere");
    SPI_finish();
    return reply(204, NULL, NULL);
}

/* One's own sessions; an administrator may ask for those of another user. */
Datum clinicq_api_list_sessions(PG_FUNCTION_ARGS) {
    char *username = query_text(fields_of_query(fcinfo), "user");
    StringInfo json = makeStringInfo();
    int64 user_id = actor_current()->user_id;

    if (username != NULL)
        actor_require(ROLE_ADMIN);
    if (username != NULL && actor_current()->due != NULL)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_DUE), errmsg("%s", actor_current()->due));
    SPI_connect();
    if (username != NULL)
        user_id = user_find(username);
    session_append_list(json, user_id, request_token());
    SPI_finish();
    return reply(200, json, NULL);
}

Datum clinicq_api_end_session(PG_FUNCTION_ARGS) {
    const Actor *actor = actor_current();
    int64 id = path_id(fcinfo, 0, "session");
    bool of_anybody = (actor->roles & ROLE_ADMIN) != 0 && actor->due == NULL;

    SPI_connect();
    if (!session_end(id, of_anybody ? 0 : actor->user_id))
        error_not_found("session", psprintf(INT64_FORMAT, id));
    audit_event("LOG_OUT", "session", id, "ended");
    SPI_finish();
    return reply(204, NULL, NULL);
}

static void read_password_change(FunctionCallInfo fcinfo, char **old_password, char **password) {
    Fields *fields = fields_of_body(fcinfo);

    *old_password = read_credential(fields, "old_password", false);
    if (field_given(fields, "password", password, true))
        password_check(fields->faults, *password, actor_current()->name);
    if (*password != NULL && strcmp(*old_password, *password) == 0)
        faults_add(fields->faults, "password", "must be another one");
    faults_raise(fields->faults);
}

/* The first call of a change, committed before the old password is looked at. */
Datum clinicq_api_admit_password_change(PG_FUNCTION_ARGS) {
    char *old_password;
    char *password;

    read_password_change(fcinfo, &old_password, &password);
    return admission(actor_current()->name);
}

Datum clinicq_api_change_password(PG_FUNCTION_ARGS) {
    const Actor *actor = actor_current();
    Faults *faults = faults_new();
    char *old_password;
    char *password;

    read_password_change(fcinfo, &old_password, &password);
    SPI_connect();
    if (!user_password_is(actor->user_id, old_password))
        faults_add(faults, "old_password", "is wrong");
    faults_raise(faults);
    user_set_password(actor->user_id, password);
    log_in_forget(actor->name);
    SPI_finish();
    return reply(204, NULL, NULL);
}

static char *read_password(FunctionCallInfo fcinfo) {
    Fields *fields = fields_of_body(fcinfo);
    char *password = read_credential(fields, "password", false);

    faults_raise(fields->faults);
    return password;
}

/* The first call of an enrolment, committed before the password is looked at. */
Datum clinicq_api_admit_enrolment(PG_FUNCTION_ARGS) {
    read_password(fcinfo);
    return admission(actor_current()->name);
}

/* Whoever holds a session that is not theirs must not bind it to a device of their own. */
Datum clinicq_api_enrol_totp(PG_FUNCTION_ARGS) {
    const Actor *actor = actor_current();
    Faults *faults = faults_new();
    char *password = read_password(fcinfo);
    StringInfo json = makeStringInfo();

    if (actor->user_id == 0)
        error_not_found("user", actor->name);
    SPI_connect();
    if (!user_password_is(actor->user_id, password))
        faults_add(faults, "password", "is wrong");
    faults_raise(faults);
    log_in_forget(actor->name);
    totp_enrol(actor->user_id, actor->name, json);
    SPI_finish();
    return reply(201, json, NULL);
}

/* A code of a device, or a recovery code. */
static char *read_code(FunctionCallInfo fcinfo) {
    Fields *fields = fields_of_body(fcinfo);
    char *code = read_credential(fields, "code", true);

    if (*code != '\0' && !totp_is_well_formed(code))
        faults_add(fields->faults, "code", "must be six digits, or a recovery code");
    faults_raise(fields->faults);
    return code;
}

/* The first call of whatever takes a code: tries are counted as those of log-in are. */
Datum clinicq_api_admit_code(PG_FUNCTION_ARGS) {
    read_code(fcinfo);
    return admission(actor_current()->name);
}

static void code_is_wrong(void) {
    Faults *faults = faults_new();

    faults_add(faults, "code", "is wrong, or was used before");
    faults_raise(faults);
}

Datum clinicq_api_confirm_totp(PG_FUNCTION_ARGS) {
    char *code = read_code(fcinfo);
    StringInfo json = makeStringInfo();

    SPI_connect();
    if (!totp_confirm(actor_current()->user_id, code, json))
        code_is_wrong();
    log_in_forget(actor_current()->name);
    SPI_finish();
    return reply(200, json, NULL);
}

Datum clinicq_api_remove_totp(PG_FUNCTION_ARGS) {
    int64 user_id = actor_current()->user_id;
    char *code = read_code(fcinfo);

    SPI_connect();
    if (!totp_take(user_id, code))
        code_is_wrong();
    totp_remove(user_id);
    log_in_forget(actor_current()->name);
    SPI_finish();
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
