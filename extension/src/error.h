/*
 * error.h: the SQLSTATEs of ClinicQ's own, and the refusals that many files raise.
 * What each becomes over HTTP stands in sql/always/problems.sql.
 */
#ifndef CQ_ERROR_H
#define CQ_ERROR_H

#include "postgres.h"

#define ERRCODE_CQ_BAD_REQUEST  MAKE_SQLSTATE('Q', 'C', '4', '0', '0')
#define ERRCODE_CQ_DUE          MAKE_SQLSTATE('Q', 'C', '4', '0', '3')
#define ERRCODE_CQ_DONE_BEFORE  MAKE_SQLSTATE('Q', 'C', '2', '0', '8')
#define ERRCODE_CQ_METHOD       MAKE_SQLSTATE('Q', 'C', '4', '0', '5')
#define ERRCODE_CQ_CONFLICT     MAKE_SQLSTATE('Q', 'C', '4', '0', '9')
#define ERRCODE_CQ_GONE         MAKE_SQLSTATE('Q', 'C', '4', '1', '0')
#define ERRCODE_CQ_PRECONDITION MAKE_SQLSTATE('Q', 'C', '4', '1', '2')
#define ERRCODE_CQ_KEY_REUSED   MAKE_SQLSTATE('Q', 'C', '4', '2', '2')
#define ERRCODE_CQ_IN_PROGRESS  MAKE_SQLSTATE('Q', 'C', '4', '2', '5')
#define ERRCODE_CQ_TOO_MANY     MAKE_SQLSTATE('Q', 'C', '4', '2', '9')
#define ERRCODE_CQ_RESTRICTED   MAKE_SQLSTATE('Q', 'C', '4', '2', '3')
#define ERRCODE_CQ_TOO_LARGE    MAKE_SQLSTATE('Q', 'C', '4', '1', '3')
#define ERRCODE_CQ_MEDIA_TYPE   MAKE_SQLSTATE('Q', 'C', '4', '1', '5')

/*
 * As errcode(), of what the audit log tells of: what somebody was not allowed to do, or tried in
 * the wrong state (`audited` in problems.sql).
 */
extern int errcode_refused(int sqlstate);

/* P0002: what is called `what` (patient, visit, ...) and looked up by `key` does not exist. */
extern void error_not_found(const char *what, const char *key) pg_attribute_noreturn();
/* P0002, where that sentence does not say it, or there is something else to do. */
extern void error_none(const char *hint, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* The arguments of psql functions, which are not STRICT so that a null gets a name. 22004. */
#define ARG_REQUIRE(n, name)                                        \
    do {                                                            \
        if (PG_ARGISNULL(n))                                        \
            ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), \
                    errmsg("%s must not be null", (name)));         \
    } while (0)
#define ARG_CSTRING(n) (PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n)))

#endif
