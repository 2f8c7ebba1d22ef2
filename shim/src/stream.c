#include "stream.h"

#include "call.h"
#include "http.h"
#include "log.h"
#include "reply.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>

/* What the library asks for at once at the most. */
#define BLOCK 32768

struct stream {
    PGresult *row; /* holds the page's text; NULL while the next one is fetched */
    struct page page;
    size_t sent;         /* of the page */
    struct buffer query; /* of the call for the next page */
    bool cut;
};

static struct {
    unsigned open;
    uint64_t pages, cuts;
} streams;

/* The connection ends without the last chunk, so nobody takes the part for the whole. */
static void cut(struct request *r, const char *why) {
    r->stream->cut = true;
    streams.cuts++;
    log_request(LOG_WARNING, r->id, "the reply was cut: %s", why);
}

static void drop_row(struct stream *s) {
    PQclear(s->row);
    s->row = NULL;
    s->page.len = s->sent = 0;
}

static ssize_t fetch(struct request *r) {
    struct stream *s = r->stream;

    drop_row(s);
    call_page(r, s->page.cursor, &s->query);
    if (!pool_submit(&r->call)) {
        cut(r, "too many requests are waiting");
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    client_phase(r->client, CLIENT_WAITING);
    MHD_suspend_connection(r->mhd);
    return 0;
}

static ssize_t read_page(void *arg, uint64_t position, char *out, size_t size) {
    struct request *r = arg;
    struct stream *s = r->stream;
    size_t len = s->page.len - s->sent;

    (void) position;
    if (s->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (len == 0)
        return s->page.cursor[0] != '\0' ? fetch(r) : MHD_CONTENT_READER_END_OF_STREAM;
    if (len > size)
        len = size;
    memcpy(out, s->page.text + s->sent, len);
    s->sent += len;
    r->bytes += len;
    return (ssize_t) len;
}

struct MHD_Response *stream_begin(struct request *r, PGresult *row, const struct page *first) {
    struct stream *s = r->stream = memory_zero(1, sizeof(*s));
    struct MHD_Response *response = MHD_create_response_from_callback(
        first->total > 0 ? first->total : MHD_SIZE_UNKNOWN, BLOCK, read_page, r, NULL);

    /* libmicrohttpd 0.9.75 would send a last chunk */
    if (r->method == HEAD && first->total == 0 && response != NULL)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    s->row = row;
    s->page = *first;
    streams.open++;
    streams.pages++;
    return response;
}

/* The page of the call, or why there is none. */
static const char *take_page(struct request *r) {
    struct stream *s = r->stream;
    struct page next;

    if (r->call.outcome != CALL_RESULT || r->call.failed || !reply_page(r->call.result, &next))
        return pool_fault(&r->call);
    if (strcmp(next.cursor, s->page.cursor) == 0)
        return "a page names itself as the next one";
    s->page = next;
    s->row = r->call.result;
    r->call.result = NULL;
    streams.pages++;
    return NULL;
}

void stream_continue(struct request *r) {
    const char *fault = take_page(r);

    if (fault != NULL)
        cut(r, fault); /* it may stand in the result */
    PQclear(r->call.result);
    r->call.result = NULL;
    client_phase(r->client, CLIENT_SENDING);
    http_resume(r->mhd);
}

void stream_free(struct request *r) {
    struct stream *s = r->stream;

    if (s == NULL)
        return;
    streams.open--;
    drop_row(s);
    buffer_free(&s->query);
    free(s);
    r->stream = NULL;
}

unsigned stream_count(void) {
    return streams.open;
}

uint64_t stream_pages(void) {
    return streams.pages;
}

uint64_t stream_cuts(void) {
    return streams.cuts;
}
