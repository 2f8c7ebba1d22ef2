#include "password_reset.h"

#include <sodium.h>

#include "actor.h"
#include "address.h"
#include "audit.h"
#include "clock.h"
#include "error.h"
#include "fields.h"
#include "fmgr.h"
#include "json.h"
#include "log_in.h"
#include "message_template.h"
#include "miscadmin.h"
#include "outbox.h"
#include "own_lock.h"
#include "password.h"
#include "query.h"
#include "reply.h"
#include "setting.h"
#include "user.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(clinicq_api_request_password_reset);
PG_FUNCTION_INFO_V1(clinicq_api_confirm_password_reset);

#define ID_BYTES     16
#define TOKEN_BYTES  (ID_BYTES + crypto_auth_hmacsha256_BYTES)
#define TOKEN_DIGITS (2 * TOKEN_BYTES)
#define GOOD_MINUTES 30
#define HOURLY       3
/* Who has an account and who has not is answered after this time, which no work here takes. */
#define ANSWER_MS 60

QUERY(key_of_resets, "SELECT key FROM clinicq.signing_key WHERE name = 'reset'");
QUERY(reset_user,
      "SELECT id, disabled_at IS NOT NULL, email IS NOT NULL FROM clinicq.app_user"
      " WHERE username = $1",
      TEXTOID);
QUERY(resets_lately,
      "SELECT count(*) FROM clinicq.password_reset"
      " WHERE user_id = $1 AND created_at > now() - interval '1 hour'",
      INT8OID);
QUERY(reset_insert,
      "INSERT INTO clinicq.password_reset (id, user_id, expires_at)"
      " VALUES ($1, $2, now() + make_interval(mins => $3))",
      BYTEAOID, INT8OID, INT4OID);
QUERY(reset_to_send,
      "SELECT u.email FROM clinicq.password_reset r JOIN clinicq.app_user u ON u.id = r.user_id"
      " WHERE r.id = $1 AND r.user_id = $2 AND r.used_at IS NULL AND r.expires_at > now()"
      " AND u.disabled_at IS NULL AND u.email IS NOT NULL",
      BYTEAOID, INT8OID);
/* The user is locked first, as by all that changes a password. */
QUERY(reset_lock,
      "SELECT u.id, u.username FROM clinicq.password_reset r"
      " JOIN clinicq.app_user u ON u.id = r.user_id"
      " WHERE r.id = $1 AND u.disabled_at IS NULL FOR NO KEY UPDATE OF u",
      BYTEAOID);
QUERY(reset_use,
      "UPDATE clinicq.password_reset SET used_at = now()"
      " WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
      BYTEAOID);
QUERY(resets_purge,
      "DELETE FROM clinicq.password_reset WHERE id IN (SELECT id FROM clinicq.password_reset"
      " WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT $1"
      " FOR UPDATE SKIP LOCKED)",
      INT4OID);

uint64 password_reset_purge(int32 limit) {
    Datum args[1] = {Int32GetDatum(limit)};

    return query_write(&resets_purge, args, NULL);
}

/* A fragment may stand there, which browsers send to nobody: so none of the servers between logs
 * the token. */
const char *password_reset_url_fault(const char *value) {
    char *page = pstrdup(value);
    char *fragment = strchr(page, '#');

    if (fragment != NULL)
        *fragment = '\0';
    if (address_word_fault(value) == NULL && address_url_fault(page) == NULL &&
        (fragment == NULL || *page != '\0'))
        return NULL;
    return "must be what a token is put behind, such as https://clinic.example/new-password#token=; http is for this machine only";
}

static Datum bytes_datum(const unsigned char *bytes, size_t length) {
    bytea *value = palloc(VARHDRSZ + length);

    SET_VARSIZE(value, VARHDRSZ + length);
    memcpy(VARDATA(value), bytes, length);
    return PointerGetDatum(value);
}

/* token: id and, behind it, its HMAC, which is filled in. False where the key was removed, which
 * makes all links void. */
static bool sign(unsigned char token[TOKEN_BYTES]) {
    static const unsigned char purpose[] = "password reset";
    crypto_auth_hmacsha256_state state;
    bytea *key;
    bool isnull;

    if (query_read(&key_of_resets, NULL, NULL) == 0)
        return false;
    key = DatumGetByteaPP(row_value(0, 1, &isnull));
    crypto_auth_hmacsha256_init(&state, (const unsigned char *) VARDATA_ANY(key),
                                VARSIZE_ANY_EXHDR(key));
    crypto_auth_hmacsha256_update(&state, purpose, sizeof purpose);
    crypto_auth_hmacsha256_update(&state, token, ID_BYTES);
    crypto_auth_hmacsha256_final(&state, token + ID_BYTES);
    return true;
}

static bool from_hex(unsigned char *bytes, size_t length, const char *digits) {
    size_t read;

    return strlen(digits) == 2 * length &&
           sodium_hex2bin(bytes, length, digits, 2 * length, NULL, &read, NULL) == 0 &&
           read == length;
}

bool password_reset_append_work(StringInfo work, int64 user_id, const char *id,
                                const char **reason) {
    unsigned char token[TOKEN_BYTES];
    char digits[TOKEN_DIGITS + 1];
    Datum args[2];
    Placeholder values[] = {{"clinic", clock_first_clinic_name()},
                            {"minutes", psprintf("%d", GOOD_MINUTES)},
                            {"link"},
                            {NULL}};

    *reason = "the link is of no use any more";
    if (id == NULL || !from_hex(token, ID_BYTES, id))
        return false;
    args[0] = bytes_datum(token, ID_BYTES);
    args[1] = Int64GetDatum(user_id);
    if (query_write(&reset_to_send, args, NULL) == 0)
        return false;
    json_text(work, "to", row_text(0, 1));
    if (!sign(token))
        return false;
    sodium_bin2hex(digits, sizeof digits, token, sizeof token);
    values[2].value = psprintf("%s%s", setting_text(SETTING_PASSWORD_RESET_URL), digits);
    if (template_append(work, "password_reset", "email", "en", values))
        return true;
    *reason = "there is no text for it";
    return false;
}

