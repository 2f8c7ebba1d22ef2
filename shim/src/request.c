#include "request.h"

#include "call.h"
#include "catalogue.h"
#include "clock.h"
#include "config.h"
#include "cookie.h"
#include "events.h"
#include "headers.h"
#include "host.h"
#include "http.h"
#include "log.h"
#include "metrics.h"
#include "reply.h"
#include "signature.h"
#include "stream.h"
#include "upload.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A request and its first arena bytes are one block; some are kept for the next requests. */
#define REQUEST_BLOCK 2048
#define BLOCKS_KEPT   256
/* What is read and dropped of a body without a length that proved too large. */
#define DROP_MAX    (1024 * 1024)
#define STATUS_GONE 499 /* the client went before a reply */

_Static_assert(sizeof(struct request) + 512 <= REQUEST_BLOCK,
               "the block leaves no room for the arena");

static struct {
    void *blocks[BLOCKS_KEPT];
    unsigned kept;
} spare;

static struct {
    size_t header_limit;
    size_t body_limit;
} request_limits;

void request_open(const struct config *c) {
    request_limits.header_limit = c->header_limit;
    request_limits.body_limit = c->body_limit;
}

bool request_too_long(const struct request *r) {
    return r->memory > request_limits.header_limit;
}

/* The call has been committed, with nothing to say: the one before the real one, which may follow,
 * or the one after a refusal. */
static bool may_follow(const struct call *call) {
    return call->outcome == CALL_RESULT && !call->failed && PQntuples(call->result) == 1 &&
           strcmp(PQgetvalue(call->result, 0, 0), "204") == 0;
}

static bool is_audited(const struct request *r) {
    const char *sqlstate = r->call.outcome == CALL_RESULT && r->call.failed
                               ? PQresultErrorField(r->call.result, PG_DIAG_SQLSTATE)
                               : NULL;
    const struct problem *known =
        sqlstate != NULL && r->route != NULL ? catalogue_problem(r->catalogue, sqlstate) : NULL;

    return known != NULL && known->audited;
}

/* The refusal was rolled back with its transaction; another one records it. */
static bool tell_refusal(struct request *r) {
    r->refusal = r->call.result;
    r->call.result = NULL;
    call_refused(r, PQresultErrorField(r->refusal, PG_DIAG_SQLSTATE));
    return pool_submit(&r->call);
}

/* The call that should record it is over, or was not made; fault: why it did not. */
static void take_refusal_back(struct request *r, const char *fault) {
    if (fault != NULL) {
        log_request(LOG_WARNING, r->id, "a refusal could not be recorded in the audit log: %s",
                    fault);
        metrics_refusal_unrecorded();
    }
    PQclear(r->call.result);
    r->call.result = r->refusal;
    r->refusal = NULL;
    r->call.outcome = CALL_RESULT;
    r->call.failed = true;
}

static void request_done(struct call *call) {
    struct request *r = list_item(call, struct request, call);

    if (r->events != NULL) {
        events_checked(r);
        return;
    }
    if (r->refusal != NULL) {
        take_refusal_back(r, may_follow(call) ? NULL : pool_fault(call));
    } else if (is_audited(r) && !upload_is_dropped(r)) {
        if (tell_refusal(r))
            return;
        take_refusal_back(r, "too many requests are waiting");
    } else if (r->upload != NULL && upload_continue(r)) {
        return;
    } else if (r->before && may_follow(call)) {
        PQclear(call->result);
        call->result = NULL;
        r->before = false;
        call_follow(r);
        if (pool_submit(call))
            return;
        r->edge = EDGE_QUEUE_FULL;
    }
    if (r->stream != NULL) {
        stream_continue(r);
        return;
    }
    if (r->upload != NULL && upload_give_up(r))
        return;
    r->stage = STAGE_ANSWER;
    http_resume(r->mhd);
}

/* Splits the raw URI, which may be in absolute form (RFC 9112, 3.2.2). */
static void split_uri(struct request *r, const char *uri) {
    const char *path = uri;
    char *copy;
    size_t len;

    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        path = strstr(path, "//") + 2;
        len = strcspn(path, "/?");
        r->uri_host = arena_text(&r->arena, path, len);
        path += len;
    }
    len = strlen(path);
    copy = arena_text(&r->arena, path, len);
    r->path = copy;
    r->path_len = strcspn(copy, "?");
    r->query = copy + r->path_len + (r->path_len < len);
    r->query_len = len - (size_t) (r->query - copy);
    r->memory = len;
    for (const char *p = r->query; *p != '\0'; p = strchrnul(p + 1, '&'))
        r->memory += REQUEST_RECORD;
}

