#include "cors.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

static struct {
    char *text; /* split at the commas */
    const char **origins;
    size_t count;
} cors;

void cors_open(const char *origins) {
    char *rest = NULL;

    cors.text = memory_text(origins);
    for (char *o = strtok_r(cors.text, ", ", &rest); o != NULL; o = strtok_r(NULL, ", ", &rest)) {
        cors.origins = memory_grow(cors.origins, (cors.count + 1) * sizeof(*cors.origins));
        cors.origins[cors.count++] = o;
    }
}

void cors_close(void) {
    free(cors.origins);
    free(cors.text);
}

bool cors_allows(const char *origin) {
    for (size_t i = 0; i < cors.count; i++)
        if (strcmp(origin, cors.origins[i]) == 0)
            return true;
    return false;
}

void cors_headers(struct MHD_Response *response, const char *origin, bool preflight) {
    if (!cors_allows(origin))
        return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    MHD_add_response_header(response, "Access-Control-Allow-Credentials", "true");
    if (!preflight) {
        MHD_add_response_header(response, "Access-Control-Expose-Headers",
                                "ETag, Idempotency-Replayed, RateLimit-Limit, "
                                "RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, "
                                "Retry-After, X-Request-Id");
        return;
    }
    MHD_add_response_header(
        response, "Access-Control-Allow-Headers",
        "accept, accept-encoding, authorization, content-type, dnt, idempotency-key, if-match, "
        "if-none-match, last-event-id, origin, traceparent, user-agent, x-clinicq-request, "
        "x-csrftoken, x-request-id, x-requested-with");
    MHD_add_response_header(response, "Access-Control-Allow-Methods",
                            "DELETE, GET, OPTIONS, PATCH, POST, PUT");
    MHD_add_response_header(response, "Access-Control-Max-Age", "86400");
}
