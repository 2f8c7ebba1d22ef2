/* Keeps the catalogue up to date: read at start, then asked for every few seconds. */
#ifndef CLINICQ_CATALOGUE_H
#define CLINICQ_CATALOGUE_H

#include "route.h"

#include <stdint.h>

void catalogue_open(void);
/* NULL until the database has given one. Hold it to keep it beyond this turn of the loop. */
struct catalogue *catalogue_current(void);
void catalogue_tick(int64_t now);
int64_t catalogue_next(void);
void catalogue_close(void);

#endif
