#include "audit_insert.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "cache.h"
#include "catalog/partition.h"
#include "commands/sequence.h"
#include "compat.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
#include "utils/rel.h"

/* The partition of a moment: a search in the bounds, which are of one column. */
static Oid partition_of(Relation parent, Datum at) {
    PartitionKey key = RelationGetPartitionKey(parent);
    PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
    bool is_equal;
    int bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
                                              partitions->boundinfo, 1, &at, &is_equal);
    int found = partitions->boundinfo->indexes[bound + 1];

    if (found < 0)
        found = partitions->boundinfo->default_index;
    if (found < 0)
        ereport(ERROR, errcode(ERRCODE_CHECK_VIOLATION),
                errmsg("the audit log has no partition for this moment"),
                errhint("Let an administrator run: CALL clinicq.migrate();"));
    return partitions->oids[found];
}

/* Another one may be attached while the lock of the default one is waited for. */
static Relation open_partition(Relation parent, Datum at) {
    for (;;) {
        Oid table = partition_of(parent, at);
        Relation partition = table_open(table, RowExclusiveLock);

        if (partition_of(parent, at) == table)
            return partition;
        table_close(partition, RowExclusiveLock);
    }
}

static int64 next_id(Relation parent) {
    static Oid table = InvalidOid;
    static Oid sequence = InvalidOid;

    if (table != RelationGetRelid(parent)) {
        sequence = cq_identity_sequence(parent, EVENT_ID + 1);
        table = RelationGetRelid(parent);
    }
    return nextval_internal(sequence, false);
}

static void insert_into(Relation partition, HeapTuple tuple) {
    EState *executor = CreateExecutorState();
    TupleTableSlot *slot = table_slot_create(partition, NULL);
    ResultRelInfo *target = makeNode(ResultRelInfo);

    InitResultRelInfo(target, partition, 1, NULL, 0);
    ExecOpenIndices(target, false);
    ExecForceStoreHeapTuple(tuple, slot, false);
    table_tuple_insert(partition, slot, GetCurrentCommandId(true), 0, NULL);
    if (target->ri_NumIndices > 0)
        cq_insert_index_tuples(target, slot, executor);
    ExecCloseIndices(target);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(executor);
}

int64 audit_insert(Datum values[EVENT_COLUMN_COUNT], bool nulls[EVENT_COLUMN_COUNT]) {
    Relation parent = table_open(cache_table("audit_event"), RowExclusiveLock);
    Relation partition;
    TupleConversionMap *map;
    HeapTuple tuple;

    if (RelationGetDescr(parent)->natts != EVENT_COLUMN_COUNT)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("clinicq.audit_event has other columns than this version writes"),
                errhint("Let an administrator run: CALL clinicq.migrate();"));
    values[EVENT_ID] = Int64GetDatum(next_id(parent));
    nulls[EVENT_ID] = false;
    tuple = heap_form_tuple(RelationGetDescr(parent), values, nulls);
    partition = open_partition(parent, values[EVENT_AT]);
    map = convert_tuples_by_name(RelationGetDescr(parent), RelationGetDescr(partition));
    if (map != NULL)
        tuple = execute_attr_map_tuple(tuple, map);
    insert_into(partition, tuple);
    table_close(partition, NoLock);
    table_close(parent, NoLock);
    return DatumGetInt64(values[EVENT_ID]);
}
