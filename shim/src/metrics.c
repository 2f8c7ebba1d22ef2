#include "metrics.h"

#include "client.h"
#include "events.h"
#include "gauges.h"
#include "limit.h"
#include "pool.h"
#include "stream.h"
#include "upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS    1024
#define SERIES_MAX 8192

struct series {
    struct series *next;
    char *template;
    enum method method;
    unsigned status;
    uint64_t count;
};

static const struct {
    int64_t us;
    const char *label;
} bounds[] = {
    {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"}, {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"}, {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};
#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

/* the classes of calls, requests of no route, and replies in pages */
static const char *const classes[] = {"read", "write", "slow", "edge", "stream"};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

struct histogram {
    uint64_t counts[BOUNDS + 1];
    uint64_t sum_us;
};

static struct {
    struct series *series[BUCKETS];
    unsigned series_count;
    struct histogram durations[CLASSES];
    struct histogram event_delays;
    uint64_t refusals_unrecorded;
} metrics;

static struct series *find_series(const char *template, enum method method, unsigned status) {
    uint32_t hash = 2166136261u ^ (status * METHODS + method);
    struct series **at;
    struct series *s;

    for (const char *p = template; *p != '\0'; p++)
        hash = (hash ^ (unsigned char) *p) * 16777619u;
    for (at = &metrics.series[hash % BUCKETS]; *at != NULL; at = &(*at)->next)
        if ((*at)->status == status && (*at)->method == method &&
            strcmp((*at)->template, template) == 0)
            return *at;
    if (metrics.series_count >= SERIES_MAX)
        return NULL;
    metrics.series_count++;
    s = memory_zero(1, sizeof(*s));
    s->template = memory_text(template);
    s->method = method;
    s->status = status;
    *at = s;
    return s;
}

static void count(struct histogram *h, int64_t us) {
    unsigned i = 0;

    while (i < BOUNDS && us > bounds[i].us)
        i++;
    h->counts[i]++;
    h->sum_us += us > 0 ? (uint64_t) us : 0;
}

void metrics_request(const char *template, enum method method, unsigned status,
                     const struct route *route, bool streamed, int64_t duration_us) {
    struct series *s = find_series(template, method, status);
    unsigned class = streamed ? CLASSES - 1 : route != NULL ? route->class : CALL_CLASSES;

    if (s != NULL)
        s->count++;
    count(&metrics.durations[class], duration_us);
}

void metrics_event(int64_t delay_us) {
    count(&metrics.event_delays, delay_us);
}

void metrics_refusal_unrecorded(void) {
    metrics.refusals_unrecorded++;
}

static void head(struct buffer *out, const char *name, const char *type, const char *help) {
    buffer_format(out, "# HELP clinicq_%s %s\n# TYPE clinicq_%s %s\n", name, help, name, type);
}

static void write_requests(struct buffer *out) {
    head(out, "http_requests_total", "counter", "Requests by route, method and status.");
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct series *s = metrics.series[i]; s != NULL; s = s->next)
            buffer_format(
                out, "clinicq_http_requests_total{route=\"%s\",method=\"%s\",status=\"%u\"} %llu\n",
                s->template, method_name(s->method), s->status, (unsigned long long) s->count);
}

/* labels: "" or `name="value"`. */
static void write_histogram(struct buffer *out, const char *name, const char *labels,
                            const struct histogram *h) {
    const char *comma = *labels != '\0' ? "," : "";
    char all[64] = "";
    uint64_t total = 0;

    if (*labels != '\0')
        snprintf(all, sizeof(all), "{%s}", labels);
    for (unsigned i = 0; i <= BOUNDS; i++) {
        total += h->counts[i];
        buffer_format(out, "clinicq_%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma,
                      i < BOUNDS ? bounds[i].label : "+Inf", (unsigned long long) total);
    }
    buffer_format(out, "clinicq_%s_sum%s %.6f\n", name, all, (double) h->sum_us / 1e6);
    buffer_format(out, "clinicq_%s_count%s %llu\n", name, all, (unsigned long long) total);
}

static void write_durations(struct buffer *out) {
    static const char name[] = "http_request_duration_seconds";
    char label[32];

    head(out, name, "histogram",
         "Time from the request line to the end of the reply, by class of the route.");
    for (unsigned c = 0; c < CLASSES; c++) {
        snprintf(label, sizeof(label), "class=\"%s\"", classes[c]);
        write_histogram(out, name, label, &metrics.durations[c]);
    }
}

