/* The feed: what happens in the database, read once for all streams over one connection of its own,
 * which listens. The last events are kept for streams that are behind. */
#ifndef CLINICQ_FEED_H
#define CLINICQ_FEED_H

#include <stdbool.h>
#include <stdint.h>

/* Who an event is written for. */
enum feed_view { VIEW_STAFF, VIEW_DISPLAY, VIEWS };

struct feed_event {
    int64_t position;
    int64_t topic;
    int64_t born;      /* when its transaction began, by our clock */
    char *text[VIEWS]; /* as it is sent */
    unsigned len[VIEWS];
};

struct config;

void feed_open(const struct config *c);
void feed_tick(int64_t now);
int64_t feed_next(void);
/* The last position that has been read. */
int64_t feed_position(void);
/* The first event behind a position, NULL if there is none. It lives until the loop goes on. */
const struct feed_event *feed_after(int64_t position);
/* Whether an event behind the position is kept no more. */
bool feed_has_left(int64_t position);
uint64_t feed_events(void);
bool feed_ready(void);
void feed_close(void);

#endif
