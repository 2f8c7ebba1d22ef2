#include "outcome.h"

#include "clock.h"
#include "log.h"
#include "memory.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY MS(1000)

struct outcome {
    struct call call;
    struct list list;
    bool waiting; /* to be told again, at `at` */
    bool once;
    int64_t at;
    char id[24], attempt[16], seconds[16];
    char *text; /* result or reason; NULL: none */
    outcome_told told;
    void *arg;
};

static struct list outcomes = {&outcomes, &outcomes};

static void drop(struct outcome *o) {
    list_remove(&o->list);
    pool_abandon(&o->call);
    PQclear(o->call.result);
    free(o->text);
    free(o);
}

static void tell_again(struct outcome *o) {
    o->waiting = true;
    o->at = clock_us() + RETRY;
}

static void answered(struct call *call) {
    struct outcome *o = list_item(call, struct outcome, call);
    bool given = call->outcome == CALL_RESULT && !call->failed && PQntuples(call->result) == 1;
    bool known = given && strcmp(PQgetvalue(call->result, 0, 0), "t") == 0;

    if (!given && !o->once) {
        log_event(LOG_WARNING, "delivery %s: how it ended is not recorded yet: %s", o->id,
                  pool_fault(call));
        PQclear(call->result);
        call->result = NULL;
        tell_again(o);
        return;
    }
    o->told(o->arg, known ? OUTCOME_TAKEN : given ? OUTCOME_LOST : OUTCOME_SILENT);
    drop(o);
}

static void submit(struct outcome *o) {
    o->waiting = false;
    if (!pool_submit(&o->call))
        tell_again(o);
}

static struct outcome *outcome_new(const char *sql, int parameters, int64_t id, int attempt,
                                   outcome_told told, void *arg) {
    struct outcome *o = memory_zero(1, sizeof(*o));

    snprintf(o->id, sizeof(o->id), "%lld", (long long) id);
    snprintf(o->attempt, sizeof(o->attempt), "%d", attempt);
    o->told = told;
    o->arg = arg;
    o->call.class = CALL_WRITE;
    o->call.safe = true; /* the database takes it once */
    o->call.sql = sql;
    o->call.parameter_count = parameters;
    o->call.parameters[0] = o->id;
    o->call.parameters[1] = o->attempt;
    o->call.done = answered;
    list_init(&o->call.queue);
    list_init(&o->call.deadline);
    list_append(&outcomes, &o->list);
    return o;
}

void outcome_done(int64_t id, int attempt, struct json_object *result, outcome_told told,
                  void *arg) {
    struct outcome *o =
        outcome_new("SELECT clinicq_api.delivery_done($1, $2, $3)", 3, id, attempt, told, arg);

    if (result != NULL)
        o->text = memory_text(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN));
    o->call.parameters[2] = o->text;
    submit(o);
}

void outcome_failed(int64_t id, int attempt, const char *why, unsigned retry_after, bool never,
                    outcome_told told, void *arg) {
    struct outcome *o = outcome_new("SELECT clinicq_api.delivery_failed($1, $2, $3, $4, $5)", 5, id,
                                    attempt, told, arg);

    o->text = memory_text(why);
    snprintf(o->seconds, sizeof(o->seconds), "%u", retry_after);
    o->call.parameters[2] = o->text;
    o->call.parameters[3] = retry_after > 0 ? o->seconds : NULL;
    o->call.parameters[4] = never ? "t" : "f";
    submit(o);
}

void outcome_renew(int64_t id, int attempt, outcome_told told, void *arg) {
    struct outcome *o =
        outcome_new("SELECT clinicq_api.renew_delivery($1, $2)", 2, id, attempt, told, arg);

    o->once = true;
    submit(o);
}

void outcome_tick(int64_t now) {
    for (struct list *n = outcomes.next; n != &outcomes; n = n->next) {
        struct outcome *o = list_item(n, struct outcome, list);

        if (o->waiting && now >= o->at)
            submit(o);
    }
}

int64_t outcome_next(void) {
    int64_t at = CLOCK_NEVER;

    for (struct list *n = outcomes.next; n != &outcomes; n = n->next) {
        const struct outcome *o = list_item(n, struct outcome, list);

        if (o->waiting && o->at < at)
            at = o->at;
    }
    return at;
}

void outcome_close(void) {
    while (!list_empty(&outcomes))
        drop(list_item(outcomes.next, struct outcome, list));
}
