#include "session.h"

#include <sodium.h>

#include "access/xact.h"
#include "actor.h"
#include "audit.h"
#include "cache.h"
#include "dispatch.h"
#include "error.h"
#include "feed.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "setting.h"
#include "sha256.h"
#include "totp.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_log_out);

/* Sliding is written at most this often. */
#define TOUCH_INTERVAL (60 * USECS_PER_SEC)

/* A password that was changed, or a user disabled, since it was checked: no row. */
QUERY(
    session_insert,
    "INSERT INTO clinicq.session (token_hash, user_id, client, expires_at, ends_at, device, in_cookie)"
    " SELECT $1, id, nullif($3, '')::inet, $4, $6, $7, $8 FROM clinicq.app_user"
    " WHERE id = $2 AND password_hash = $5 AND disabled_at IS NULL FOR SHARE"
    " RETURNING id",
    BYTEAOID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, BOOLOID);
QUERY(refresh_insert,
      "INSERT INTO clinicq.refresh_token (token_hash, session_id, salt) VALUES ($1, $2, $3)",
      BYTEAOID, INT8OID, BYTEAOID);
QUERY(session_delete_expired,
      "DELETE FROM clinicq.session WHERE user_id = $1 AND coalesce(ends_at, expires_at) <= now()",
      INT8OID);
QUERY(
    session_delete,
    "DELETE FROM clinicq.session WHERE token_hash = $1 AND expires_at > now() RETURNING in_cookie, user_id",
    BYTEAOID);
QUERY(session_delete_one,
      "DELETE FROM clinicq.session WHERE id = $1 AND ($2 = 0 OR user_id = $2) RETURNING user_id",
      INT8OID, INT8OID);
QUERY(session_delete_all, "DELETE FROM clinicq.session WHERE user_id = $1", INT8OID);
QUERY(session_by_token,
      "SELECT u.id, u.username, u.roles, s.last_used_at, s.ends_at, u.password_expired"
      " FROM clinicq.session s JOIN clinicq.app_user u ON u.id = s.user_id"
      " WHERE s.token_hash = $1 AND s.expires_at > now() AND u.disabled_at IS NULL",
      BYTEAOID);
/* A request that finds the row locked leaves it to the one that holds it. */
QUERY(session_touch,
      "UPDATE clinicq.session SET last_used_at = now(),"
      " expires_at = CASE WHEN ends_at IS NULL THEN least($2, created_at + $4) ELSE expires_at END"
      " WHERE token_hash ="
      " (SELECT token_hash FROM clinicq.session WHERE token_hash = $1 AND last_used_at = $3"
      "  FOR NO KEY UPDATE SKIP LOCKED)",
      BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID);
QUERY(refresh_by_token,
      "SELECT s.id, u.id, u.username, u.roles, u.password_expired, r.salt, r.used_at, s.ends_at"
      " FROM clinicq.refresh_token r JOIN clinicq.session s ON s.id = r.session_id"
      " JOIN clinicq.app_user u ON u.id = s.user_id"
      " WHERE r.token_hash = $1 AND s.ends_at > now() AND u.disabled_at IS NULL FOR UPDATE OF s",
      BYTEAOID);
QUERY(refresh_use, "UPDATE clinicq.refresh_token SET used_at = now() WHERE token_hash = $1",
      BYTEAOID);
QUERY(refresh_unused, "SELECT FROM clinicq.refresh_token WHERE token_hash = $1 AND used_at IS NULL",
      BYTEAOID);
QUERY(
    session_renew,
    "UPDATE clinicq.session SET token_hash = $2, expires_at = $3, last_used_at = now() WHERE id = $1",
    INT8OID, BYTEAOID, TIMESTAMPTZOID);
