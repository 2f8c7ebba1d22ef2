/* The admin port: /live, /ready and /metrics. */
#ifndef CLINICQ_ADMIN_H
#define CLINICQ_ADMIN_H

#include "memory.h"

#include <stdbool.h>

struct config;

/* not_ready: what keeps the process from being ready, or NULL; write: its metrics. */
void admin_open(const struct config *c, const char *(*not_ready)(void),
                void (*write)(struct buffer *out));
void admin_run(void);
bool admin_pending(void);
void admin_close(void);

#endif
