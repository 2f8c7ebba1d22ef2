/* Requests of services outside, which are signed and have no token (`signature` of a route). The
 * key is not in the database, so they are judged before it is asked. */
#ifndef CLINICQ_SIGNATURE_H
#define CLINICQ_SIGNATURE_H

#include "request.h"

struct config;

/* Reads the keys; those of before stay where they cannot be read. At start and after SIGHUP. */
void signature_open(const struct config *c);
void signature_close(void);

/* Whether a request, whose body is there, is one that its route takes. */
bool signature_holds(struct request *r);

#endif
