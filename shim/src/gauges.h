/* What the database tells Prometheus: asked for every few seconds, passed on as it is. */
#ifndef CLINICQ_GAUGES_H
#define CLINICQ_GAUGES_H

#include "memory.h"

#include <stdint.h>

void gauges_open(void);
void gauges_tick(int64_t now);
int64_t gauges_next(void);
/* Nothing where the database has not answered for a while. */
void gauges_write(struct buffer *out);
void gauges_close(void);

#endif
