/*
 * feed.h: what happens to visits, in the order in which it became visible. What runs SQL here does
 * so between SPI_connect and SPI_finish.
 */
#ifndef CQ_FEED_H
#define CQ_FEED_H

#include "postgres.h"

#include "lib/stringinfo.h"

extern void feed_init(void);

/*
 * Gives committed events that have none their positions, and listeners a notice when this
 * transaction commits. True where there may be more.
 */
extern bool feed_place(void);

/*
 * Fills SPI_tuptable with the events behind a position in order, up to `last` and at most `most`,
 * of one queue (0: of all), for feed_append_json.
 */
extern uint64 feed_read(int64 after, int64 last, int64 queue_id, int most);

/* A row of feed_read as JSON: for a display, or for the staff. */
extern void feed_append_json(StringInfo json, uint64 row, bool display);

#endif
