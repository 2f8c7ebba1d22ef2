#include "gather.h"

#include "access/xact.h"
#include "cache.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "query.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker.h"

#define GATHERED_MAX  16384
#define WRITTEN_ONCE  4000 /* in one transaction of close_tallies() */
#define FRESH         USECS_PER_SEC
#define SCAN_INTERVAL (5 * USECS_PER_SEC) /* for those whose time is over */
#define LOCK_WAIT     "1ms"               /* for a row that another transaction writes */
#define REST          (5 * USECS_PER_SEC) /* before it is tried again */
#define TRANCHE       "clinicq_gather"
#define DUMP_FILE     PGSTAT_STAT_PERMANENT_DIRECTORY "/clinicq_gathered.stat"
#define DUMP_MAGIC    0x20261122

/* What makes two equal; padding and the ends of texts are zero. */
typedef struct GatherKey {
    int64 actor_id;
    Oid database;
    uint32 roles;
    char actor_name[152];
    char door[8];
    char client[52];
    char action[8];
    char entity[64];
    char entity_id[24];
    char detail[72];
    char outcome[16];
} GatherKey;

typedef struct Gathered {
    GatherKey key;
    slock_t mutex; /* of what follows */
    bool written;  /* the row stands; only the count is still to come */
    int64 count;   /* not yet written */
    TimestampTz first, last, until;
    TimestampTz rests_until; /* its row was held by somebody */
    char request_id[68];
} Gathered;

/* What is written for one database. Database and times under the lock; flushed_at is read without.
 */
typedef struct GatherFlush {
    Oid database;
    TimestampTz flushed_at;
    TimestampTz scanned_at;  /* 0: the table has to be gone through */
    pg_atomic_uint32 unseen; /* entries that came since */
} GatherFlush;

typedef struct GatheredState {
    LWLock *lock; /* exclusive: to add or remove */
    GatherFlush flushes[DATABASES_MAX];
} GatheredState;

static GatheredState *state = NULL;
static HTAB *table = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

/* What the transaction in progress writes; given back where it does not commit. */
typedef struct Taken {
    Gathered item;
    int level; /* of the subtransaction */
    bool put_off;
} Taken;

static Taken *taken = NULL;
static int taken_count = 0;
static int taken_room = 0;
static int flush_level = 0;      /* 0: it has not flushed */
static TimestampTz flush_at = 0; /* 0: not all that was due */

static void gather_request(void) {
    if (previous_request != NULL)
        previous_request();
    RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(GatheredState)),
                                    hash_estimate_size(GATHERED_MAX, sizeof(Gathered))));
    RequestNamedLWLockTranche(TRANCHE, 1);
}

static bool key_text(char *to, size_t size, const char *from) {
    return strlcpy(to, from, size) < size;
}

static Gathered *gathered_enter(const GatherKey *key) {
    bool found;
    Gathered *entry = hash_get_num_entries(table) < GATHERED_MAX
                          ? hash_search(table, key, HASH_ENTER_NULL, &found)
                          : hash_search(table, key, HASH_FIND, &found);

    if (entry != NULL && !found) {
        SpinLockInit(&entry->mutex);
        entry->written = false;
        entry->count = 0;
        entry->first = entry->last = entry->until = entry->rests_until = 0;
        entry->request_id[0] = '\0';
    }
    return entry;
}

/* Adds one that was taken out: by a transaction that failed, or in the file of the last stop. */
static void give_back(const Gathered *item) {
    Gathered *entry;

    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    entry = gathered_enter(&item->key);
    if (entry != NULL) {
        if (entry->count == 0 && !entry->written) {
            entry->first = item->first;
            entry->last = item->last;
            entry->until = item->until;
            memcpy(entry->request_id, item->request_id, sizeof entry->request_id);
        }
        entry->written = item->written;
        entry->rests_until = item->rests_until;
        entry->count += item->count;
        entry->last = Max(entry->last, item->last);
    }
    LWLockRelease(state->lock);
    if (entry == NULL)
        ereport(LOG, errmsg("clinicq look: %s %s %s by %s, %lld times, could not be kept",
                            item->key.action, item->key.entity, item->key.entity_id,
                            item->key.actor_name, (long long) item->count));
}

