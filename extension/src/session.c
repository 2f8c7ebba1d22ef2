#include "session.h"

#include <sodium.h>

#include "actor.h"
#include "access/xact.h"
#include "cache.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "password.h"
#include "query.h"
#include "setting.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_log_in);
PG_FUNCTION_INFO_V1(clinicq_log_out);

/* Sliding is written at most this often. */
#define TOUCH_INTERVAL (60 * USECS_PER_SEC)

QUERY(session_user_by_name,
      "SELECT id, username, password_hash, roles FROM clinicq.app_user"
      " WHERE username = $1 AND disabled_at IS NULL",
      TEXTOID);
/* A password that was changed, or a user disabled, since it was checked: no row. */
QUERY(session_insert,
      "INSERT INTO clinicq.session (token_hash, user_id, client, expires_at)"
      " SELECT $1, id, nullif($3, '')::inet, $4 FROM clinicq.app_user"
      " WHERE id = $2 AND password_hash = $5 AND disabled_at IS NULL FOR SHARE",
      BYTEAOID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID);
QUERY(session_delete_expired,
      "DELETE FROM clinicq.session WHERE user_id = $1 AND expires_at <= now()", INT8OID);
QUERY(session_delete, "DELETE FROM clinicq.session WHERE token_hash = $1 AND expires_at > now()",
      BYTEAOID);
QUERY(session_delete_all, "DELETE FROM clinicq.session WHERE user_id = $1", INT8OID);
QUERY(session_by_token,
      "SELECT u.id, u.username, u.roles, s.last_used_at"
      " FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id"
      " WHERE s.token_hash = $1 AND s.expires_at > now() AND u.disabled_at IS NULL",
      BYTEAOID);
/* A request that finds the row locked leaves it to the one that holds it. */
QUERY(session_touch,
      "UPDATE clinicq.session SET last_used_at = now(), expires_at = $2 WHERE token_hash ="
      " (SELECT token_hash FROM clinicq.session WHERE token_hash = $1 AND last_used_at = $3"
      "  FOR NO KEY UPDATE SKIP LOCKED)",
      BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID);

static Datum token_hash(const char *token) {
    bytea *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
    pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

    SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
    if (context == NULL || pg_cryptohash_init(context) < 0 ||
        pg_cryptohash_update(context, (const uint8 *) token, strlen(token)) < 0 ||
        pg_cryptohash_final(context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("SHA-256 is not available"));
    pg_cryptohash_free(context);
    return PointerGetDatum(hash);
}

static bool token_is_well_formed(const char *token) {
    return strlen(token) == SESSION_TOKEN_LENGTH &&
           strspn(token, "0123456789abcdef") == SESSION_TOKEN_LENGTH;
}

static TimestampTz expiry(uint32 roles) {
    int minutes = setting_int(roles == ROLE_DISPLAY ? SETTING_DISPLAY_SESSION_MINUTES
                                                    : SETTING_SESSION_MINUTES);

    return GetCurrentTransactionStartTimestamp() + minutes * USECS_PER_MINUTE;
}

bool session_log_in(const char *username, const char *password, Session *session) {
    MemoryContext caller = CurrentMemoryContext;
    Datum name[1] = {CStringGetTextDatum(username)};
    unsigned char random[SESSION_TOKEN_LENGTH / 2];
    Datum args[5];
    bool isnull;

    SPI_connect();
    if (query_write(&session_user_by_name, name, NULL) == 0) {
        password_hash(password); /* an unknown name takes as long as a wrong password */
        SPI_finish();
        return false;
    }
    if (!password_verify(row_text(0, 3), password)) {
        SPI_finish();
        return false;
    }
    session->username = MemoryContextStrdup(caller, row_text(0, 2));
    session->roles = roles_from_array(row_value(0, 4, &isnull));
    session->expires_at = expiry(session->roles);
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(session->token, sizeof session->token, random, sizeof random);

    args[0] = token_hash(session->token);
    args[1] = Int64GetDatum(row_int64(0, 1));
    args[2] = CStringGetTextDatum(actor_current()->client);
    args[3] = TimestampTzGetDatum(session->expires_at);
    args[4] = row_value(0, 3, &isnull);
    if (query_write(&session_insert, args, NULL) == 0) {
        SPI_finish();
        return false;
    }
    query_write(&session_delete_expired, &args[1], NULL);
    SPI_finish();
    return true;
}

bool session_log_out(const char *token) {
    Datum args[1];
    bool found;

    if (!token_is_well_formed(token))
        return false;
    args[0] = token_hash(token);
    SPI_connect();
    found = query_write(&session_delete, args, NULL) > 0;
    SPI_finish();
    return found;
}

bool session_authenticate(const char *token) {
    Datum args[3];
    TimestampTz now = GetCurrentTransactionStartTimestamp();
    TimestampTz last_used;
    uint32 roles;
    bool isnull;

    if (!token_is_well_formed(token))
        return false;
    args[0] = token_hash(token);
    SPI_connect();
    if (query_read(&session_by_token, args, NULL) == 0) {
        SPI_finish();
        return false;
    }
    roles = roles_from_array(row_value(0, 3, &isnull));
    last_used = row_int64(0, 4);
    actor_set_user(row_int64(0, 1), row_text(0, 2), roles);
    if (now - last_used > TOUCH_INTERVAL) {
        args[1] = TimestampTzGetDatum(expiry(roles));
        args[2] = TimestampTzGetDatum(last_used);
        query_write(&session_touch, args, NULL);
    }
    SPI_finish();
    return true;
}

void session_end_all(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};

    query_write(&session_delete_all, args, NULL);
}

Datum clinicq_log_in(PG_FUNCTION_ARGS) {
    Session session;
    TupleDesc shape;
    Datum values[4] = {0};
    bool nulls[4] = {true, true, true, true};

    cache_require_ready();
    ARG_REQUIRE(0, "username");
    ARG_REQUIRE(1, "password");
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "log_in() must return a record");
    if (session_log_in(ARG_CSTRING(0), ARG_CSTRING(1), &session)) {
        values[0] = CStringGetTextDatum(session.token);
        values[1] = TimestampTzGetDatum(session.expires_at);
        values[2] = CStringGetTextDatum(session.username);
        values[3] = roles_to_array(session.roles);
        memset(nulls, 0, sizeof nulls);
    }
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}

Datum clinicq_log_out(PG_FUNCTION_ARGS) {
    cache_require_ready();
    ARG_REQUIRE(0, "token");
    PG_RETURN_BOOL(session_log_out(ARG_CSTRING(0)));
}
