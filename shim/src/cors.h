#ifndef CLINICQ_CORS_H
#define CLINICQ_CORS_H

#include <microhttpd.h>
#include <stdbool.h>

void cors_open(const char *origins);
void cors_close(void);
bool cors_allows(const char *origin);
/* Adds what lets the origin's page read the reply. */
void cors_headers(struct MHD_Response *response, const char *origin, bool preflight);

#endif