static void dump_read(void) {
    FILE *file = AllocateFile(DUMP_FILE, PG_BINARY_R);
    uint32 head[2];
    Gathered item;

    if (file == NULL)
        return;
    if (fread(head, sizeof head, 1, file) == 1 && head[0] == DUMP_MAGIC &&
        head[1] == sizeof(Gathered))
        while (fread(&item, sizeof item, 1, file) == 1) {
            item.written = false; /* the count too is written at once */
            item.rests_until = 0;
            give_back(&item);
        }
    FreeFile(file);
    durable_unlink(DUMP_FILE, LOG);
}

/* In the postmaster, when all others have gone. */
static void dump_write(int code, Datum arg) {
    uint32 head[2] = {DUMP_MAGIC, sizeof(Gathered)};
    HASH_SEQ_STATUS scan;
    Gathered *entry;
    FILE *file;
    bool ok;

    if (code != 0 || table == NULL || hash_get_num_entries(table) == 0)
        return;
    file = AllocateFile(DUMP_FILE ".tmp", PG_BINARY_W);
    ok = file != NULL && fwrite(head, sizeof head, 1, file) == 1;
    if (file != NULL) {
        hash_seq_init(&scan, table);
        while ((entry = hash_seq_search(&scan)) != NULL)
            if (entry->count > 0)
                ok = ok && fwrite(entry, sizeof *entry, 1, file) == 1;
        ok = FreeFile(file) == 0 && ok;
    }
    if (!ok || durable_rename(DUMP_FILE ".tmp", DUMP_FILE, LOG) != 0)
        ereport(LOG, errcode_for_file_access(),
                errmsg("clinicq: the looks gathered in memory could not be kept: %m"));
}

static void gather_startup(void) {
    HASHCTL control = {.keysize = sizeof(GatherKey), .entrysize = sizeof(Gathered)};
    bool found;

    if (previous_startup != NULL)
        previous_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    state = ShmemInitStruct("clinicq gather", sizeof(GatheredState), &found);
    if (!found) {
        memset(state, 0, sizeof *state);
        for (int i = 0; i < DATABASES_MAX; i++)
            pg_atomic_init_u32(&state->flushes[i].unseen, 0);
        state->lock = &(GetNamedLWLockTranche(TRANCHE)[0].lock);
    }
    table = ShmemInitHash("clinicq gathered", GATHERED_MAX, GATHERED_MAX, &control,
                          HASH_ELEM | HASH_BLOBS);
    LWLockRelease(AddinShmemInitLock);
    if (!IsUnderPostmaster) {
        on_shmem_exit(dump_write, (Datum) 0);
        if (!found)
            dump_read();
    }
}

/* The flush of this database; NULL where nobody has written it yet. */
static GatherFlush *flush_find(void) {
    for (int i = 0; i < DATABASES_MAX; i++)
        if (state->flushes[i].database == MyDatabaseId)
            return &state->flushes[i];
    return NULL;
}

/* The same, made if there is room. Under the lock. */
static GatherFlush *flush_enter(void) {
    GatherFlush *flush = flush_find();

    for (int i = 0; flush == NULL && i < DATABASES_MAX; i++)
        if (!OidIsValid(state->flushes[i].database)) {
            flush = &state->flushes[i];
            flush->database = MyDatabaseId;
        }
    return flush;
}

static void flush_set(TimestampTz flushed_at, bool scan_again) {
    GatherFlush *flush;

    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    flush = flush_enter();
    if (flush != NULL && !scan_again)
        flush->flushed_at = flushed_at;
    if (flush != NULL && scan_again)
        flush->scanned_at = 0;
    LWLockRelease(state->lock);
}

static void count_up(Gathered *entry, const Tally *tally) {
    SpinLockAcquire(&entry->mutex);
    if (entry->until == 0) {
        entry->first = tally->first;
        entry->until = tally->until;
        memcpy(entry->request_id, tally->request_id, strlen(tally->request_id) + 1);
    }
    entry->last = tally->last;
    entry->count += tally->count;
    SpinLockRelease(&entry->mutex);
}

