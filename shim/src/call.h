/* A request as the parameters of clinicq_api.call, and its result as a reply. */
#ifndef CLINICQ_CALL_H
#define CLINICQ_CALL_H

#include "request.h"

/* The parameters of clinicq_api.call, in order. */
enum {
    P_ROUTE,
    P_TOKEN,
    P_PATH,
    P_QUERY,
    P_BODY,
    P_BODY_FAULT,
    P_REQUEST_ID,
    P_CLIENT,
    P_BASE_URL,
    P_USER_AGENT,
    P_TRACE_ID,
    P_IDEMPOTENCY_KEY,
    P_IF_MATCH,
    P_IF_NONE_MATCH,
    P_COUNT
};

struct config;

/* The scheme of absolute links, and the host that they fall back on. */
void call_open(const struct config *c);
void call_close(void);

/* Fills r->call. The query must be valid, see call_query(). */
void call_build(struct request *r);

struct json_object;

/* A call of the route's intake; body: a piece of the file in base64. Texts are borrowed. */
void call_intake(struct request *r, const char *query, const char *body, const char *fault);

/* The call that the file was for: with the texts of the form, or with why there are none. */
void call_form(struct request *r, struct json_object *fields, const char *fault);

/* Why the Content-Type is not that of a form with a file; NULL where it is. */
const char *call_form_fault(const struct request *r);

/* After the call that went before: the real one. */
void call_follow(struct request *r);

/* The same call once more, for the page that begins at the cursor; the query's text is in `query`.
 */
void call_page(struct request *r, const char *cursor, struct buffer *query);

/* After a refusal, whose transaction was rolled back: a write that records it. */
void call_refused(struct request *r, const char *sqlstate);

/* Turns the query string into the JSON parameter; false when it cannot be one. */
bool call_query(struct request *r);

/* Scheme and host of its address, as the client knows them. */
const char *call_base_url(struct request *r);

/* Whether the body is a urlencoded form. */
bool call_is_form(const struct request *r);

#endif
