/*
 * dispatch.h: the request that is being served.
 */
#ifndef CQ_DISPATCH_H
#define CQ_DISPATCH_H

#include "postgres.h"

/* Why the body could not be read: media-type, encoding, form; NULL where it could. */
extern const char *request_body_fault(void);

/* "http://host:port", for absolute links. */
extern const char *request_base_url(void);

/* The token that came with the request, "" for none. */
extern const char *request_token(void);

/* The User-Agent header, up to 200 characters; NULL for none. */
extern const char *request_user_agent(void);

/* The header If-None-Match; NULL for none. */
extern const char *request_if_none_match(void);

#endif
