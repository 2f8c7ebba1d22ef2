/*
 * compat.h: the only file that looks at PG_VERSION_NUM.
 */
#ifndef CQ_COMPAT_H
#define CQ_COMPAT_H

#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* EXECUTE on a function, whatever the server calls the check. */
static inline AclResult cq_function_aclcheck(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

/* A qualified name as a list, 42602 where it is none. */
static inline List *cq_name_list(const char *name) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(name, NULL);
#else
    return stringToQualifiedNameList(name);
#endif
}

/* The sequence of an identity column. */
static inline Oid cq_identity_sequence(Relation table, AttrNumber column) {
#if PG_VERSION_NUM >= 170000
    return getIdentitySequence(table, column, false);
#else
    return getIdentitySequence(RelationGetRelid(table), column, false);
#endif
}

/* The index entries of a new row. */
static inline void cq_insert_index_tuples(ResultRelInfo *target, TupleTableSlot *slot,
                                          EState *executor) {
#if PG_VERSION_NUM >= 160000
    ExecInsertIndexTuples(target, slot, executor, false, false, NULL, NIL, false);
#else
    ExecInsertIndexTuples(target, slot, executor, false, false, NULL, NIL);
#endif
}

#endif
