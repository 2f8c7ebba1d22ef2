#include "feed.h"

#include "clock.h"
#include "config.h"
#include "events.h"
#include "list.h"
#include "log.h"
#include "loop.h"
#include "memory.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define KEPT       4096 /* events */
#define BATCH      500
#define POLL       MS(1000)
#define POLL_ALONE MS(500) /* without a keeper */
#define STALLED    MS(10000)
#define RETRY      MS(250)
#define RETRY_MAX  MS(2000)
/* Of the database, in which a position was given. */
#define HISTORY(position) ((position) >> 40)

enum feed_state { CLOSED, CONNECTING, LISTENING, PREPARING, ADVANCING, READING, IDLE };

static struct {
    struct loop_source source;
    const char *dsn;
    PGconn *pg;
    enum feed_state state;
    int64_t at; /* when to connect, to poll, or to give up */
    int64_t delay;
    int fd;
    uint32_t watched;
    bool told;  /* something has come since the last look */
    bool known; /* where the feed stood when this process began */
    int keeper; /* as the database said last; -1: not yet */
    int64_t position;
    int64_t left; /* the last position that is kept no more */
    struct feed_event kept[KEPT];
    unsigned first, count;
    uint64_t events;
} feed = {.fd = -1, .keeper = -1};

static void drop_first(void) {
    struct feed_event *e = &feed.kept[feed.first];

    feed.left = e->position;
    for (unsigned i = 0; i < VIEWS; i++)
        free(e->text[i]);
    feed.first = (feed.first + 1) % KEPT;
    feed.count--;
}

static void start_from(int64_t position) {
    while (feed.count > 0)
        drop_first();
    feed.position = feed.left = position;
    feed.known = true;
}

static void keep_text(struct feed_event *e, enum feed_view view, const char *data) {
    struct buffer text = {0};

    buffer_format(&text, "id: %lld\nevent: visit\ndata: %s\n\n", (long long) e->position, data);
    e->text[view] = text.data;
    e->len[view] = (unsigned) text.len;
}

static void keep(const PGresult *rows, int row) {
    struct feed_event *e;

    if (feed.count == KEPT)
        drop_first();
    e = &feed.kept[(feed.first + feed.count++) % KEPT];
    e->position = strtoll(PQgetvalue(rows, row, 0), NULL, 10);
    e->topic = strtoll(PQgetvalue(rows, row, 1), NULL, 10);
    e->born = clock_us() - strtoll(PQgetvalue(rows, row, 2), NULL, 10);
    keep_text(e, VIEW_STAFF, PQgetvalue(rows, row, 3));
    keep_text(e, VIEW_DISPLAY, PQgetvalue(rows, row, 4));
    feed.position = e->position;
    feed.events++;
}

const struct feed_event *feed_after(int64_t position) {
    unsigned low = 0, high = feed.count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (feed.kept[(feed.first + middle) % KEPT].position > position)
            high = middle;
        else
            low = middle + 1;
    }
    return low < feed.count ? &feed.kept[(feed.first + low) % KEPT] : NULL;
}

bool feed_has_left(int64_t position) {
    return feed.known && position < feed.left;
}

int64_t feed_position(void) {
    return feed.position;
}

uint64_t feed_events(void) {
    return feed.events;
}

bool feed_ready(void) {
    return feed.state > PREPARING;
}

static void watch(uint32_t events) {
    if (feed.fd == PQsocket(feed.pg) && feed.watched == events)
        return;
    feed.fd = PQsocket(feed.pg);
    feed.watched = events;
    loop_watch(&feed.source, feed.fd, events);
}

static void lose(const char *why) {
    bool was_up = feed_ready();

    if (was_up || feed.delay == 0)
        log_event(LOG_WARNING, "event connection %s: %.*s", was_up ? "lost" : "failed",
                  (int) strcspn(why, "\n"), why);
    if (feed.fd >= 0)
        loop_forget(feed.fd);
    PQfinish(feed.pg);
    feed.pg = NULL;
    feed.fd = -1;
    feed.watched = 0;
    feed.state = CLOSED;
    feed.delay = feed.delay == 0 ? RETRY : feed.delay * 2 > RETRY_MAX ? RETRY_MAX : feed.delay * 2;
    feed.at = clock_us() + feed.delay;
}

