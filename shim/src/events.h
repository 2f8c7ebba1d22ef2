/* Streams of Server-Sent Events (WHATWG HTML, 9.2): replies that end when their session, their
 * client or this process does. A stream holds no events but its place in the feed. */
#ifndef CLINICQ_EVENTS_H
#define CLINICQ_EVENTS_H

#include "feed.h"

#include <libpq-fe.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct request;
struct page;
struct config;

void events_open(const struct config *c);
/* Whether one more stream may begin, for this user too. */
bool events_room(uint64_t user);
/* Takes the row, which holds what the stream begins with, over. */
struct MHD_Response *events_begin(struct request *r, PGresult *row, const struct page *first);
/* The call that looks at the session again has ended. */
void events_checked(struct request *r);
void events_free(struct request *r);
/* A session of the user has ended: perhaps that of a stream. */
void events_check_user(const char *user);
/* Events have come. */
void events_wake(void);
/* Ends each stream in order; its client will come back. */
void events_end_all(void);
void events_tick(int64_t now);
int64_t events_next(void);
unsigned events_count(void);
/* Events written to streams, and streams that ended because they were too slow. */
uint64_t events_sent(void);
uint64_t events_dropped(void);

#endif
