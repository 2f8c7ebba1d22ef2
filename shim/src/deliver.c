#include "deliver.h"

#include "admin.h"
#include "channel.h"
#include "clock.h"
#include "config.h"
#include "line.h"
#include "log.h"
#include "loop.h"
#include "memory.h"
#include "outcome.h"
#include "polling.h"
#include "pool.h"
#include "transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK     MS(1000)  /* for what is due, where nobody tells of it */
#define SETTINGS MS(10000) /* how often they are asked for */
#define RETRY    MS(1000)
#define FAULT    500

static struct {
    const struct config *config;
    struct polling settings;
    bool known;    /* the settings */
    int64_t lease; /* microseconds */
    struct call take;
    bool taking, told;
    int64_t take_at, asked_at;
    struct list deliveries;
    struct list forgotten; /* that are done, while the database is still asked to renew them */
    unsigned count;
    struct buffer names, most; /* parameters of take, array literals */
} state = {.lease = MS(60000)};

/* --- settings -------------------------------------------------------------------------------- */

static int64_t take_settings(const struct call *call, const char *text) {
    struct json_object *settings = text != NULL ? object_parse(text) : NULL;

    if (settings == NULL) {
        log_event(LOG_WARNING, "no settings of the database: %s", pool_fault(call));
        return RETRY;
    }
    lines_configure(settings);
    state.lease = MS(1000) * member_number(settings, "lease");
    state.known = true;
    json_object_put(settings);
    return SETTINGS;
}

/* --- how attempts end ------------------------------------------------------------------------ */

static void free_delivery(struct delivery *d) {
    json_object_put(d->work);
    free(d);
}

static void forget(struct delivery *d) {
    list_remove(&d->list);
    line_of(d->channel)->under_way--;
    state.count--;
    state.told = true; /* there is room for another one */
    d->forgotten = d->renewing;
    if (d->forgotten)
        list_append(&state.forgotten, &d->list);
    else
        free_delivery(d);
}

/* The database knows how it ended, or that this process has lost it. */
static void recorded(void *arg, enum outcome_answer answer) {
    struct delivery *d = arg;

    if (answer == OUTCOME_LOST)
        log_event(LOG_INFO, "delivery %lld (%s): attempt %d had been given to another",
                  (long long) d->id, d->channel->name, d->attempt);
    forget(d);
}

bool delivery_is_ours(const struct delivery *d) {
    return clock_us() < d->ours_until;
}

/* The channel's part is over; true the first time. */
static bool end(struct delivery *d) {
    if (d->ended)
        return false;
    d->ended = true;
    d->channel->end(d);
    return true;
}

void delivery_done(struct delivery *d, struct json_object *result) {
    struct line *line = line_of(d->channel);

    if (end(d)) {
        throttle_succeeded(&line->throttle);
        line->done++;
        log_event(LOG_INFO, "delivery %lld (%s) is done, attempt %d", (long long) d->id,
                  line->channel->name, d->attempt);
        outcome_done(d->id, d->attempt, result, recorded, d);
    }
    json_object_put(result);
}

void delivery_failed(struct delivery *d, enum delivery_fault fault, unsigned retry_after,
                     const char *format, ...) {
    bool given_up = fault == DELIVERY_NEVER || fault == DELIVERY_UNFIT;
    struct line *line = line_of(d->channel);
    char why[FAULT];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (!end(d))
        return;
    line->dead += given_up;
    line->failed += !given_up;
    if (fault == DELIVERY_NEVER)
        throttle_succeeded(&line->throttle); /* it does answer */
    else if (fault == DELIVERY_UNFIT)
        throttle_passed(&line->throttle);
    else if (throttle_failed(&line->throttle, clock_us(), fault == DELIVERY_CHANNEL))
        log_event(LOG_ERROR, "channel %s pauses for %d s: %s", line->channel->name,
                  (int) (line->throttle.pause / 1000000), why);
    log_event(LOG_WARNING, "delivery %lld (%s) %s, attempt %d: %s", (long long) d->id,
              line->channel->name, given_up ? "is given up" : "failed", d->attempt, why);
    outcome_failed(d->id, d->attempt, why, retry_after, given_up, recorded, d);
}

