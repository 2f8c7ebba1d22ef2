#include "message_template.h"

#include "actor.h"
#include "error.h"
#include "faults.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json.h"
#include "mb/pg_wchar.h"
#include "query.h"

PG_FUNCTION_INFO_V1(clinicq_change_message_template);
PG_FUNCTION_INFO_V1(clinicq_message_templates);

#define BODY_MAX    2000
#define SUBJECT_MAX 200

QUERY(template_find,
      "SELECT subject, body FROM clinicq.message_template"
      " WHERE purpose = $1 AND channel = $2 AND language IN ($3, 'en')"
      " ORDER BY language = $3 DESC LIMIT 1",
      TEXTOID, TEXTOID, TEXTOID);
QUERY(template_put,
      "INSERT INTO clinicq.message_template (purpose, channel, language, subject, body)"
      " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (purpose, channel, language)"
      " DO UPDATE SET subject = excluded.subject, body = excluded.body, shipped = false",
      TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);
QUERY(templates_all, "SELECT purpose, channel, language, subject, body, shipped"
                     " FROM clinicq.message_template ORDER BY purpose, channel, language");

/* What a text of a purpose may name. */
static const struct {
    const char *purpose;
    bool by_sms;
    const char *names[5];
} purposes[] = {
    {"turn_near", true, {"token", "queue", "room", "clinic", "place"}},
    {"room", true, {"token", "queue", "room", "clinic", "place"}},
    {"desk", true, {"token", "queue", "room", "clinic", "place"}},
    {"password_reset", false, {"clinic", "link", "minutes"}},
    {"daily_summary", false, {"clinic", "day", "summary"}},
};

/* The end of a placeholder that begins here, with its name's length; NULL where none does. */
static const char *placeholder_end(const char *at, size_t *length) {
    if (*at != '{')
        return NULL;
    *length = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_");
    return at[1 + *length] == '}' && *length > 0 ? at + 2 + *length : NULL;
}

static const char *value_of(const Placeholder *values, const char *name, size_t length) {
    for (; values->name != NULL; values++)
        if (strlen(values->name) == length && memcmp(values->name, name, length) == 0)
            return values->value ? values->value : "";
    return NULL;
}

/* What stands in a value is never taken for a placeholder. */
static char *fill(const char *from, const Placeholder *values) {
    StringInfoData out;
    size_t length;

    initStringInfo(&out);
    while (*from != '\0') {
        const char *end = placeholder_end(from, &length);
        const char *value = end ? value_of(values, from + 1, length) : NULL;

        if (value != NULL) {
            appendStringInfoString(&out, value);
            from = end;
        } else
            appendStringInfoChar(&out, *from++);
    }
    return out.data;
}

/* A subject is one line, whatever a name holds. */
static char *one_line(char *from) {
    for (char *at = from; *at != '\0'; at++)
        if ((unsigned char) *at < 0x20 || *at == 0x7F)
            *at = ' ';
    return from;
}

bool template_append(StringInfo json, const char *purpose, const char *channel,
                     const char *language, const Placeholder *values) {
    Datum args[3] = {CStringGetTextDatum(purpose), CStringGetTextDatum(channel),
                     CStringGetTextDatum(language)};

    if (query_write(&template_find, args, NULL) == 0)
        return false;
    if (!row_isnull(0, 1))
        json_text(json, "subject", one_line(fill(row_text(0, 1), values)));
    json_text(json, "body", fill(row_text(0, 2), values));
    return true;
}

static void check_placeholders(Faults *faults, const char *field, const char *body, int purpose) {
    for (const char *at = body; *at != '\0'; at++) {
        size_t length = 0;
        bool known = false;

        if (*at != '{')
            continue;
        if (placeholder_end(at, &length) != NULL)
            for (int i = 0; i < lengthof(purposes[purpose].names); i++) {
                const char *name = purposes[purpose].names[i];

                known = known || (name != NULL && strlen(name) == length &&
                                  memcmp(name, at + 1, length) == 0);
            }
        if (!known) {
            faults_add(faults, field, "has a { that begins no placeholder of %s",
                       purposes[purpose].purpose);
            return;
        }
    }
}

