#include "gauges.h"

#include "clock.h"
#include "log.h"
#include "polling.h"

#include <stdlib.h>
#include <string.h>

#define POLL     MS(15000)
#define TEXT_MAX 65536

static struct {
    struct polling polling;
    char *text; /* NULL: none */
} state;

static int64_t take(const struct call *call, const char *text) {
    if (text == NULL)
        log_event(LOG_WARNING, "no gauges of the database: %s", pool_fault(call));
    free(state.text);
    state.text = text != NULL && strlen(text) < TEXT_MAX ? memory_text(text) : NULL;
    return POLL;
}

void gauges_open(void) {
    polling_open(&state.polling, "SELECT clinicq_api.gauges()", take);
}

void gauges_tick(int64_t now) {
    polling_tick(&state.polling, now);
}

int64_t gauges_next(void) {
    return polling_next(&state.polling);
}

void gauges_write(struct buffer *out) {
    if (state.text != NULL)
        buffer_format(out, "%s", state.text);
}

void gauges_close(void) {
    free(state.text);
}
