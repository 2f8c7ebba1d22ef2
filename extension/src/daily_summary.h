/*
 * daily_summary.h: what a clinic did on a day, to its administrators by e-mail. Between SPI_connect
 * and SPI_finish.
 */
#ifndef CQ_DAILY_SUMMARY_H
#define CQ_DAILY_SUMMARY_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Writes those of yesterday that are due; nothing where the setting daily_summary is off. */
extern void daily_summaries_add(void);

/* As message_append_work(). */
extern bool daily_summary_append_work(StringInfo work, int64 user_id, const char *payload,
                                      const char **reason);

#endif
