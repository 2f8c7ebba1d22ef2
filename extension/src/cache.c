#include "cache.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "query.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

uint64 cache_generation = 1;

static const char *const watched_tables[] = {"setting", "clinic", "route", "migration_state"};
static Oid watched[lengthof(watched_tables)];
static uint64 ready_at = 0;

PG_FUNCTION_INFO_V1(clinicq_forget_caches);
PG_FUNCTION_INFO_V1(clinicq_forget_trigger);

QUERY(extension_migrated,
      "SELECT 1 FROM clinicq.migration_state s JOIN pg_catalog.pg_extension e"
      " ON e.oid = s.extension AND e.extversion = s.version"
      " WHERE e.extname = 'clinicq' AND s.version = $1",
      TEXTOID);

static void relation_changed(Datum arg, Oid relation) {
    if (relation == InvalidOid)
        cache_generation++;
    for (int i = 0; i < lengthof(watched); i++)
        if (OidIsValid(relation) && watched[i] == relation)
            cache_generation++;
}

static void function_changed(Datum arg, int cache, uint32 hash) {
    cache_generation++;
}

void cache_init(void) {
    CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
    CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
}

Oid cache_table(const char *name) {
    Oid schema = get_namespace_oid("clinicq", true);

    return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

uint64 cache_fill_begin(void) {
    uint64 generation = cache_generation;

    SPI_connect();
    if (IsInParallelMode()) /* takes no new snapshot */
        return 0;
    PushActiveSnapshot(GetLatestSnapshot());
    return generation;
}

void cache_fill_end(uint64 generation) {
    if (generation != 0)
        PopActiveSnapshot();
    SPI_finish();
}

bool cache_is_ready(void) {
    uint64 generation;
    Datum args[1];
    bool ready;

    if (ready_at == cache_generation)
        return true;
    for (int i = 0; i < lengthof(watched); i++)
        watched[i] = cache_table(watched_tables[i]);
    args[0] = CStringGetTextDatum(CLINICQ_VERSION);
    generation = cache_fill_begin();
    ready = OidIsValid(cache_table("migration_state")) &&
            query_read(&extension_migrated, args, NULL) > 0;
    cache_fill_end(generation);
    if (ready)
        ready_at = generation;
    return ready;
}

void cache_require_ready(void) {
    if (!cache_is_ready())
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("ClinicQ's tables are not those of the installed version"),
                errhint("Let an administrator run: CALL clinicq.migrate();"));
}

static void forget_caches(void) {
    for (int i = 0; i < lengthof(watched_tables); i++) {
        Oid table = cache_table(watched_tables[i]);

        if (OidIsValid(table))
            CacheInvalidateRelcacheByRelid(table);
    }
}

Datum clinicq_forget_caches(PG_FUNCTION_ARGS) {
    forget_caches();
    PG_RETURN_VOID();
}

Datum clinicq_forget_trigger(PG_FUNCTION_ARGS) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("forget_trigger() must be called as a trigger"));
    forget_caches();
    return PointerGetDatum(NULL);
}