struct request *request_begin(struct client *client, struct MHD_Connection *mhd, const char *uri) {
    struct request *r = spare.kept > 0 ? spare.blocks[--spare.kept] : memory_alloc(REQUEST_BLOCK);

    memset(r, 0, sizeof(*r));
    arena_init(&r->arena, (char *) r + sizeof(*r), REQUEST_BLOCK - sizeof(*r));
    list_init(&r->call.queue);
    list_init(&r->call.deadline);
    r->call.done = request_done;
    r->client = client;
    r->mhd = mhd;
    r->started = clock_us();
    r->method = METHOD_OTHER;
    split_uri(r, uri);
    client_phase(client, CLIENT_RECEIVING);
    return r;
}

static enum edge choose_route(struct request *r) {
    r->catalogue = catalogue_hold(catalogue_current());
    if (r->catalogue == NULL)
        return EDGE_NOT_READY;
    route_match(r->catalogue, r->path, r->path_len, &r->match);
    if (r->match.node == NULL)
        return EDGE_NOT_FOUND;
    if (r->method == OPTIONS)
        return EDGE_NONE;
    if (r->method != METHOD_OTHER)
        r->route = r->match.node->routes[r->method];
    /* the database refuses the method after it has looked at the token */
    if (r->route == NULL && r->match.node->all_open)
        return EDGE_METHOD;
    r->body_limit = r->route != NULL ? r->route->body_limit : 65536;
    if (r->body_limit > request_limits.body_limit && (r->route == NULL || r->route->intake == NULL))
        r->body_limit = request_limits.body_limit;
    if (r->has_length && r->content_length > r->body_limit)
        return EDGE_TOO_LARGE;
    return call_query(r) ? EDGE_NONE : EDGE_QUERY;
}

static const bool is_write[METHODS] = {
    [POST] = true, [PUT] = true, [PATCH] = true, [DELETE] = true, [METHOD_OTHER] = true};

static bool charge_user(struct request *r, uint64_t user) {
    return limit_take(LIMIT_USER, user, r->started, &r->limited) &&
           (!is_write[r->method] || limit_take(LIMIT_WRITE, user, r->started, &r->limited));
}

/* Before the database: the buckets of the address, whose token it is and whether a browser was made
 * to send it, the buckets of the user. */
static enum edge admit(struct request *r) {
    bool open = r->route != NULL && r->route->open;
    uint64_t key;

    /* a proxy that names no client speaks for itself */
    if (!r->client->trusted || r->forwarded != NULL) {
        key = limit_address_key(&r->from);
        if (!limit_take(LIMIT_ADDRESS, key, r->started, &r->limited) ||
            (open && r->route->class == CALL_SLOW &&
             !limit_take(LIMIT_LOGIN, key, r->started, &r->limited)))
            return EDGE_LIMITED;
    }
    if (open) {
        /* not to be let in with, but for a log-in to end: it takes the place of that session */
        if (r->cookie != NULL && (r->origin == NULL || cookie_from_us(r)))
            r->token = cookie_read(r, r->cookie);
        return EDGE_NONE;
    }
    if (r->authorization != NULL) {
        r->token = headers_token(r->authorization);
    } else if (r->cookie != NULL) {
        r->token = cookie_read(r, r->cookie);
        r->by_cookie = r->token != NULL;
    }
    if (r->token == NULL)
        return EDGE_NONE;
    if (r->by_cookie && is_write[r->method] && !(r->asks_itself && cookie_from_us(r)))
        return EDGE_FOREIGN;
    r->user = limit_token_user(r->token);
    /* a token that was never let in is a user of its own */
    key = r->user != 0 ? r->user : limit_user_key(r->token);
    return charge_user(r, key) ? EDGE_NONE : EDGE_LIMITED;
}

void request_user(struct request *r, const char *user) {
    if (r->token == NULL || r->user != 0)
        return;
    r->user = limit_user_key(user);
    limit_token_seen(r->token, r->user);
    charge_user(r, r->user);
}

/* Only HTTP/1.0 may come without a host; what is named must be ours, in both places. */
static bool knows_host(const struct request *r, const char *version) {
    return (r->host != NULL ? host_allowed(r->host) : strcmp(version, MHD_HTTP_VERSION_1_0) == 0) &&
           (r->uri_host == NULL || host_allowed(r->uri_host));
}

