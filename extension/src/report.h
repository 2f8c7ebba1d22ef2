/*
 * report.h: reports, and the summaries of past days that make them quick.
 */
#ifndef CQ_REPORT_H
#define CQ_REPORT_H

#include "postgres.h"

/*
 * Summarises about that many days, stale and new ones; returns how many are left, 0 where other
 * sessions hold them. Between SPI_connect and SPI_finish.
 */
extern int64 report_summarise(int days);

#endif