static void renewed(void *arg, enum outcome_answer answer) {
    struct delivery *d = arg;

    d->renewing = false;
    if (d->forgotten) {
        list_remove(&d->list);
        free_delivery(d);
        return;
    }
    if (answer == OUTCOME_TAKEN)
        d->ours_until = d->renew_asked + state.lease;
    if (answer != OUTCOME_LOST || !end(d))
        return;
    throttle_passed(&line_of(d->channel)->throttle);
    recorded(d, OUTCOME_LOST);
}

/* Those that take long are kept from others. */
static void renew(int64_t now) {
    for (struct list *n = state.deliveries.next; n != &state.deliveries;) {
        struct delivery *d = list_item(n, struct delivery, list);

        n = n->next;
        if (d->ended || d->renewing || now < d->renew_at)
            continue;
        d->renew_asked = now;
        d->renew_at = now + state.lease / 3;
        d->renewing = true;
        outcome_renew(d->id, d->attempt, renewed, d);
    }
}

/* --- taking ---------------------------------------------------------------------------------- */

static void begin(const PGresult *rows, int row) {
    struct line *line = line_named(PQgetvalue(rows, row, 1));
    struct delivery *d = memory_zero(1, sizeof(*d));

    d->id = strtoll(PQgetvalue(rows, row, 0), NULL, 10);
    d->attempt = (int) strtol(PQgetvalue(rows, row, 2), NULL, 10);
    snprintf(d->token, sizeof(d->token), "%s", PQgetvalue(rows, row, 3));
    d->work = object_parse(PQgetvalue(rows, row, 4));
    d->channel = line->channel;
    d->renew_at = clock_us() + state.lease / 3;
    d->ours_until = state.asked_at + state.lease;
    list_append(&state.deliveries, &d->list);
    line->under_way++;
    state.count++;
    throttle_began(&line->throttle, 1);
    if (d->work == NULL)
        delivery_failed(d, DELIVERY_UNFIT, 0, "there is nothing to send");
    else
        line->channel->send(d);
}

static void taken(struct call *call) {
    PGresult *rows = call->result;

    call->result = NULL;
    state.taking = false;
    state.take_at = clock_us() + LOOK;
    if (call->outcome == CALL_RESULT && !call->failed) {
        for (int i = 0; i < PQntuples(rows); i++)
            begin(rows, i);
        state.told = state.told || PQntuples(rows) > 0;
    } else {
        call->result = rows;
        log_event(LOG_WARNING, "no deliveries of the database: %s", pool_fault(call));
        call->result = NULL;
    }
    PQclear(rows);
}

/* Asks for as many as each channel can begin now. */
static bool ask(int64_t now) {
    bool ready = false;
    unsigned all = 0;

    state.names.len = state.most.len = 0;
    buffer_char(&state.names, '{');
    buffer_char(&state.most, '{');
    for (unsigned i = 0; i < LINE_COUNT; i++) {
        struct line *line = &lines[i];
        unsigned room =
            line->under_way < line->channel->at_once ? line->channel->at_once - line->under_way : 0;

        if (!line->on || line->missing != NULL)
            continue;
        ready = true;
        room = throttle_allows(&line->throttle, now, room);
        if (room == 0)
            continue;
        buffer_format(&state.names, "%s%s", all > 0 ? "," : "", line->channel->name);
        buffer_format(&state.most, "%s%u", all > 0 ? "," : "", room);
        all += room;
    }
    buffer_char(&state.names, '}');
    buffer_char(&state.most, '}');
    /* where a rate is what holds it back, soon; where there is nothing to do, later */
    state.take_at = now + (ready && all == 0 ? LOOK / 20 : LOOK);
    if (all == 0)
        return false;
    state.take.parameters[0] = state.names.data;
    state.take.parameters[1] = state.most.data;
    return pool_submit(&state.take);
}

