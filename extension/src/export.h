/*
 * export.h: taking the log and the records away. Each export is an event, once.
 */
#ifndef CQ_EXPORT_H
#define CQ_EXPORT_H

#include "postgres.h"

#include "audit.h"

/*
 * Notes that the present actor begins an export; entity: export or report; detail is a JSON object
 * that says of what. Without the setting audit_exports nothing is noted, and the key is zero.
 * Between SPI_connect and SPI_finish. 25006 where nothing can be written.
 */
extern AuditKey export_begin(const char *entity, const char *detail);

/*
 * Whether this export of the actor's was noted within the last day, and with which positions of
 * the tree, where its detail has first and after besides; 0 where not, or nothing is noted.
 */
extern bool export_was_begun(AuditKey key, const char *detail, int64 *first, int64 *after);

#endif
