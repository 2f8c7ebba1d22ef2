#include "events.h"

#include "call.h"
#include "clock.h"
#include "config.h"
#include "http.h"
#include "log.h"
#include "loop.h"
#include "memory.h"
#include "metrics.h"
#include "reply.h"
#include "request.h"
#include "stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* What is asked for at once where the end of the reply is the end of the connection; chunks are
 * made in the library's memory of the connection. */
#define BLOCK         1024
#define RETRY_MS      2000
#define RETRY_SPREAD  3000 /* so that not all come back at once */
#define DEAD_AFTER_MS 30000
#define CHECK_RETRY   MS(1000)
#define HEARTBEAT     ":\n\n"

struct event_stream {
    struct loop_source source; /* tells that its client has gone */
    struct request *request;
    struct list node;  /* of all */
    struct list beat;  /* in the order of their heartbeats */
    struct list check; /* in the order in which their sessions are looked at */
    int64_t beat_at, check_at;
    PGresult *row; /* holds the first text; NULL when that is sent */
    const char *text;
    size_t len, sent;
    int64_t position; /* of the last event that was sent, or passed over */
    unsigned part;    /* bytes sent of the next one */
    int64_t topic;    /* 0: all */
    enum feed_view view;
    uint64_t user;
    struct MHD_Response *response; /* NULL once its headers are gone */
    bool asleep, beating, ending, ended, dropped, gone;
    char note[32]; /* a line of ours, what is left of it */
    char query[64];
};

static struct {
    struct list all, beats, checks;
    unsigned count, limit, user_limit;
    int64_t heartbeat, check;
    int64_t next_check; /* checks are spread over time */
    uint64_t sent, dropped;
} streams = {
    .all = {&streams.all, &streams.all},
    .beats = {&streams.beats, &streams.beats},
    .checks = {&streams.checks, &streams.checks},
};

void events_open(const struct config *c) {
    streams.limit = c->streams;
    streams.user_limit = c->user_streams;
    streams.heartbeat = MS(c->heartbeat_ms);
    streams.check = MS(c->stream_check_ms);
}

bool events_room(uint64_t user) {
    unsigned same = 0;

    for (struct list *n = streams.all.next; n != &streams.all; n = n->next)
        same += list_item(n, struct event_stream, node)->user == user;
    return streams.count < streams.limit && same < streams.user_limit;
}

static bool is_of(const struct event_stream *s, const struct feed_event *e) {
    return s->topic == 0 || s->topic == e->topic;
}

/* The next event to send; those of other topics are passed over. */
static const struct feed_event *next_event(struct event_stream *s) {
    const struct feed_event *e;

    while ((e = feed_after(s->position)) != NULL && !is_of(s, e))
        s->position = e->position;
    return e;
}

static size_t copy(char *out, size_t room, const char *text, size_t len) {
    if (len > room)
        len = room;
    memcpy(out, text, len);
    return len;
}

static size_t add_note(struct event_stream *s, char *out, size_t room) {
    size_t len = copy(out, room, s->note, strlen(s->note));

    memmove(s->note, s->note + len, strlen(s->note + len) + 1);
    return len;
}

static size_t add_first(struct event_stream *s, char *out, size_t room) {
    size_t len = copy(out, room, s->text + s->sent, s->len - s->sent);

    s->sent += len;
    if (s->sent == s->len) {
        PQclear(s->row);
        s->row = NULL;
    }
    return len;
}

static size_t add_events(struct event_stream *s, char *out, size_t room) {
    const struct feed_event *e;
    int64_t now = clock_us();
    size_t used = 0;

    while (used < room && (e = next_event(s)) != NULL) {
        size_t len =
            copy(out + used, room - used, e->text[s->view] + s->part, e->len[s->view] - s->part);

        used += len;
        s->part += (unsigned) len;
        if (s->part == e->len[s->view]) {
            s->part = 0;
            s->position = e->position;
            streams.sent++;
            metrics_event(now - e->born);
        }
    }
    return used;
}

static void set_beat(struct event_stream *s) {
    s->beat_at = clock_us() + streams.heartbeat;
    list_remove(&s->beat);
    list_append(&streams.beats, &s->beat);
}

struct header_text {
    char name[64], value[512];
};

