/* A question that the database is asked again and again, while it has a connection for it. */
#ifndef CLINICQ_POLLING_H
#define CLINICQ_POLLING_H

#include "pool.h"

#include <stdbool.h>
#include <stdint.h>

struct polling {
    struct call call;
    int64_t at; /* when to ask */
    bool asking;
    /* Takes the answer, NULL where the database has not given one row, and says after how long to
     * ask again. */
    int64_t (*take)(const struct call *call, const char *text);
};

void polling_open(struct polling *polling, const char *sql,
                  int64_t (*take)(const struct call *call, const char *text));
void polling_tick(struct polling *polling, int64_t now);
int64_t polling_next(const struct polling *polling);

#endif