bool gather(const Tally *tally) {
    GatherKey key = {0};
    GatherFlush *flush = state ? flush_find() : NULL;
    Gathered *entry;

    if (flush == NULL || tally->last - flush->flushed_at >= FRESH)
        return false;
    key.actor_id = tally->actor_id;
    key.database = MyDatabaseId;
    key.roles = tally->roles;
    if (!key_text(key.actor_name, sizeof key.actor_name, tally->actor_name) ||
        !key_text(key.door, sizeof key.door, tally->door) ||
        !key_text(key.client, sizeof key.client, tally->client) ||
        !key_text(key.action, sizeof key.action, tally->action) ||
        !key_text(key.entity, sizeof key.entity, tally->entity) ||
        !key_text(key.entity_id, sizeof key.entity_id, tally->entity_id) ||
        !key_text(key.detail, sizeof key.detail, tally->detail) ||
        !key_text(key.outcome, sizeof key.outcome, tally->outcome) ||
        strlen(tally->request_id) >= sizeof entry->request_id)
        return false;
    LWLockAcquire(state->lock, LW_SHARED);
    entry = hash_search(table, &key, HASH_FIND, NULL);
    if (entry != NULL)
        count_up(entry, tally);
    LWLockRelease(state->lock);
    if (entry != NULL)
        return true;
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    entry = gathered_enter(&key);
    if (entry != NULL) {
        count_up(entry, tally);
        pg_atomic_fetch_add_u32(&flush->unseen, 1);
    }
    LWLockRelease(state->lock);
    return entry != NULL;
}

static bool is_due(const Gathered *entry, TimestampTz now) {
    return entry->count > 0 && entry->rests_until <= now &&
           (!entry->written || entry->until <= now);
}

static bool is_search(const Gathered *entry) {
    return strcmp(entry->key.action, "SEARCH") == 0;
}

/* Readers wait while the table is gone through. */
static bool is_scan_due(GatherFlush *flush, TimestampTz now) {
    if (flush == NULL)
        return true;
    if (pg_atomic_exchange_u32(&flush->unseen, 0) == 0 && now - flush->scanned_at < SCAN_INTERVAL)
        return false;
    flush->scanned_at = now;
    return true;
}

static void make_room(int more) {
    if (taken_count + more <= taken_room)
        return;
    taken_room = taken_count + more;
    taken = taken == NULL ? MemoryContextAlloc(TopMemoryContext, taken_room * sizeof(Taken))
                          : repalloc(taken, taken_room * sizeof(Taken));
}

static void take_one(Gathered *entry) {
    taken[taken_count++] = (Taken){.item = *entry, .level = GetCurrentTransactionNestLevel()};
    entry->written = true;
    entry->count = 0;
}

/* Takes out what is to be written now, and forgets what has been and is over. */
static void take_due(TimestampTz now) {
    HASH_SEQ_STATUS scan;
    Gathered *entry;

    make_room(WRITTEN_ONCE);
    flush_level = GetCurrentTransactionNestLevel();
    flush_at = now;
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    if (!is_scan_due(flush_enter(), now)) {
        LWLockRelease(state->lock);
        return;
    }
    hash_seq_init(&scan, table);
    while ((entry = hash_seq_search(&scan)) != NULL) {
        if (entry->key.database != MyDatabaseId)
            continue;
        if (is_due(entry, now) && taken_count == taken_room)
            flush_at = 0;
        else if (is_due(entry, now))
            take_one(entry);
        if (entry->count == 0 && entry->until <= now)
            hash_search(table, &entry->key, HASH_REMOVE, NULL);
    }
    LWLockRelease(state->lock);
}

/* Takes out all searches, and forgets them. False where there was not room for all. */
static bool take_searches(void) {
    HASH_SEQ_STATUS scan;
    Gathered *entry;
    bool all = true;

    make_room(WRITTEN_ONCE);
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    hash_seq_init(&scan, table);
    while ((entry = hash_seq_search(&scan)) != NULL) {
        if (entry->key.database != MyDatabaseId || !is_search(entry))
            continue;
        if (entry->count > 0 && taken_count == taken_room) {
            all = false;
            continue;
        }
        if (entry->count > 0)
            take_one(entry);
        hash_search(table, &entry->key, HASH_REMOVE, NULL);
    }
    LWLockRelease(state->lock);
    return all;
}

