/*
 * percentile.c: exact percentiles over arrays of seconds, faster than percentile_cont(), which
 * would have to be given each element as a row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(clinicq_report_add_durations);
PG_FUNCTION_INFO_V1(clinicq_report_read_percentiles);

#define ST_SORT          sort_seconds
#define ST_ELEMENT_TYPE  int32
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE         static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define COUNT_MAX 25000000 /* 100 MB; ten years of a large clinic are 8,400,000 */

typedef struct Durations {
    int32 *seconds;
    size_t count;
    size_t size;
    float8 *fractions;
    int fraction_count;
} Durations;

static void read_fractions(Durations *durations, ArrayType *array) {
    durations->fraction_count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    if (durations->fraction_count == 0 || array_contains_nulls(array))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("fractions must be an array of numbers"));
    durations->fractions = palloc(durations->fraction_count * sizeof(float8));
    memcpy(durations->fractions, ARR_DATA_PTR(array), durations->fraction_count * sizeof(float8));
    for (int i = 0; i < durations->fraction_count; i++)
        if (!(durations->fractions[i] >= 0 && durations->fractions[i] <= 1))
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("fractions must be from 0 to 1"));
}

static void append(Durations *durations, ArrayType *array) {
    size_t count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

    if (array_contains_nulls(array))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("seconds must not contain a null"));
    if (durations->count + count > COUNT_MAX)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                errmsg("percentiles() takes up to %d durations", COUNT_MAX),
                errhint("Ask for a shorter period."));
    if (durations->count + count > durations->size) {
        size_t size = Min(COUNT_MAX, Max(durations->size * 2, durations->count + count));

        durations->seconds =
            durations->seconds == NULL
                ? MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(int32))
                : repalloc_huge(durations->seconds, size * sizeof(int32));
        durations->size = size;
    }
    if (count > 0)
        memcpy(durations->seconds + durations->count, ARR_DATA_PTR(array), count * sizeof(int32));
    durations->count += count;
}

Datum clinicq_report_add_durations(PG_FUNCTION_ARGS) {
    Durations *durations = PG_ARGISNULL(0) ? NULL : (Durations *) PG_GETARG_POINTER(0);
    ArrayType *seconds = PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1);
    MemoryContext kept;
    MemoryContext previous;

    if (!AggCheckCallContext(fcinfo, &kept))
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("this function is a part of an aggregate"));
    previous = MemoryContextSwitchTo(kept);
    if (durations == NULL) {
        if (PG_ARGISNULL(2))
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("fractions must not be null"));
        durations = palloc0(sizeof *durations);
        read_fractions(durations, PG_GETARG_ARRAYTYPE_P(2));
    }
    if (seconds != NULL)
        append(durations, seconds);
    MemoryContextSwitchTo(previous);
    PG_RETURN_POINTER(durations);
}

/* Between the two nearest elements, as percentile_cont() does. */
static float8 interpolate(const Durations *durations, float8 fraction) {
    float8 place = fraction * (float8) (durations->count - 1);
    size_t below = (size_t) place;
    size_t above = Min(below + 1, durations->count - 1);
    float8 low = durations->seconds[below];

    return low + (durations->seconds[above] - low) * (place - (float8) below);
}

Datum clinicq_report_read_percentiles(PG_FUNCTION_ARGS) {
    Durations *durations = PG_ARGISNULL(0) ? NULL : (Durations *) PG_GETARG_POINTER(0);
    Datum *results;

    if (durations == NULL || durations->count == 0)
        PG_RETURN_NULL();
    sort_seconds(durations->seconds, durations->count);
    results = palloc(durations->fraction_count * sizeof(Datum));
    for (int i = 0; i < durations->fraction_count; i++)
        results[i] = Float8GetDatum(interpolate(durations, durations->fractions[i]));
    PG_RETURN_ARRAYTYPE_P(construct_array(results, durations->fraction_count, FLOAT8OID,
                                          sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
