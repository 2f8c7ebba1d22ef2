#include "catalogue.h"

#include "clock.h"
#include "log.h"
#include "memory.h"
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#define POLL  MS(5000)
#define RETRY MS(100) /* while there is none yet */

static struct {
    struct catalogue *current;
    struct call call;
    bool asking;
    bool closing;
    int64_t at;
    char *complaint; /* the last one, so that it is logged once */
} state;

struct catalogue *catalogue_current(void) {
    return state.current;
}

static void complain(const char *what) {
    if (state.complaint != NULL && strcmp(state.complaint, what) == 0)
        return;
    free(state.complaint);
    state.complaint = memory_text(what);
    log_event(LOG_WARNING, "no catalogue: %s", what);
}

static void take(const char *text) {
    struct catalogue *fresh;
    const char *reason;

    if (state.current != NULL && strcmp(state.current->text, text) == 0)
        return;
    fresh = catalogue_parse(text, &reason);
    if (fresh == NULL) {
        complain(reason);
        return;
    }
    log_event(LOG_INFO, "catalogue %s: %zu routes", state.current != NULL ? "changed" : "loaded",
              fresh->route_count);
    catalogue_drop(state.current);
    state.current = fresh;
    free(state.complaint);
    state.complaint = NULL;
}

static void answered(struct call *call) {
    PGresult *result = call->result;

    state.asking = false;
    call->result = NULL;
    if (call->outcome != CALL_RESULT)
        complain("the database did not answer");
    else if (call->failed)
        complain(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    else if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
        complain("clinicq_api.catalogue gave nothing");
    else
        take(PQgetvalue(result, 0, 0));
    PQclear(result);
    state.at = clock_us() + (state.current != NULL ? POLL : RETRY);
}

void catalogue_open(void) {
    state.call.class = CALL_SLOW;
    state.call.sql = "SELECT clinicq_api.catalogue()";
    state.call.done = answered;
    list_init(&state.call.queue);
    list_init(&state.call.deadline);
}

void catalogue_tick(int64_t now) {
    if (state.asking || now < state.at)
        return;
    state.at = now + RETRY;
    if (pool_ready(CALL_SLOW))
        state.asking = pool_submit(&state.call);
}

int64_t catalogue_next(void) {
    return state.asking ? CLOCK_NEVER : state.at;
}

void catalogue_close(void) {
    catalogue_drop(state.current);
    free(state.complaint);
}