/* The first header. */
static enum MHD_Result copy_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                   const char *value) {
    struct header_text *h = arg;

    (void) kind;
    if (strlen(name) >= sizeof(h->name) || strlen(value) >= sizeof(h->value))
        return MHD_YES;
    snprintf(h->name, sizeof(h->name), "%s", name);
    snprintf(h->value, sizeof(h->value), "%s", value);
    return MHD_NO;
}

/* They have been sent, and would be an eighth of what a stream takes of memory. */
static void drop_headers(struct event_stream *s) {
    struct header_text h = {0};

    while (s->response != NULL) {
        h.name[0] = '\0';
        MHD_get_response_headers(s->response, copy_header, &h);
        if (h.name[0] == '\0' || MHD_del_response_header(s->response, h.name, h.value) != MHD_YES)
            s->response = NULL;
    }
}

static ssize_t sleep_on(struct event_stream *s) {
    drop_headers(s);
    s->asleep = true;
    client_phase(s->request->client, CLIENT_WAITING);
    MHD_suspend_connection(s->request->mhd);
    return 0;
}

static bool is_left_behind(const struct event_stream *s) {
    return s->row == NULL && feed_has_left(s->position);
}

/* In this order: nothing of ours may stand within an event. */
static size_t fill(struct event_stream *s, char *out, size_t size) {
    size_t used = 0;

    if (s->part == 0 && (s->row == NULL || s->sent == 0) && s->note[0] != '\0')
        used += add_note(s, out, size);
    if (used < size && s->row != NULL && s->note[0] == '\0')
        used += add_first(s, out + used, size - used);
    if (used < size && s->row == NULL && s->note[0] == '\0' && !is_left_behind(s))
        used += add_events(s, out + used, size - used);
    if (used < size && s->row == NULL && s->part == 0 && s->beating) {
        snprintf(s->note, sizeof(s->note), HEARTBEAT);
        s->beating = false;
    }
    if (used < size && s->row == NULL && s->part == 0 && s->ending && !s->ended) {
        snprintf(s->note, sizeof(s->note), "retry: %ld\n\n", RETRY_MS + random() % RETRY_SPREAD);
        s->ended = true;
    }
    if (used < size && s->row == NULL && s->part == 0)
        used += add_note(s, out + used, size - used);
    return used;
}

/* Its client comes back, and is sent what it has missed. */
static void drop(struct event_stream *s) {
    if (s->dropped)
        return;
    s->dropped = true;
    streams.dropped++;
    log_request(LOG_INFO, s->request->id, "a stream of events was too slow and ends");
    client_cut(s->request->client);
}

static ssize_t read_events(void *arg, uint64_t offset, char *out, size_t size) {
    struct request *r = arg;
    struct event_stream *s = r->events;
    size_t used;

    (void) offset;
    if (is_left_behind(s) && (!s->ending || s->part > 0))
        drop(s);
    if (s->dropped || s->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    used = fill(s, out, size);
    r->bytes += used;
    if (used > 0) {
        set_beat(s);
        client_phase(r->client, CLIENT_SENDING);
        return (ssize_t) used;
    }
    return s->ended ? MHD_CONTENT_READER_END_OF_STREAM : sleep_on(s);
}

static void wake(struct event_stream *s) {
    if (!s->asleep)
        return;
    s->asleep = false;
    client_phase(s->request->client, CLIENT_SENDING);
    http_resume(s->request->mhd);
}

/* In half the time, so that those that have to wait for others are in time. */
static void set_check(struct event_stream *s, int64_t now) {
    s->check_at = now + streams.check / 2;
    list_remove(&s->check);
    list_append(&streams.checks, &s->check);
}

static void check_soon(struct event_stream *s, int64_t now) {
    s->check_at = now + CHECK_RETRY;
    list_remove(&s->check);
    list_prepend(&streams.checks, &s->check);
}

static void on_departure(struct loop_source *source, uint32_t events) {
    struct event_stream *s = list_item(source, struct event_stream, source);

    (void) events;
    s->gone = true;
    wake(s);
}

struct MHD_Response *events_begin(struct request *r, PGresult *row, const struct page *first) {
    struct event_stream *s = r->events = arena_alloc(&r->arena, sizeof(*s));
    unsigned dead_after = DEAD_AFTER_MS;

    memset(s, 0, sizeof(*s));
    s->request = r;
    s->row = row;
    s->text = first->text;
    s->len = first->len;
    s->position = first->position;
    s->topic = first->topic;
    s->view = first->view;
    s->user = r->user;
    s->ending = loop_draining();
    snprintf(s->note, sizeof(s->note), "retry: %d\n\n", RETRY_MS);
    list_append(&streams.all, &s->node);
    list_init(&s->beat);
    set_beat(s);
    list_init(&s->check);
    set_check(s, clock_us());
    streams.count++;
    setsockopt(r->client->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_after, sizeof(dead_after));
    client_stream(r->client);
    s->source.ready = on_departure;
    loop_watch(&s->source, r->client->fd, EPOLLRDHUP | EPOLLET);
    s->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, r->http_1_0 ? BLOCK : 1,
                                                    read_events, r, NULL);
    return s->response;
}

