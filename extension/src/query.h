/*
 * query.h: SQL statements whose plans are kept for the life of the backend.
 */
#ifndef CQ_QUERY_H
#define CQ_QUERY_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

typedef struct KeptQuery {
    const char *sql;
    int nargs;
    const Oid *argtypes;
    int cursor_options;
    SPIPlanPtr plan;
} KeptQuery;

/* QUERY(name, "SELECT ... $1", INT8OID): one file-level statement with its argument types. */
#define QUERY_OPTIONS(name, options, text, ...)               \
    static const Oid name##_types[] = {__VA_ARGS__};          \
    static KeptQuery name = {.sql = (text),                   \
                             .nargs = lengthof(name##_types), \
                             .argtypes = name##_types,        \
                             .cursor_options = (options)}
#define QUERY(name, text, ...) QUERY_OPTIONS(name, 0, text, __VA_ARGS__)

/*
 * Run between SPI_connect and SPI_finish; rows are in SPI_tuptable, their number is returned.
 * query_read sees the snapshot of the statement in progress; query_write takes a new one and
 * sees what this transaction has done. nulls as for SPI_execute_plan, NULL for none.
 * Errors are those of the statement.
 */
extern uint64 query_read(KeptQuery *query, const Datum *args, const char *nulls);
extern uint64 query_write(KeptQuery *query, const Datum *args, const char *nulls);

/*
 * Does some work in a subtransaction, where each lock is waited for up to lock_timeout. False, and
 * nothing is done, where one could not be had: meanwhile nobody waits behind this transaction.
 */
extern bool query_try(const char *lock_timeout, void (*work)(void *), void *arg);

/* False in a read-only transaction, as is every one on a hot standby. */
extern bool query_may_write(void);

/* All columns of a row of SPI_tuptable, as they stand there. */
extern void row_values(uint64 row, Datum *values, bool *nulls);

/* A column (from 1) of a row of SPI_tuptable. Texts are copied, and die at SPI_finish. */
extern Datum row_value(uint64 row, int column, bool *isnull);
extern int64 row_int64(uint64 row, int column);
extern int16 row_int16(uint64 row, int column);
extern int32 row_int32(uint64 row, int column);
extern bool row_bool(uint64 row, int column);
extern bool row_isnull(uint64 row, int column);
extern char *row_text(uint64 row, int column); /* NULL for null */

#endif
