/* The names that we answer to. */
#ifndef CLINICQ_HOST_H
#define CLINICQ_HOST_H

#include <stdbool.h>

/* The first name of a list with commas that is no host name without a port, or NULL. */
const char *host_fault(const char *names);
void host_open(const char *names);
void host_close(void);
/* True for one of the names, with any port or none. */
bool host_allowed(const char *host);

#endif
