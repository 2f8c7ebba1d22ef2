/*
 * table.h: rows of SPI_tuptable as JSON objects, or as CSV (RFC 4180).
 */
#ifndef CQ_TABLE_H
#define CQ_TABLE_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Appends an array of objects with the columns' names. Times are in UTC, whatever the session's
 * time zone. */
extern void table_append_json(StringInfo json);

/* One row as an object, and as a line of CSV, from a column (from 1) on; and the line of names. */
extern void table_append_json_row(StringInfo json, uint64 row, int first);
extern void table_append_csv_row(StringInfo csv, uint64 row, int first, bool safe);
extern void table_append_csv_names(StringInfo csv, int first);

/* A line of names, then a line a row. safe: a text that a spreadsheet would take for a formula gets
 * an apostrophe in front. */
extern void table_append_csv(StringInfo csv, bool safe);

#endif
