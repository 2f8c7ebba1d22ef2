#include "log_in.h"

#include "actor.h"
#include "audit.h"
#include "cache.h"
#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "password.h"
#include "query.h"
#include "setting.h"
#include "sha256.h"
#include "totp.h"
#include "utils/formatting.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_log_in);

/* Over all addresses: this often from where the name never logged in, past the threshold. */
#define SLOW_SECONDS     30
#define LOCK_SECONDS_MAX 3600
/* Keeps the table small however many names are tried: a few old rows go with each new try. */
#define TIDY_ROWS 10

/* $2: the client's address; a psql client on a Unix socket counts as one. */
#define NETWORK                             \
    "CASE WHEN $2 = '' THEN inet '0.0.0.0'" \
    " WHEN family($2::inet) = 6 THEN set_masklen($2::inet, 64)::cidr::inet ELSE $2::inet END"

QUERY(attempt_lock,
      "INSERT INTO clinicq.log_in_attempt AS a (name_hash, network) VALUES ($1, " NETWORK ")"
      " ON CONFLICT (name_hash, network) DO UPDATE SET last_at = a.last_at"
      " RETURNING ceil(extract(epoch FROM locked_until - clock_timestamp()))::int, failures,"
      "  succeeded_at IS NOT NULL",
      BYTEAOID, TEXTOID);
QUERY(
    attempt_elsewhere,
    "SELECT coalesce(sum(failures), 0), ceil(extract(epoch FROM"
    "  max(last_at) FILTER (WHERE succeeded_at IS NULL AND failures > 0) + $2 * interval '1 second' - clock_timestamp()))::int"
    " FROM clinicq.log_in_attempt WHERE name_hash = $1 AND last_at > clock_timestamp() - interval '15 minutes'",
    BYTEAOID, INT4OID);
QUERY(attempt_count,
      "UPDATE clinicq.log_in_attempt SET failures = failures + 1, last_at = clock_timestamp(),"
      " locked_until = CASE WHEN failures + 1 >= $3 THEN clock_timestamp() + interval '1 second' *"
      "  least($4 * 2 ^ least(failures + 1 - $3, 12), $5) END"
      " WHERE name_hash = $1 AND network = " NETWORK,
      BYTEAOID, TEXTOID, INT4OID, INT4OID, INT4OID);
QUERY(attempt_succeeded,
      "UPDATE clinicq.log_in_attempt SET failures = 0, locked_until = NULL, succeeded_at = now()"
      " WHERE name_hash = $1 AND network = " NETWORK,
      BYTEAOID, TEXTOID);
QUERY(attempts_forget,
      "UPDATE clinicq.log_in_attempt SET failures = 0, locked_until = NULL WHERE name_hash = $1",
      BYTEAOID);
QUERY(
    attempts_purge,
    "DELETE FROM clinicq.log_in_attempt WHERE ctid = ANY (ARRAY(SELECT ctid FROM clinicq.log_in_attempt"
    " WHERE last_at < now() - CASE WHEN succeeded_at IS NULL THEN interval '1 day' ELSE interval '90 days' END"
    " ORDER BY last_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
    INT4OID);
QUERY(user_by_name,
      "SELECT id, username, password_hash, roles, password_expired FROM clinicq.app_user"
      " WHERE username = $1 AND disabled_at IS NULL",
      TEXTOID);
QUERY(user_rehash,
      "UPDATE clinicq.app_user SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
      INT8OID, TEXTOID, TEXTOID);

static const char *const outcomes[] = {
    [LOG_IN_DONE] = "done", [LOG_IN_WRONG] = "failed", [LOG_IN_CODE_NEEDED] = "code needed"};

static Datum name_hash(const char *username) {
    return sha256_datum(asc_tolower(username, strlen(username)));
}

uint64 log_in_purge(int32 limit) {
    Datum args[1] = {Int32GetDatum(limit)};

    return query_write(&attempts_purge, args, NULL);
}

