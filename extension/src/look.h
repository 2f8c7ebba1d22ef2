/*
 * look.h: looks at records, for the audit log. Between SPI_connect and SPI_finish.
 */
#ifndef CQ_LOOK_H
#define CQ_LOOK_H

#include "postgres.h"

extern void look_init(void);

/* One record of a table was shown. */
extern void look_read(const char *entity, int64 id);
/* Patients were searched: the term, "" for all of them, and how many matched. */
extern void look_search(const char *term, int64 matched);

#endif
