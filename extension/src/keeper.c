#include "keeper.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "actor.h"
#include "cache.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "feed.h"
#include "idempotency.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "query.h"
#include "report.h"
#include "sealing.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tally.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "visit.h"

#define NAME          "clinicq keeper"
#define FEED_NAME     "clinicq feed"
#define TRANCHE       "clinicq_keeper"
#define DATABASES_MAX 32
#define LOOK_MS       5000 /* after which a database that came, or a worker that ended, is seen */
#define BACKOFF_MS    60000

extern PGDLLEXPORT void clinicq_keeper_main(Datum arg);
extern PGDLLEXPORT void clinicq_keeper_database_main(Datum arg);

/* The feed has a process of its own: no other job may hold it up. */
typedef enum WorkerKind { WORKER_KEEPER, WORKER_FEED, WORKER_KINDS } WorkerKind;

typedef struct WorkerState {
    Oid database;
    WorkerKind kind;
    pid_t pid;
    Latch *latch;
    pg_atomic_uint32 woken;
} WorkerState;

#define WORKERS_MAX (WORKER_KINDS * DATABASES_MAX)

typedef struct KeeperState {
    LWLock *lock;
    WorkerState workers[WORKERS_MAX];
} KeeperState;

static KeeperState *state = NULL;
static WorkerState *self = NULL;
static WorkerKind kind = WORKER_KEEPER; /* of this process */
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;
static char *databases = NULL;
static int seal_interval = 10;

QUERY(partitions_make, "CALL clinicq.remake_partitions()");
QUERY(sessions_purge,
      "DELETE FROM clinicq.session WHERE token_hash IN (SELECT token_hash FROM clinicq.session"
      " WHERE expires_at <= now() AND coalesce(ends_at, expires_at) <= now()"
      " ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)");
QUERY(attempts_purge_all,
      "DELETE FROM clinicq.log_in_attempt WHERE ctid = ANY (ARRAY(SELECT ctid"
      " FROM clinicq.log_in_attempt WHERE last_at < now()"
      " - CASE WHEN succeeded_at IS NULL THEN interval '1 day' ELSE interval '90 days' END"
      " ORDER BY last_at LIMIT 1000 FOR UPDATE SKIP LOCKED))");

/* Each runs in a transaction of its own; true: again at once. */
static Sweep sweep;
static bool job_seal(void) {
    return !sealing_is_idle() && seal_batch(&sweep);
}

static bool job_tallies(void) {
    tallies_close();
    return false;
}

static bool job_partitions(void) {
    query_write(&partitions_make, NULL, NULL);
    return false;
}

static bool job_day_end(void) {
    visit_close_earlier_of_all();
    return false;
}

static bool job_expired(void) {
    bool more = query_write(&sessions_purge, NULL, NULL) >= 1000;

    more = idempotency_purge(1000) >= 1000 || more;
    return query_write(&attempts_purge_all, NULL, NULL) >= 1000 || more;
}

static bool job_summaries(void) {
    return report_summarise(1) > 0;
}

static bool job_feed(void) {
    return feed_place();
}

typedef struct Job {
    const char *name;
    bool (*run)(void);
    TimestampTz due;
    int interval_ms; /* 0: clinicq.seal_interval */
    int backoff_ms;
    char fault[200]; /* the last error, which is told once */
    WorkerKind kind;
} Job;

static Job jobs[] = {
    {"seal", job_seal},
    {"tallies", job_tallies, .interval_ms = 500},
    {"day end", job_day_end, .interval_ms = 60000},
    {"expired", job_expired, .interval_ms = 60000},
    {"partitions", job_partitions, .interval_ms = 3600000},
    {"summaries", job_summaries, .interval_ms = 60000},
    {"feed", job_feed, .interval_ms = 1000, .kind = WORKER_FEED},
};

/* The configured names; NIL where they cannot be read. Freed with their context. */
static List *database_names(void) {
    List *names = NIL;
    char *copy = pstrdup(databases);

    return SplitIdentifierString(copy, ',', &names) ? names : NIL;
}

static bool check_databases(char **value, void **extra, GucSource source) {
    List *names = NIL;
    char *copy = pstrdup(*value);
    bool valid = SplitIdentifierString(copy, ',', &names) && list_length(names) <= DATABASES_MAX;

    if (!valid)
        GUC_check_errdetail("It must be a list of up to %d database names.", DATABASES_MAX);
    list_free(names);
    pfree(copy);
    return valid;
}

static void keeper_request(void) {
    if (previous_request != NULL)
        previous_request();
    RequestAddinShmemSpace(MAXALIGN(sizeof(KeeperState)));
    RequestNamedLWLockTranche(TRANCHE, 1);
}

static void keeper_startup(void) {
    bool found;

    if (previous_startup != NULL)
        previous_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    state = ShmemInitStruct(TRANCHE, sizeof(KeeperState), &found);
    if (!found) {
        memset(state, 0, sizeof *state);
        state->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
        for (int i = 0; i < WORKERS_MAX; i++)
            pg_atomic_init_u32(&state->workers[i].woken, 0);
    }
    LWLockRelease(AddinShmemInitLock);
}

