/*
 * user_api.c: the routes under /api/users/, for administrators.
 */
#include "postgres.h"

#include "actor.h"
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

PG_FUNCTION_INFO_V1(clinicq_api_list_users);
PG_FUNCTION_INFO_V1(clinicq_api_create_user);
PG_FUNCTION_INFO_V1(clinicq_api_get_user);
PG_FUNCTION_INFO_V1(clinicq_api_update_user);
PG_FUNCTION_INFO_V1(clinicq_api_set_password);
PG_FUNCTION_INFO_V1(clinicq_api_unlock_user);
PG_FUNCTION_INFO_V1(clinicq_api_reset_totp);

#define USER_COLUMNS "id, username, roles, disabled_at IS NOT NULL, created_at, updated_at, email"

QUERY(users_all, "SELECT " USER_COLUMNS " FROM clinicq.app_user ORDER BY username");
QUERY(user_by_id, "SELECT " USER_COLUMNS " FROM clinicq.app_user WHERE id = $1", INT8OID);

/* password: the generated one, shown this once; NULL for none. */
static void user_append_json(StringInfo json, uint64 row, const char *password) {
    bool isnull;

    json_comma(json);
    appendStringInfoChar(json, '{');
    json_int(json, "id", row_int64(row, 1));
    json_text(json, "username", row_text(row, 2));
    json_key(json, "roles");
    roles_append_json(json, roles_from_array(row_value(row, 3, &isnull)));
    json_bool(json, "disabled", DatumGetBool(row_value(row, 4, &isnull)));
    json_text(json, "email", row_text(row, 7));
    json_timestamp(json, "created_at", row_int64(row, 5), "Z");
    json_timestamp(json, "updated_at", row_int64(row, 6), "Z");
    if (password != NULL)
        json_text(json, "password", password);
    appendStringInfoChar(json, '}');
}

/* SPI is connected, and finished here; json was made before. */
static Datum user_reply(int status, int64 id, const char *password, StringInfo json) {
    Datum args[1] = {Int64GetDatum(id)};

    if (query_write(&user_by_id, args, NULL) == 0)
        error_not_found("user", psprintf(INT64_FORMAT, id));
    user_append_json(json, 0, password);
    SPI_finish();
    return reply(status, json, NULL);
}

Datum clinicq_api_list_users(PG_FUNCTION_ARGS) {
    StringInfoData json;
    uint64 rows;

    actor_require(ROLE_ADMIN);
    initStringInfo(&json);
    appendStringInfoChar(&json, '[');
    SPI_connect();
    rows = query_read(&users_all, NULL, NULL);
    for (uint64 row = 0; row < rows; row++)
        user_append_json(&json, row, NULL);
    SPI_finish();
    appendStringInfoChar(&json, ']');
    return reply(200, &json, NULL);
}

Datum clinicq_api_get_user(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();

    actor_require(ROLE_ADMIN);
    SPI_connect();
    return user_reply(200, path_id(fcinfo, 0, "user"), NULL, json);
}

Datum clinicq_api_create_user(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    char *username;
    char *password;
    char *generated = NULL;
    char *email;
    uint32 roles = 0;
    int64 id;

    actor_require(ROLE_ADMIN);
    fields = fields_of_body(fcinfo);
    field_given(fields, "username", &username, true);
    field_text(fields, "password", &password);
    if (field_roles(fields, "roles", &roles) == FIELD_NULL)
        faults_add(fields->faults, "roles", "must not be null");
    field_text(fields, "email", &email);
    email = user_check_email(fields->faults, email);
    user_check_name(fields->faults, username);
    if (password != NULL)
        password_check(fields->faults, password, username);
    faults_raise(fields->faults);
    if (password == NULL)
        password = generated = password_generate();
    SPI_connect();
    id = user_create(username, password, roles, generated ? USER_ONE_TIME : 0, email);
    return user_reply(201, id, generated, json);
}

Datum clinicq_api_update_user(PG_FUNCTION_ARGS) {
    StringInfo json = makeStringInfo();
    Fields *fields;
    uint32 roles;
    bool disabled;
    char *email;
    FieldState roles_state;
    FieldState disabled_state;
    FieldState email_state;
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "user");
    fields = fields_of_body(fcinfo);
    roles_state = field_roles(fields, "roles", &roles);
    disabled_state = field_bool(fields, "disabled", &disabled);
    email_state = field_text(fields, "email", &email);
    email = user_check_email(fields->faults, email);
    if (roles_state == FIELD_NULL)
        faults_add(fields->faults, "roles", "must not be null");
    if (disabled_state == FIELD_NULL)
        faults_add(fields->faults, "disabled", "must not be null");
    faults_raise(fields->faults);
    SPI_connect();
    if (roles_state == FIELD_VALUE)
        user_change_roles(id, roles, ROLES_ALL);
    if (disabled_state == FIELD_VALUE)
        user_set_disabled(id, disabled);
    if (email_state != FIELD_ABSENT)
        user_set_email(id, email);
    return user_reply(200, id, NULL, json);
}

Datum clinicq_api_set_password(PG_FUNCTION_ARGS) {
    Fields *fields;
    char *password;
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "user");
    fields = fields_of_body(fcinfo);
    SPI_connect();
    if (field_given(fields, "password", &password, true))
        password_check(fields->faults, password, user_find_name(id));
    faults_raise(fields->faults);
    user_set_password(id, password);
    SPI_finish();
    return reply(204, NULL, NULL);
}

Datum clinicq_api_unlock_user(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    SPI_connect();
    log_in_forget(user_find_name(path_id(fcinfo, 0, "user")));
    SPI_finish();
    return reply(204, NULL, NULL);
}

Datum clinicq_api_reset_totp(PG_FUNCTION_ARGS) {
    int64 id;

    actor_require(ROLE_ADMIN);
    id = path_id(fcinfo, 0, "user");
    SPI_connect();
    user_find_name(id);
    totp_remove(id);
    session_end_all(id);
    SPI_finish();
    return reply(204, NULL, NULL);
}