static void write_taken(const Gathered *item) {
    Tally tally = {.actor_id = item->key.actor_id,
                   .actor_name = item->key.actor_name,
                   .roles = item->key.roles,
                   .door = item->key.door,
                   .client = item->key.client,
                   .request_id = item->request_id,
                   .action = item->key.action,
                   .entity = item->key.entity,
                   .entity_id = item->key.entity_id,
                   .detail = item->key.detail,
                   .outcome = item->key.outcome,
                   .count = item->count,
                   .first = item->first,
                   .last = item->last,
                   .until = item->until};

    tally_write(&tally);
}

typedef struct Range {
    int first, count;
} Range;

static void write_range(void *arg) {
    const Range *range = arg;

    for (int i = range->first; i < range->first + range->count; i++)
        write_taken(&taken[i].item);
}

/* All but those whose rows another transaction holds: nobody else's look waits for it. */
static void write_what_can_be(Range range) {
    int half = range.count / 2;

    if (range.count == 0 || query_try(LOCK_WAIT, write_range, &range))
        return;
    if (range.count == 1) {
        taken[range.first].put_off = true;
        return;
    }
    write_what_can_be((Range){range.first, half});
    write_what_can_be((Range){range.first + half, range.count - half});
}

/* Gives back what was put off, for later. */
static void give_back_put_off(TimestampTz now) {
    int kept = 0;

    for (int i = 0; i < taken_count; i++)
        if (taken[i].put_off) {
            taken[i].item.rests_until = now + REST;
            give_back(&taken[i].item);
        } else
            taken[kept++] = taken[i];
    taken_count = kept;
}

/* Before anything is taken out, so that who locks the table against it has all of it there. */
static bool lock_table(void) {
    return ConditionalLockRelationOid(cache_table("audit_tally"), RowExclusiveLock);
}

void gather_flush(void) {
    TimestampTz now = GetCurrentTimestamp();

    if (state == NULL || taken_count > 0 || !query_may_write() || !lock_table())
        return;
    take_due(now);
    write_what_can_be((Range){0, taken_count});
    give_back_put_off(now);
}

void gather_flush_searches(void) {
    bool all = false;

    while (state != NULL && !all) {
        int first = taken_count;

        all = take_searches();
        write_range(&(Range){first, taken_count - first});
    }
}

/* What the subtransactions of a level and below it have taken. */
static void restore_taken(int level) {
    int kept = 0;

    flush_set(0, true);
    for (int i = 0; i < taken_count; i++)
        if (taken[i].level >= level)
            give_back(&taken[i].item);
        else
            taken[kept++] = taken[i];
    taken_count = kept;
}

static void transaction_ended(XactEvent event, void *arg) {
    if (flush_level == 0 && taken_count == 0)
        return;
    if (event == XACT_EVENT_ABORT)
        restore_taken(0);
    else if (event == XACT_EVENT_COMMIT && flush_level > 0)
        flush_set(flush_at, flush_at == 0);
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
        taken_count = flush_level = 0;
}

static void subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
                                 void *arg) {
    int level = GetCurrentTransactionNestLevel();

    if (flush_level == 0 && taken_count == 0)
        return;
    if (event == SUBXACT_EVENT_COMMIT_SUB) {
        flush_level = Min(flush_level, level - 1);
        for (int i = 0; i < taken_count; i++)
            taken[i].level = Min(taken[i].level, level - 1);
    }
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        restore_taken(level);
        if (flush_level >= level)
            flush_level = 0;
    }
}

void gather_init(void) {
    RegisterXactCallback(transaction_ended, NULL);
    RegisterSubXactCallback(subtransaction_ended, NULL);
    if (!process_shared_preload_libraries_in_progress)
        return;
    previous_request = shmem_request_hook;
    shmem_request_hook = gather_request;
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = gather_startup;
}