/* The worker of a kind for a database, NULL where none works. The lock is held. */
static WorkerState *find_worker(Oid database, WorkerKind wanted) {
    for (int i = 0; i < WORKERS_MAX; i++) {
        WorkerState *worker = &state->workers[i];

        if (worker->pid != 0 && worker->database == database && worker->kind == wanted)
            return worker;
    }
    return NULL;
}

static bool is_worked_for(Oid database, WorkerKind wanted) {
    bool found;

    if (state == NULL)
        return false;
    LWLockAcquire(state->lock, LW_SHARED);
    found = find_worker(database, wanted) != NULL;
    LWLockRelease(state->lock);
    return found;
}

bool keeper_is_running(void) {
    return is_worked_for(MyDatabaseId, WORKER_KEEPER);
}

bool keeper_feeds(void) {
    return is_worked_for(MyDatabaseId, WORKER_FEED);
}

void keeper_wake_feed(void) {
    WorkerState *worker;

    if (state == NULL)
        return;
    LWLockAcquire(state->lock, LW_SHARED);
    worker = find_worker(MyDatabaseId, WORKER_FEED);
    if (worker != NULL && pg_atomic_exchange_u32(&worker->woken, 1) == 0)
        SetLatch(worker->latch);
    LWLockRelease(state->lock);
}

/* Debian's server finds the library of an extension below a destination folder by this name. */
static BackgroundWorker worker_of(const char *function) {
    BackgroundWorker worker = {
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = 5,
    };

    strlcpy(worker.bgw_name, NAME, sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, NAME, sizeof worker.bgw_type);
    strlcpy(worker.bgw_library_name, "$libdir/clinicq", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, function, sizeof worker.bgw_function_name);
    return worker;
}

void keeper_init(void) {
    BackgroundWorker worker = worker_of("clinicq_keeper_main");

    DefineCustomStringVariable("clinicq.databases", "Databases that the keeper works for.", NULL,
                               &databases, "clinicq", PGC_SIGHUP, GUC_LIST_INPUT, check_databases,
                               NULL, NULL);
    DefineCustomIntVariable(
        "clinicq.seal_interval",
        "Seconds between two seals of the audit log, where there is something to seal.", NULL,
        &seal_interval, 10, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
    if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
        return;
    previous_request = shmem_request_hook;
    shmem_request_hook = keeper_request;
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = keeper_startup;
    RegisterBackgroundWorker(&worker);
}

static void wait_ms(long ms) {
    (void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
                     PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

static void handle_signals(void) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
}

static bool is_named(List *names, const char *name) {
    ListCell *cell;

    foreach (cell, names)
        if (strcmp(lfirst(cell), name) == 0)
            return true;
    return false;
}

static void start_worker(Oid database, const char *name, WorkerKind wanted) {
    const char *what = wanted == WORKER_FEED ? FEED_NAME : NAME;
    BackgroundWorker worker = worker_of("clinicq_keeper_database_main");

    if (is_worked_for(database, wanted))
        return;
    strlcpy(worker.bgw_type, what, sizeof worker.bgw_type);
    snprintf(worker.bgw_name, sizeof worker.bgw_name, "%s of %s", what, name);
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = ObjectIdGetDatum(database);
    worker.bgw_extra[0] = (char) wanted;
    if (!RegisterDynamicBackgroundWorker(&worker, NULL))
        ereport(WARNING, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                errmsg("the keeper of database %s cannot be started", name),
                errhint("Raise max_worker_processes."));
}

/*
 * The workers of each configured database that is there; whichever ended is started again. The
 * catalogue is scanned since a process of no database has no indexes.
 */
static void start_missing(void) {
    Relation catalogue;
    TableScanDesc scan;
    HeapTuple row;
    List *names;

    StartTransactionCommand();
    (void) GetTransactionSnapshot();
    names = database_names();
    catalogue = table_open(DatabaseRelationId, AccessShareLock);
    scan = table_beginscan_catalog(catalogue, 0, NULL);
    while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL) {
        Form_pg_database database = (Form_pg_database) GETSTRUCT(row);

        if (database->datallowconn && is_named(names, NameStr(database->datname)))
            for (WorkerKind each = WORKER_KEEPER; each < WORKER_KINDS; each++)
                start_worker(database->oid, NameStr(database->datname), each);
    }
    table_endscan(scan);
    table_close(catalogue, AccessShareLock);
    CommitTransactionCommand();
}

void clinicq_keeper_main(Datum arg) {
    handle_signals();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0);
    for (;;) {
        start_missing();
        wait_ms(LOOK_MS);
    }
}

static void leave(int code, Datum arg) {
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    self->pid = 0;
    LWLockRelease(state->lock);
}

