#include "keeper.h"

#include "access/xact.h"
#include "actor.h"
#include "cache.h"
#include "feed.h"
#include "idempotency.h"
#include "log_in.h"
#include "message.h"
#include "miscadmin.h"
#include "outbox.h"
#include "password_reset.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "query.h"
#include "report.h"
#include "sealing.h"
#include "session.h"
#include "storage/ipc.h"
#include "tally.h"
#include "upload.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "visit.h"
#include "worker.h"

#define BACKOFF_MS  60000
#define PURGED_ONCE 1000

extern PGDLLEXPORT void clinicq_keeper_database_main(Datum arg);

static WorkerKind kind = WORKER_KEEPER; /* of this process */
static int seal_interval = 10;

QUERY(partitions_make, "CALL clinicq.remake_partitions()");

/* Each runs in a transaction of its own; true: again at once. */
static Sweep sweep;
static bool job_seal(void) {
    return !sealing_is_idle() && seal_batch(&sweep, false);
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
    bool more = session_purge(PURGED_ONCE) >= PURGED_ONCE;

    more = idempotency_purge(PURGED_ONCE) >= PURGED_ONCE || more;
    more = uploads_purge(100) >= 100 || more;
    more = outbox_purge(PURGED_ONCE) >= PURGED_ONCE || more;
    more = password_reset_purge(PURGED_ONCE) >= PURGED_ONCE || more;
    return log_in_purge(PURGED_ONCE) >= PURGED_ONCE || more;
}

static bool job_summaries(void) {
    return report_summarise(1) > 0;
}

static bool job_daily(void) {
    summaries_add();
    return false;
}

static bool job_feed(void) {
    return feed_place();
}

static bool job_outbox(void) {
    outbox_notify();
    return false;
}

typedef struct Job {
    const char *name;
    bool (*run)(void);
    TimestampTz due;
    int interval_ms; /* 0: clinicq.seal_interval */
    int backoff_ms;
    char fault[200]; /* the last error, which is told once */
    WorkerKind kind;
    uint32 wake; /* by which it is due at once */
} Job;

static Job jobs[] = {
    {"seal", job_seal},
    {"tallies", job_tallies, .interval_ms = 500},
    {"day end", job_day_end, .interval_ms = 60000},
    {"expired", job_expired, .interval_ms = 60000},
    {"partitions", job_partitions, .interval_ms = 3600000},
    {"summaries", job_summaries, .interval_ms = 60000},
    {"daily summaries", job_daily, .interval_ms = 60000},
    {"feed", job_feed, .interval_ms = 1000, .kind = WORKER_FEED, .wake = WAKE_FEED},
    {"outbox", job_outbox, .interval_ms = 3600000, .kind = WORKER_FEED, .wake = WAKE_OUTBOX},
};

void keeper_init(void) {
    workers_init();
    DefineCustomIntVariable(
        "clinicq.seal_interval",
        "Seconds between two seals of the audit log, where there is something to seal.", NULL,
        &seal_interval, 10, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

bool keeper_is_running(void) {
    return worker_is_running(WORKER_KEEPER);
}

bool keeper_feeds(void) {
    return worker_is_running(WORKER_FEED);
}

void keeper_wake_feed(void) {
    worker_wake(WORKER_FEED, WAKE_FEED);
}

void keeper_wake_outbox(void) {
    worker_wake(WORKER_FEED, WAKE_OUTBOX);
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
                errmsg("%s: %s failed: %s", worker_name(kind), job->name, error->message),
                error->hint ? errhint("%s", error->hint) : 0);
    }
    FreeErrorData(error);
    RESUME_INTERRUPTS();
    if (job->run == job_seal)
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
    job->due = GetCurrentTimestamp(); /* again: after those that have waited for longer */
    if (!again)
        job->due = TimestampTzPlusMilliseconds(
            job->due,
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
    uint32 what = worker_was_woken();

    for (int i = 0; i < lengthof(jobs); i++)
        if (jobs[i].kind == kind && (jobs[i].wake & what) != 0 && jobs[i].backoff_ms == 0)
            jobs[i].due = 0;
}

void clinicq_keeper_database_main(Datum arg) {
    MemoryContext context;

    if (!worker_begin(DatumGetObjectId(arg), &kind))
        proc_exit(0);
    SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
    actor_begin_worker(worker_name(WORKER_KEEPER));
    context = AllocSetContextCreate(TopMemoryContext, "clinicq job", ALLOCSET_DEFAULT_SIZES);
    while (worker_is_wanted()) {
        long wait = 0;
        Job *job;

        heed_wake();
        while (!ConfigReloadPending && (job = next_job(&wait)) != NULL) {
            CHECK_FOR_INTERRUPTS();
            MemoryContextSwitchTo(context);
            MemoryContextReset(context);
            if (!run_job(job)) {
                wait = WORKER_LOOK_MS; /* until CALL clinicq.migrate() */
                break;
            }
        }
        if (kind == WORKER_FEED)
            pg_usleep(feed_rest_us());
        worker_wait(ConfigReloadPending ? 0 : Max(wait, 10));
    }
    proc_exit(0);
}
