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

/*
 * A refusal for want of a role; needs: the roles that would do. Those of a rule are told of by
 * errcode_refused(). Nothing where the refusal is one over HTTP, which the shim tells of.
 */
extern void refusal_of_role(const char *needs);

#endif