static bool may_take(void) {
    return !state.taking && state.known && !loop_draining() && pool_ready(CALL_SLOW);
}

static void take(int64_t now) {
    if (!may_take() || (now < state.take_at && !state.told))
        return;
    state.told = false;
    state.asked_at = now;
    state.taking = ask(now);
}

static void notice(void) {
    state.told = true;
}

/* --- the process ----------------------------------------------------------------------------- */

static const char *not_ready(void) {
    return loop_draining()                                     ? "draining"
           : !pool_ready(CALL_SLOW) || !pool_ready(CALL_WRITE) ? "no database connection"
           : !state.known                                      ? "no settings"
                                                               : NULL;
}

static void turn(int64_t now) {
    pool_tick(now);
    outcome_tick(now);
    polling_tick(&state.settings, now);
    transfers_tick(now);
    renew(now);
    take(now);
    admin_run();
    pool_dispatch();
}

static int64_t next(void) {
    int64_t at = loop_earlier(pool_next(), transfers_next());

    if (admin_pending() || (state.told && may_take()))
        return 0;
    at = loop_earlier(at, polling_next(&state.settings));
    at = loop_earlier(at, outcome_next());
    if (may_take())
        at = loop_earlier(at, state.take_at);
    return at;
}

static void reload(void) {
    lines_read(state.config);
    state.settings.at = 0;
    log_event(LOG_INFO, "SIGHUP: log file and secrets were read again");
}

static void drain(void) {
}

static bool drained(void) {
    return state.count == 0 && !state.taking;
}

/* A few connections do, all of which listen: one that takes, those that say how attempts ended, and
 * those that read images. */
static void open_pool(const struct config *c) {
    struct config own = *c;

    own.dsn = c->deliver_dsn;
    own.prepare = 0;
    own.slow_connections = 1;
    own.write_connections = 2;
    own.read_connections = 2;
    own.queue_length = 4096;
    pool_open(&own, "LISTEN clinicq_outbox", notice);
    state.take.class = CALL_SLOW;
    state.take.sql = "SELECT id, channel, attempt, token, work FROM"
                     " clinicq_api.take_deliveries($1, $2)";
    state.take.parameter_count = 2;
    state.take.done = taken;
    list_init(&state.take.queue);
    list_init(&state.take.deadline);
    polling_open(&state.settings, "SELECT clinicq_api.delivery_settings()", take_settings);
}

static void open_admin(const struct config *c) {
    struct config own = *c;

    own.metrics_port = c->deliver_metrics_port;
    admin_open(&own, not_ready, lines_write_metrics);
}

/* What was not done is taken by another deliverer when its time is over. */
static void drop_all(void) {
    for (struct list *n = state.deliveries.next; n != &state.deliveries;) {
        struct delivery *d = list_item(n, struct delivery, list);

        n = n->next;
        end(d);
        d->renewing = false;
        forget(d);
    }
    for (struct list *n = state.forgotten.next; n != &state.forgotten;) {
        struct delivery *d = list_item(n, struct delivery, list);

        n = n->next;
        free_delivery(d);
    }
    list_init(&state.forgotten);
}

void deliver(const struct config *c) {
    static const struct loop_service service = {turn, next, reload, drain, drained};

    state.config = c;
    list_init(&state.deliveries);
    list_init(&state.forgotten);
    loop_open();
    transfers_open(c);
    lines_open(c);
    open_pool(c);
    open_admin(c);
    log_event(LOG_INFO, "clinicq-shim %s delivers", CLINICQ_VERSION);
    loop_run(&service, c->drain_timeout_ms);
    if (state.count > 0)
        log_event(LOG_WARNING, "%u deliveries were left to others", state.count);
    outcome_close();
    drop_all();
    pool_close();
    lines_close();
    transfers_close();
    admin_close();
    loop_close();
    buffer_free(&state.names);
    buffer_free(&state.most);
}