QUERY(session_expiry, "SELECT expires_at FROM clinicq.session WHERE id = $1", INT8OID);
QUERY(
    sessions_of_user,
    "SELECT id, device, host(client), created_at, last_used_at, coalesce(ends_at, expires_at),"
    " token_hash = $2 FROM clinicq.session"
    " WHERE user_id = $1 AND coalesce(ends_at, expires_at) > now() ORDER BY last_used_at DESC, id",
    INT8OID, BYTEAOID);

QUERY(sessions_purge,
      "DELETE FROM clinicq.session WHERE token_hash IN (SELECT token_hash FROM clinicq.session"
      " WHERE expires_at <= now() AND coalesce(ends_at, expires_at) <= now()"
      " ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
      INT4OID);

bool session_token_is_well_formed(const char *token) {
    return strlen(token) == SESSION_TOKEN_LENGTH &&
           strspn(token, "0123456789abcdef") == SESSION_TOKEN_LENGTH;
}

static void token_make(char *token) {
    unsigned char random[SESSION_TOKEN_LENGTH / 2];

    randombytes_buf(random, sizeof random);
    sodium_bin2hex(token, SESSION_TOKEN_LENGTH + 1, random, sizeof random);
}

static Datum salt_make(void) {
    bytea *salt = palloc(VARHDRSZ + SESSION_TOKEN_LENGTH / 2);

    SET_VARSIZE(salt, VARHDRSZ + SESSION_TOKEN_LENGTH / 2);
    randombytes_buf(VARDATA(salt), SESSION_TOKEN_LENGTH / 2);
    return PointerGetDatum(salt);
}

/* A token that only the holder of `from`, together with the salt in the database, can make. */
static void token_derive(char *token, const char *from, Datum salt, unsigned char purpose) {
    crypto_auth_hmacsha256_state state;
    unsigned char derived[crypto_auth_hmacsha256_BYTES];
    bytea *salt_bytes = DatumGetByteaPP(salt);

    StaticAssertStmt(crypto_auth_hmacsha256_BYTES == SESSION_TOKEN_LENGTH / 2,
                     "a token is as long as an HMAC");
    crypto_auth_hmacsha256_init(&state, (const unsigned char *) from, strlen(from));
    crypto_auth_hmacsha256_update(&state, (unsigned char *) VARDATA_ANY(salt_bytes),
                                  VARSIZE_ANY_EXHDR(salt_bytes));
    crypto_auth_hmacsha256_update(&state, &purpose, 1);
    crypto_auth_hmacsha256_final(&state, derived);
    sodium_bin2hex(token, SESSION_TOKEN_LENGTH + 1, derived, sizeof derived);
}

static TimestampTz in_minutes(int minutes) {
    return GetCurrentTransactionStartTimestamp() + minutes * USECS_PER_MINUTE;
}

static int days_at_most(uint32 roles) {
    return setting_int_of_roles(SETTING_SESSION_DAYS, roles);
}

static TimestampTz sliding_expiry(uint32 roles) {
    return in_minutes(setting_int_of_roles(SETTING_SESSION_MINUTES, roles));
}

static TimestampTz access_expiry(uint32 roles) {
    return in_minutes(setting_int_of_roles(SETTING_ACCESS_MINUTES, roles));
}

bool session_open(Session *session, Datum password_hash, SessionKind kind) {
    bool with_refresh = kind == SESSION_REFRESH;
    const char *device = request_user_agent();
    TimestampTz ends_at = in_minutes(days_at_most(session->roles) * 24 * 60);
    Datum args[8];
    char nulls[] = "        ";

    token_make(session->token);
    session->expires_at =
        Min(ends_at, with_refresh ? access_expiry(session->roles) : sliding_expiry(session->roles));
    args[0] = sha256_datum(session->token);
    args[1] = Int64GetDatum(session->user_id);
    args[2] = CStringGetTextDatum(actor_current()->client);
    args[3] = TimestampTzGetDatum(session->expires_at);
    args[4] = password_hash;
    args[5] = TimestampTzGetDatum(ends_at);
    args[6] = device ? CStringGetTextDatum(device) : 0;
    args[7] = BoolGetDatum(kind == SESSION_COOKIE);
    nulls[5] = with_refresh ? ' ' : 'n';
    nulls[6] = device ? ' ' : 'n';
    if (query_write(&session_insert, args, nulls) == 0)
        return false;
    if (with_refresh) {
        Datum refresh[3];

        token_make(session->refresh);
        refresh[0] = sha256_datum(session->refresh);
        refresh[1] = Int64GetDatum(row_int64(0, 1));
        refresh[2] = salt_make();
        query_write(&refresh_insert, refresh, NULL);
    }
    query_write(&session_delete_expired, &args[1], NULL);
    return true;
}

