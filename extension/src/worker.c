#include "worker.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#define TRANCHE "clinicq_keeper"

extern PGDLLEXPORT void clinicq_keeper_main(Datum arg);

typedef struct WorkerState {
    Oid database;
    WorkerKind kind;
    pid_t pid;
    Latch *latch;
    pg_atomic_uint32 woken; /* WAKE_... */
} WorkerState;

#define WORKERS_MAX (WORKER_KINDS * DATABASES_MAX)

typedef struct WorkersState {
    LWLock *lock;
    WorkerState workers[WORKERS_MAX];
} WorkersState;

static const char *const worker_names[WORKER_KINDS] = {"clinicq keeper", "clinicq feed"};

static WorkersState *state = NULL;
static WorkerState *self = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;
static char *databases = NULL;

const char *worker_name(WorkerKind kind) {
    return worker_names[kind];
}

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

static void workers_request(void) {
    if (previous_request != NULL)
        previous_request();
    RequestAddinShmemSpace(MAXALIGN(sizeof(WorkersState)));
    RequestNamedLWLockTranche(TRANCHE, 1);
}

static void workers_startup(void) {
    bool found;

    if (previous_startup != NULL)
        previous_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    state = ShmemInitStruct(TRANCHE, sizeof(WorkersState), &found);
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

bool worker_is_running(WorkerKind kind) {
    return is_worked_for(MyDatabaseId, kind);
}

void worker_wake(WorkerKind kind, uint32 what) {
    WorkerState *worker;

    if (state == NULL)
        return;
    LWLockAcquire(state->lock, LW_SHARED);
    worker = find_worker(MyDatabaseId, kind);
    if (worker != NULL && pg_atomic_fetch_or_u32(&worker->woken, what) == 0)
        SetLatch(worker->latch);
    LWLockRelease(state->lock);
}

uint32 worker_was_woken(void) {
    return pg_atomic_exchange_u32(&self->woken, 0);
}

/* Debian's server finds the library of an extension below a destination folder by this name. */
static BackgroundWorker worker_of(const char *function) {
    BackgroundWorker worker = {
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = 5,
    };

    strlcpy(worker.bgw_name, worker_names[WORKER_KEEPER], sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, worker_names[WORKER_KEEPER], sizeof worker.bgw_type);
    strlcpy(worker.bgw_library_name, "$libdir/clinicq", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, function, sizeof worker.bgw_function_name);
    return worker;
}

void workers_init(void) {
    BackgroundWorker worker = worker_of("clinicq_keeper_main");

    DefineCustomStringVariable("clinicq.databases", "Databases that the keeper works for.", NULL,
                               &databases, "clinicq", PGC_SIGHUP, GUC_LIST_INPUT, check_databases,
                               NULL, NULL);
    if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
        return;
    previous_request = shmem_request_hook;
    shmem_request_hook = workers_request;
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = workers_startup;
    RegisterBackgroundWorker(&worker);
}

void worker_wait(long ms) {
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
    BackgroundWorker worker = worker_of("clinicq_keeper_database_main");

    if (is_worked_for(database, wanted))
        return;
    strlcpy(worker.bgw_type, worker_names[wanted], sizeof worker.bgw_type);
    snprintf(worker.bgw_name, sizeof worker.bgw_name, "%s of %s", worker_names[wanted], name);
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
        worker_wait(WORKER_LOOK_MS);
    }
}

static void leave(int code, Datum arg) {
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    self->pid = 0;
    LWLockRelease(state->lock);
}

bool worker_begin(Oid database, WorkerKind *kind) {
    *kind = (WorkerKind) MyBgworkerEntry->bgw_extra[0];
    handle_signals();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    if (find_worker(MyDatabaseId, *kind) == NULL)
        for (int i = 0; i < WORKERS_MAX && self == NULL; i++)
            if (state->workers[i].pid == 0)
                self = &state->workers[i];
    if (self != NULL) {
        self->pid = MyProcPid;
        self->database = MyDatabaseId;
        self->kind = *kind;
        self->latch = &MyProc->procLatch;
    }
    LWLockRelease(state->lock);
    if (self != NULL)
        before_shmem_exit(leave, (Datum) 0);
    return self != NULL;
}

bool worker_is_wanted(void) {
    char *name;
    bool wanted;

    StartTransactionCommand();
    name = get_database_name(MyDatabaseId);
    wanted = name != NULL && is_named(database_names(), name);
    CommitTransactionCommand();
    return wanted;
}