/* False where another one does this for this database, or there is no room. */
static bool enter(void) {
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    if (find_worker(MyDatabaseId, kind) == NULL)
        for (int i = 0; i < WORKERS_MAX && self == NULL; i++)
            if (state->workers[i].pid == 0)
                self = &state->workers[i];
    if (self != NULL) {
        self->pid = MyProcPid;
        self->database = MyDatabaseId;
        self->kind = kind;
        self->latch = &MyProc->procLatch;
    }
    LWLockRelease(state->lock);
    if (self != NULL)
        before_shmem_exit(leave, (Datum) 0);
    return self != NULL;
}

/* Whether the database is still one of those configured. */
static bool is_wanted(void) {
    char *name;
    bool wanted;

    StartTransactionCommand();
    name = get_database_name(MyDatabaseId);
    wanted = name != NULL && is_named(database_names(), name);
    CommitTransactionCommand();
    return wanted;
}

/* What it does is done as the owner of the tables: nothing of theirs runs as a superuser. */
static bool become_owner(void) {
    Oid owner = get_role_oid("clinicq_owner", true);

    if (!OidIsValid(owner))
        return false;
    SetUserIdAndSecContext(owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    return true;
}

static void job_failed(Job *job, MemoryContext context) {
    ErrorData *error;

    MemoryContextSwitchTo(context);
    HOLD_INTERRUPTS();
    error = CopyErrorData();
    FlushErrorState();
    AbortCurrentTransaction();
    if (strncmp(error->message, job->fault, sizeof job->fault - 1) != 0) {
        strlcpy(job->fault, error->message, sizeof job->fault);
        ereport(LOG, errcode(error->sqlerrcode),
                errmsg(NAME ": %s failed: %s", job->name, error->message),
                error->hint ? errhint("%s", error->hint) : 0);
    }
    FreeErrorData(error);
    RESUME_INTERRUPTS();
    memset(&sweep, 0, sizeof sweep);
    job->backoff_ms = Min(BACKOFF_MS, Max(1000, 2 * job->backoff_ms));
}

/* False where the extension is not there, or its tables are not those of this library. */
static bool run_job(Job *job) {
    MemoryContext context = CurrentMemoryContext;
    Oid user;
    int security;
    volatile bool ready = false;
    volatile bool again = false;

    GetUserIdAndSecContext(&user, &security);
    PG_TRY();
    {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        pgstat_report_activity(STATE_RUNNING, job->name);
        if (become_owner() && cache_is_ready()) {
            ready = true;
            SPI_connect();
            PushActiveSnapshot(GetTransactionSnapshot());
            again = job->run();
            PopActiveSnapshot();
            SPI_finish();
        }
        CommitTransactionCommand();
        SetUserIdAndSecContext(user, security);
        if (ready) {
            job->backoff_ms = 0;
            job->fault[0] = '\0';
        }
    }
    PG_CATCH();
    {
        job_failed(job, context);
        ready = true;
        again = false;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, NULL);
    if (!again)
        job->due = TimestampTzPlusMilliseconds(
            GetCurrentTimestamp(),
            job->backoff_ms + (job->interval_ms ? job->interval_ms : 1000 * seal_interval));
    return ready;
}

/* The next job of this process that is due; else NULL, and how long nothing is. */
static Job *next_job(long *wait) {
    TimestampTz now = GetCurrentTimestamp();
    TimestampTz soonest = DT_NOEND;
    Job *next = NULL;

    for (int i = 0; i < lengthof(jobs); i++) {
        if (jobs[i].kind != kind)
            continue;
        /* A clock that was set back must not stop all work until it has caught up. */
        if (jobs[i].due > TimestampTzPlusMilliseconds(now, 2 * 3600000 + BACKOFF_MS))
            jobs[i].due = now;
        if (jobs[i].due < soonest) {
            next = &jobs[i];
            soonest = next->due;
        }
    }
    *wait = TimestampDifferenceMilliseconds(now, soonest);
    return soonest <= now ? next : NULL;
}

/* Whoever woke this process has left it something to do. */
static void heed_wake(void) {
    if (pg_atomic_exchange_u32(&self->woken, 0) == 0)
        return;
    for (int i = 0; i < lengthof(jobs); i++)
        if (jobs[i].kind == kind && jobs[i].backoff_ms == 0)
            jobs[i].due = 0;
}

void clinicq_keeper_database_main(Datum arg) {
    MemoryContext context;

    kind = (WorkerKind) MyBgworkerEntry->bgw_extra[0];
    handle_signals();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
    if (!enter())
        proc_exit(0);
    SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
    actor_begin_worker(NAME);
    context = AllocSetContextCreate(TopMemoryContext, NAME, ALLOCSET_DEFAULT_SIZES);
    while (is_wanted()) {
        long wait = 0;
        Job *job;

        MemoryContextSwitchTo(context);
        heed_wake();
        while ((job = next_job(&wait)) != NULL) {
            CHECK_FOR_INTERRUPTS();
            if (!run_job(job)) {
                wait = LOOK_MS; /* until CALL clinicq.migrate() */
                break;
            }
        }
        MemoryContextReset(context);
        wait_ms(Max(wait, 10));
    }
    proc_exit(0);
}