void events_free(struct request *r) {
    struct event_stream *s = r->events;

    if (s == NULL)
        return;
    loop_forget(r->client->fd);
    list_remove(&s->node);
    list_remove(&s->beat);
    list_remove(&s->check);
    streams.count--;
    PQclear(s->row);
    r->events = NULL;
}

void events_wake(void) {
    for (struct list *n = streams.all.next; n != &streams.all; n = n->next) {
        struct event_stream *s = list_item(n, struct event_stream, node);

        if (!s->asleep && is_left_behind(s))
            drop(s);
        else if (s->asleep && (is_left_behind(s) || next_event(s) != NULL))
            wake(s);
    }
}

static void end_stream(struct event_stream *s) {
    s->ending = true;
    wake(s);
}

void events_end_all(void) {
    for (struct list *n = streams.all.next; n != &streams.all; n = n->next)
        end_stream(list_item(n, struct event_stream, node));
}

static void beat(struct event_stream *s) {
    set_beat(s);
    if (!s->asleep)
        return;
    s->beating = true;
    wake(s);
}

/* The same call once more: it looks at token, roles and what is asked for, and touches the session.
 */
static void check(struct event_stream *s, int64_t now) {
    struct request *r = s->request;

    set_check(s, now);
    if (r->call.state != CALL_IDLE)
        return;
    snprintf(s->query, sizeof(s->query), "{\"last_event_id\":\"%lld\"}", (long long) s->position);
    r->call.parameters[P_QUERY] = s->query;
    if (!pool_submit(&r->call))
        check_soon(s, now);
}

void events_check_user(const char *user) {
    int64_t now = clock_us();

    for (struct list *n = streams.all.next; n != &streams.all; n = n->next) {
        struct event_stream *s = list_item(n, struct event_stream, node);

        if (s->request->actor != NULL && strcmp(s->request->actor, user) == 0)
            check(s, now);
    }
}

void events_checked(struct request *r) {
    struct event_stream *s = r->events;
    struct page page;
    PGresult *result = r->call.result;

    r->call.result = NULL;
    if (r->call.outcome != CALL_RESULT)
        check_soon(s, clock_us());
    else if (!r->call.failed && reply_page(result, &page) && page.is_feed)
        s->view = page.view;
    else
        end_stream(s);
    PQclear(result);
}

void events_tick(int64_t now) {
    struct event_stream *s;

    while (!list_empty(&streams.beats) &&
           (s = list_item(streams.beats.next, struct event_stream, beat))->beat_at <= now)
        beat(s);
    while (!list_empty(&streams.checks) && streams.next_check <= now &&
           (s = list_item(streams.checks.next, struct event_stream, check))->check_at <= now) {
        check(s, now);
        streams.next_check = now + streams.check / 2 / streams.count;
    }
}

int64_t events_next(void) {
    int64_t beat_at, check_at;

    if (list_empty(&streams.beats))
        return CLOCK_NEVER;
    beat_at = list_item(streams.beats.next, struct event_stream, beat)->beat_at;
    check_at = list_item(streams.checks.next, struct event_stream, check)->check_at;
    if (check_at < streams.next_check)
        check_at = streams.next_check;
    return beat_at < check_at ? beat_at : check_at;
}

unsigned events_count(void) {
    return streams.count;
}

uint64_t events_sent(void) {
    return streams.sent;
}

uint64_t events_dropped(void) {
    return streams.dropped;
}
