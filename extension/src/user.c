#include "user.h"

#include "actor.h"
#include "address.h"
#include "error.h"
#include "fmgr.h"
#include "log_in.h"
#include "password.h"
#include "query.h"
#include "session.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(clinicq_create_user);
PG_FUNCTION_INFO_V1(clinicq_set_password);
PG_FUNCTION_INFO_V1(clinicq_set_email);
PG_FUNCTION_INFO_V1(clinicq_grant_role);
PG_FUNCTION_INFO_V1(clinicq_revoke_role);
PG_FUNCTION_INFO_V1(clinicq_disable_user);
PG_FUNCTION_INFO_V1(clinicq_disable_demo_users);
PG_FUNCTION_INFO_V1(clinicq_end_sessions);
PG_FUNCTION_INFO_V1(clinicq_unlock_user);

#define USERNAME_MAX 150
/* Links for a new password that were sent before are of no use any more. */
#define RESETS_VOID                                     \
    "UPDATE clinicq.password_reset SET used_at = now()" \
    " WHERE user_id = $1 AND used_at IS NULL"

QUERY(user_insert,
      "INSERT INTO clinicq.app_user"
      " (username, password_hash, roles, password_expired, is_demo, email)"
      " VALUES ($1, $2, $3, $4, $5, nullif($6, '')) RETURNING id",
      TEXTOID, TEXTOID, TEXTARRAYOID, BOOLOID, BOOLOID, TEXTOID);
QUERY(email_taken, "SELECT FROM clinicq.app_user WHERE lower(email) = lower($1) AND id <> $2",
      TEXTOID, INT8OID);
QUERY(user_name, "SELECT username FROM clinicq.app_user WHERE id = $1", INT8OID);
QUERY(user_password, "SELECT password_hash FROM clinicq.app_user WHERE id = $1", INT8OID);
QUERY(user_by_name, "SELECT id FROM clinicq.app_user WHERE username = $1", TEXTOID);
QUERY(
    users_demo,
    "SELECT coalesce(array_agg(id ORDER BY username), '{}'), coalesce(array_agg(username ORDER BY username), '{}')"
    " FROM clinicq.app_user WHERE is_demo AND disabled_at IS NULL");
QUERY(user_lock, "SELECT roles FROM clinicq.app_user WHERE id = $1 FOR NO KEY UPDATE", INT8OID);
QUERY(
    user_update_password,
    "WITH r AS (" RESETS_VOID ")"
    "UPDATE clinicq.app_user SET password_hash = $2, password_expired = false, updated_at = now(), version = version + 1"
    " WHERE id = $1",
    INT8OID, TEXTOID);
QUERY(
    user_update_email,
    "WITH r AS (" RESETS_VOID ")"
    "UPDATE clinicq.app_user SET email = nullif($2, ''), updated_at = now(), version = version + 1"
    " WHERE id = $1 AND email IS DISTINCT FROM nullif($2, '')",
    INT8OID, TEXTOID);
QUERY(
    user_update_roles,
    "UPDATE clinicq.app_user SET roles = $2, updated_at = now(), version = version + 1 WHERE id = $1",
    INT8OID, TEXTARRAYOID);
QUERY(
    user_update_disabled,
    "UPDATE clinicq.app_user SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END,"
    " updated_at = now(), version = version + 1 WHERE id = $1",
    INT8OID, BOOLOID);

