/* One HTTP request, from its request line to NOTIFY_COMPLETED, where it is freed. */
#ifndef CLINICQ_REQUEST_H
#define CLINICQ_REQUEST_H

#include "client.h"
#include "limit.h"
#include "memory.h"
#include "pool.h"
#include "problem.h"
#include "route.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

enum request_stage {
    STAGE_HEADERS,
    STAGE_ADMISSION,
    STAGE_BODY,
    STAGE_WAITING,
    STAGE_ANSWER,
    STAGE_ANSWERED
};

#define REQUEST_ID_MAX 64

/* The library's memory for a connection holds the headers of the request, up to
 * CLINICQ_HEADER_LIMIT, and those of the reply, without which it would close in silence. */
#define REPLY_MEMORY   2688
#define REQUEST_RECORD 64 /* what the library keeps for each header and query argument */

struct request {
    struct call call;
    struct arena arena;
    struct client *client;
    struct MHD_Connection *mhd;
    struct catalogue *catalogue;
    struct match match;
    const struct route *route; /* NULL: unknown, or the method is wrong */
    int64_t started;
    enum request_stage stage;
    enum method method;
    enum edge edge; /* what the shim itself answers, EDGE_NONE if the database does */
    char id[REQUEST_ID_MAX + 1];

    const char *path;
    size_t path_len;
    const char *query;
    size_t query_len;
    const char *uri_host; /* of a request line in absolute form, or NULL */

    struct address from; /* the client, behind trusted proxies too */
    const char *address;
    const char *forwarded; /* X-Forwarded-For of a trusted proxy, or NULL */

    /* headers, in the library's memory */
    const char *authorization;
    const char *traceparent; /* NULL: none, or malformed */
    const char *token;
    const char *cookie;
    bool asks_itself; /* X-ClinicQ-Request: 1, which no form of another site can send */
    bool by_cookie;   /* the token is the cookie's */
    const char *origin;
    const char *host;
    const char *content_type;
    const char *idempotency_key;
    const char *if_match;
    const char *if_none_match;
    const char *range;
    const char *if_range;
    const char *user_agent;
    const char *signature;
    const char *last_event_id; /* a number, or NULL */
    uint64_t content_length;
    bool has_length;
    bool chunked;
    bool malformed;
    size_t memory; /* roughly what URI and headers take of the connection's */
    bool http_1_0;
    bool preflight;
    bool wants_problem;

    struct buffer body;
    size_t body_limit;
    size_t body_dropped;

    struct upload *upload;       /* a file on its way, owned; NULL: none */
    struct stream *stream;       /* a reply in pages, owned; NULL: none */
    struct event_stream *events; /* a stream of events, owned; NULL: none */
    bool before;                 /* the call that goes before the real one */
    PGresult *refusal;           /* the error that is answered when the database has recorded it */
    unsigned retry_after;        /* seconds that the database asks to wait, 0 if it does not */
    uint64_t user;               /* whose buckets were charged; 0: not known yet */
    struct limit_state limited;

    unsigned status; /* 0 until a reply is queued */
    size_t bytes;
    char *actor; /* in the arena */
};

struct config;

void request_open(const struct config *c);
bool request_too_long(const struct request *r);
struct request *request_begin(struct client *client, struct MHD_Connection *mhd, const char *uri);
enum MHD_Result request_headers(struct request *r, const char *method, const char *version);
enum MHD_Result request_body(struct request *r, const char *data, size_t len);
enum MHD_Result request_complete(struct request *r);
/* The database has said whose token it is: the next request with it is charged beforehand. */
void request_user(struct request *r, const char *user);
void request_free(struct request *r);
/* Frees the blocks that are kept for reuse. */
void request_close(void);

#endif