static void write_events(struct buffer *out) {
    static const char delay[] = "event_delay_seconds";

    head(out, "event_streams", "gauge", "Streams of events that are open.");
    buffer_format(out, "clinicq_event_streams %u\n", events_count());
    head(out, "events_total", "counter", "Events that were read from the feed.");
    buffer_format(out, "clinicq_events_total %llu\n", (unsigned long long) feed_events());
    head(out, "events_sent_total", "counter", "Events that were written to streams.");
    buffer_format(out, "clinicq_events_sent_total %llu\n", (unsigned long long) events_sent());
    head(out, "event_streams_dropped_total", "counter", "Streams that were too slow.");
    buffer_format(out, "clinicq_event_streams_dropped_total %llu\n",
                  (unsigned long long) events_dropped());
    head(out, "event_connection_up", "gauge", "Whether the feed of events is read.");
    buffer_format(out, "clinicq_event_connection_up %d\n", feed_ready());
    head(out, delay, "histogram",
         "Time from the beginning of the transaction that made an event until it is written to a "
         "stream.");
    write_histogram(out, delay, "", &metrics.event_delays);
}

static void pool_metric(struct buffer *out, const struct pool_gauge *gauges, const char *name,
                        const char *type, const char *help, size_t offset, bool wide) {
    head(out, name, type, help);
    for (unsigned i = 0; i < CALL_CLASSES; i++) {
        const char *at = (const char *) &gauges[i] + offset;
        uint64_t value =
            wide ? *(const uint64_t *) (const void *) at : *(const unsigned *) (const void *) at;

        buffer_format(out, "clinicq_%s{pool=\"%s\"} %llu\n", name, gauges[i].name,
                      (unsigned long long) value);
    }
}

static void write_pools(struct buffer *out) {
    struct pool_gauge g[CALL_CLASSES];

    pool_gauges(g);
#define GAUGE(name, field, help) \
    pool_metric(out, g, name, "gauge", help, offsetof(struct pool_gauge, field), false)
#define COUNTER(name, field, help) \
    pool_metric(out, g, name, "counter", help, offsetof(struct pool_gauge, field), true)
    GAUGE("pool_connections", size, "Database connections that are configured.");
    GAUGE("pool_connections_up", ready, "Database connections that are up.");
    GAUGE("pool_depth", depth, "Calls that one connection takes at once.");
    GAUGE("pool_busy", in_flight, "Calls that the database works on.");
    GAUGE("pool_queued", queued, "Calls that wait for a connection.");
    COUNTER("pool_reconnects_total", reconnects, "Connections that came back after a loss.");
    COUNTER("pool_retries_total", retries, "Calls sent again.");
    COUNTER("pool_expired_total", expired, "Calls that were not answered in time.");
    COUNTER("pool_lost_total", lost, "Calls in flight on a connection that was lost.");
#undef GAUGE
#undef COUNTER
}

void metrics_write(struct buffer *out) {
    write_requests(out);
    write_durations(out);
    write_pools(out);
    write_events(out);
    head(out, "streams", "gauge", "Replies in pages that are on their way.");
    buffer_format(out, "clinicq_streams %u\n", stream_count());
    head(out, "stream_pages_total", "counter", "Pages of replies that come in pages.");
    buffer_format(out, "clinicq_stream_pages_total %llu\n", (unsigned long long) stream_pages());
    head(out, "streams_cut_total", "counter",
         "Replies in pages that were cut because the database did not go on.");
    buffer_format(out, "clinicq_streams_cut_total %llu\n", (unsigned long long) stream_cuts());
    head(out, "uploads", "gauge", "Files that are on their way.");
    buffer_format(out, "clinicq_uploads %u\n", upload_count());
    head(out, "rate_limited_total", "counter", "Requests that got 429 here, by limit.");
    for (enum limit i = 0; i < LIMITS; i++)
        buffer_format(out, "clinicq_rate_limited_total{limit=\"%s\"} %llu\n", limit_name(i),
                      (unsigned long long) limit_refused(i));
    head(out, "refusals_unrecorded_total", "counter",
         "Refusals that the database could not record in the audit log.");
    buffer_format(out, "clinicq_refusals_unrecorded_total %llu\n",
                  (unsigned long long) metrics.refusals_unrecorded);
    head(out, "client_connections", "gauge", "Client connections that are open.");
    buffer_format(out, "clinicq_client_connections %u\n", client_count());
    head(out, "client_connections_total", "counter", "Client connections accepted.");
    buffer_format(out, "clinicq_client_connections_total %llu\n",
                  (unsigned long long) client_accepted());
    head(out, "client_connections_refused_total", "counter",
         "Client connections beyond a limit, which got 503.");
    buffer_format(out, "clinicq_client_connections_refused_total %llu\n",
                  (unsigned long long) client_refused());
    head(out, "client_connections_evicted_total", "counter",
         "Idle client connections that were closed for others.");
    buffer_format(out, "clinicq_client_connections_evicted_total %llu\n",
                  (unsigned long long) client_evicted());
    gauges_write(out);
}

void metrics_close(void) {
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (metrics.series[i] != NULL) {
            struct series *s = metrics.series[i];

            metrics.series[i] = s->next;
            free(s->template);
            free(s);
        }
    }
}
