/* Counters in Prometheus' text format. Labels come from the catalogue, never from a request. */
#ifndef CLINICQ_METRICS_H
#define CLINICQ_METRICS_H

#include "memory.h"
#include "route.h"

#include <stdint.h>

/* template is the route's path or "-"; route tells the class and may be NULL. */
void metrics_request(const char *template, enum method method, unsigned status,
                     const struct route *route, bool streamed, int64_t duration_us);
/* A refusal that should be in the audit log is not. */
void metrics_refusal_unrecorded(void);
/* An event was written to a stream, so long after its transaction began. */
void metrics_event(int64_t delay_us);
void metrics_write(struct buffer *out);
void metrics_close(void);

#endif
