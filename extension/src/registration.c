#include "registration.h"

#include <ctype.h>

#include "access/xact.h"
#include "actor.h"
#include "clock.h"
#include "commands/sequence.h"
#include "error.h"
#include "fmgr.h"
#include "query.h"
#include "setting.h"
#include "utils/datetime.h"

PG_FUNCTION_INFO_V1(clinicq_next_registration_number);

/* Numbers are strings of up to 15 characters to every client. */
#define NUMBER_MAX 15

QUERY(serial_next, "SELECT last_value + is_called::int FROM clinicq.registration_number_seq");
QUERY(serial_of_sequence, "SELECT nextval('clinicq.registration_number_seq')");
QUERY(serial_of_prefix,
      "INSERT INTO clinicq.registration_counter AS c (prefix, last_serial) VALUES ($1, 1)"
      " ON CONFLICT (prefix) DO UPDATE SET last_serial = c.last_serial + 1 RETURNING last_serial",
      TEXTOID);
QUERY(number_taken,
      "SELECT FROM clinicq.patient"
      " WHERE replace(registration_number, '-', '') = replace($1, '-', '')",
      TEXTOID);
/* To the last of the taken numbers in a row; $2 the digits before the serial, $3 the serial's. */
QUERY(serial_pass_taken,
      "WITH taken AS (SELECT CASE WHEN digits ~ '^[0-9]+$' THEN digits::bigint END AS serial"
      "  FROM clinicq.patient, substr(replace(registration_number, '-', ''), length($2) + 1) digits"
      "  WHERE starts_with(replace(registration_number, '-', ''), $2)"
      "   AND length(digits) BETWEEN $3 AND $3 + 1)"
      "UPDATE clinicq.registration_counter SET last_serial ="
      " (SELECT min(t.serial) FROM taken t WHERE t.serial >= last_serial"
      "   AND NOT EXISTS (SELECT FROM taken u WHERE u.serial = t.serial + 1)) WHERE prefix = $1",
      TEXTOID, TEXTOID, INT4OID);

static int count_digits(const char *format) {
    int count = 0;

    for (; *format; format++)
        count += *format == '#';
    return count;
}

/* Whether the sequence's next serial fits into a format without placeholders. */
static bool has_room(const char *format) {
    int64 next;

    SPI_connect();
    query_write(&serial_next, NULL, NULL);
    next = row_int64(0, 1);
    SPI_finish();
    return (int) strlen(psprintf(INT64_FORMAT, next)) <= count_digits(format) + 1;
}

const char *registration_format_fault(const char *format) {
    size_t length = 0;
    bool in_serial = false;

    for (const char *at = format; *at; at++) {
        if (strncmp(at, "{MM}", 4) == 0 || strncmp(at, "{YY}", 4) == 0 ||
            strncmp(at, "{CT}", 4) == 0) {
            if (in_serial)
                return "must have its placeholders before the first #";
            length += 2;
            at += 3;
        } else if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-#", *at) != NULL) {
            in_serial = in_serial || *at == '#';
            if (in_serial && *at != '#' && *at != '-')
                return "must have nothing but # and - after the first #";
            length++;
        } else
            return "must be made of #, -, capitals, digits, {MM}, {YY} and {CT}";
    }
    if (count_digits(format) < 3)
        return "must have three # or more";
    if (format[strlen(format) - 1] != '#')
        return "must end with #";
    if (*format == '-')
        return "must not begin with -";
    if (length + 1 > NUMBER_MAX) /* the last group may grow by one digit */
        return "must be no longer than 14 characters";
    if (strchr(format, '{') == NULL && !has_room(format))
        return "has too few # for the numbers that the sequence has reached";
    return NULL;
}

/* The serial put into the # of a pattern, from the right; one digit more goes to the end. */
static char *fill_serial(const char *pattern, int64 serial) {
    int width = count_digits(pattern);
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%0*lld", width, (long long) serial);
    StringInfoData number;
    const char *digit = digits;

    if (length > width + 1)
        ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                errmsg("no registration number is left in this format"),
                errhint("An administrator can set registration_number_format to a longer one."));
    initStringInfo(&number);
    for (; *pattern; pattern++)
        appendStringInfoChar(&number, *pattern == '#' ? *digit++ : *pattern);
    appendStringInfoString(&number, digit);
    return number.data;
}

static char *fill_placeholders(const char *format, const char *category) {
    DateADT today = clock_today(clock_first_clinic());
    int year, month, day;
    StringInfoData filled;

    j2date(today + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    initStringInfo(&filled);
    for (const char *at = format; *at; at++) {
        if (*at != '{') {
            appendStringInfoChar(&filled, *at);
            continue;
        }
        if (at[1] == 'M')
            appendStringInfo(&filled, "%02d", month);
        else if (at[1] == 'Y')
            appendStringInfo(&filled, "%02d", year % 100);
        else
            appendStringInfoString(&filled, category);
        at += 3;
    }
    return filled.data;
}

static bool is_taken(const char *number) {
    Datum args[1] = {CStringGetTextDatum(number)};

    return query_write(&number_taken, args, NULL) > 0;
}

/* A number may be taken already where another format has given it. */
char *registration_next(const char *category) {
    char *format = pstrdup(setting_text(SETTING_REGISTRATION_NUMBER_FORMAT));
    bool has_prefix = strchr(format, '{') != NULL;
    char *pattern = has_prefix ? fill_placeholders(format, category) : format;
    char *prefix = pnstrdup(pattern, strcspn(pattern, "#"));
    Datum args[3] = {CStringGetTextDatum(prefix)};

    for (;;) {
        char *number;

        query_write(has_prefix ? &serial_of_prefix : &serial_of_sequence, args, NULL);
        number = fill_serial(pattern, row_int64(0, 1));
        if (!is_taken(number))
            return number;
        if (has_prefix) {
            args[1] = CStringGetTextDatum(registration_digits(prefix));
            args[2] = Int32GetDatum(count_digits(pattern));
            query_write(&serial_pass_taken, args, NULL);
        }
    }
}

bool registration_is_category(const char *category) {
    return strlen(category) == 2 && category[0] == '0' && category[1] >= '1' && category[1] <= '5';
}

char *registration_digits(const char *number) {
    StringInfoData digits;

    initStringInfo(&digits);
    for (; *number; number++) {
        if (*number == '-' || *number == ' ')
            continue;
        if (*number & 0x80 || !isalnum((unsigned char) *number))
            return NULL;
        appendStringInfoChar(&digits, (char) pg_ascii_toupper((unsigned char) *number));
    }
    return digits.len > 0 ? digits.data : NULL;
}

Datum registration_key(const char *number) {
    char *digits = registration_digits(number);

    return CStringGetTextDatum(digits ? digits : "");
}

Datum clinicq_next_registration_number(PG_FUNCTION_ARGS) {
    char *category = PG_ARGISNULL(0) ? "" : ARG_CSTRING(0);
    MemoryContext caller = CurrentMemoryContext;
    char *number;

    actor_require(ROLES_CARE);
    if (!registration_is_category(category))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("category must be one of 01, 02, 03, 04, 05"));
    SPI_connect();
    number = MemoryContextStrdup(caller, registration_next(category));
    SPI_finish();
    PG_RETURN_TEXT_P(cstring_to_text(number));
}
