/* The session of our own pages, in a cookie. */
#ifndef CLINICQ_COOKIE_H
#define CLINICQ_COOKIE_H

#include "request.h"

struct config;

void cookie_open(const struct config *c);
/* The session's token in a Cookie header, in r's arena; NULL if there is none. */
const char *cookie_read(struct request *r, const char *header);
/* False for a request that another site's page may have made a browser send. */
bool cookie_from_us(const struct request *r);
/* "<token> <seconds>" or "" as the value of Set-Cookie; false where it is neither. */
bool cookie_write(const char *session, char *out, size_t size);

#endif
