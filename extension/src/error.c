#include "error.h"

void error_not_found(const char *what, const char *key) {
    ereport(ERROR, errcode(ERRCODE_NO_DATA_FOUND), errmsg("no %s %s", what, key),
            errhint("Look it up again: it may have been mistyped, closed or removed."));
}
