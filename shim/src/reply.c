#include "reply.h"

#include "base64.h"
#include "config.h"
#include "cookie.h"
#include "cors.h"
#include "events.h"
#include "log.h"
#include "loop.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct header {
    char name[64], value[1024];
};

struct reply {
    unsigned status;
    const char *body;
    size_t len;
    void (*release)(void *owner); /* NULL: the body is static */
    void *owner;
    const char *headers; /* JSON object of strings, or NULL */
    bool problem;
    const struct page *page; /* the first of several; owner is the row that holds it */
    uint64_t absent;         /* length of the body that a 304 stands for */
};

static const char *const every_reply[][2] = {
    {"Content-Type", "application/json"},
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "same-origin"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Vary", "Origin, Accept"},
};

/* Headers that are for us: where in the feed of events a stream begins, and what belongs to it. */
#define FEED_HEADERS "Feed-"

static bool secure; /* browsers reach us over TLS */

void reply_open(const struct config *c) {
    secure = c->secure;
}

static void release_result(void *result) {
    PQclear(result);
}

/* Reads one JSON string without control characters or \u escapes, which a header cannot hold. */
static const char *read_string(const char *p, char *out, size_t size) {
    size_t n = 0;

    if (*p != '"')
        return NULL;
    for (p++; *p != '"'; p++) {
        if (*p == '\\' && strchr("\"\\/", *++p) == NULL)
            return NULL;
        if ((unsigned char) *p < 0x20 || *p == 0x7f || n + 1 >= size)
            return NULL;
        out[n++] = *p;
    }
    out[n] = '\0';
    return p + 1;
}

static const char *skip_blanks(const char *p) {
    return p + strspn(p, " \t\r\n");
}

static bool is_header_name(const char *name) {
    return name[0] != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")] == '\0';
}

/* Another site's form must not log a browser in either. */
static void add_session(const struct request *r, struct MHD_Response *response,
                        const char *session) {
    char set_cookie[512];

    if (r->origin != NULL && !cookie_from_us(r))
        return;
    if (!cookie_write(session, set_cookie, sizeof(set_cookie)) ||
        MHD_add_response_header(response, "Set-Cookie", set_cookie) != MHD_YES)
        log_request(LOG_ERROR, r->id, "a session of the database cannot be sent");
}

/* The next header of the JSON object that *json stands in, NULL after the last. False where what
 * stands there cannot be a header. */
static bool next_header(const char **json, struct header *h) {
    const char *p = skip_blanks(*json);

    *json = NULL;
    if (*p != '{' && *p != ',')
        return true;
    p = skip_blanks(p + 1);
    if (*p == '}')
        return true;
    p = read_string(p, h->name, sizeof(h->name));
    p = p != NULL ? skip_blanks(p) : "";
    p = *p == ':' ? read_string(skip_blanks(p + 1), h->value, sizeof(h->value)) : NULL;
    *json = p;
    return p != NULL;
}

/* The value of a header that the database asks for; "" where there is none, or none that can be
 * read. */
static void find_header(const char *json, const char *name, char *value, size_t size) {
    struct header h;

    value[0] = '\0';
    while (json != NULL && value[0] == '\0' && next_header(&json, &h) && json != NULL)
        if (strcasecmp(h.name, name) == 0)
            snprintf(value, size, "%s", h.value);
}

/* Of this one the first counts. */
static bool is_taken(struct MHD_Response *response, const char *name) {
    return strcasecmp(name, "Content-Type") == 0 && MHD_get_response_header(response, name) != NULL;
}