/* Gives the successor out for the first time. */
static void refresh_first(Session *session, Datum old_hash, int64 session_id, TimestampTz ends_at) {
    Datum renew[3];
    Datum refresh[3];

    query_write(&refresh_use, &old_hash, NULL);
    refresh[0] = sha256_datum(session->refresh);
    refresh[1] = Int64GetDatum(session_id);
    refresh[2] = salt_make();
    query_write(&refresh_insert, refresh, NULL);
    session->expires_at = Min(access_expiry(session->roles), ends_at);
    renew[0] = Int64GetDatum(session_id);
    renew[1] = sha256_datum(session->token);
    renew[2] = TimestampTzGetDatum(session->expires_at);
    query_write(&session_renew, renew, NULL);
}

/* Gives the same successor again, if its time is not over and nobody has used it. */
static bool refresh_again(Session *session, TimestampTz used_at, int64 session_id) {
    Datum hash = sha256_datum(session->refresh);
    Datum id = Int64GetDatum(session_id);

    if (GetCurrentTransactionStartTimestamp() - used_at > 10 * USECS_PER_SEC ||
        query_write(&refresh_unused, &hash, NULL) == 0)
        return false;
    query_write(&session_expiry, &id, NULL);
    session->expires_at = row_int64(0, 1);
    return true;
}

bool session_refresh(const char *refresh, Session *session) {
    MemoryContext caller = CurrentMemoryContext;
    Datum hash;
    Datum salt;
    int64 session_id;
    TimestampTz ends_at;
    bool first;
    bool given;
    bool isnull;

    SPI_connect();
    hash = sha256_datum(refresh);
    if (query_write(&refresh_by_token, &hash, NULL) == 0) {
        SPI_finish();
        return false;
    }
    session_id = row_int64(0, 1);
    session->user_id = row_int64(0, 2);
    session->username = MemoryContextStrdup(caller, row_text(0, 3));
    session->roles = roles_from_array(row_value(0, 4, &isnull));
    session->password_expired = DatumGetBool(row_value(0, 5, &isnull));
    salt = row_value(0, 6, &isnull);
    first = row_isnull(0, 7);
    ends_at = row_int64(0, 8);
    token_derive(session->token, refresh, salt, 'a');
    token_derive(session->refresh, refresh, salt, 'r');
    if (first) {
        refresh_first(session, hash, session_id, ends_at);
        given = true;
    } else
        given = refresh_again(session, row_int64(0, 7), session_id);
    if (!given) {
        session_end(session_id, 0);
        audit_event("REFRESH_REUSED", "app_user", session->user_id, "session ended");
    }
    SPI_finish();
    return given;
}