static void flush(void) {
    int left = PQflush(feed.pg);

    if (left < 0)
        lose(PQerrorMessage(feed.pg));
    else
        watch(left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* What libpq has taken is on its way. */
static void sent(enum feed_state state, int taken) {
    feed.state = state;
    feed.at = clock_us() + STALLED;
    if (taken != 1)
        lose(PQerrorMessage(feed.pg));
    else
        flush();
}

static void prepare(void) {
    sent(PREPARING,
         PQsendPrepare(feed.pg, "read",
                       "SELECT position, topic, age, staff, display FROM clinicq_api.feed($1, $2)",
                       0, NULL));
}

static void advance(void) {
    sent(ADVANCING,
         PQsendQueryParams(feed.pg, "SELECT position, keeper FROM clinicq_api.feed_advance()", 0,
                           NULL, NULL, NULL, NULL, 0));
}

static void read_on(void) {
    char after[24], most[24];
    const char *values[] = {after, most};

    feed.told = false;
    snprintf(after, sizeof(after), "%lld", (long long) feed.position);
    snprintf(most, sizeof(most), "%d", BATCH);
    sent(READING, PQsendQueryPrepared(feed.pg, "read", 2, values, NULL, NULL, 0));
}

static void rest(void) {
    feed.state = IDLE;
    if (feed.told && feed.known)
        read_on();
    else
        feed.at = clock_us() + (feed.keeper == 1 ? POLL : POLL_ALONE);
}

static void tell_of_keeper(bool keeper) {
    if (feed.keeper == (int) keeper)
        return;
    feed.keeper = keeper;
    if (keeper)
        log_event(LOG_INFO, "events come as soon as they are committed");
    else
        log_event(LOG_WARNING, "no keeper works for the database (shared_preload_libraries): "
                               "events are up to 1 s late");
}

static void take_advance(const PGresult *row) {
    int64_t position = strtoll(PQgetvalue(row, 0, 0), NULL, 10);

    tell_of_keeper(strcmp(PQgetvalue(row, 0, 1), "t") == 0);
    feed.delay = 0;
    if (!feed.known) {
        start_from(position);
    } else if (position < feed.position || HISTORY(position) != HISTORY(feed.position)) {
        /* another database, or an older state of it, or a standby that took over: what was read
         * last may have been lost */
        log_event(LOG_WARNING, "the feed of events begins anew; all streams end");
        start_from(position);
        events_end_all();
    } else if (position > feed.position) {
        feed.told = true;
    }
}

static void take_result(PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    int rows = PQntuples(result);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        lose(PQresultErrorMessage(result));
    } else if (feed.state == ADVANCING && rows == 1) {
        take_advance(result);
    } else if (feed.state == READING && rows > 0) {
        for (int i = 0; i < rows; i++)
            keep(result, i);
        feed.told = feed.told || rows == BATCH;
        events_wake();
    }
    PQclear(result);
}

static void statement_done(void) {
    if (feed.state == LISTENING)
        prepare();
    else if (feed.state == PREPARING)
        advance();
    else
        rest();
}

static void receive(void) {
    PGnotify *notice;

    if (PQconsumeInput(feed.pg) != 1) {
        lose(PQerrorMessage(feed.pg));
        return;
    }
    while ((notice = PQnotifies(feed.pg)) != NULL) {
        if (notice->extra[0] != '\0')
            events_check_user(notice->extra);
        else
            feed.told = true;
        PQfreemem(notice);
    }
    while (feed.state > CONNECTING && feed.state != IDLE && !PQisBusy(feed.pg)) {
        PGresult *result = PQgetResult(feed.pg);

        if (result != NULL)
            take_result(result);
        else
            statement_done();
    }
    if (feed.state == IDLE && feed.told)
        rest();
}

static void connecting(void) {
    feed.watched = 0; /* libpq may have opened another socket under the same number */
    switch (PQconnectPoll(feed.pg)) {
    case PGRES_POLLING_READING:
        watch(EPOLLIN);
        break;
    case PGRES_POLLING_WRITING:
        watch(EPOLLOUT);
        break;
    case PGRES_POLLING_OK:
        PQsetnonblocking(feed.pg, 1);
        sent(LISTENING,
             PQsendQueryParams(feed.pg, "LISTEN clinicq_feed", 0, NULL, NULL, NULL, NULL, 0));
        break;
    default:
        lose(PQerrorMessage(feed.pg));
    }
}

static void on_ready(struct loop_source *source, uint32_t events) {
    (void) source;
    if (feed.state == CONNECTING) {
        connecting();
    } else if (feed.state != CLOSED) {
        if ((events & EPOLLOUT) != 0)
            flush();
        if (feed.state != CLOSED)
            receive();
    }
}

static void ignore_notice(void *arg, const PGresult *result) {
    (void) arg;
    (void) result;
}

static void start(void) {
    const char *const names[] = {"fallback_application_name", "tcp_user_timeout", "dbname",
                                 "client_encoding", NULL};
    const char *const values[] = {"clinicq-shim events", "10000", feed.dsn, "UTF8", NULL};

    feed.pg = PQconnectStartParams(names, values, 1);
    feed.state = CONNECTING;
    feed.at = clock_us() + STALLED;
    if (feed.pg == NULL || PQstatus(feed.pg) == CONNECTION_BAD) {
        lose(feed.pg != NULL ? PQerrorMessage(feed.pg) : "out of memory");
        return;
    }
    PQsetNoticeReceiver(feed.pg, ignore_notice, NULL);
    watch(EPOLLOUT);
}

void feed_open(const struct config *c) {
    feed.dsn = c->events_dsn[0] != '\0' ? c->events_dsn : c->dsn;
    feed.source.ready = on_ready;
}

void feed_tick(int64_t now) {
    if (now < feed.at)
        return;
    if (feed.state == CLOSED)
        start();
    else if (feed.state == IDLE)
        advance();
    else
        lose("the database does not answer");
}

int64_t feed_next(void) {
    return feed.at;
}

void feed_close(void) {
    PQfinish(feed.pg);
    feed.pg = NULL;
    feed.state = CLOSED;
    feed.at = CLOCK_NEVER;
    while (feed.count > 0)
        drop_first();
}
