/* Proxies whose word about the client's address counts. */
#ifndef CLINICQ_PROXY_H
#define CLINICQ_PROXY_H

#include "address.h"

/* The first entry of a list with commas that is no address or CIDR block, or NULL. */
const char *proxy_fault(const char *list);
void proxy_open(const char *list);
void proxy_close(void);
bool proxy_trusted(const struct address *a);
/* Walks X-Forwarded-For from the right, past the trusted ones; *a is the peer before and the client
 * after. */
void proxy_client(struct address *a, const char *forwarded);

#endif
