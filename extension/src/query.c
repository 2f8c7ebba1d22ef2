#include "query.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "utils/guc.h"
#include "utils/resowner.h"

static uint64 query_run(KeptQuery *query, const Datum *args, const char *nulls, bool read_only) {
    int code;

    if (query->plan == NULL) {
        SPIPlanPtr plan = SPI_prepare_cursor(query->sql, query->nargs, (Oid *) query->argtypes,
                                             query->cursor_options);

        if (plan == NULL || SPI_keepplan(plan) != 0)
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("could not prepare: %s", query->sql));
        query->plan = plan;
    }
    code = SPI_execute_plan(query->plan, (Datum *) args, nulls, read_only, 0);
    if (code < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("%s: %s", SPI_result_code_string(code), query->sql));
    return SPI_processed;
}

uint64 query_read(KeptQuery *query, const Datum *args, const char *nulls) {
    return query_run(query, args, nulls, true);
}

uint64 query_write(KeptQuery *query, const Datum *args, const char *nulls) {
    return query_run(query, args, nulls, false);
}

bool query_may_write(void) {
    return !XactReadOnly && !RecoveryInProgress();
}

bool query_try(const char *lock_timeout, void (*work)(void *), void *arg) {
    MemoryContext memory = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool done = true;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(memory);
    PG_TRY();
    {
        int nest = NewGUCNestLevel();

        set_config_option("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
        work(arg);
        AtEOXact_GUC(true, nest);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        ErrorData *error;

        MemoryContextSwitchTo(memory);
        error = CopyErrorData();
        if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
            ReThrowError(error);
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        FreeErrorData(error);
        done = false;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
    return done;
}

void row_values(uint64 row, Datum *values, bool *nulls) {
    heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
}

Datum row_value(uint64 row, int column, bool *isnull) {
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int64 row_int64(uint64 row, int column) {
    bool isnull;

    return DatumGetInt64(row_value(row, column, &isnull));
}

int16 row_int16(uint64 row, int column) {
    bool isnull;

    return DatumGetInt16(row_value(row, column, &isnull));
}

int32 row_int32(uint64 row, int column) {
    bool isnull;

    return DatumGetInt32(row_value(row, column, &isnull));
}

bool row_bool(uint64 row, int column) {
    bool isnull;

    return DatumGetBool(row_value(row, column, &isnull));
}

bool row_isnull(uint64 row, int column) {
    bool isnull;

    row_value(row, column, &isnull);
    return isnull;
}

char *row_text(uint64 row, int column) {
    bool isnull;
    Datum value = row_value(row, column, &isnull);

    return isnull ? NULL : TextDatumGetCString(value);
}
