/* The admin port: /live, /ready and /metrics. */
#ifndef CLINICQ_ADMIN_H
#define CLINICQ_ADMIN_H

#include <stdbool.h>

struct config;

void admin_open(const struct config *c);
void admin_run(void);
bool admin_pending(void);
void admin_close(void);

#endif
