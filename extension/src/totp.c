#include "totp.h"

#include <liboath/oath.h>
#include <sodium.h>

#include "access/xact.h"
#include "actor.h"
#include "audit.h"
#include "clock.h"
#include "error.h"
#include "fmgr.h"
#include "json.h"
#include "query.h"
#include "session.h"
#include "setting.h"
#include "sha256.h"
#include "user.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_reset_totp);

#define SECRET_BYTES    20
#define STEP_SECONDS    30
#define WINDOW          1 /* steps before and after the present one that serve too */
#define RECOVERY_CODES  10
#define RECOVERY_BYTES  15 /* random enough to be stored as a plain SHA-256 */
#define RECOVERY_LENGTH 24 /* in base 32 */
#define CODE_DIGITS     6

QUERY(totp_confirmed, "SELECT FROM clinicq.totp WHERE user_id = $1 AND confirmed_at IS NOT NULL",
      INT8OID);
QUERY(totp_secret,
      "SELECT secret, confirmed_at IS NOT NULL FROM clinicq.totp WHERE user_id = $1 FOR UPDATE",
      INT8OID);
QUERY(totp_insert,
      "INSERT INTO clinicq.totp AS t (user_id, secret) VALUES ($1, $2) ON CONFLICT (user_id)"
      " DO UPDATE SET secret = $2, last_step = 0, created_at = now() WHERE t.confirmed_at IS NULL",
      INT8OID, BYTEAOID);
QUERY(totp_step, "UPDATE clinicq.totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2",
      INT8OID, INT8OID);
QUERY(totp_set_confirmed, "UPDATE clinicq.totp SET confirmed_at = now() WHERE user_id = $1",
      INT8OID);
QUERY(totp_delete, "DELETE FROM clinicq.totp WHERE user_id = $1", INT8OID);
QUERY(recovery_insert, "INSERT INTO clinicq.recovery_code (user_id, code_hash) VALUES ($1, $2)",
      INT8OID, BYTEAOID);
QUERY(recovery_use,
      "UPDATE clinicq.recovery_code SET used_at = now()"
      " WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
      INT8OID, BYTEAOID);

bool totp_is_well_formed(const char *code) {
    size_t length = strlen(code);

    return (length == CODE_DIGITS && strspn(code, "0123456789") == length) ||
           (length == RECOVERY_LENGTH &&
            strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == length);
}

bool totp_is_confirmed(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};

    return query_write(&totp_confirmed, args, NULL) > 0;
}

static uint32 read_roles(const char *list, const char **unknown) {
    char *rest = pstrdup(list);
    uint32 roles = 0;

    *unknown = NULL;
    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
        uint32 bit = role_bit(name);

        if (bit == 0 && *list != '\0')
            *unknown = name;
        roles |= bit;
    }
    return roles;
}

const char *totp_roles_fault(const char *roles) {
    const char *unknown;

    read_roles(roles, &unknown);
    return unknown ? "must be a list of roles with commas, or empty" : NULL;
}

bool totp_is_due(int64 user_id, uint32 roles) {
    const char *unknown;
    const char *asked = setting_text(SETTING_TOTP_ROLES);

    return *asked != '\0' && (read_roles(asked, &unknown) & roles) != 0 &&
           !totp_is_confirmed(user_id);
}

/* The time step that the code belongs to, 0 for none. */
static uint64 code_step(bytea *secret, const char *code) {
    uint64_t step = 0;
    int position;
    time_t now = (time_t) timestamptz_to_time_t(GetCurrentTimestamp());

    if (strlen(code) != CODE_DIGITS)
        return 0;
    if (oath_totp_validate3(VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret), now, STEP_SECONDS, 0,
                            WINDOW, &position, &step, code) < 0)
        return 0;
    return step;
}

static bool take_device_code(int64 user_id, const char *code) {
    Datum args[2] = {Int64GetDatum(user_id)};
    bool isnull;
    uint64 step;

    if (query_write(&totp_secret, args, NULL) == 0)
        return false;
    step = code_step(DatumGetByteaPP(row_value(0, 1, &isnull)), code);
    args[1] = Int64GetDatum((int64) step);
    return step > 0 && query_write(&totp_step, args, NULL) > 0;
}

