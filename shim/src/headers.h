#ifndef CLINICQ_HEADERS_H
#define CLINICQ_HEADERS_H

#include "request.h"

/* Reads the request's headers into r; r->malformed where HTTP forbids what came. */
void headers_read(struct request *r);

/* The credential after "Token " or "Bearer ", in the library's memory; NULL if there is none. */
const char *headers_token(const char *authorization);

#endif
