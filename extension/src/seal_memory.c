#include "seal_memory.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "worker.h"

typedef struct Remembered {
    Oid database;
    int64 number;
    MerkleHash hash;
} Remembered;

typedef struct SealMemory {
    slock_t mutex;
    Remembered seals[DATABASES_MAX]; /* of more, none is remembered */
} SealMemory;

static SealMemory *memory = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void seal_memory_request(void) {
    if (previous_request != NULL)
        previous_request();
    RequestAddinShmemSpace(MAXALIGN(sizeof(SealMemory)));
}

static void seal_memory_startup(void) {
    bool found;

    if (previous_startup != NULL)
        previous_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    memory = ShmemInitStruct("clinicq seals", sizeof(SealMemory), &found);
    if (!found) {
        memset(memory, 0, sizeof *memory);
        SpinLockInit(&memory->mutex);
    }
    LWLockRelease(AddinShmemInitLock);
}

void seal_memory_init(void) {
    if (!process_shared_preload_libraries_in_progress)
        return;
    previous_request = shmem_request_hook;
    shmem_request_hook = seal_memory_request;
    previous_startup = shmem_startup_hook;
    shmem_startup_hook = seal_memory_startup;
}

/* That of this database, or the first that is free. Under the lock. */
static Remembered *find_place(void) {
    for (int i = 0; i < DATABASES_MAX; i++)
        if (memory->seals[i].database == MyDatabaseId || !OidIsValid(memory->seals[i].database))
            return &memory->seals[i];
    return NULL;
}

void seal_memory_keep(int64 number, const MerkleHash *hash) {
    Remembered *place;

    if (memory == NULL)
        return;
    SpinLockAcquire(&memory->mutex);
    place = find_place();
    if (place != NULL)
        *place = (Remembered){MyDatabaseId, number, *hash};
    SpinLockRelease(&memory->mutex);
}

bool seal_memory_read(int64 *number, MerkleHash *hash) {
    Remembered *place;
    bool known;

    if (memory == NULL)
        return false;
    SpinLockAcquire(&memory->mutex);
    place = find_place();
    known = place != NULL && place->database == MyDatabaseId;
    if (known) {
        *number = place->number;
        *hash = place->hash;
    }
    SpinLockRelease(&memory->mutex);
    return known;
}