static int find_purpose(const char *name) {
    for (int i = 0; i < lengthof(purposes); i++)
        if (strcmp(purposes[i].purpose, name) == 0)
            return i;
    return -1;
}

/* A body may have lines, a subject is one. */
static void check_text(Faults *faults, const char *field, const char *given, int max, bool lines) {
    int length = pg_mbstrlen(given);

    if (length < 1 || length > max)
        faults_add(faults, field, "must have 1 to %d characters", max);
    for (const char *at = given; *at != '\0'; at++)
        if (((unsigned char) *at < 0x20 && !(lines && *at == '\n')) || *at == 0x7F) {
            faults_add(faults, field, "must not contain control characters");
            return;
        }
}

static void check(Faults *faults, const char *purpose, const char *channel, const char *language,
                  const char *body, const char *subject) {
    int found = find_purpose(purpose);
    bool is_email = strcmp(channel, "email") == 0;
    size_t length = strlen(language);

    if (found < 0)
        faults_add(faults, "purpose",
                   "must be turn_near, room, desk, password_reset or daily_summary");
    if (!is_email && (strcmp(channel, "sms") != 0 || (found >= 0 && !purposes[found].by_sms)))
        faults_add(faults, "channel",
                   found >= 0 && !purposes[found].by_sms ? "must be email"
                                                         : "must be sms or email");
    if (length < 2 || length > 3 || strspn(language, "abcdefghijklmnopqrstuvwxyz") != length)
        faults_add(faults, "language", "must be a code of ISO 639, as en");
    else if (found >= 0 && !purposes[found].by_sms && strcmp(language, "en") != 0)
        faults_add(faults, "language", "must be en: users get no other");
    if (is_email != (subject != NULL))
        faults_add(faults, "subject", is_email ? "is required of an e-mail" : "is of e-mails only");
    check_text(faults, "body", body, BODY_MAX, true);
    if (subject != NULL)
        check_text(faults, "subject", subject, SUBJECT_MAX, false);
    if (found >= 0) {
        check_placeholders(faults, "body", body, found);
        if (strcmp(purpose, "password_reset") == 0 && strstr(body, "{link}") == NULL)
            faults_add(faults, "body", "must have a {link}");
        check_placeholders(faults, "subject", subject ? subject : "", found);
    }
}

Datum clinicq_change_message_template(PG_FUNCTION_ARGS) {
    Faults *faults = faults_new();
    Datum args[5];

    actor_require(ROLE_ADMIN);
    ARG_REQUIRE(0, "purpose");
    ARG_REQUIRE(1, "channel");
    ARG_REQUIRE(2, "language");
    ARG_REQUIRE(3, "body");
    check(faults, ARG_CSTRING(0), ARG_CSTRING(1), ARG_CSTRING(2), ARG_CSTRING(3), ARG_CSTRING(4));
    faults_raise(faults);
    for (int i = 0; i < 3; i++)
        args[i] = PG_GETARG_DATUM(i);
    args[3] = PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4);
    args[4] = PG_GETARG_DATUM(3);
    SPI_connect();
    query_write(&template_put, args, PG_ARGISNULL(4) ? "   n " : NULL);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum clinicq_message_templates(PG_FUNCTION_ARGS) {
    ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
    uint64 rows;

    actor_require(ROLE_ADMIN);
    InitMaterializedSRF(fcinfo, 0);
    SPI_connect();
    rows = query_read(&templates_all, NULL, NULL);
    for (uint64 row = 0; row < rows; row++) {
        Datum values[6];
        bool nulls[6];

        row_values(row, values, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    SPI_finish();
    return (Datum) 0;
}
