#include "gauges.h"

#include "clock.h"
#include "pool.h"

#include <stdlib.h>

#define POLL     MS(15000)
#define TEXT_MAX 65536

static struct {
    struct call call;
    bool asking;
    int64_t at;
    char *text; /* NULL: none */
} state;

static void answered(struct call *call) {
    PGresult *result = call->result;
    bool good = call->outcome == CALL_RESULT && !call->failed && PQntuples(result) == 1 &&
                PQgetlength(result, 0, 0) < TEXT_MAX;

    state.asking = false;
    call->result = NULL;
    free(state.text);
    state.text = good ? memory_text(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    state.at = clock_us() + POLL;
}

void gauges_open(void) {
    state.call.class = CALL_SLOW;
    state.call.sql = "SELECT clinicq_api.gauges()";
    state.call.done = answered;
    list_init(&state.call.queue);
    list_init(&state.call.deadline);
}

void gauges_tick(int64_t now) {
    if (state.asking || now < state.at)
        return;
    state.at = now + MS(1000);
    if (pool_ready(CALL_SLOW))
        state.asking = pool_submit(&state.call);
}

int64_t gauges_next(void) {
    return state.asking ? CLOCK_NEVER : state.at;
}

void gauges_write(struct buffer *out) {
    if (state.text != NULL)
        buffer_format(out, "%s", state.text);
}

void gauges_close(void) {
    free(state.text);
}
