/* The shim without network and database: a request's bytes are handed to the functions that
 * libmicrohttpd would call, and its calls are answered here. */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include "call.h"
#include "common.h"

struct header {
    char *name;
    char *value;
};

/* What the request's functions said, as the client would see it. */
struct answer {
    bool called; /* the database was asked, by these parameters: */
    char *parameters[CALL_PARAMETERS];
    unsigned status; /* 0: the connection was ended without a reply */
    char *body;
    size_t len;
};

/* The routes that the fuzzers know; see harness.c. */
struct catalogue *harness_catalogue(void);

/* A request with these headers. The URI must stay where it is. */
struct request *harness_request(const char *uri, struct header *headers, size_t count);
void harness_end(struct request *r);

/* Sends a request through all of the shim, its body in pieces of `piece` bytes. */
void harness_run(struct answer *a, const char *method, const char *uri, struct header *headers,
                 size_t count, const char *body, size_t len, size_t piece);
void answer_free(struct answer *a);

/* What the last MHD_queue_response() was given. */
const char *harness_reply(size_t *len, unsigned *status);

/* Checks the parameters of a call: what the database is entitled to. */
void check_parameters(const struct request *r, const char *const *p);

/* Fields of the next error result, by their libpq codes; NULL: as libpq has them. */
extern const char *(*harness_error_field)(int code);
/* False where the database itself names headers of the shim's own: a cookie, the type. */
extern bool harness_names_all;

/* A row of clinicq_api.call; an empty text is a null. */
PGresult *harness_row(const char *status, char *body, char *headers);

#endif
