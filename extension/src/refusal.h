/*
 * refusal.h: refusals in the audit log. The transaction that was refused is rolled back, so each is
 * told in another way: over HTTP by a call of its own, from psql through shared memory or, without
 * that, in the server log.
 */
#ifndef CQ_REFUSAL_H
#define CQ_REFUSAL_H

#include "postgres.h"

/* The route that the shim calls after a refusal: REFUSED, SQLSTATE, and the route refused. */
#define REFUSED_PREFIX "REFUSED "

/* route: the whole text; path: its values as text[], or null. Counts it, in this transaction. */
extern void refusal_over_http(const char *route, NullableDatum path);

/* function: the C function that refused; needs: the roles that would do. Never raises. */
extern void refusal_in_psql(const char *function, const char *needs);

#endif