void user_check_name(Faults *faults, const char *username) {
    if (username != NULL) {
        size_t length = strlen(username);

        if (length < 1 || length > USERNAME_MAX ||
            strspn(username,
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@.+_-") != length)
            faults_add(faults, "username", "must be 1 to %d letters, digits or @ . + - _",
                       USERNAME_MAX);
    }
}

char *user_check_email(Faults *faults, const char *email) {
    char *trimmed = email ? trim_blanks(email) : NULL;
    const char *fault = NULL;

    if (trimmed != NULL)
        fault = *trimmed == '\0' ? "must not be blank" : address_email_fault(trimmed);
    if (fault != NULL)
        faults_add(faults, "email", "%s", fault);
    return trimmed;
}

/* As the index says it, but that would write the address into the server's log. user_id: 0 of a new
 * user. */
static void refuse_taken(const char *email, int64 user_id) {
    Datum args[2] = {CStringGetTextDatum(email ? email : ""), Int64GetDatum(user_id)};

    if (query_write(&email_taken, args, NULL) > 0)
        ereport(ERROR, errcode(ERRCODE_UNIQUE_VIOLATION),
                errmsg("another user has this e-mail address"),
                errhint("No two users share one: whoever reads it can set their password."));
}

int64 user_create(const char *username, const char *password, uint32 roles, uint32 flags,
                  const char *email) {
    Datum args[6] = {CStringGetTextDatum(username),
                     CStringGetTextDatum(password_hash(password)),
                     roles_to_array(roles),
                     BoolGetDatum((flags & USER_ONE_TIME) != 0),
                     BoolGetDatum((flags & USER_DEMO) != 0),
                     CStringGetTextDatum(email ? email : "")};

    refuse_taken(email, 0);
    query_write(&user_insert, args, NULL);
    return row_int64(0, 1);
}

int64 user_look_up(const char *username) {
    Datum args[1] = {CStringGetTextDatum(username)};

    return query_write(&user_by_name, args, NULL) > 0 ? row_int64(0, 1) : 0;
}

int64 user_find(const char *username) {
    int64 user_id = user_look_up(username);

    if (user_id == 0)
        error_not_found("user", username);
    return user_id;
}

/* Locks a user and returns the roles. */
static uint32 lock_user(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};
    bool isnull;

    if (query_write(&user_lock, args, NULL) == 0)
        error_not_found("user", psprintf(INT64_FORMAT, user_id));
    return roles_from_array(row_value(0, 1, &isnull));
}

void user_set_password(int64 user_id, const char *password) {
    Datum args[2] = {Int64GetDatum(user_id), CStringGetTextDatum(password_hash(password))};

    lock_user(user_id);
    query_write(&user_update_password, args, NULL);
    session_end_all(user_id);
}

void user_set_email(int64 user_id, const char *email) {
    Datum args[2] = {Int64GetDatum(user_id), CStringGetTextDatum(email ? email : "")};

    lock_user(user_id);
    refuse_taken(email, user_id);
    query_write(&user_update_email, args, NULL);
}

void user_change_roles(int64 user_id, uint32 add, uint32 remove) {
    uint32 before = lock_user(user_id);
    uint32 after = (before & ~remove) | add;
    Datum args[2] = {Int64GetDatum(user_id), roles_to_array(after)};

    if (after == before)
        return;
    query_write(&user_update_roles, args, NULL);
    session_end_all(user_id);
}

void user_set_disabled(int64 user_id, bool disabled) {
    Datum args[2] = {Int64GetDatum(user_id), BoolGetDatum(disabled)};

    lock_user(user_id);
    query_write(&user_update_disabled, args, NULL);
    session_end_all(user_id);
}

char *user_find_name(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};

    if (query_write(&user_name, args, NULL) == 0)
        error_not_found("user", psprintf(INT64_FORMAT, user_id));
    return row_text(0, 1);
}

bool user_password_is(int64 user_id, const char *password) {
    Datum args[1] = {Int64GetDatum(user_id)};

    return query_write(&user_password, args, NULL) > 0 && password_verify(row_text(0, 1), password);
}

Datum clinicq_create_user(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *username = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);
    char *given = ARG_CSTRING(2);
    char *password = given ? given : password_generate();
    bool demo = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
    uint32 roles = 0;

    actor_require(ROLE_ADMIN);
    user_check_name(faults, username);
    password_check(faults, password, username);
    if (!PG_ARGISNULL(1) && !roles_read(PG_GETARG_DATUM(1), &roles))
        faults_add(faults, "roles",
                   "must be any of admin, doctor, assistant, display, auditor, reporter");
    faults_raise(faults);
    SPI_connect();
    user_create(username, password, roles, (given ? 0 : USER_ONE_TIME) | (demo ? USER_DEMO : 0),
                NULL);
    SPI_finish();
    if (given != NULL)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(password));
}

Datum clinicq_set_password(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    ARG_REQUIRE(1, "password");
    password_check(faults, ARG_CSTRING(1), ARG_CSTRING(0));
    faults_raise(faults);
    SPI_connect();
    user_set_password(user_find(ARG_CSTRING(0)), ARG_CSTRING(1));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_set_email(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    char *email;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    email = user_check_email(faults, ARG_CSTRING(1));
    faults_raise(faults);
    SPI_connect();
    user_set_email(user_find(ARG_CSTRING(0)), email);
    SPI_finish();
    PG_RETURN_VOID();
}

static Datum change_role(FunctionCallInfo fcinfo, bool grant) {
    uint32 role;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    ARG_REQUIRE(1, "role");
    role = role_bit(ARG_CSTRING(1));
    if (role == 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("no such role: %s", ARG_CSTRING(1)),
                errhint("Roles are admin, doctor, assistant, display, auditor and reporter."));
    SPI_connect();
    user_change_roles(user_find(ARG_CSTRING(0)), grant ? role : 0, grant ? 0 : role);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_grant_role(PG_FUNCTION_ARGS) {
    return change_role(fcinfo, true);
}

Datum clinicq_revoke_role(PG_FUNCTION_ARGS) {
    return change_role(fcinfo, false);
}

Datum clinicq_end_sessions(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    SPI_connect();
    session_end_all(user_find(ARG_CSTRING(0)));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_unlock_user(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    SPI_connect();
    log_in_forget(ARG_CSTRING(0));
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_disable_user(PG_FUNCTION_ARGS) {
    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    SPI_connect();
    user_set_disabled(user_find(ARG_CSTRING(0)), true);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_disable_demo_users(PG_FUNCTION_ARGS) {
    ArrayType *found;
    Datum names;
    Datum *ids;
    int count;
    bool isnull;

    actor_require(ROLE_ADMIN);
    SPI_connect();
    query_write(&users_demo, NULL, NULL);
    found = DatumGetArrayTypeP(row_value(0, 1, &isnull));
    names = SPI_datumTransfer(row_value(0, 2, &isnull), false, -1);
    deconstruct_array(found, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, NULL, &count);
    for (int i = 0; i < count; i++)
        user_set_disabled(DatumGetInt64(ids[i]), true);
    SPI_finish();
    PG_RETURN_DATUM(names);
}
