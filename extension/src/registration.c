#include "registration.h"

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

QUERY(serial_of_sequence, "SELECT nextval('clinicq.registration_number_seq')");
QUERY(serial_of_prefix,
      "INSERT INTO clinicq.registration_counter AS c (prefix, last_serial) VALUES ($1, 1)"
      " ON CONFLICT (prefix) DO UPDATE SET last_serial = c.last_serial + 1 RETURNING last_serial",
      TEXTOID);

static int count_digits(const char *format) {
    int count = 0;

    for (; *format; format++)
        count += *format == '#';
    return count;
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

char *registration_next(const char *category) {
    const char *format = setting_text(SETTING_REGISTRATION_NUMBER_FORMAT);
    char *pattern;
    Datum prefix;

    if (strchr(format, '{') == NULL) {
        query_write(&serial_of_sequence, NULL, NULL);
        return fill_serial(format, row_int64(0, 1));
    }
    pattern = fill_placeholders(format, category);
    prefix = PointerGetDatum(cstring_to_text_with_len(pattern, (int) strcspn(pattern, "#")));
    query_write(&serial_of_prefix, &prefix, NULL);
    return fill_serial(pattern, row_int64(0, 1));
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
        if (!((*number >= '0' && *number <= '9') || (*number >= 'A' && *number <= 'Z')))
            return NULL;
        appendStringInfoChar(&digits, *number);
    }
    return digits.len > 0 ? digits.data : NULL;
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
