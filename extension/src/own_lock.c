#include "own_lock.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

PG_FUNCTION_INFO_V1(clinicq_lock_migration);

static bool take(OwnLock lock, uint64 key, bool at_once) {
    LOCKTAG tag;

    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, lock);
    return LockAcquire(&tag, ExclusiveLock, false, at_once) != LOCKACQUIRE_NOT_AVAIL;
}

void own_lock(OwnLock lock, uint64 key) {
    take(lock, key, false);
}

bool own_lock_try(OwnLock lock, uint64 key) {
    return take(lock, key, true);
}

uint64 own_lock_key(int64 user_id, const char *given) {
    return hash_bytes_extended((const unsigned char *) given, (int) strlen(given),
                               (uint64) user_id);
}

Datum clinicq_lock_migration(PG_FUNCTION_ARGS) {
    own_lock(LOCK_MIGRATION, 0);
    PG_RETURN_VOID();
}
