/* What the shim itself refuses, and the shapes of all errors. */
#ifndef CLINICQ_PROBLEM_H
#define CLINICQ_PROBLEM_H

#include "memory.h"

#include <stdbool.h>

enum edge {
    EDGE_NONE,
    EDGE_MALFORMED,
    EDGE_HOST,
    EDGE_QUERY,
    EDGE_FOREIGN,
    EDGE_SIGNATURE,
    EDGE_NOT_FOUND,
    EDGE_METHOD,
    EDGE_TOO_LARGE,
    EDGE_URI,
    EDGE_HEADERS,
    EDGE_LIMITED,
    EDGE_INTERNAL,
    EDGE_NOT_READY,
    EDGE_CONNECTIONS,
    EDGE_QUEUE_FULL,
    EDGE_BUSY,
    EDGE_AWAY,
    EDGE_OUTCOME_UNKNOWN,
    EDGE_DEADLINE,
    EDGE_VERSION,
    EDGE_STREAMS,
};

struct edge_problem {
    unsigned status;
    const char *type;
    const char *title;
    const char *detail;
};

const struct edge_problem *edge_problem(enum edge e);

struct problem_text {
    unsigned status;
    const char *type;
    const char *title;
    const char *detail;
    const char *errors; /* JSON, or NULL */
    const char *request_id;
};

/* RFC 9457 if full, else the shape that the apps read: the errors, or {"detail": ...}. */
void problem_write(struct buffer *out, const struct problem_text *p, bool full);

#endif
