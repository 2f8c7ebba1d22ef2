/* Replies that come in pages: each page is a call of its own, made when the client has taken the
 * one before, so neither a connection nor a transaction waits for a slow client. */
#ifndef CLINICQ_STREAM_H
#define CLINICQ_STREAM_H

#include "feed.h"
#include "memory.h"

#include <libpq-fe.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct request;

/* What a row of clinicq_api.call holds as a body, and where the next one begins. */
struct page {
    char *text;
    size_t len;
    char cursor[1024]; /* header Next-Page; "" where none follows */
    uint64_t total;    /* header Body-Length: bytes of all pages; 0 where it is not known */
    bool is_feed;      /* a stream of events begins with it, behind this position */
    int64_t position;
    int64_t topic;
    enum feed_view view;
};

/* Takes the row, which holds the first page, over. */
struct MHD_Response *stream_begin(struct request *r, PGresult *row, const struct page *first);
/* The call for the next page has ended. */
void stream_continue(struct request *r);
void stream_free(struct request *r);

unsigned stream_count(void);
uint64_t stream_pages(void);
/* Replies that ended without their end. */
uint64_t stream_cuts(void);

#endif