bool totp_take(int64 user_id, const char *code) {
    Datum args[2] = {Int64GetDatum(user_id)};

    if (take_device_code(user_id, code))
        return true;
    args[1] = sha256_datum(code);
    if (query_write(&recovery_use, args, NULL) == 0)
        return false;
    audit_event("RECOVERY_CODE", "app_user", user_id, "used");
    return true;
}

static char *base32(const unsigned char *bytes, size_t length) {
    char *encoded;
    char *copy;

    if (oath_base32_encode((const char *) bytes, length, &encoded, NULL) != OATH_OK)
        ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
    copy = pnstrdup(encoded, strcspn(encoded, "="));
    free(encoded);
    return copy;
}

/* A part of an otpauth URI: what is not a letter or a digit is percent-encoded. */
static char *uri_part(const char *value) {
    StringInfoData part;

    initStringInfo(&part);
    for (; *value; value++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._", *value) !=
            NULL)
            appendStringInfoChar(&part, *value);
        else
            appendStringInfo(&part, "%%%02X", (unsigned char) *value);
    return part.data;
}

void totp_enrol(int64 user_id, const char *username, StringInfo json) {
    bytea *secret = palloc(VARHDRSZ + SECRET_BYTES);
    Datum args[2] = {Int64GetDatum(user_id), PointerGetDatum(secret)};
    char *encoded;
    char *issuer = uri_part(clock_first_clinic_name());

    SET_VARSIZE(secret, VARHDRSZ + SECRET_BYTES);
    randombytes_buf(VARDATA(secret), SECRET_BYTES);
    if (query_write(&totp_insert, args, NULL) == 0)
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("a second factor is in force already"),
                errhint("Remove it first, with a code of it."));
    encoded = base32((unsigned char *) VARDATA(secret), SECRET_BYTES);
    appendStringInfoChar(json, '{');
    json_text(json, "secret", encoded);
    json_text(json, "otpauth_uri",
              psprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s", issuer, uri_part(username),
                       encoded, issuer));
    appendStringInfoChar(json, '}');
}

bool totp_confirm(int64 user_id, const char *code, StringInfo json) {
    Datum args[2] = {Int64GetDatum(user_id)};
    bool isnull;

    if (query_write(&totp_secret, args, NULL) == 0 || DatumGetBool(row_value(0, 2, &isnull)))
        ereport(ERROR, errcode_refused(ERRCODE_CQ_CONFLICT),
                errmsg("there is no second factor to confirm"), errhint("Enrol first."));
    if (!take_device_code(user_id, code))
        return false;
    query_write(&totp_set_confirmed, args, NULL);
    appendStringInfoString(json, "{\"recovery_codes\":[");
    for (int i = 0; i < RECOVERY_CODES; i++) {
        unsigned char random[RECOVERY_BYTES];
        char *recovery;

        randombytes_buf(random, sizeof random);
        recovery = base32(random, sizeof random);
        args[1] = sha256_datum(recovery);
        query_write(&recovery_insert, args, NULL);
        appendStringInfo(json, "%s\"%s\"", i > 0 ? "," : "", recovery);
    }
    appendStringInfoString(json, "]}");
    audit_event("TOTP", "app_user", user_id, "confirmed");
    return true;
}

bool totp_remove(int64 user_id) {
    Datum args[1] = {Int64GetDatum(user_id)};

    if (query_write(&totp_delete, args, NULL) == 0)
        return false;
    audit_event("TOTP", "app_user", user_id, "removed");
    return true;
}

Datum clinicq_reset_totp(PG_FUNCTION_ARGS) {
    int64 user_id;

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "username");
    SPI_connect();
    user_id = user_find(ARG_CSTRING(0));
    totp_remove(user_id);
    session_end_all(user_id);
    SPI_finish();
    PG_RETURN_VOID();
}
