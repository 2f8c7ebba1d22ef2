/*
 * webhook_events.h: what happens to visits, for the endpoints of others. Between SPI_connect and
 * SPI_finish.
 */
#ifndef CQ_WEBHOOK_EVENTS_H
#define CQ_WEBHOOK_EVENTS_H

#include "postgres.h"

/* Writes a delivery for each endpoint and event behind a position that it is told of, in their
 * order. */
extern void webhook_events_add(int64 after);

#endif
