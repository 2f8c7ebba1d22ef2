#include "polling.h"

#include "clock.h"

#define RETRY MS(100) /* while there is no connection */

static void answered(struct call *call) {
    struct polling *polling = list_item(call, struct polling, call);
    PGresult *result = call->result;
    bool given = call->outcome == CALL_RESULT && !call->failed && PQntuples(result) == 1 &&
                 !PQgetisnull(result, 0, 0);

    polling->asking = false;
    polling->at = clock_us() + polling->take(call, given ? PQgetvalue(result, 0, 0) : NULL);
    call->result = NULL;
    PQclear(result);
}

void polling_open(struct polling *polling, const char *sql,
                  int64_t (*take)(const struct call *call, const char *text)) {
    polling->take = take;
    polling->call.class = CALL_SLOW;
    polling->call.safe = true;
    polling->call.sql = sql;
    polling->call.done = answered;
    list_init(&polling->call.queue);
    list_init(&polling->call.deadline);
}

void polling_tick(struct polling *polling, int64_t now) {
    if (polling->asking || now < polling->at)
        return;
    polling->at = now + RETRY;
    if (pool_ready(CALL_SLOW))
        polling->asking = pool_submit(&polling->call);
}

int64_t polling_next(const struct polling *polling) {
    return polling->asking ? CLOCK_NEVER : polling->at;
}