/* Headers that tell how the body is to be read; they are never sent. */
static bool is_for_us(const char *name) {
    static const char *const names[] = {"Next-Page", "Body-Encoding", "Body-Length"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Adds the headers that the database asks for. */
static void add_headers(struct request *r, struct MHD_Response *response, const char *json) {
    struct header h;

    do {
        if (!next_header(&json, &h)) {
            log_request(LOG_ERROR, r->id, "a header of the database cannot be sent");
            return;
        }
        if (json == NULL || is_for_us(h.name) ||
            strncmp(h.name, FEED_HEADERS, strlen(FEED_HEADERS)) == 0)
            continue;
        if (strcmp(h.name, "Set-Session") == 0)
            add_session(r, response, h.value);
        else if (!is_taken(response, h.name) &&
                 (!is_header_name(h.name) ||
                  MHD_add_response_header(response, h.name, h.value) != MHD_YES))
            log_request(LOG_ERROR, r->id, "a header of the database cannot be sent");
    } while (json != NULL);
}

static void add_number(struct MHD_Response *response, const char *name, unsigned value) {
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    MHD_add_response_header(response, name, text);
}

static void add_limits(struct MHD_Response *response, const struct limit_state *s) {
    char policy[48];

    snprintf(policy, sizeof(policy), "%u;w=%u", s->burst, (s->burst + s->rate - 1) / s->rate);
    add_number(response, "Retry-After", s->retry_after);
    add_number(response, "RateLimit-Limit", s->burst);
    add_number(response, "RateLimit-Remaining", 0);
    add_number(response, "RateLimit-Reset", s->reset);
    MHD_add_response_header(response, "RateLimit-Policy", policy);
}

/* A 304 has no body, so nobody reads it. */
static ssize_t no_body(void *arg, uint64_t position, char *out, size_t size) {
    (void) arg;
    (void) position;
    (void) out;
    (void) size;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct request *r, const struct reply *reply) {
    if (reply->page != NULL && reply->page->is_feed)
        return events_begin(r, reply->owner, reply->page);
    if (reply->page != NULL)
        return stream_begin(r, reply->owner, reply->page);
    if (reply->absent > 0)
        return MHD_create_response_from_callback(reply->absent, 1024, no_body, NULL, NULL);
    if (reply->release != NULL)
        return MHD_create_response_from_buffer_with_free_callback_cls(
            reply->len, (void *) (uintptr_t) reply->body, reply->release, reply->owner);
    return MHD_create_response_from_buffer(reply->len, (void *) (uintptr_t) reply->body,
                                           MHD_RESPMEM_PERSISTENT);
}

/* Takes the reply's body over, whatever happens. */
static enum MHD_Result send_reply(struct request *r, const struct reply *reply) {
    struct MHD_Response *response;
    enum MHD_Result queued;
    bool custom = reply->headers != NULL;

    response = make_response(r, reply);
    if (response == NULL)
        log_fatal("out of memory");
    if (reply->problem)
        MHD_add_response_header(response, "Content-Type", "application/problem+json");
    if (custom)
        add_headers(r, response, reply->headers);
    for (size_t i = reply->problem ? 1 : 0; i < sizeof(every_reply) / sizeof(every_reply[0]); i++)
        if (!custom || MHD_get_response_header(response, every_reply[i][0]) == NULL)
            MHD_add_response_header(response, every_reply[i][0], every_reply[i][1]);
    MHD_add_response_header(response, "X-Request-Id", r->id);
    if (secure)
        MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (reply->status == 401)
        MHD_add_response_header(response, "WWW-Authenticate", "Token");
    if ((reply->status == 405 || (r->method == OPTIONS && !r->preflight)) && r->match.node != NULL)
        MHD_add_response_header(response, "Allow", r->match.node->allow);
    if (r->edge == EDGE_LIMITED)
        add_limits(response, &r->limited);
    if (r->retry_after > 0)
        add_number(response, "Retry-After", r->retry_after);
    if ((reply->status == 503 || reply->status == 429) &&
        MHD_get_response_header(response, "Retry-After") == NULL)
        MHD_add_response_header(response, "Retry-After", "1");
    if (r->origin != NULL)
        cors_headers(response, r->origin, r->method == OPTIONS && r->preflight);
    if (r->events != NULL)
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    /* a reply before the body was read ends the connection too; a stream's counts apart */
    if (loop_draining() || r->events != NULL || r->stage == STAGE_HEADERS ||
        r->edge == EDGE_TOO_LARGE)
        MHD_add_response_header(response, "Connection", "close");
    r->status = reply->status;
    r->bytes = r->method == HEAD || reply->status == 304 || reply->page != NULL ? 0 : reply->len;
    r->stage = STAGE_ANSWERED;
    client_phase(r->client, CLIENT_SENDING);
    queued = MHD_queue_response(r->mhd, reply->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result send_problem(struct request *r, const struct problem_text *p,
                                    const char *headers) {
    struct buffer body = {0};

    problem_write(&body, p, r->wants_problem);
    return send_reply(r, &(struct reply){.status = p->status,
                                         .body = body.data,
                                         .len = body.len,
                                         .release = free,
                                         .owner = body.data,
                                         .headers = headers,
                                         .problem = r->wants_problem});
}

enum MHD_Result reply_edge(struct request *r, enum edge e) {
    const struct edge_problem *p = edge_problem(e);

    return send_problem(r,
                        &(struct problem_text){.status = p->status,
                                               .type = p->type,
                                               .title = p->title,
                                               .detail = p->detail,
                                               .request_id = r->id},
                        NULL);
}

/* Our own statement found no function to call: the extension is away, or being made again. An error
 * from within a function has a context and no position in our statement. */
static bool is_call_missing(const PGresult *error, const char *sqlstate) {
    return sqlstate != NULL && (strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "3F000") == 0) &&
           (PQresultErrorField(error, PG_DIAG_STATEMENT_POSITION) != NULL ||
            PQresultErrorField(error, PG_DIAG_CONTEXT) == NULL);
}

/* PostgreSQL raises some of the same SQLSTATEs, and names tables and functions. Every refusal of
 * ClinicQ's has a hint, or an SQLSTATE of its own. */
static bool is_ours(const PGresult *error, const char *sqlstate) {
    return strncmp(sqlstate, "QC", 2) == 0 ||
           PQresultErrorField(error, PG_DIAG_MESSAGE_HINT) != NULL;
}

/* The member retry_after of the object. */
static unsigned retry_after(const char *detail) {
    static const char name[] = "\"retry_after\"";
    const char *at = strstr(detail, name);
    unsigned long seconds;

    if (at == NULL)
        return 0;
    at = skip_blanks(at + sizeof(name) - 1);
    seconds = *at == ':' ? strtoul(skip_blanks(at + 1), NULL, 10) : 0;
    return seconds <= 86400 ? (unsigned) seconds : 86400;
}

static enum MHD_Result reply_error(struct request *r, const PGresult *error) {
    const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(error, PG_DIAG_MESSAGE_DETAIL);
    const char *source = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);
    const struct problem *known =
        sqlstate != NULL ? catalogue_problem(r->catalogue, sqlstate) : NULL;
    struct problem_text p = {.request_id = r->id};
    bool reveal;

    if (message == NULL)
        message = "no message";
    if (is_call_missing(error, sqlstate))
        return reply_edge(r, EDGE_NOT_READY);
    /* the message may quote a value */
    if (known == NULL || known->status >= 500)
        log_request(known == NULL ? LOG_ERROR : LOG_WARNING, r->id, "database error %s in %s",
                    sqlstate != NULL ? sqlstate : "-", source != NULL ? source : "libpq");
    if (known == NULL)
        return reply_edge(r, EDGE_INTERNAL);
    p.status = known->status;
    p.type = known->type;
    p.title = known->title;
    reveal = known->reveal && is_ours(error, sqlstate);
    p.detail = reveal ? message : known->title;
    if (reveal && known->status == 429 && detail != NULL)
        r->retry_after = retry_after(detail);
    p.errors = reveal && detail != NULL && detail[0] == '{' ? detail : NULL;
    return send_problem(r, &p, NULL);
}

static bool is_reply(const PGresult *result) {
    return PQntuples(result) == 1 && PQnfields(result) == 4 && !PQgetisnull(result, 0, 0);
}

static void read_feed(const char *headers, struct page *page) {
    char position[24], topic[24], view[16];

    find_header(headers, FEED_HEADERS "Position", position, sizeof(position));
    if (position[0] == '\0')
        return;
    find_header(headers, FEED_HEADERS "Topic", topic, sizeof(topic));
    find_header(headers, FEED_HEADERS "View", view, sizeof(view));
    page->is_feed = true;
    page->position = strtoll(position, NULL, 10);
    page->topic = strtoll(topic, NULL, 10);
    page->view = strcmp(view, "staff") == 0 ? VIEW_STAFF : VIEW_DISPLAY;
}

/* The text that a JSON string stands for, in its place: it is never longer. False where it is none.
 */
static bool decode_string(char *text, size_t *len) {
    struct json_object *string = json_tokener_parse(text);
    bool is_string = json_object_is_type(string, json_type_string);

    if (is_string) {
        *len = (size_t) json_object_get_string_len(string);
        memcpy(text, json_object_get_string(string), *len);
    }
    json_object_put(string);
    return is_string;
}

static bool is_status(const PGresult *row, const char *status) {
    return strcmp(PQgetvalue(row, 0, 0), status) == 0;
}

/* The bytes that a JSON string of base64 stands for. */
static bool decode_bytes(struct page *page) {
    if (page->len < 2 || page->text[0] != '"' || page->text[page->len - 1] != '"')
        return false;
    page->text++;
    page->len -= 2;
    return base64_decode(page->text, &page->len);
}

/* What the row holds. With 200 and 206 a JSON string that has a Content-Type of its own stands for
 * the text to be sent, or with Body-Encoding for bytes. False where it is none, or where the next
 * page cannot be read. */
static bool read_page(const PGresult *row, struct page *page) {
    const char *headers = PQgetisnull(row, 0, 2) ? NULL : PQgetvalue(row, 0, 2);
    char type[64], encoding[16], total[24];

    page->text = PQgetisnull(row, 0, 1) ? NULL : PQgetvalue(row, 0, 1);
    page->len = (size_t) PQgetlength(row, 0, 1);
    page->cursor[0] = '\0';
    page->is_feed = false;
    page->total = 0;
    if (headers == NULL || (page->text == NULL && !is_status(row, "304")))
        return true;
    find_header(headers, "Body-Length", total, sizeof(total));
    page->total = strtoull(total, NULL, 10);
    if (page->text == NULL || !(is_status(row, "200") || is_status(row, "206")))
        return true;
    find_header(headers, "Next-Page", page->cursor, sizeof(page->cursor));
    if (page->cursor[0] == '\0' && strcasestr(headers, "Next-Page") != NULL)
        return false;
    find_header(headers, "Body-Encoding", encoding, sizeof(encoding));
    if (strcmp(encoding, "base64") == 0)
        return decode_bytes(page);
    read_feed(headers, page);
    find_header(headers, "Content-Type", type, sizeof(type));
    return page->text[0] != '"' || type[0] == '\0' || decode_string(page->text, &page->len);
}

bool reply_page(const PGresult *row, struct page *page) {
    return is_reply(row) && (is_status(row, "200") || is_status(row, "206")) &&
           read_page(row, page) && page->text != NULL;
}

/* The row of clinicq_api.call; owns the result. */
static enum MHD_Result reply_row(struct request *r, PGresult *row) {
    const char *headers = PQgetisnull(row, 0, 2) ? NULL : PQgetvalue(row, 0, 2);
    struct page page;
    bool readable = read_page(row, &page);
    long status = strtol(PQgetvalue(row, 0, 0), NULL, 10);
    enum MHD_Result result;

    if (!PQgetisnull(row, 0, 3)) {
        r->actor = arena_text(&r->arena, PQgetvalue(row, 0, 3), (size_t) PQgetlength(row, 0, 3));
        request_user(r, r->actor);
    }

    if (status < 200 || status > 599 || !readable) {
        log_request(LOG_ERROR, r->id, "the database answered with status %ld%s", status,
                    readable ? "" : " and a body that is no text");
        PQclear(row);
        return reply_edge(r, EDGE_INTERNAL);
    }
    if (status >= 400 && r->wants_problem) {
        result = send_problem(r,
                              &(struct problem_text){.status = (unsigned) status,
                                                     .type = "refused",
                                                     .title = "Refused",
                                                     .detail = "The request was refused.",
                                                     .errors = page.text,
                                                     .request_id = r->id},
                              headers);
        PQclear(row);
        return result;
    }
    if (page.text == NULL || status == 204) {
        result = send_reply(r, &(struct reply){.status = (unsigned) status,
                                               .body = "",
                                               .headers = headers,
                                               .absent = status == 304 ? page.total : 0});
        PQclear(row);
        return result;
    }
    /* the end of the connection is the end of an HTTP/1.0 reply: a part looks like the whole */
    if (page.cursor[0] != '\0' && page.total == 0 && r->http_1_0) {
        PQclear(row);
        return reply_edge(r, EDGE_VERSION);
    }
    page.is_feed = page.is_feed && r->method == GET;
    if (page.is_feed && !events_room(r->user)) {
        PQclear(row);
        return reply_edge(r, EDGE_STREAMS);
    }
    return send_reply(
        r, &(struct reply){.status = (unsigned) status,
                           .body = page.text,
                           .len = page.len,
                           .release = release_result,
                           .owner = row,
                           .headers = headers,
                           .page = page.cursor[0] != '\0' || page.is_feed ? &page : NULL});
}

enum MHD_Result reply_call(struct request *r) {
    static const enum edge outcomes[] = {
        [CALL_RESULT] = EDGE_INTERNAL,
        [CALL_EXPIRED] = EDGE_DEADLINE,
        [CALL_BUSY] = EDGE_BUSY,
        [CALL_AWAY] = EDGE_AWAY,
        [CALL_UNKNOWN] = EDGE_OUTCOME_UNKNOWN,
    };
    PGresult *result = r->call.result;
    enum MHD_Result sent;

    r->call.result = NULL;
    if (r->call.outcome != CALL_RESULT)
        return reply_edge(r, outcomes[r->call.outcome]);
    if (!r->call.failed && is_reply(result))
        return reply_row(r, result);
    if (r->call.failed) {
        sent = reply_error(r, result);
    } else {
        log_request(LOG_ERROR, r->id, "clinicq_api.call gave no reply");
        sent = reply_edge(r, EDGE_INTERNAL);
    }
    PQclear(result);
    return sent;
}

enum MHD_Result reply_preflight(struct request *r) {
    return send_reply(r, &(struct reply){.status = 200, .body = ""});
}

enum MHD_Result reply_options(struct request *r) {
    return send_reply(r, &(struct reply){.status = 204, .body = ""});
}