enum MHD_Result request_headers(struct request *r, const char *method, const char *version) {
    bool preflight, refused;
    enum edge admitted;

    r->method = method_parse(method);
    headers_read(r);
    r->http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
    if (r->chunked && r->http_1_0)
        r->malformed = true;
    preflight = r->method == OPTIONS && r->preflight;
    if (!knows_host(r, version))
        r->edge = EDGE_HOST;
    else if (r->client->too_many)
        r->edge = EDGE_CONNECTIONS;
    else if (request_too_long(r))
        r->edge =
            r->path_len + r->query_len > request_limits.header_limit / 2 ? EDGE_URI : EDGE_HEADERS;
    else if (r->malformed)
        r->edge = EDGE_MALFORMED;
    refused = r->edge != EDGE_NONE;
    if (!refused && !preflight)
        r->edge = choose_route(r);
    admitted = refused ? EDGE_NONE : admit(r);
    if (admitted != EDGE_NONE)
        r->edge = admitted;
    /* with a body on its way, now is the only moment to refuse it */
    if (refused || (r->edge != EDGE_NONE && (r->chunked || r->content_length > 0)))
        return reply_edge(r, r->edge);
    if (r->edge == EDGE_NONE && r->route != NULL && r->route->intake != NULL && !preflight)
        return upload_begin(r);
    if (r->has_length && r->route != NULL && r->route->takes_fields)
        buffer_reserve(&r->body, (size_t) r->content_length);
    if (r->chunked || r->content_length > 0)
        client_phase(r->client, CLIENT_BODY);
    r->stage = STAGE_BODY;
    return MHD_YES;
}

enum MHD_Result request_body(struct request *r, const char *data, size_t len) {
    bool keep = r->route != NULL && r->route->takes_fields;
    enum MHD_Result taken = MHD_YES;

    if (r->edge == EDGE_TOO_LARGE || r->body.len + r->body_dropped + len > r->body_limit) {
        r->edge = EDGE_TOO_LARGE;
        r->body_dropped += len;
        return r->body_dropped < r->body_limit + DROP_MAX ? MHD_YES : MHD_NO;
    }
    if (r->upload != NULL)
        taken = upload_body(r, data, len);
    if (keep)
        buffer_add(&r->body, data, len);
    else
        r->body_dropped += len;
    return taken;
}

enum MHD_Result request_complete(struct request *r) {
    switch (r->stage) {
    case STAGE_ADMISSION:
        return upload_admitted(r);
    case STAGE_BODY:
        break;
    case STAGE_ANSWER:
        if (upload_is_at_headers(r))
            r->stage = STAGE_HEADERS;
        return r->edge != EDGE_NONE ? reply_edge(r, r->edge) : reply_call(r);
    default:
        return MHD_YES;
    }
    if (r->edge != EDGE_NONE)
        return reply_edge(r, r->edge);
    if (r->method == OPTIONS)
        return r->preflight ? reply_preflight(r) : reply_options(r);
    if (r->upload != NULL)
        return upload_end(r);
    if (!signature_holds(r))
        return reply_edge(r, EDGE_SIGNATURE);
    call_build(r);
    if (!pool_submit(&r->call))
        return reply_edge(r, EDGE_QUEUE_FULL);
    r->stage = STAGE_WAITING;
    client_phase(r->client, CLIENT_WAITING);
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

static void record(struct request *r) {
    struct log_access a = {
        .request_id = r->id[0] != '\0' ? r->id : "-",
        .method = method_name(r->method),
        .route = r->match.node != NULL ? r->match.node->template : "-",
        .actor = r->actor,
        .traceparent = r->traceparent,
        .backend = r->call.backend,
        .status = r->status != 0 ? r->status : STATUS_GONE,
        .duration_us = clock_us() - r->started,
        .bytes = r->bytes,
    };

    log_access(&a);
    metrics_request(a.route, r->method, a.status, r->route, r->stream != NULL || r->events != NULL,
                    a.duration_us);
}

void request_free(struct request *r) {
    record(r);
    pool_abandon(&r->call);
    PQclear(r->call.result);
    stream_free(r);
    events_free(r);
    upload_free(r);
    PQclear(r->refusal);
    catalogue_drop(r->catalogue);
    buffer_free(&r->body);
    arena_free(&r->arena);
    if (spare.kept < BLOCKS_KEPT)
        spare.blocks[spare.kept++] = r;
    else
        free(r);
}

void request_close(void) {
    while (spare.kept > 0)
        free(spare.blocks[--spare.kept]);
}
