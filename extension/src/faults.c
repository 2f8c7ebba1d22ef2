#include "faults.h"

#include "mb/pg_wchar.h"
#include "utils/json.h"

Faults *faults_new(void) {
    Faults *faults = palloc(sizeof *faults);

    initStringInfo(&faults->message);
    initStringInfo(&faults->json);
    return faults;
}

void faults_add(Faults *faults, const char *field, const char *format, ...) {
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    appendStringInfo(&faults->message, "%s%s: %s", faults->message.len > 0 ? "; " : "", field,
                     what);
    if (faults->json.len > 0)
        appendStringInfoChar(&faults->json, ',');
    escape_json(&faults->json, field);
    appendStringInfoString(&faults->json, ":[");
    escape_json(&faults->json, what);
    appendStringInfoChar(&faults->json, ']');
}

void faults_raise(Faults *faults) {
    if (faults->message.len > 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg_internal("%s", faults->message.data),
                errdetail_internal("{%s}", faults->json.data),
                errhint("Correct the named fields and send the call again; nothing was written."));
}

/* Bytes of the white space character that stands there, 0 if none does. */
static int blank_at(const char *from) {
    const unsigned char *at = (const unsigned char *) from;

    if (*at == ' ' || (*at >= '\t' && *at <= '\r'))
        return 1;
    if (at[0] == 0xC2 && (at[1] == 0xA0 || at[1] == 0x85))
        return 2;
    if (at[0] == 0xE2 && at[1] == 0x80 &&
        ((at[2] >= 0x80 && at[2] <= 0x8A) || at[2] == 0xA8 || at[2] == 0xA9 || at[2] == 0xAF))
        return 3;
    if (at[0] == 0xE3 && at[1] == 0x80 && at[2] == 0x80)
        return 3;
    return 0;
}

static bool is_control(const char *from) {
    const unsigned char *at = (const unsigned char *) from;

    return *at < 0x20 || *at == 0x7F || (at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0) ||
           (at[0] == 0xE2 && at[1] == 0x80 && (at[2] == 0xA8 || at[2] == 0xA9));
}

char *trim_blanks(const char *value) {
    const char *end;
    int blank;

    while ((blank = blank_at(value)) > 0)
        value += blank;
    end = value;
    for (const char *at = value; *at;) {
        blank = blank_at(at);
        at += blank > 0 ? blank : pg_mblen(at);
        if (blank == 0)
            end = at;
    }
    return pnstrdup(value, end - value);
}

char *faults_check_text(Faults *faults, const char *field, const char *value, int min, int max) {
    char *trimmed = trim_blanks(value);
    int length = pg_mbstrlen(trimmed);

    if (length == 0 && min > 0)
        faults_add(faults, field, "must not be blank");
    else if (length < min)
        faults_add(faults, field, "must have at least %d characters", min);
    else if (length > max)
        faults_add(faults, field, "must be no longer than %d characters", max);
    else
        for (const char *at = trimmed; *at; at += pg_mblen(at))
            if (is_control(at)) {
                faults_add(faults, field, "must not contain control characters");
                break;
            }
    return trimmed;
}
