/*
 * clock.h: service days, by the calendar of each clinic.
 */
#ifndef CQ_CLOCK_H
#define CQ_CLOCK_H

#include "postgres.h"

#include "utils/date.h"
#include "utils/timestamp.h"

/* The clinic that NULL stands for: the one with the smallest id. */
extern int64 clock_first_clinic(void);
extern const char *clock_first_clinic_name(void);

/* The service day of a clinic at an instant. P0002: no such clinic. */
extern DateADT clock_service_day(int64 clinic_id, TimestampTz at);

/* The service day of a clinic at the start of this transaction. */
extern DateADT clock_today(int64 clinic_id);

/* All clinics and their days today, as bigint[] and date[] of equal length. */
extern void clock_todays(Datum *clinic_ids, Datum *service_days);

#endif
