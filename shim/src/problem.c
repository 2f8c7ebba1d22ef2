#include "problem.h"

#include <string.h>

static const struct edge_problem edges[] = {
    [EDGE_NONE] = {500, "internal", "Internal error", "The server made a mistake."},
    [EDGE_MALFORMED] = {400, "malformed-request", "Malformed request",
                        "The headers of the request contradict each other or are not valid HTTP."},
    [EDGE_HOST] = {400, "unknown-host", "Unknown host", "No such host is served here."},
    [EDGE_QUERY] = {400, "malformed-query", "Malformed query",
                    "The query string is not valid UTF-8, holds a NUL or has too many parameters."},
    [EDGE_FOREIGN] = {403, "foreign-page", "Refused",
                      "A change with a cookie needs the header X-ClinicQ-Request: 1 and must come "
                      "from a page of this clinic."},
    [EDGE_SIGNATURE] = {403, "bad-signature", "Bad signature",
                        "The request is not signed, or not by whom this address is for."},
    [EDGE_NOT_FOUND] = {404, "not-found", "Not found", "There is nothing at this address."},
    [EDGE_METHOD] = {405, "method-not-allowed", "Method not allowed",
                     "This method cannot be used at this address."},
    [EDGE_TOO_LARGE] = {413, "too-large", "Body too large",
                        "The body is larger than this address takes."},
    [EDGE_URI] = {414, "uri-too-long", "URI too long", "The address or its query is too long."},
    [EDGE_HEADERS] = {431, "headers-too-large", "Headers too large",
                      "The headers of the request are too large."},
    [EDGE_LIMITED] = {429, "too-many-requests", "Too many requests",
                      "Too many requests in a short time; nothing was done, try again later."},
    [EDGE_INTERNAL] = {500, "internal", "Internal error",
                       "The server made a mistake; the request id tells an administrator which."},
    [EDGE_NOT_READY] = {503, "not-ready", "Not ready",
                        "The database is not ready for requests; try again in a moment."},
    [EDGE_CONNECTIONS] =
        {503, "too-many-connections", "Too many connections",
         "Too many connections are open; nothing was done, try again in a moment."},
    [EDGE_STREAMS] = {503, "too-many-streams", "Too many streams",
                      "Too many streams of events are open, or too many of this user; close one."},
    [EDGE_QUEUE_FULL] = {503, "overloaded", "Overloaded",
                         "Too many requests are waiting; nothing was done, try again in a moment."},
    [EDGE_BUSY] =
        {503, "overloaded", "Overloaded",
         "No database connection became free in time; nothing was done, try again in a moment."},
    [EDGE_AWAY] = {503, "database-away", "Database away",
                   "The database cannot be reached; nothing was done, try again in a moment."},
    [EDGE_OUTCOME_UNKNOWN] =
        {503, "outcome-unknown", "Outcome unknown",
         "The answer of the database never came: the change may have been made or not. "
         "Send it again with the same Idempotency-Key; without one, look before trying again."},
    [EDGE_VERSION] = {505, "http-version", "HTTP/1.1 needed",
                      "In HTTP/1.0 the end of so long a reply could not be told from its loss."},
    [EDGE_DEADLINE] = {504, "timeout", "Timeout", "The database did not answer in time."},
};

const struct edge_problem *edge_problem(enum edge e) {
    return &edges[e];
}

static void member(struct buffer *out, const char *name, const char *value) {
    buffer_format(out, "\"%s\":", name);
    buffer_json(out, value, strlen(value));
    buffer_char(out, ',');
}

void problem_write(struct buffer *out, const struct problem_text *p, bool full) {
    if (!full && p->errors != NULL) {
        buffer_text(out, p->errors);
        return;
    }
    if (!full) {
        buffer_text(out, "{\"detail\":");
        buffer_json(out, p->detail, strlen(p->detail));
        buffer_char(out, '}');
        return;
    }
    buffer_format(out, "{\"type\":\"/problems/%s\",", p->type);
    member(out, "title", p->title);
    buffer_format(out, "\"status\":%u,", p->status);
    member(out, "detail", p->detail);
    buffer_format(out, "\"instance\":\"/requests/%s\"", p->request_id);
    if (p->errors != NULL)
        buffer_format(out, ",\"errors\":%s", p->errors);
    buffer_char(out, '}');
}
