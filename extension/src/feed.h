/*
 * feed.h: what happens to visits, in the order in which it became visible. What runs SQL here does
 * so between SPI_connect and SPI_finish.
 */
#ifndef CQ_FEED_H
#define CQ_FEED_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* At most so many events get their positions at once. */
#define FEED_PLACED_ONCE 1000

extern void feed_init(void);

/*
 * Gives committed events that have none their positions, and listeners a notice when this
 * transaction commits. True where there may be more.
 */
extern bool feed_place(void);

/* How long to rest after it: the more came at once, the more one commit may serve. */
extern long feed_rest_us(void);

/* Does so until none is left; nothing where this transaction may not write. */
extern void feed_place_all(void);

/* When this transaction commits, streams of a user whose session has ended look for theirs. */
extern void feed_tell_session(int64 user_id);

/* The last position, 0 if there is none, as the statement in progress sees it. */
extern int64 feed_last(void);

/* Whether all that came behind a position is still there, and not too much to be sent again. */
extern bool feed_reaches(int64 after, int64 last);

/*
 * Fills SPI_tuptable with the events behind a position in order, up to `last` and at most `most`,
 * of one queue (0: of all), for feed_append_event.
 */
extern uint64 feed_read(int64 after, int64 last, int64 queue_id, int most);
extern int64 feed_position(uint64 row);
extern int64 feed_queue_id(uint64 row);
extern char *feed_move(uint64 row);

/* Fills SPI_tuptable with the open visits of today, for feed_append_visit. */
extern uint64 feed_read_open(int64 queue_id);

/* Whom a row is for: the staff; a display, which gets names by the setting; others, who get none.
 */
typedef enum FeedView { FEED_FOR_STAFF, FEED_FOR_DISPLAYS, FEED_FOR_OTHERS } FeedView;

/* JSON of a row. An event has the visit as it left it. */
extern void feed_append_event(StringInfo json, uint64 row, FeedView view);
extern void feed_append_visit(StringInfo json, uint64 row, FeedView view);

#endif
