#include "clock.h"

#include "access/xact.h"
#include "actor.h"
#include "cache.h"
#include "error.h"
#include "fmgr.h"
#include "pgtime.h"
#include "query.h"
#include "utils/array.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(clinicq_service_day);

typedef struct Calendar {
    int64 clinic_id;
    pg_tz *zone;
    TimeADT day_starts_at;
    char *name;
} Calendar;

static Calendar *calendars = NULL; /* in a context of their own */
static int calendar_count = 0;
static uint64 calendars_at = 0;

QUERY(clinics_all, "SELECT id, timezone, day_starts_at, name FROM clinicq.clinic ORDER BY id");

static void calendars_load(void) {
    uint64 generation;
    uint64 rows;
    MemoryContext context;
    Calendar *fresh;

    if (calendars_at == cache_generation)
        return;
    generation = cache_fill_begin();
    rows = query_read(&clinics_all, NULL, NULL);
    /* What fails half-way goes with the statement. */
    context = AllocSetContextCreate(CurrentMemoryContext, "clinicq clinics", ALLOCSET_SMALL_SIZES);
    fresh = MemoryContextAllocZero(context, (rows + 1) * sizeof *fresh);
    for (uint64 row = 0; row < rows; row++) {
        fresh[row].clinic_id = row_int64(row, 1);
        fresh[row].zone = pg_tzset(row_text(row, 2));
        fresh[row].day_starts_at = row_int64(row, 3);
        fresh[row].name = MemoryContextStrdup(context, row_text(row, 4));
        if (fresh[row].zone == NULL)
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("the time zone of clinic %lld is not known to this server",
                           (long long) fresh[row].clinic_id));
    }
    MemoryContextSetParent(context, TopMemoryContext);
    cache_fill_end(generation);
    if (calendars != NULL)
        MemoryContextDelete(GetMemoryChunkContext(calendars));
    calendars = fresh;
    calendar_count = (int) rows;
    calendars_at = generation;
}

const char *clock_first_clinic_name(void) {
    calendars_load();
    return calendar_count > 0 ? calendars[0].name : "";
}

int64 clock_first_clinic(void) {
    calendars_load();
    if (calendar_count == 0)
        error_none("Add a row to clinicq.clinic.", "there is no clinic");
    return calendars[0].clinic_id;
}

static DateADT calendar_day(const Calendar *calendar, TimestampTz at) {
    struct pg_tm tm;
    fsec_t fraction;
    int offset;
    const char *abbreviation;
    DateADT day;
    TimeADT time;

    if (TIMESTAMP_NOT_FINITE(at) ||
        timestamp2tm(at, &offset, &tm, &fraction, &abbreviation, calendar->zone) != 0)
        ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                errmsg("timestamp out of range"));
    day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
    time = ((tm.tm_hour * INT64CONST(60) + tm.tm_min) * 60 + tm.tm_sec) * USECS_PER_SEC + fraction;
    return time < calendar->day_starts_at ? day - 1 : day;
}

DateADT clock_service_day(int64 clinic_id, TimestampTz at) {
    calendars_load();
    for (int i = 0; i < calendar_count; i++)
        if (calendars[i].clinic_id == clinic_id)
            return calendar_day(&calendars[i], at);
    error_not_found("clinic", psprintf("%lld", (long long) clinic_id));
}

DateADT clock_today(int64 clinic_id) {
    return clock_service_day(clinic_id, GetCurrentTransactionStartTimestamp());
}

void clock_todays(Datum *clinic_ids, Datum *service_days) {
    Datum *ids;
    Datum *dates;
    TimestampTz now = GetCurrentTransactionStartTimestamp();

    calendars_load();
    ids = palloc((calendar_count + 1) * sizeof *ids);
    dates = palloc((calendar_count + 1) * sizeof *dates);
    for (int i = 0; i < calendar_count; i++) {
        ids[i] = Int64GetDatum(calendars[i].clinic_id);
        dates[i] = DateADTGetDatum(calendar_day(&calendars[i], now));
    }
    *clinic_ids = PointerGetDatum(construct_array(ids, calendar_count, INT8OID, sizeof(int64),
                                                  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
    *service_days = PointerGetDatum(
        construct_array(dates, calendar_count, DATEOID, sizeof(DateADT), true, TYPALIGN_INT));
}

Datum clinicq_service_day(PG_FUNCTION_ARGS) {
    cache_require_ready();
    PG_RETURN_DATEADT(clock_service_day(PG_ARGISNULL(0) ? clock_first_clinic() : PG_GETARG_INT64(0),
                                        PG_ARGISNULL(1) ? GetCurrentTransactionStartTimestamp()
                                                        : PG_GETARG_TIMESTAMPTZ(1)));
}
