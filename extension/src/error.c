#include "error.h"

#include "lib/stringinfo.h"

void error_not_found(const char *what, const char *key) {
    ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("no %s %s", what, key),
            errhint("Look it up again: it may have been mistyped, closed or removed."));
}

void error_none(const char *hint, const char *format, ...) {
    StringInfoData message;
    int needed;

    initStringInfo(&message);
    do {
        va_list args;

        va_start(args, format);
        needed = appendStringInfoVA(&message, format, args);
        va_end(args);
        if (needed > 0)
            enlargeStringInfo(&message, needed);
    } while (needed > 0);
    ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("%s", message.data), errhint("%s", hint));
}