int log_in_admit(const char *username) {
    Datum args[5] = {name_hash(username), CStringGetTextDatum(actor_current()->client),
                     Int32GetDatum(setting_int(SETTING_LOG_IN_ATTEMPTS)),
                     Int32GetDatum(setting_int(SETTING_LOG_IN_LOCK_SECONDS)),
                     Int32GetDatum(LOCK_SECONDS_MAX)};
    Datum elsewhere[2] = {args[0], Int32GetDatum(SLOW_SECONDS)};
    bool isnull;
    int wait;

    query_write(&attempt_lock, args, NULL);
    wait = row_isnull(0, 1) ? 0 : row_int32(0, 1);
    if (wait <= 0 && !DatumGetBool(row_value(0, 3, &isnull))) {
        query_write(&attempt_elsewhere, elsewhere, NULL);
        if (row_int64(0, 1) >= setting_int(SETTING_LOG_IN_ACCOUNT_ATTEMPTS) && !row_isnull(0, 2))
            wait = row_int32(0, 2);
    }
    if (wait > 0) {
        audit_event("LOG_IN", "app_user", 0, "locked");
        return wait;
    }
    query_write(&attempt_count, args, NULL);
    log_in_purge(TIDY_ROWS);
    return 0;
}

/* After a success: tries start anew, and a hash made with weaker parameters is made again. */
static void succeed(const char *username, const char *password, int64 user_id, Datum *hash) {
    Datum attempt[2] = {name_hash(username), CStringGetTextDatum(actor_current()->client)};

    query_write(&attempt_succeeded, attempt, NULL);
    if (password_needs_rehash(TextDatumGetCString(*hash))) {
        Datum args[3] = {Int64GetDatum(user_id), *hash,
                         CStringGetTextDatum(password_hash(password))};

        query_write(&user_rehash, args, NULL);
        *hash = args[2];
    }
}

LogIn log_in(const char *username, const char *password, const char *code, SessionKind kind,
             Session *session) {
    LogIn result = LOG_IN_WRONG;
    MemoryContext caller = CurrentMemoryContext;
    Datum name[1] = {CStringGetTextDatum(username)};
    Datum hash;
    bool known;
    bool right;
    bool needs_code;
    bool isnull;

    memset(session, 0, sizeof *session);
    SPI_connect();
    known = query_write(&user_by_name, name, NULL) > 0;
    if (known) {
        session->user_id = row_int64(0, 1);
        session->username = MemoryContextStrdup(caller, row_text(0, 2));
        hash = PointerGetDatum(cstring_to_text(row_text(0, 3)));
        session->roles = roles_from_array(row_value(0, 4, &isnull));
        session->password_expired = DatumGetBool(row_value(0, 5, &isnull));
        right = password_verify(TextDatumGetCString(hash), password);
    } else {
        password_verify_nobody(password); /* takes as long as a wrong password */
        right = false;
    }
    needs_code = right && totp_is_confirmed(session->user_id);
    if (needs_code && code == NULL)
        result = LOG_IN_CODE_NEEDED;
    else if (right && (!needs_code || totp_take(session->user_id, code))) {
        succeed(username, password, session->user_id, &hash);
        if (session_open(session, hash, kind))
            result = LOG_IN_DONE;
    }
    audit_event("LOG_IN", "app_user", session->user_id, outcomes[result]);
    SPI_finish();
    return result;
}

void log_in_forget(const char *username) {
    Datum args[1] = {name_hash(username)};

    query_write(&attempts_forget, args, NULL);
}

Datum clinicq_log_in(PG_FUNCTION_ARGS) {
    Session session;
    TupleDesc shape;
    Datum values[4] = {0};
    bool nulls[4] = {true, true, true, true};
    char *username;
    char *password;
    int wait;

    cache_require_ready();
    ARG_REQUIRE(0, "username");
    ARG_REQUIRE(1, "password");
    if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "log_in() must return a record");
    username = text_to_cstring(PG_GETARG_TEXT_PP(0));
    password = text_to_cstring(PG_GETARG_TEXT_PP(1));
    SPI_connect();
    wait = log_in_admit(username);
    SPI_finish();
    if (wait == 0 &&
        log_in(username, password, ARG_CSTRING(2), SESSION_SLIDING, &session) == LOG_IN_DONE) {
        values[0] = CStringGetTextDatum(session.token);
        values[1] = TimestampTzGetDatum(session.expires_at);
        values[2] = CStringGetTextDatum(session.username);
        values[3] = roles_to_array(session.roles);
        memset(nulls, 0, sizeof nulls);
    }
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