/* Writes a link for a user, and what to send. */
static void write_link(int64 user_id) {
    unsigned char id[ID_BYTES];
    char digits[2 * ID_BYTES + 1];
    Datum args[3] = {0, Int64GetDatum(user_id), Int32GetDatum(GOOD_MINUTES)};
    DeliveryRefs refs = {.user_id = user_id};

    randombytes_buf(id, sizeof id);
    args[0] = bytes_datum(id, sizeof id);
    query_write(&reset_insert, args, NULL);
    sodium_bin2hex(digits, sizeof digits, id, sizeof id);
    outbox_add(CHANNEL_EMAIL, "password_reset", psprintf("{\"reset\":\"%s\"}", digits), &refs);
}

/* What became of it, for the audit log. */
static const char *request_link(const char *username, int64 *user_id) {
    Datum name[1] = {CStringGetTextDatum(username)};
    Datum id[1];
    bool disabled;
    bool has_email;

    *user_id = 0;
    if (query_write(&reset_user, name, NULL) == 0)
        return "unknown";
    *user_id = row_int64(0, 1);
    disabled = row_bool(0, 2);
    has_email = row_bool(0, 3);
    if (disabled)
        return "disabled";
    if (!has_email)
        return "no address";
    if (!channel_is_on(CHANNEL_EMAIL) || setting_is(SETTING_PASSWORD_RESET_URL, ""))
        return "not set up";
    /* Of two at once one is enough; the other does not wait, for its time would tell of the user.
     */
    if (!own_lock_try(LOCK_PASSWORD_RESET, (uint64) *user_id))
        return "too many";
    id[0] = Int64GetDatum(*user_id);
    query_write(&resets_lately, id, NULL);
    if (row_int64(0, 1) >= HOURLY)
        return "too many";
    write_link(*user_id);
    return "done";
}

static void wait_until(TimestampTz end) {
    long ms;

    while ((ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0) {
        CHECK_FOR_INTERRUPTS();
        pg_usleep(1000L * Min(ms, 10));
    }
}

/* Says the same to everybody, after the same time. */
Datum clinicq_api_request_password_reset(PG_FUNCTION_ARGS) {
    TimestampTz answer = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ANSWER_MS);
    Fields *fields = fields_of_body(fcinfo);
    StringInfo json = makeStringInfo();
    char *username;
    int64 user_id;
    const char *outcome;

    if (field_given(fields, "username", &username, true))
        username = trim_blanks(username);
    user_check_name(fields->faults, username);
    faults_raise(fields->faults);
    SPI_connect();
    outcome = request_link(username, &user_id);
    audit_event("RESET_REQUESTED", "app_user", user_id, outcome);
    SPI_finish();
    appendStringInfoString(json, "{\"detail\":\"Where a user of this name has an e-mail address,"
                                 " a link for a new password is sent there.\"}");
    wait_until(answer);
    return reply(202, json, NULL);
}

/* Whether the token was made here, and its id; without a look at the database's rows. */
static bool read_token(const char *digits, Datum *id) {
    unsigned char given[TOKEN_BYTES], own[TOKEN_BYTES];

    if (!from_hex(given, sizeof given, digits))
        return false;
    memcpy(own, given, ID_BYTES);
    *id = bytes_datum(given, ID_BYTES);
    return sign(own) && sodium_memcmp(given, own, sizeof own) == 0;
}

/* The user whose password may be set, 0 for nobody; the link is used then. */
static int64 take_token(const char *digits, char **username) {
    Datum id;
    int64 user_id;

    if (!read_token(digits, &id) || query_write(&reset_lock, &id, NULL) == 0)
        return 0;
    user_id = row_int64(0, 1);
    *username = row_text(0, 2);
    return query_write(&reset_use, &id, NULL) > 0 ? user_id : 0;
}

/* The second factor stays: it is asked for at the next log-in. */
Datum clinicq_api_confirm_password_reset(PG_FUNCTION_ARGS) {
    Fields *fields = fields_of_body(fcinfo);
    StringInfo json = makeStringInfo();
    char *token;
    char *password;
    char *username;
    int64 user_id;

    if (field_given(fields, "token", &token, true) && *token == '\0')
        faults_add(fields->faults, "token", "must not be blank");
    if (field_given(fields, "password", &password, true))
        password_check(fields->faults, password, NULL);
    faults_raise(fields->faults);
    SPI_connect();
    user_id = take_token(token, &username);
    if (user_id == 0) {
        audit_event("PASSWORD_RESET", "app_user", 0, "failed");
        SPI_finish();
        appendStringInfoString(json, "{\"non_field_errors\":[\"The link was used, is too old, or is"
                                     " not one of ours; ask for another one.\"]}");
        return reply(400, json, NULL); /* no error, so that the event is committed */
    }
    password_check(fields->faults, password, username);
    faults_raise(fields->faults);
    user_set_password(user_id, password);
    log_in_forget(username);
    audit_event("PASSWORD_RESET", "app_user", user_id, "done");
    SPI_finish();
    return reply(204, NULL, NULL);
}
