/* Secrets of far sides, from the environment or from files; never from flags. */
#ifndef CLINICQ_SECRET_H
#define CLINICQ_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* value, or the first line of file where value is ""; NULL and a fault where neither is there.
 * Freed by secret_free(), which overwrites it. */
char *secret_read(const char *value, const char *file, const char **fault);
/* A whole file of up to 64 KiB. */
char *secret_file(const char *file, const char **fault);
void secret_free(char *secret);

#endif
