#include "catalogue.h"

#include "clock.h"
#include "log.h"
#include "memory.h"
#include "polling.h"

#include <stdlib.h>
#include <string.h>

#define POLL  MS(5000)
#define RETRY MS(100) /* while there is none yet */

static struct {
    struct catalogue *current;
    struct polling polling;
    char *complaint; /* the last one, so that it is logged once */
} state;

struct catalogue *catalogue_current(void) {
    return state.current;
}

static void complain(const char *what) {
    if (what == NULL)
        what = "the database gave no reason";
    if (state.complaint != NULL && strcmp(state.complaint, what) == 0)
        return;
    free(state.complaint);
    state.complaint = memory_text(what);
    log_event(LOG_WARNING, "no %scatalogue: %s", state.current != NULL ? "new " : "", what);
}

static void replace(const char *text) {
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

static int64_t take(const struct call *call, const char *text) {
    if (call->outcome != CALL_RESULT)
        complain("the database did not answer");
    else if (call->failed)
        complain(PQresultErrorField(call->result, PG_DIAG_MESSAGE_PRIMARY));
    else if (text == NULL)
        complain("clinicq_api.catalogue gave nothing");
    else
        replace(text);
    return state.current != NULL ? POLL : RETRY;
}

void catalogue_open(void) {
    polling_open(&state.polling, "SELECT clinicq_api.catalogue()", take);
}

void catalogue_tick(int64_t now) {
    polling_tick(&state.polling, now);
}

int64_t catalogue_next(void) {
    return polling_next(&state.polling);
}

void catalogue_close(void) {
    catalogue_drop(state.current);
    free(state.complaint);
}
