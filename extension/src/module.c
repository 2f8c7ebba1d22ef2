/*
 * ClinicQ in the database. Where things stand: README.md beside this folder.
 */
#include "postgres.h"

#include <liboath/oath.h>
#include <sodium.h>

#include "actor.h"
#include "cache.h"
#include "feed.h"
#include "fmgr.h"
#include "gather.h"
#include "keeper.h"
#include "look.h"
#include "outbox.h"
#include "seal.h"
#include "seal_memory.h"
#include "sealing.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void _PG_init(void) {
    if (sodium_init() < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("libsodium cannot be initialised"));
    if (oath_init() != OATH_OK)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("liboath cannot be initialised"));
    actor_init();
    cache_init();
    gather_init();
    look_init();
    sealing_init();
    seal_key_init();
    seal_memory_init();
    feed_init();
    outbox_init();
    keeper_init();
    MarkGUCPrefixReserved("clinicq");
}