bool session_authenticate(const char *token) {
    Datum args[4];
    TimestampTz now = GetCurrentTransactionStartTimestamp();
    TimestampTz last_used;
    int64 user_id;
    uint32 roles;
    bool isnull;

    if (!session_token_is_well_formed(token))
        return false;
    args[0] = sha256_datum(token);
    SPI_connect();
    if (query_read(&session_by_token, args, NULL) == 0) {
        SPI_finish();
        return false;
    }
    roles = roles_from_array(row_value(0, 3, &isnull));
    last_used = row_int64(0, 4);
    user_id = row_int64(0, 1);
    actor_set_user(user_id, row_text(0, 2), roles);
    if (DatumGetBool(row_value(0, 6, &isnull)))
        actor_set_due("the password was for one time and has to be changed first");
    else if (totp_is_due(user_id, roles))
        actor_set_due("a second factor has to be set up first");
    if (now - last_used > TOUCH_INTERVAL && query_may_write()) {
        args[1] = TimestampTzGetDatum(sliding_expiry(roles));
        args[2] = TimestampTzGetDatum(last_used);
        args[3] = IntervalPGetDatum(&(Interval){.day = days_at_most(roles)});
        query_write(&session_touch, args, NULL);
    }
    SPI_finish();
    return true;
}

bool session_log_out(const char *token, bool *in_cookie) {
    Datum args[1];
    bool found;
    bool isnull;

    *in_cookie = false;
    if (!session_token_is_well_formed(token))
        return false;
    args[0] = sha256_datum(token);
    SPI_connect();
    found = query_write(&session_delete, args, NULL) > 0;
    if (found) {
        *in_cookie = DatumGetBool(row_value(0, 1, &isnull));
        feed_tell_session(row_int64(0, 2));
    }
    SPI_finish();
    return found;
}

bool session_end(int64 session_id, int64 user_id) {
    Datum args[2] = {Int64GetDatum(session_id), Int64GetDatum(user_id)};

    if (query_write(&session_delete_one, args, NULL) == 0)
        return false;
    feed_tell_session(row_int64(0, 1));
    return true;
}

void session_end_all(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};

    if (query_write(&session_delete_all, args, NULL) > 0)
        feed_tell_session(user_id);
}

void session_append_list(StringInfo json, int64 user_id, const char *token) {
    Datum args[2] = {Int64GetDatum(user_id), sha256_datum(token)};
    uint64 rows = query_read(&sessions_of_user, args, NULL);
    bool isnull;

    appendStringInfoChar(json, '[');
    for (uint64 row = 0; row < rows; row++) {
        json_comma(json);
        appendStringInfoChar(json, '{');
        json_int(json, "id", row_int64(row, 1));
        json_text(json, "device", row_text(row, 2));
        json_text(json, "address", row_text(row, 3));
        json_timestamp(json, "created_at", row_int64(row, 4), "Z");
        json_timestamp(json, "last_used_at", row_int64(row, 5), "Z");
        json_timestamp(json, "expires_at", row_int64(row, 6), "Z");
        json_bool(json, "current", DatumGetBool(row_value(row, 7, &isnull)));
        appendStringInfoChar(json, '}');
    }
    appendStringInfoChar(json, ']');
}

void session_append_json(StringInfo json, const Session *session, bool in_cookie) {
    appendStringInfoChar(json, '{');
    json_text(json, "token", in_cookie ? NULL : session->token);
    json_text(json, "access", in_cookie ? NULL : session->token);
    json_text(json, "refresh", *session->refresh ? session->refresh : NULL);
    json_int(json, "expires_in",
             (session->expires_at - GetCurrentTransactionStartTimestamp()) / USECS_PER_SEC);
    json_key(json, "user");
    appendStringInfoChar(json, '{');
    json_text(json, "username", session->username);
    json_key(json, "roles");
    roles_append_json(json, session->roles);
    appendStringInfoChar(json, '}');
    if (session->password_expired)
        json_bool(json, "password_change_required", true);
    appendStringInfoChar(json, '}');
}

uint64 session_purge(int32 limit) {
    Datum args[1] = {Int32GetDatum(limit)};

    return query_write(&sessions_purge, args, NULL);
}

Datum clinicq_log_out(PG_FUNCTION_ARGS) {
    bool in_cookie;

    cache_require_ready();
    ARG_REQUIRE(0, "token");
    PG_RETURN_BOOL(session_log_out(ARG_CSTRING(0), &in_cookie));
}
